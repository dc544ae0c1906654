/*
 * muster secret: the configuration secret: its rotation, the keys of roles, and what is sealed with
 * it.
 */
#include "admin/authoring.h"
#include "admin/rotation.h"
#include "cli/cli.h"
#include "cli/keys.h"
#include "config/merge.h"
#include "config/slice.h"
#include "control/sealing.h"
#include "core/limits.h"
#include "core/text.h"
#include "repo/tree.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	bool force;
	bool json;
	char **words;
	int count;
};

/* --- nodes --- */

/* Whether a node says that it holds the key that entry INDEX is for its role. */
static bool node_holds(const json_t *node, struct keys *keys, size_t index)
{
	char *scope = scope_of(cli_string(node, "role"));
	char own[SEAL_ID_HEX_SIZE] = "";
	bool has = !keys_id(keys, index, scope, own);
	size_t i;
	json_t *id;

	json_array_foreach(json_object_get(node, "secretKeys"), i, id)
		has |= strcmp(json_string_value(id), own) == 0;
	free(scope);
	return has;
}

static size_t index_of(struct keys *keys, const char *id)
{
	char own[SEAL_ID_HEX_SIZE];
	size_t i = 0;

	while (i < keys->count && !(keys_id(keys, i, SCOPE_CONFIG, own) && strcmp(own, id) == 0))
		i++;
	return i;
}

/* Names the nodes that do not hold the secret with this id yet: how many. */
static size_t print_lacking(const json_t *nodes, struct keys *keys, const char *id)
{
	size_t index = index_of(keys, id), i, lacking = 0;
	json_t *node;

	json_array_foreach(nodes, i, node) {
		/* one that is not approved has nothing that it could need it for */
		if (node_holds(node, keys, index) ||
		    !json_is_true(json_object_get(node, "approved")))
			continue;
		if (lacking++ == 0)
			(void)puts("these nodes do not hold it yet:"); /* checked at exit */
		(void)fputs("  ", stdout);			       /* ditto */
		cli_field(cli_string(node, "name"), 20);
		cli_field(cli_string(node, "role"), 16);
		cli_field(json_is_true(json_object_get(node, "connected")) ? "connected" : "away",
			  0);
	}
	return lacking;
}

/* The nodes as the daemon knows them; a new reference in OUT. */
static int ask_nodes(struct cli *cli, json_t **out, struct err *err)
{
	json_t *answer = NULL;
	int rc = cli_ask(cli, CONTROL_ADMIN, json_pack("{s:s}", "do", "nodes"), WAIT_CONTROL,
			 &answer, err);

	if (rc == CLI_DONE)
		*out = json_incref(json_object_get(answer, "nodes"));
	json_decref(answer);
	return rc;
}

/* --- rotate --- */

static int rotate(struct cli *cli, const struct asked *asked, struct err *err)
{
	struct keys keys;
	char id[SEAL_ID_HEX_SIZE];
	json_t *nodes = NULL;
	struct err away;
	int rc = keys_open(cli, &keys, err);

	(void)asked; /* it takes nothing */
	if (rc == CLI_DONE &&
	    (keys_may_write(&keys, err) != 0 || rotation_begin(cli->home, keys.ring, id, err) != 0))
		rc = CLI_FAILED;
	if (rc == CLI_DONE) {
		keys.count = keyring_count(keys.ring);
		/* checked at exit, as what follows */
		(void)printf("new configuration secret  key %s\n", id);
		if (ask_nodes(cli, &nodes, &away) != CLI_DONE)
			(void)puts("no daemon runs that knows the nodes");
		else if (print_lacking(nodes, &keys, id) == 0)
			(void)puts("every node holds it");
		(void)puts("next  muster secret role-key ROLE prints what the nodes of a role need "
			   "in etc/secret;\n"
			   "      when all have it: muster secret promote");
	}
	json_decref(nodes);
	keys_close(&keys);
	return rc;
}

/* --- promote --- */

