/* musterd --check: what a start would find, without making or changing anything: see daemon.h. */
#include "control/daemon.h"

#include "admin/cycle.h"
#include "admin/reload.h"
#include "admin/setup.h"
#include "admin/show.h"
#include "admin/trial.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/text.h"
#include "node/runtime.h"

#include <stdlib.h>

/* All findings, as a start logs them. */
static void tell(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		log_error("setup", "", "%s", findings->lines[i]);
}

static int check_fresh(struct home *home, char **verdict, struct err *err)
{
	const struct setup_options options = {.host = NULL};
	struct findings findings = {0};
	int rc = setup_check(home, &options, &findings, err);

	tell(&findings);
	findings_clear(&findings);
	if (rc == 0)
		*verdict = text_format("%s would be set up as a new admin home", home->var);
	return rc;
}

static int check_main(struct home *home, const struct identity *identity, char **verdict,
		      struct err *err)
{
	struct fileset files = {0};
	struct trial trial = {.role_count = 0};
	int rc = trial_files(home, "main", &files, err);

	if (rc == 0)
		rc = trial_run(home, identity, &files, TRIAL_ALLOW_SHRINK, &trial, err);
	if (rc == 0 && trial.findings.count > 0)
		rc = err_set(err, ERR_REFUSED, "main does not pass the checks: %s",
			     trial.findings.lines[0]);
	if (rc == 0)
		*verdict =
			text_format("the admin would publish main for %zu roles", trial.role_count);
	trial_clear(&trial);
	fileset_clear(&files);
	return rc;
}

static int check_reload(struct home *home, const struct identity *identity, char **verdict,
			struct err *err)
{
	struct findings findings = {0};
	struct oid none;
	bool changed;
	int rc = reload_init(home, identity, false, &findings, &changed, &none, err);

	tell(&findings);
	findings_clear(&findings);
	if (rc == 0 && !changed)
		return check_main(home, identity, verdict, err);
	if (rc == 0)
		*verdict = text_copy("the admin would commit what etc/init holds on top of main, "
				     "and publish it");
	return rc;
}

static int check_admin(struct home *home, const struct daemon_options *options,
		       struct identity **identity, char **verdict, struct err *err)
{
	if (identity_load(home->var_fd, ADMIN_KEY, identity, err) != 0 ||
	    setup_check_init(home, *identity, err) != 0)
		return -1;
	if (options->force_reload)
		return check_reload(home, *identity, verdict, err);
	reload_compare(home);
	return check_main(home, *identity, verdict, err);
}

static int check_node(struct home *home, const struct daemon_options *options,
		      const struct cluster *own, char **verdict, struct err *err)
{
	const struct runtime_options node = {.name = options->name,
					     .role = options->role,
					     .plain_group = options->plain_group,
					     .force_reload = options->force_reload,
					     .cluster = own};

	return runtime_check(home, &node, verdict, err);
}

/* The node half of a process that is both: it would join the admin half over loopback. */
static int check_own_node(struct home *home, const struct daemon_options *options,
			  const struct identity *identity, char **verdict, struct err *err)
{
	struct keystore *keystore = keystore_for(identity, options->role);
	struct cluster own = {.host = (char[]){"127.0.0.1"}}, where;
	struct buf text;
	int rc = show_cluster(home, &where, NULL, err);

	buf_init(&text, LIMIT_SMALL_FILE);
	keystore_format(keystore, &text);
	keystore_free(keystore);
	own.keystore = (char *)text.data;
	if (rc == 0) {
		own.port = where.port;
		rc = check_node(home, options, &own, verdict, err);
		cluster_clear(&where);
	}
	crypto_wipe(text.data, text.len);
	buf_clear(&text);
	return rc;
}

int daemon_check(struct home *home, const struct daemon_options *options, char **verdict,
		 struct err *err)
{
	struct identity *identity = NULL;
	char *admin = NULL, *node = NULL;
	int rc;

	if (!options->admin)
		return check_node(home, options, NULL, verdict, err);
	if (!setup_done(home))
		return check_fresh(home, verdict, err);
	rc = check_admin(home, options, &identity, &admin, err);
	if (rc == 0 && options->role)
		rc = check_own_node(home, options, identity, &node, err);
	if (rc == 0)
		*verdict = text_format("%s%s%s", admin, node ? "; " : "", node ? node : "");
	free(admin);
	free(node);
	identity_free(identity);
	return rc;
}
