/* The cluster configuration for nodes: see generate_cluster.h. */
#include "cli/generate_cluster.h"

#include "admin/cycle.h"
#include "config/cluster.h"
#include "core/fs.h"
#include "core/limits.h"
#include "core/text.h"
#include "crypto/key.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* -k FILE: relative to where the caller is. */
static int identity_of_file(const char *path, struct identity **out, char **key_path, bool *made,
			    struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? text_copy_n(path, (size_t)(slash - path) + 1) : text_copy(".");
	int fd = -1, rc;

	rc = fs_open_dir(AT_FDCWD, folder, &fd, err);
	free(folder);
	if (rc != 0)
		return rc;
	rc = load_or_make(fd, slash ? slash + 1 : path, out, made, err);
	(void)close(fd); /* a folder */
	if (rc == 0)
		*key_path = text_copy(path);
	return rc;
}

static int identity_of_home(struct home *home, struct identity **out, char **key_path, bool *made,
			    struct err *err)
{
	if (home_open(home, true, err) != 0 ||
	    fs_make_dirs(home->var_fd, "admin", 0700, err) != 0 ||
	    load_or_make(home->var_fd, ADMIN_KEY, out, made, err) != 0)
		return -1;
	*key_path = home_var(home, ADMIN_KEY);
	return 0;
}

int generate_cluster(const struct generate_cluster *what, struct home *home, struct buf *out,
		     char **key_path, bool *made, struct err *err)
{
	struct cluster cluster = {.port = what->port ? what->port : CLUSTER_PORT};
	struct identity *identity = NULL;
	struct keystore *keystore;
	struct buf text;
	int rc = what->key_file ? identity_of_file(what->key_file, &identity, key_path, made, err)
				: identity_of_home(home, &identity, key_path, made, err);

	if (rc != 0)
		return rc;
	keystore = keystore_for(identity, what->role ? what->role : "*");
	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	cluster.host = text_copy(what->host);
	cluster.keystore = (char *)text.data;
	cluster_format(&cluster, out);
	free(cluster.host);
	crypto_wipe(text.data, text.len);
	buf_clear(&text);
	keystore_free(keystore);
	identity_free(identity);
	return 0;
}