static int check_nodes(struct cli *cli, const struct asked *asked, struct keys *keys,
		       const char *id, struct err *err)
{
	json_t *nodes = NULL;
	size_t lacking;
	int rc;

	if (asked->force)
		return CLI_DONE;
	rc = ask_nodes(cli, &nodes, err);
	if (rc != CLI_DONE) {
		(void)err_prefix(
			err, "which nodes hold the new secret is not known (--force does without)");
		return rc;
	}
	lacking = print_lacking(nodes, keys, id);
	json_decref(nodes);
	if (lacking == 0)
		return CLI_DONE;
	(void)err_set(err, ERR_REFUSED,
		      "%zu node%s could not open what is sealed with key %s: give each what muster "
		      "secret role-key "
		      "prints, or promote --force; they keep what they have until then",
		      lacking, lacking == 1 ? "" : "s", id);
	return CLI_FAILED;
}

/* By the daemon, else in this process. */
static int publish(struct cli *cli, const struct oid *commit, struct err *err)
{
	char hex[OID_HEX_SIZE];
	json_t *publication = NULL, *request = commit ? json_pack("{s:s, s:s}", "do", "publish",
								  "commit", oid_hex(commit, hex))
						      : json_pack("{s:s}", "do", "publish");
	int rc = cli_ask(cli, CONTROL_ADMIN, request, WAIT_PUBLISH, &publication, err);

	if (rc == CLI_NO_DAEMON)
		rc = cli_publish_here(cli, commit, &publication, err) == 0 ? CLI_DONE : CLI_FAILED;
	if (rc == CLI_DONE)
		rc = cli_verdict(publication, err);
	if (rc == CLI_DONE)
		cli_print_roles(publication);
	json_decref(publication);
	return rc;
}

/* By the daemon where only that has the secret. */
static int seal_and_publish(struct cli *cli, const char *id, struct err *err)
{
	struct sealing_by by = {.ring = NULL};
	bool changed = false;
	struct oid commit;
	char hex[OID_HEX_SIZE];
	int rc = sealing_open(&by, cli->home, err);

	if (rc == 0)
		rc = rotation_seal(cli->home, &by.sealer, id, &changed, &commit, err);
	sealing_close(&by);
	if (rc != 0)
		return CLI_FAILED;
	(void)printf("key %s seals", id); /* checked at exit */
	(void)(changed ? printf("; commit %.12s\n", oid_hex(&commit, hex)) : puts("")); /* ditto */
	rc = publish(cli, changed ? &commit : NULL, err);
	if (rc == CLI_DONE && rotation_end(cli->home, err) != 0)
		rc = CLI_FAILED;
	return rc;
}

/* The key that is to seal; whoever keeps it elsewhere has put the new one first. */
static int next_key(struct cli *cli, struct keys *keys, char id[static SEAL_ID_HEX_SIZE],
		    struct err *err)
{
	if (keys->is_file && keys_may_write(keys, err) != 0)
		return -1;
	if (keys->is_file ? rotation_next(cli->home, keys->ring, id) : keys_seals(keys, id))
		return 0;
	return err_set(err, ERR_REFUSED, "no rotation has begun: muster secret rotate");
}

static int promote(struct cli *cli, const struct asked *asked, struct err *err)
{
	struct keys keys;
	char id[SEAL_ID_HEX_SIZE];
	int rc = keys_open(cli, &keys, err);

	if (rc == CLI_DONE && next_key(cli, &keys, id, err) != 0)
		rc = CLI_FAILED;
	if (rc == CLI_DONE)
		rc = check_nodes(cli, asked, &keys, id, err);
	if (rc == CLI_DONE && keys.is_file &&
	    (keyring_promote(keys.ring, id, err) != 0 ||
	     keyring_save(cli->home, keys.ring, err) != 0))
		rc = CLI_FAILED;
	if (rc == CLI_DONE)
		rc = seal_and_publish(cli, id, err);
	keys_close(&keys);
	return rc;
}

/* --- role-key --- */

static void tell_unknown_role(struct cli *cli, const char *role);

static int role_key(struct cli *cli, const struct asked *asked, struct err *err)
{
	struct keys keys;
	struct buf text;
	int rc;

	if (!name_valid(asked->words[0]))
		return cli_usage(err, "\"%s\" is no name for a role", asked->words[0]);
	rc = keys_open(cli, &keys, err);
	buf_init(&text, LIMIT_SMALL_FILE);
	(void)buf_reserve(&text, 4096); /* memory that grows leaves copies; fits */
	if (rc == CLI_DONE && keys_put_role(&keys, asked->words[0], &text, err) != 0)
		rc = CLI_FAILED;
	if (rc == CLI_DONE && (puts(buf_text(&text)) == EOF || fflush(stdout) != 0)) {
		(void)err_sys(err, "output");
		rc = CLI_FAILED;
	}
	if (rc == CLI_DONE)
		tell_unknown_role(cli, asked->words[0]);
	seal_wipe(&text);
	keys_close(&keys);
	return rc;
}

