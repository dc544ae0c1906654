/* The admin's state file: see state.h. */
#include "admin/state.h"

#include "core/fs.h"
#include "core/limits.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

struct state_role *state_add_role(struct admin_state *state, const char *name)
{
	struct state_role *role;

	state->roles = mem_grow(state->roles, state->role_count + 1, sizeof(*state->roles));
	role = state->roles + state->role_count++;
	*role = (struct state_role){.sequence = 0};
	memcpy(role->name, name, strnlen(name, NAME_MAX_LEN));
	return role;
}

const struct state_role *state_find_role(const struct admin_state *state, const char *name)
{
	for (size_t i = 0; i < state->role_count; i++)
		if (strcmp(state->roles[i].name, name) == 0)
			return state->roles + i;
	return NULL;
}

void state_set_published(struct admin_state *state, const struct oid *source, const char *made_by)
{
	char *copy = text_copy(made_by);

	free(state->made_by);
	state->made_by = copy;
	state->has_published = true;
	state->source = *source;
	(void)text_time(text_now(), state->at);
}

void state_drop_refused(struct admin_state *state)
{
	for (size_t i = 0; i < state->reason_count; i++)
		free(state->reasons[i]);
	free(state->reasons);
	free(state->step);
	state->reasons = NULL;
	state->reason_count = 0;
	state->step = NULL;
	state->has_refused = false;
	state->refused_source = (struct oid){{0}};
	state->refused_at[0] = '\0';
}

void state_set_refused(struct admin_state *state, const struct oid *source, const char *step,
		       char *const *reasons, size_t count)
{
	state_drop_refused(state);
	state->has_refused = true;
	state->refused_source = *source;
	(void)text_time(text_now(), state->refused_at);
	state->step = text_copy(step);
	state->reasons = mem_new(count, sizeof(*state->reasons));
	for (; state->reason_count < count; state->reason_count++)
		state->reasons[state->reason_count] = text_copy(reasons[state->reason_count]);
}

void state_copy(const struct admin_state *from, struct admin_state *to)
{
	*to = *from;
	to->made_by = from->made_by ? text_copy(from->made_by) : NULL;
	to->step = from->step ? text_copy(from->step) : NULL;
	to->roles = mem_new(from->role_count, sizeof(*to->roles));
	if (from->role_count)
		memcpy(to->roles, from->roles, from->role_count * sizeof(*to->roles));
	to->reasons = mem_new(from->reason_count, sizeof(*to->reasons));
	for (size_t i = 0; i < from->reason_count; i++)
		to->reasons[i] = text_copy(from->reasons[i]);
}

void state_clear(struct admin_state *state)
{
	state_drop_refused(state);
	free(state->made_by);
	free(state->roles);
	*state = (struct admin_state){.has_published = false};
}

/* A JSON string of any bytes: jansson takes only UTF-8. */
static json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value)
		return value;
	copy = text_copy(text);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	value = json_string(copy);
	free(copy);
	return value;
}

static json_t *json_oid(const struct oid *oid)
{
	char hex[OID_HEX_SIZE];

	return json_string(oid_hex(oid, hex));
}

static json_t *published_json(const struct admin_state *state)
{
	json_t *roles = json_object();

	for (size_t i = 0; i < state->role_count; i++) {
		const struct state_role *role = state->roles + i;

		(void)json_object_set_new(roles, role->name,
					  json_pack("{s:o, s:I, s:o, s:b}", "release",
						    json_oid(&role->release), "sequence",
						    (json_int_t)role->sequence, "source",
						    json_oid(&role->source), "removed",
						    role->removed));
	}
	return json_pack("{s:o, s:s, s:o, s:o}", "source", json_oid(&state->source), "at",
			 state->at, "by", json_text(state->made_by ? state->made_by : ""), "roles",
			 roles);
}

static json_t *refused_json(const struct admin_state *state)
{
	json_t *reasons = json_array();

	for (size_t i = 0; i < state->reason_count; i++)
		(void)json_array_append_new(reasons, json_text(state->reasons[i]));
	return json_pack("{s:o, s:s, s:s, s:o}", "source", json_oid(&state->refused_source), "at",
			 state->refused_at, "step", state->step ? state->step : "", "reasons",
			 reasons);
}

void state_format(const struct admin_state *state, struct buf *out)
{
	json_t *root = json_pack("{s:o, s:o}", "published",
				 state->has_published ? published_json(state) : json_null(),
				 "refused", state->has_refused ? refused_json(state) : json_null());
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;

	if (!text)
		abort(); /* out of memory: every string is UTF-8 by now */
	buf_puts(out, text);
	buf_puts(out, "\n");
	free(text);
	json_decref(root);
}

