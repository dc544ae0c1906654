/* Sealing and opening by the daemon: see sealing.h. Values travel in base64. */
#include "control/sealing.h"

#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "crypto/encode.h"

#include <jansson.h>
#include <string.h>

enum {
	VALUE_MAX = 2 * LIMIT_SECRET_VALUE, /* bytes of a value, sealed or not */
	/* all keys of a role: memory that grows leaves copies */
	ROLE_KEY_ROOM = 4096,
};

/* --- who asks --- */

/* One value there and one back. */
static int exchange(struct sealing_by *by, const char *what, const char *scope, const char *path,
		    const void *value, size_t n, struct buf *out, struct err *err)
{
	struct buf text;
	json_t *answer = NULL, *request;
	const char *back;
	int rc;

	if (!by->ask)
		return err_set(
			err, ERR_REFUSED,
			"there is no configuration secret: put one into etc/secret, or start "
			"the daemon that has it");
	buf_init(&text, 2 * VALUE_MAX);
	encode_base64(&text, value, n);
	request = json_pack("{s:s, s:s, s:s, s:s}", "do", what, "scope", scope, "path", path,
			    "value", buf_text(&text));
	seal_wipe(&text);
	if (!request)
		return err_set(err, ERR_CORRUPT, "the path of a secret is no text");
	if (ask(by->ask, request, WAIT_CONTROL, &answer, err) != 0)
		return -1;
	back = json_string_value(json_object_get(answer, "value"));
	rc = back && decode_base64(back, strlen(back), out) == 0
		     ? 0
		     : err_set(err, ERR_CORRUPT, "the daemon's answer is damaged");
	json_decref(answer);
	return rc;
}

static int by_seal(void *arg, const char *scope, const char *path, const void *plain, size_t n,
		   struct buf *out, struct err *err)
{
	struct sealing_by *by = arg;

	if (keyring_count(by->ring) > 0)
		return keyring_seal(by->ring, scope, path, plain, n, out, err);
	return exchange(by, "seal", scope, path, plain, n, out, err);
}

static int by_open(void *arg, const char *scope, const char *path, const char *text,
		   struct buf *out, struct err *err)
{
	struct sealing_by *by = arg;

	if (keyring_count(by->ring) > 0)
		return keyring_open(by->ring, scope, path, text, out, err);
	return exchange(by, "open", scope, path, text, strlen(text), out, err);
}

int sealing_open(struct sealing_by *by, const struct home *home, struct err *err)
{
	struct err none;

	*by = (struct sealing_by){.sealer = {.seal = by_seal, .open = by_open, .arg = by}};
	if (keyring_load_readable(home, &by->ring, err) != 0)
		return -1;
	if (keyring_count(by->ring) == 0 && ask_open(home, CONTROL_ADMIN, &by->ask, &none) != 0)
		by->ask = NULL; /* told when it is needed */
	return 0;
}

void sealing_close(struct sealing_by *by)
{
	ask_close(by->ask);
	keyring_free(by->ring);
	*by = (struct sealing_by){.ring = NULL};
}

/* --- who is asked --- */

static void answer_value(struct client *client, struct buf *value)
{
	struct buf text;

	buf_init(&text, 2 * VALUE_MAX);
	encode_base64(&text, value->data, value->len);
	client_answer(client, json_pack("{s:s}", "value", buf_text(&text)));
	seal_wipe(&text);
}

/* The work of a request, whose parts are there. */
static int serve(const struct keyring *ring, bool seals, const char *scope, const char *path,
		 const struct buf *value, struct buf *out, struct err *err)
{
	if (seals)
		return keyring_seal(ring, scope, path, value->data, value->len, out, err);
	if (memchr(buf_text(value), '\0', value->len))
		return err_set(err, ERR_CORRUPT, "not a sealed value");
	return keyring_open(ring, scope, path, buf_text(value), out, err);
}

static void answer_value_of(const struct keyring *ring, struct client *client, const char *what,
			    const json_t *request)
{
	const char *scope = "", *path = "", *text = "";
	struct err err = {.code = ERR_NONE};
	struct buf value, out;
	int rc = json_unpack((json_t *)request, "{s:s, s:s, s:s}", "scope", &scope, "path", &path,
			     "value", &text);

	buf_init(&value, VALUE_MAX);
	buf_init(&out, VALUE_MAX);
	if (rc != 0 || decode_base64(text, strlen(text), &value) != 0)
		rc = err_set(&err, ERR_CORRUPT, "the request is not complete");
	if (rc == 0)
		rc = serve(ring, strcmp(what, "seal") == 0, scope, path, &value, &out, &err);
	if (rc == 0 && strcmp(what, "open") == 0)
		log_info("control", path, "a secret was opened for a local client");
	if (rc == 0)
		answer_value(client, &out);
	else
		client_refuse(client, err.code, err.text);
	seal_wipe(&value);
	seal_wipe(&out);
}

static json_t *ids_in(const struct keyring *ring, const char *scope)
{
	json_t *ids = json_array();
	char id[SEAL_ID_HEX_SIZE];

	for (size_t i = 0; i < keyring_count(ring); i++)
		(void)json_array_append_new(ids, keyring_id(ring, i, scope, id)
							 ? json_string(id)
							 : json_null()); /* only out of memory */
	return ids;
}

static void answer_ids(const struct keyring *ring, struct client *client, const json_t *request)
{
	json_t *all = json_object(), *scope;
	size_t i;

	json_array_foreach(json_object_get(request, "scopes"), i, scope) if (json_is_string(scope))(
		void) json_object_set_new(all, json_string_value(scope),
					  ids_in(ring, json_string_value(scope))); /* ditto */
	client_answer(client, json_pack("{s:s, s:b, s:o}", "source", keyring_source(ring), "file",
					keyring_is_file(ring), "ids", all));
}

static void answer_role_key(const struct keyring *ring, struct client *client,
			    const json_t *request)
{
	const char *role = json_string_value(json_object_get(request, "role"));
	struct err err = {.code = ERR_NONE};
	struct buf text;
	int rc = 0;

	buf_init(&text, LIMIT_SMALL_FILE);
	(void)buf_reserve(&text, ROLE_KEY_ROOM);
	if (!role || !name_valid(role))
		rc = err_set(&err, ERR_CORRUPT, "no name for a role");
	if (rc == 0)
		rc = keyring_put_role(ring, role, &text, &err);
	if (rc == 0) {
		log_notice("control", role, "the key of this role was given to a local client");
		client_answer(client, json_pack("{s:s}", "key", buf_text(&text)));
	} else {
		client_refuse(client, err.code, err.text);
	}
	seal_wipe(&text);
}

bool sealing_answers(const char *what)
{
	return strcmp(what, "seal") == 0 || strcmp(what, "open") == 0 ||
	       strcmp(what, "secret-ids") == 0 || strcmp(what, "role-key") == 0;
}

void sealing_answer(const struct home *home, struct client *client, const json_t *request)
{
	const char *what = json_string_value(json_object_get(request, "do"));
	struct keyring *ring = NULL;
	struct err err = {.code = ERR_NONE};

	/* a few bytes from a local file: read each time, so that a rotation needs no word */
	if (keyring_load(home, &ring, &err) != 0)
		client_refuse(client, err.code, err.text);
	else if (strcmp(what, "secret-ids") == 0)
		answer_ids(ring, client, request);
	else if (strcmp(what, "role-key") == 0)
		answer_role_key(ring, client, request);
	else
		answer_value_of(ring, client, what, request);
	keyring_free(ring);
}