/* --- list --- */

/* What is to be told of the configuration that is published. */
struct listing {
	struct document *doc;
	struct model *model;
	struct roles roles;
	json_t *secrets; /* by place */
	const char *role; /* the slice at hand */
};

static void take_place(void *arg, const char *place, const char *how)
{
	struct listing *listing = arg;
	json_t *secret = json_object_get(listing->secrets, place);

	if (!secret) {
		secret = json_pack("{s:s, s:s, s:[]}", "path", place, "kept", how, "roles");
		(void)json_object_set_new(listing->secrets, place, secret); /* only out of memory */
	}
	if (listing->role)
		(void)json_array_append_new(json_object_get(secret, "roles"),
					    json_string(listing->role)); /* ditto */
}

static int read_main(struct cli *cli, struct listing *listing, struct err *err)
{
	char *path = home_var(cli->home, ADMIN_SOURCE);
	struct fileset files = {.count = 0};
	struct repo *repo = NULL;
	struct oid commit;
	int rc = repo_open(path, &repo, err);

	if (rc == 0)
		rc = authoring_published(cli->home, repo, &commit, err);
	if (rc == 0)
		rc = tree_read_commit(repo, &commit, &files, err);
	if (rc == 0)
		rc = merge_fileset(&files, &listing->doc, &listing->model, err);
	if (rc == 0)
		rc = slice_roles(listing->doc, &listing->roles, err);
	fileset_clear(&files);
	repo_free(repo);
	free(path);
	return rc;
}

/*
 * A slip of the pen is a key that opens nothing; that of a role to come is one as well, and meant.
 */
static void tell_unknown_role(struct cli *cli, const char *role)
{
	struct listing listing = {.role = NULL};
	bool known = false;
	struct err err;

	if (read_main(cli, &listing, &err) == 0) {
		for (size_t i = 0; i < listing.roles.count; i++)
			known |= strcmp(listing.roles.names[i], role) == 0;
		if (!known && listing.roles.count > 0)
			(void)fprintf(stderr,
				      "muster: secret: there is no role %s in what is published: "
				      "is the name right?\n",
				      role); /* no one else to tell */
	}
	roles_clear(&listing.roles);
	document_free(listing.doc);
	model_free(listing.model);
}

static int list_secrets(struct cli *cli, struct listing *listing, struct err *err)
{
	int rc = read_main(cli, listing, err);

	if (rc != 0)
		return rc;
	seal_list(listing->doc, listing->model, take_place, listing);
	for (size_t i = 0; i < listing->roles.count && rc == 0; i++) {
		struct cluster none = {
			.host = (char[]){"admin"}, .port = CLUSTER_PORT, .keystore = (char[]){"-"}};
		struct document *part = NULL;

		listing->role = listing->roles.names[i];
		rc = slice(listing->doc, listing->model, listing->role, &none, &part, err);
		if (rc == 0)
			seal_list(part, listing->model, take_place, listing);
		document_free(part);
	}
	return rc;
}

static json_t *list_keys(struct keys *keys)
{
	json_t *out = json_array();
	char id[SEAL_ID_HEX_SIZE], next[SEAL_ID_HEX_SIZE] = "";
	bool first = true;

	if (keys->ring)
		(void)rotation_next(keys->cli->home, keys->ring, next); /* else there is none */
	for (size_t i = 0; i < keys->count; i++) {
		if (!keys_id(keys, i, SCOPE_CONFIG, id))
			continue;
		(void)json_array_append_new(
			out, json_pack("{s:s, s:s}", "id", id, "use",
				       first               ? "seals"
				       : !strcmp(id, next) ? "next"
							   : "opens")); /* only out of memory */
		first = false;
	}
	return out;
}