/* A short text of a fixed place; longer or missing is wrong. */
static int get_time(json_t *object, const char *key, char out[static TEXT_TIME_MAX])
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text || strlen(text) >= TEXT_TIME_MAX)
		return -1;
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

static int get_oid(json_t *object, const char *key, struct oid *out)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? oid_parse(text, out) : -1;
}

static int parse_role(struct admin_state *state, const char *name, json_t *value)
{
	json_t *sequence = json_object_get(value, "sequence");
	struct oid release, source;
	struct state_role *role;

	if (!name_valid(name) || get_oid(value, "release", &release) != 0 ||
	    get_oid(value, "source", &source) != 0 ||
	    !json_is_integer(sequence) || json_integer_value(sequence) < 1)
		return -1;
	role = state_add_role(state, name);
	role->release = release;
	role->source = source;
	role->sequence = (uint64_t)json_integer_value(sequence);
	role->removed = json_is_true(json_object_get(value, "removed"));
	return 0;
}

static int parse_published(struct admin_state *state, json_t *object)
{
	json_t *roles = json_object_get(object, "roles"), *value;
	const char *by = json_string_value(json_object_get(object, "by")), *name;

	if (!json_is_object(roles) || !by || get_time(object, "at", state->at) != 0 ||
	    get_oid(object, "source", &state->source) != 0)
		return -1;
	state->made_by = text_copy(by);
	json_object_foreach(roles, name, value)
	{
		if (parse_role(state, name, value) != 0)
			return -1;
	}
	state->has_published = true;
	return 0;
}

static int parse_refused(struct admin_state *state, json_t *object)
{
	json_t *reasons = json_object_get(object, "reasons"), *value;
	const char *step = json_string_value(json_object_get(object, "step"));
	size_t i;

	if (!json_is_array(reasons) || !step || get_time(object, "at", state->refused_at) != 0 ||
	    get_oid(object, "source", &state->refused_source) != 0)
		return -1;
	state->step = text_copy(step);
	state->reasons = mem_new(json_array_size(reasons), sizeof(*state->reasons));
	json_array_foreach(reasons, i, value)
	{
		if (!json_is_string(value))
			return -1;
		state->reasons[state->reason_count++] = text_copy(json_string_value(value));
	}
	state->has_refused = true;
	return 0;
}

int state_parse(const void *data, size_t len, struct admin_state *out, struct err *err)
{
	struct admin_state state = {.has_published = false};
	json_error_t error;
	json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
	json_t *published = json_object_get(root, "published");
	json_t *refused = json_object_get(root, "refused");
	int rc = 0;

	if (!root)
		rc = err_set(err, ERR_CORRUPT, "line %d: %s", error.line, error.text);
	else if (!published || !refused ||
		 (!json_is_null(published) && parse_published(&state, published) != 0) ||
		 (!json_is_null(refused) && parse_refused(&state, refused) != 0))
		rc = err_set(err, ERR_CORRUPT, "not the state of an admin");
	json_decref(root);
	if (rc != 0) {
		state_clear(&state);
		return rc;
	}
	*out = state;
	return 0;
}

int state_read(int var_fd, struct admin_state *out, struct err *err)
{
	struct buf text;
	int rc;

	*out = (struct admin_state){.has_published = false};
	buf_init(&text, LIMIT_SMALL_FILE);
	rc = fs_read(var_fd, ADMIN_STATE_FILE, &text, err);
	if (rc == 0) {
		rc = state_parse(buf_text(&text), text.len, out, err);
		if (rc != 0)
			(void)err_prefix(err, "var/" ADMIN_STATE_FILE);
	}
	buf_clear(&text);
	return rc;
}

int state_write(int var_fd, const struct admin_state *state, struct err *err)
{
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_SMALL_FILE);
	state_format(state, &text);
	/*
	 * so many reasons that it does not fit: the state is told without them rather than not at
	 * all
	 */
	if (text.failed) {
		struct admin_state small;
		char *more = (char[]){"more findings than fit here: see muster check"};

		state_copy(state, &small);
		state_set_refused(&small, &state->refused_source, state->step ? state->step : "",
				  &more, 1);
		buf_reset(&text);
		state_format(&small, &text);
		state_clear(&small);
	}
	rc = text.failed
		     ? err_set(err, ERR_FULL, "var/" ADMIN_STATE_FILE ": too many roles")
		     : fs_replace(var_fd, ADMIN_STATE_FILE, text.data, text.len, 0600, err);
	buf_clear(&text);
	return rc;
}
