/* The cluster configuration for nodes: see generate_cluster.h. */
#include "cli/generate_cluster.h"

#include "admin/cycle.h"
#include "admin/keys.h"
#include "admin/setup.h"
#include "admin/show.h"
#include "config/cluster.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODE_FOLDER "node" /* below var/ */

enum { HOST_MAX = 253 }; /* bytes of a DNS name */

bool generate_cluster_host_valid(const char *host)
{
	size_t len = strlen(host);

	if (len == 0 || len > HOST_MAX || !(isalnum((unsigned char)host[0]) || host[0] == ':'))
		return false;
	for (const char *p = host; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(".-_:", *p))
			return false;
	return true;
}

/* Loads the identity, or makes it. Two that make it at once agree on the one that came first. */
static int load_or_make(int dirfd, const char *file, struct identity **out, bool *made,
			struct err *err)
{
	struct err why = {.code = ERR_NONE};
	struct identity *identity;
	int rc;

	*made = false;
	if (identity_load(dirfd, file, out, &why) == 0)
		return 0;
	if (why.code != ERR_GONE)
		return err_set(err, why.code, "%s", why.text);
	identity = identity_new();
	rc = identity_save(dirfd, file, identity, &why);
	if (rc == 0) {
		*out = identity;
		*made = true;
		return 0;
	}
	identity_free(identity);
	if (why.code == ERR_REFUSED)
		return identity_load(dirfd, file, out, err);
	return err_set(err, why.code, "%s", why.text);
}

/* The change of a file that no admin has. */
static int change_file(int dirfd, const char *file, enum keys_change change, json_t **out,
		       struct err *err)
{
	struct keys_epoch epoch = {.fresh = true};
	struct identity *identity = NULL;
	uint32_t ended = 0;
	int rc = identity_load(dirfd, file, &identity, err);

	if (rc == 0 && change == KEYS_ROTATE_EPOCH) {
		rc = identity_add_root(identity, err);
	} else if (rc == 0) {
		ended = identity->roots[identity->root_count - 1].epoch;
		rc = identity_end_root(identity, err);
	}
	if (rc == 0)
		rc = identity_replace(dirfd, file, identity, err);
	if (rc == 0)
		*out = change == KEYS_ROTATE_EPOCH ? keys_epoch_json(identity, &epoch, NULL)
						   : keys_ended_json(identity, ended, NULL);
	identity_free(identity);
	return rc;
}

/* -k FILE: relative to where the caller is. */
static int identity_of_file(const struct generate_cluster *what, struct generated *out,
			    struct identity **identity, struct err *err)
{
	const char *path = what->key_file, *slash = strrchr(path, '/'),
		   *file = slash ? slash + 1 : path;
	char *folder = slash ? text_copy_n(path, (size_t)(slash - path) + 1) : text_copy(".");
	int fd = -1, rc;

	rc = fs_open_dir(AT_FDCWD, folder, &fd, err);
	free(folder);
	if (rc != 0)
		return rc;
	if (what->change != KEYS_NONE)
		rc = change_file(fd, file, what->change, &out->change, err);
	if (rc == 0)
		rc = load_or_make(fd, file, identity, &out->made, err);
	(void)close(fd); /* a folder */
	if (rc == 0)
		out->key_path = text_copy(path);
	return rc;
}

/*
 * A node's home has no identity of the cluster: one that is made there is of a cluster that nobody
 * runs.
 */
static int check_home(const struct home *home, struct err *err)
{
	if (faccessat(home->var_fd, ADMIN_KEY, F_OK, 0) == 0 ||
	    faccessat(home->var_fd, NODE_FOLDER, F_OK, 0) != 0)
		return 0;
	return err_set(err, ERR_REFUSED,
		       "%s is a node's, without a cluster.key: do this on the admin, or name the "
		       "file with -k",
		       home->var);
}