/* Each node, and which of the configuration secrets its keys are of. */
static json_t *list_nodes(const json_t *nodes, struct keys *keys)
{
	json_t *out = json_array(), *node, *ids;
	size_t i;

	json_array_foreach(nodes, i, node) {
		ids = json_array();
		for (size_t k = 0; k < keys->count; k++) {
			char id[SEAL_ID_HEX_SIZE];

			if (keys_id(keys, k, SCOPE_CONFIG, id) && node_holds(node, keys, k))
				(void)json_array_append_new(
					ids, json_string(id)); /* only out of memory */
		}
		(void)json_array_append_new(
			out,
			json_pack("{s:O, s:O, s:O, s:o}", "name", json_object_get(node, "name"),
				  "role", json_object_get(node, "role"), "connected",
				  json_object_get(node, "connected"), "holds", ids)); /* ditto */
	}
	return out;
}

static char *joined(const json_t *list)
{
	struct buf out;
	size_t i;
	json_t *item;

	buf_init(&out, LIMIT_SMALL_FILE);
	json_array_foreach(list, i, item)
		buf_printf(&out, "%s%s", i ? "," : "", json_string_value(item));
	buf_puts(&out, "");
	return out.len ? (char *)buf_steal(&out, NULL) : text_copy("-");
}

static void print_list(const json_t *document)
{
	const char *key;
	size_t i;
	json_t *item;
	char *text;

	json_array_foreach(json_object_get(document, "keys"), i, item)(void)
		printf("key     %s  %s\n", cli_string(item, "id"),
		       cli_string(item, "use")); /* checked at exit */
	json_object_foreach(json_object_get(document, "secrets"), key, item) {
		text = joined(json_object_get(item, "roles"));
		(void)printf("secret  %-10s  %-16s  ", cli_string(item, "kept"), text); /* ditto */
		cli_field(key, 0);
		free(text);
	}
	json_array_foreach(json_object_get(document, "nodes"), i, item) {
		text = joined(json_object_get(item, "holds"));
		(void)fputs("node    ", stdout); /* ditto */
		cli_field(cli_string(item, "name"), 20);
		cli_field(cli_string(item, "role"), 16);
		cli_field(json_is_true(json_object_get(item, "connected")) ? "connected" : "away",
			  9);
		cli_field(text, 0);
		free(text);
	}
}

static int list(struct cli *cli, const struct asked *asked, struct err *err)
{
	struct keys keys;
	struct listing listing = {.secrets = json_object()};
	json_t *nodes = NULL, *document;
	struct err away;
	int rc = keys_open(cli, &keys, err);

	if (rc == CLI_DONE && list_secrets(cli, &listing, err) != 0)
		rc = CLI_FAILED;
	if (rc == CLI_DONE) {
		(void)ask_nodes(cli, &nodes, &away); /* without a daemon the nodes are not known */
		document = json_pack("{s:o, s:O, s:o}", "keys", list_keys(&keys), "secrets",
				     listing.secrets, "nodes", list_nodes(nodes, &keys));
		if (asked->json)
			rc = cli_print_json(document, err);
		else
			print_list(document);
		json_decref(document);
	}
	json_decref(nodes);
	json_decref(listing.secrets);
	roles_clear(&listing.roles);
	document_free(listing.doc);
	model_free(listing.model);
	keys_close(&keys);
	return rc;
}

static const struct {
	const char *name;
	int words; /* it takes */
	bool forces, prints;
	int (*run)(struct cli *cli, const struct asked *asked, struct err *err);
} actions[] = {
	{"rotate", 0, false, false, rotate},
	{"promote", 0, true, false, promote},
	{"role-key", 1, false, false, role_key},
	{"list", 0, false, true, list},
};

int cmd_secret(struct cli *cli, int argc, char **argv, struct err *err)
{
	static const struct option options[] = {{"force", no_argument, NULL, 'f'},
						{"json", no_argument, NULL, 'j'},
						{NULL, 0, NULL, 0}};
	struct asked asked = {.force = false};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'f' && option != 'j')
			return cli_wrong_option(option, argv, err);
		asked.force |= option == 'f';
		asked.json |= option == 'j';
	}
	asked.words = argv + optind + 1;
	asked.count = argc - optind - 1;
	for (size_t i = 0; argv[optind] && i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(argv[optind], actions[i].name) != 0)
			continue;
		if (asked.count != actions[i].words || (asked.force && !actions[i].forces) ||
		    (asked.json && !actions[i].prints))
			return cli_usage(err, "wrong arguments for secret %s", actions[i].name);
		return actions[i].run(cli, &asked, err);
	}
	return cli_usage(err, "secret takes rotate, promote, role-key ROLE or list");
}
