/* The configuration secrets as commands see them: see keys.h. */
#include "cli/keys.h"

#include "admin/setup.h"
#include "control/client.h"
#include "core/limits.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

/* What the daemon tells of its secrets, with their ids in SCOPE; an exit code. */
static int ask_ids(struct cli *cli, const char *scope, json_t **out, struct err *err)
{
	return cli_ask(cli, CONTROL_ADMIN,
		       json_pack("{s:s, s:[s]}", "do", "secret-ids", "scopes", scope), WAIT_CONTROL,
		       out, err);
}

/* A failure where nothing can be read here: the sentence says what to do. */
static int nowhere(int rc, struct err *err)
{
	if (rc == CLI_NO_DAEMON)
		(void)err_set(err, ERR_GONE,
			      "no configuration secret can be read here, and no daemon runs that "
			      "may have one: "
			      "start musterd --admin, or give this command the secret "
			      "(MUSTER_CONFIG_SECRET_FILE)");
	return rc;
}

static int open_remote(struct keys *keys, struct err *err)
{
	json_t *answer = NULL, *ids;
	const char *source;
	int is_file, rc = nowhere(ask_ids(keys->cli, SCOPE_CONFIG, &answer, err), err);

	if (rc != CLI_DONE)
		return rc;
	if (json_unpack(answer, "{s:s, s:b, s:{s:o}}", "source", &source, "file", &is_file, "ids",
			SCOPE_CONFIG, &ids) != 0) {
		(void)err_set(err, ERR_CORRUPT, "the daemon's answer is damaged");
		rc = CLI_FAILED;
	} else if (json_array_size(ids) == 0) {
		(void)err_set(err, ERR_GONE,
			      "neither this command nor the daemon has a configuration secret: put "
			      "one into "
			      "etc/secret");
		rc = CLI_FAILED;
	} else {
		keys->count = json_array_size(ids);
		keys->source = text_format("%s of the daemon", source);
		keys->ids = json_incref(json_object_get(answer, "ids"));
	}
	json_decref(answer);
	return rc;
}

int keys_open(struct cli *cli, struct keys *out, struct err *err)
{
	*out = (struct keys){.cli = cli};
	if (cli_open_admin(cli, err) != 0)
		return CLI_FAILED;
	if (keyring_load_readable(cli->home, &out->ring, err) != 0)
		return CLI_FAILED;
	if (keyring_secrets(out->ring) > 0) {
		out->source = text_copy(keyring_source(out->ring));
		out->is_file = keyring_is_file(out->ring);
		out->count = keyring_count(out->ring);
		return CLI_DONE;
	}
	keyring_free(out->ring);
	out->ring = NULL;
	return open_remote(out, err);
}

void keys_close(struct keys *keys)
{
	keyring_free(keys->ring);
	json_decref(keys->ids);
	free(keys->source);
	*keys = (struct keys){.ring = NULL};
}

/* The ids in SCOPE; asked for once. */
static const json_t *ids_of(struct keys *keys, const char *scope)
{
	json_t *answer = NULL, *ids = json_object_get(keys->ids, scope);
	struct err none;

	if (ids)
		return ids;
	if (ask_ids(keys->cli, scope, &answer, &none) == CLI_DONE)
		(void)json_object_set(
			keys->ids, scope,
			json_object_get(json_object_get(answer, "ids"), scope)); /* NULL is fine */
	json_decref(answer);
	return json_object_get(keys->ids, scope);
}

bool keys_id(struct keys *keys, size_t index, const char *scope, char id[static SEAL_ID_HEX_SIZE])
{
	const char *text;

	if (keys->ring)
		return keyring_id(keys->ring, index, scope, id);
	text = json_string_value(json_array_get(ids_of(keys, scope), index));
	if (!text || strlen(text) != SEAL_ID_HEX_SIZE - 1)
		return false;
	memcpy(id, text, SEAL_ID_HEX_SIZE);
	return true;
}

bool keys_seals(struct keys *keys, char id[static SEAL_ID_HEX_SIZE])
{
	for (size_t i = 0; i < keys->count; i++)
		if (keys_id(keys, i, SCOPE_CONFIG, id))
			return true;
	return false;
}

int keys_put_role(struct keys *keys, const char *role, struct buf *out, struct err *err)
{
	json_t *answer = NULL;
	const char *text;
	int rc = 0;

	if (keys->ring)
		return keyring_put_role(keys->ring, role, out, err);
	if (cli_ask(keys->cli, CONTROL_ADMIN,
		    json_pack("{s:s, s:s}", "do", "role-key", "role", role), WAIT_CONTROL, &answer,
		    err) != CLI_DONE)
		return -1;
	text = cli_string(answer, "key");
	if (text)
		buf_puts(out, text);
	else
		rc = err_set(err, ERR_CORRUPT, "the daemon's answer is damaged");
	json_decref(answer);
	return rc;
}

static int elsewhere(const char *source, bool of_daemon, struct err *err)
{
	return err_set(err, ERR_REFUSED,
		       "the configuration secret comes from %s%s, and is changed there, not in "
		       "etc/secret: append a "
		       "comma and 64 new hex digits (openssl rand -hex 32)%s, give the nodes what "
		       "muster secret role-key "
		       "ROLE prints then, at last put the new digits first%s and run muster secret "
		       "promote",
		       source, of_daemon ? " of the daemon" : "",
		       of_daemon ? ", start the daemon again" : "",
		       of_daemon ? ", start it again" : "");
}

int keys_may_write(struct keys *keys, struct err *err)
{
	json_t *answer = NULL;
	struct err none;
	const char *source;
	int is_file, rc = 0;

	if (keys->ring && !keys->is_file)
		return elsewhere(keys->source, false, err);
	if (ask_ids(keys->cli, SCOPE_CONFIG, &answer, &none) == CLI_DONE &&
	    json_unpack(answer, "{s:s, s:b}", "source", &source, "file", &is_file) == 0 &&
	    !is_file && *source)
		rc = elsewhere(source, true, err);
	else if (!keys->ring)
		rc = err_set(err, ERR_DENIED,
			     "%s: only the daemon may read it: run this as a user who may",
			     keys->source);
	json_decref(answer);
	return rc;
}