/* Where the admin of this home listens, if it is set up. */
static uint16_t port_of_home(const struct home *home)
{
	struct cluster cluster = {0};
	uint16_t port = CLUSTER_PORT;
	struct err err;

	if (setup_done(home) && show_cluster(home, &cluster, NULL, &err) == 0 && cluster.port)
		port = cluster.port;
	cluster_clear(&cluster);
	return port;
}

static int identity_of_home(struct home *home, const struct generate_cluster *what,
			    struct generated *out, struct identity **identity, struct err *err)
{
	int rc = home_open(home, what->change == KEYS_NONE, err);

	if (rc == 0)
		rc = check_home(home, err);
	if (rc == 0 && what->change != KEYS_NONE)
		rc = cluster_keys_change(home, what->change, &out->change, err);
	if (rc == 0 && what->change == KEYS_NONE)
		rc = fs_keep_dirs(home->var_fd, "admin", 0700, err);
	if (rc == 0)
		rc = load_or_make(home->var_fd, ADMIN_KEY, identity, &out->made, err);
	if (rc == 0)
		out->key_path = home_var(home, ADMIN_KEY);
	return rc;
}

int generate_cluster(const struct generate_cluster *what, struct home *home, struct generated *out,
		     struct err *err)
{
	struct cluster cluster = {.port = what->port};
	struct identity *identity = NULL;
	struct keystore *keystore;
	struct buf text;
	int rc;

	*out = (struct generated){.made = false};
	buf_init(&out->text, LIMIT_SMALL_FILE);
	rc = what->key_file ? identity_of_file(what, out, &identity, err)
			    : identity_of_home(home, what, out, &identity, err);
	if (rc != 0)
		return rc;
	if (!cluster.port)
		cluster.port = what->key_file ? CLUSTER_PORT : port_of_home(home);
	keystore = keystore_for(identity, what->role ? what->role : "*");
	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	cluster.host = text_copy(what->host);
	cluster.keystore = (char *)text.data;
	cluster_format(&cluster, &out->text);
	free(cluster.host);
	crypto_wipe(text.data, text.len);
	buf_clear(&text);
	keystore_free(keystore);
	identity_free(identity);
	return 0;
}

void generated_clear(struct generated *generated)
{
	if (generated->text.data)
		crypto_wipe(generated->text.data, generated->text.cap);
	buf_clear(&generated->text);
	json_decref(generated->change);
	free(generated->key_path);
}

static void tell_rotated(const json_t *change)
{
	const json_t *publication = json_object_get(change, "publication");
	const char *commit = json_string_value(json_object_get(change, "commit"));

	(void)fprintf(stderr,
		      "Epoch %lld of the cluster key begins; epoch %lld is good until genclust "
		      "--retire.\n",
		      (long long)json_integer_value(json_object_get(change, "epoch")),
		      (long long)json_integer_value(json_object_get(change, "previous")));
	if (commit)
		(void)fprintf(
			stderr,
			"main has the new keystore in commit %.12s, and each role's nodes %s.\n",
			commit,
			json_is_true(json_object_get(publication, "refused"))
				? "get theirs with the next publication that passes: main is "
				  "refused now (muster check)"
				: "get theirs with their release");
}

static void tell_retired(const json_t *change)
{
	const json_t *cut_off = json_object_get(change, "cutOff");
	json_t *name;
	size_t i;

	json_array_foreach(cut_off, i, name)
		(void)fprintf(stderr, "cut off: %s\n", json_string_value(name));
	if (json_array_size(cut_off) > 0)
		(void)fputs("These did not come with the newest epoch yet: each needs a new "
			    "cluster file.\n",
			    stderr);
	(void)fprintf(stderr, "Epoch %lld of the cluster key has ended; %lld is good.\n",
		      (long long)json_integer_value(json_object_get(change, "ended")),
		      (long long)json_integer_value(json_object_get(change, "epoch")));
}

/* Nothing is to be done if stderr does not take it. */
void generated_tell(const struct generated *generated)
{
	if (!generated->change)
		return;
	if (json_object_get(generated->change, "ended"))
		tell_retired(generated->change);
	else
		tell_rotated(generated->change);
}
