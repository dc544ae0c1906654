/* Small facts about text: see text.h. */
#include "core/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_LEN || !isalnum((unsigned char)name[0]))
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return false;
	if (strstr(name, "..") || name[len - 1] == '.' || text_ends(name, ".lock"))
		return false;
	return strcmp(name, "HEAD") != 0 && strcmp(name, "common") != 0;
}

int64_t text_now(void)
{
	return (int64_t)time(NULL);
}

char *text_time(int64_t seconds, char out[static TEXT_TIME_MAX])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	out[0] = '\0';
	if (seconds > 0 && gmtime_r(&t, &tm))
		(void)strftime(out, TEXT_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ",
			       &tm); /* fits to year 9999 */
	return out;
}

void text_escape_in_place(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int text_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!isdigit((unsigned char)*text) || (text[0] == '0' && text[1]))
		return -1;
	for (; isdigit((unsigned char)*text); text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (value > (max - digit) / 10 || digit > max)
			return -1;
		value = value * 10 + digit;
	}
	if (*text)
		return -1;
	*out = value;
	return 0;
}

static void *or_abort(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

char *text_copy(const char *text)
{
	return or_abort(strdup(text));
}

char *text_copy_n(const char *text, size_t len)
{
	return or_abort(strndup(text, len));
}

char *text_format(const char *fmt, ...)
{
	char *out = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&out, fmt, ap);
	va_end(ap);
	return or_abort(n < 0 ? NULL : out);
}

void *mem_new(size_t count, size_t size)
{
	return or_abort(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *old, size_t count, size_t size)
{
	return or_abort(reallocarray(old, count ? count : 1, size));
}

bool text_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
	size_t n = strlen(text), m = strlen(suffix);

	return n >= m && strcmp(text + n - m, suffix) == 0;
}

bool text_near(const char *a, const char *b)
{
	size_t n, m;

	while (*a && *a == *b) {
		a++;
		b++;
	}
	n = strlen(a);
	m = strlen(b);
	while (n > 0 && m > 0 && a[n - 1] == b[m - 1]) {
		n--;
		m--;
	}
	return n <= 2 && m <= 2;
}
