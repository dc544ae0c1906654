/* Changes of the cluster's keys: see cluster_keys.h. */
#include "cli/cluster_keys.h"

#include "admin/audit.h"
#include "admin/keys.h"
#include "admin/setup.h"
#include "admin/show.h"
#include "cli/cli.h"
#include "config/cluster.h"
#include "control/client.h"
#include "core/limits.h"

#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

static const char *const names[] = {"", "rotate-epoch", "retire-epoch", "rotate-release"};

/* A publication under the lock that is held. */
static int publish(const struct home *home, const struct identity *identity, json_t **out,
		   struct err *err)
{
	struct admin_input in = {.home = home, .identity = identity};
	struct publication publication;
	int rc = cycle_run(&in, &publication, err);

	if (rc == 0)
		*out = show_publication(&publication);
	publication_clear(&publication);
	return rc;
}

static void on_changed(void *arg)
{
	(void)arg; /* no node is connected here */
}

/* From the registry as it is on the disk. */
static int cut_off(const struct home *home, const struct identity *identity, json_t **out,
		   struct err *err)
{
	struct registry *registry = NULL;
	uv_loop_t loop;
	int rc;

	if (uv_loop_init(&loop) != 0)
		return err_set(err, ERR_RETRY, "the event loop cannot be made");
	rc = registry_open(&loop, home, on_changed, NULL, &registry, err);
	if (rc == 0)
		*out = keys_cut_off(registry, identity);
	registry_free(registry);
	(void)uv_run(&loop, UV_RUN_DEFAULT); /* until nothing is left */
	(void)uv_loop_close(&loop);	     /* nothing is */
	return rc;
}

static int rotate_epoch(const struct home *home, struct identity *identity,
			const struct keys_by *by, json_t **out, struct err *err)
{
	struct keys_epoch epoch;
	json_t *publication = NULL;
	int rc = keys_add_epoch(home, identity, by, &epoch, err);

	if (rc == 0 && setup_done(home))
		rc = publish(home, identity, &publication, err);
	if (rc == 0)
		*out = keys_epoch_json(identity, &epoch, publication);
	return rc;
}

static int retire_epoch(const struct home *home, struct identity *identity,
			const struct keys_by *by, json_t **out, struct err *err)
{
	uint32_t ended = identity->roots[identity->root_count - 1].epoch;
	json_t *names_cut = NULL;
	int rc = keys_end_epoch(home, identity, by, err);

	if (rc == 0 && setup_done(home))
		rc = cut_off(home, identity, &names_cut, err);
	if (rc == 0)
		*out = keys_ended_json(identity, ended, names_cut);
	return rc;
}

static int rotate_release(const struct home *home, struct identity *identity,
			  const struct keys_by *by, json_t **out, struct err *err)
{
	struct keys_pins pins = {.list = NULL};
	json_t *publication = NULL;
	int rc = 0;

	if (identity->release_count == 1)
		rc = keys_add_release(home, identity, by, err);
	if (rc == 0)
		rc = publish(home, identity, &publication, err);
	if (rc == 0 && !json_is_true(json_object_get(publication, "refused")))
		rc = keys_end_release(home, identity, by, &pins, err);
	if (rc == 0)
		*out = keys_release_json(identity, pins.count, publication);
	else
		json_decref(publication);
	keys_pins_clear(&pins);
	return rc;
}

int cluster_keys_finish(const struct home *home, struct identity *identity, struct err *err)
{
	struct keys_pins pins = {.list = NULL};
	struct cluster cluster = {.port = 0};
	char *who;
	int rc;

	if (identity->release_count == 1)
		return 0;
	who = audit_user(getuid());
	rc = show_cluster(home, &cluster, NULL, err);
	if (rc == 0)
		rc = keys_end_release(home, identity,
				      &(struct keys_by){.who = who, .host = cluster.host}, &pins,
				      err);
	free(who);
	keys_pins_clear(&pins);
	cluster_clear(&cluster);
	return rc;
}

static int change_locked(struct home *home, enum keys_change change, json_t **out, struct err *err)
{
	struct identity *identity = NULL;
	struct cluster cluster = {.port = 0};
	char *who = audit_user(getuid());
	struct keys_by by = {.who = who};
	bool admin = setup_done(home);
	int rc;

	/* before any server has run there may be a cluster.key and nothing else */
	rc = admin ? setup_open(home, &identity, err)
		   : identity_load(home->var_fd, ADMIN_KEY, &identity, err);
	if (rc == 0 && admin)
		rc = show_cluster(home, &cluster, NULL, err);
	by.host = cluster.host;
	if (rc == 0 && change == KEYS_ROTATE_EPOCH)
		rc = rotate_epoch(home, identity, &by, out, err);
	else if (rc == 0 && change == KEYS_RETIRE_EPOCH)
		rc = retire_epoch(home, identity, &by, out, err);
	else if (rc == 0)
		rc = rotate_release(home, identity, &by, out, err);
	cluster_clear(&cluster);
	identity_free(identity);
	free(who);
	return rc;
}

int cluster_keys_change(struct home *home, enum keys_change change, json_t **out, struct err *err)
{
	struct cli cli = {.home = home};
	int rc = cli_ask(&cli, CONTROL_ADMIN,
			 json_pack("{s:s, s:s}", "do", "keys", "change", names[change]),
			 WAIT_PUBLISH, out, err);

	if (rc != CLI_NO_DAEMON)
		return rc == CLI_DONE ? 0 : -1;
	if (home_lock(home, err) != 0)
		return -1;
	rc = change_locked(home, change, out, err);
	home_unlock(home);
	return rc;
}
