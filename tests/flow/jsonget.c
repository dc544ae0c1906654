/*
 * jsonget PATH <DOCUMENT: prints one value of a JSON document. PATH is `.` and names or indexes:
 * `.nodes.RUNNING`, `.0.name`; `.#` at the end is the number of members. A string is printed as it
 * is, null as `null`, the rest as JSON. Exit 1 when there is no such place, 2 when the document or
 * the usage is wrong.
 */
#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t json_members(const json_t *value)
{
	return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

static const json_t *json_member(const json_t *value, const char *name)
{
	char *end;
	unsigned long index = strtoul(name, &end, 10);

	if (!json_is_array(value))
		return json_object_get(value, name);
	return *name && !*end ? json_array_get(value, index) : NULL;
}

static int json_print(const json_t *value)
{
	if (json_is_string(value))
		return puts(json_string_value(value)) < 0;
	if (json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS))
		return 1;
	return puts("") < 0;
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *root;
	const json_t *value;
	int status = 0;

	if (argc != 2) {
		fputs("usage: jsonget PATH <DOCUMENT\n", stderr);
		return 2;
	}
	root = json_loadf(stdin, JSON_DECODE_ANY, &error);
	if (!root) {
		fprintf(stderr, "jsonget: line %d: %s\n", error.line, error.text);
		return 2;
	}
	value = root;
	for (char *name = strtok(argv[1], "."); name && value; name = strtok(NULL, ".")) {
		if (!strcmp(name, "#")) {
			printf("%zu\n", json_members(value));
			goto out;
		}
		value = json_member(value, name);
	}
	if (value)
		status = json_print(value);
	else
		status = 1;
out:
	json_decref(root);
	return status;
}
