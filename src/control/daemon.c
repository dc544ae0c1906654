/* A daemon, from start to stop: see daemon.h. */
#include "control/daemon.h"

#include "admin/reload.h"
#include "admin/setup.h"
#include "admin/show.h"
#include "control/answers.h"
#include "control/client.h"
#include "control/service.h"
#include "control/walls.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/proc.h"
#include "core/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP};
enum { SIGNAL_COUNT = sizeof(signal_numbers) / sizeof(signal_numbers[0]) };

struct daemon {
	uv_loop_t loop;
	struct home *home;
	const struct daemon_options *options;
	struct proc *proc;
	uv_signal_t signals[SIGNAL_COUNT];
	bool signals_open;
	bool stopping;
	struct service *service;
	bool started;
	bool republishing; /* after SIGHUP */

	struct identity *identity;
	struct cluster cluster; /* where this admin is reached */
	struct admin_answers admin;
	struct server *admin_server;

	struct node_answers node;
	struct server *node_server;

	struct endpoints *endpoints;
};

static void daemon_stop(struct daemon *daemon)
{
	if (daemon->stopping)
		return;
	daemon->stopping = true;
	uv_stop(&daemon->loop);
	service_stop(daemon->service);
	daemon->service = NULL;
	server_stop(daemon->admin_server);
	server_stop(daemon->node_server);
	daemon->admin.endpoints = daemon->node.endpoints = NULL;
	endpoints_stop(daemon->endpoints);
	if (daemon->admin.admin)
		admin_stop(daemon->admin.admin);
	serve_stop(daemon->admin.serve);
	runtime_stop(daemon->node.runtime);
	daemon->admin.admin = NULL;
	daemon->admin.serve = NULL;
	daemon->admin.runtime = daemon->node.runtime = NULL;
	proc_free(daemon->proc);
	for (int i = 0; daemon->signals_open && i < SIGNAL_COUNT; i++)
		uv_close((uv_handle_t *)&daemon->signals[i], NULL);
}

static void on_republished(void *arg, const struct publication *publication, const struct err *err)
{
	struct daemon *daemon = arg;

	(void)publication; /* whoever is concerned was told */
	(void)err;
	daemon->republishing = false;
	service_changed(daemon->service);
}

static void reload(struct daemon *daemon)
{
	log_notice("daemon", "", "what was refused is tried again");
	service_reloading(daemon->service);
	if (daemon->admin.admin) {
		daemon->republishing = true;
		admin_publish(daemon->admin.admin, NULL, on_republished, daemon);
	}
	if (daemon->node.runtime)
		runtime_reload(daemon->node.runtime);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *daemon = handle->data;

	if (number == SIGHUP) {
		reload(daemon);
		return;
	}
	log_notice("daemon", "", "stopping on signal %d", number);
	daemon_stop(daemon);
}

static void open_signals(struct daemon *daemon)
{
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		(void)uv_signal_init(&daemon->loop,
				     &daemon->signals[i]); /* never fails after the first */
		daemon->signals[i].data = daemon;
		(void)uv_signal_start(&daemon->signals[i], on_signal,
				      signal_numbers[i]); /* a valid number */
	}
	daemon->signals_open = true;
	(void)signal(SIGPIPE, SIG_IGN); /* a valid number */
}

/* --- the admin half --- */

static void on_published(void *arg, const struct publication *publication)
{
	struct daemon *daemon = arg;

	if (daemon->admin.serve && publication->has_settings && !publication->refused)
		serve_set_approve(daemon->admin.serve, publication->settings.approve);
	if (daemon->admin.serve)
		serve_published(daemon->admin.serve, publication);
	key_go_on(&daemon->admin);
	admin_changed(&daemon->admin);
	service_changed(daemon->service);
}

static void on_nodes_changed(void *arg)
{
	admin_changed(&((struct daemon *)arg)->admin);
}

static int open_fresh(struct daemon *daemon, struct err *err)
{
	const struct setup_options fresh = {.host = NULL};
	struct findings findings = {0};
	int rc = setup_init(daemon->home, &fresh, &findings, NULL, err);

	for (size_t i = 0; i < findings.count; i++)
		log_error("setup", "", "%s", findings.lines[i]);
	findings_clear(&findings);
	if (rc == 0)
		log_notice("setup", daemon->home->var, "set up a new admin home");
	return rc;
}

static int force_reload(struct daemon *daemon, struct err *err)
{
	struct findings findings = {0};
	char hex[OID_HEX_SIZE];
	struct oid commit;
	bool changed;
	int rc = reload_init(daemon->home, daemon->identity, true, &findings, &changed, &commit,
			     err);

	for (size_t i = 0; i < findings.count; i++)
		log_error("setup", "", "%s", findings.lines[i]);
	findings_clear(&findings);
	if (rc == 0 && changed)
		log_notice("setup", "main", "%.12s has what etc/init holds, read again",
			   oid_hex(&commit, hex));
	else if (rc == 0)
		log_notice("setup", "main", "has what etc/init holds already");
	return rc;
}

static int admin_open(struct daemon *daemon, struct err *err)
{
	bool fresh = !setup_done(daemon->home);

	if (fresh && open_fresh(daemon, err) != 0)
		return -1;
	if (setup_open(daemon->home, &daemon->identity, err) != 0)
		return -1;
	if (daemon->options->force_reload && !fresh)
		return force_reload(daemon, err);
	reload_compare(daemon->home);
	return 0;
}

static int admin_half(struct daemon *daemon, struct err *err)
{
	const char *listen_host;
	char *path = home_run(daemon->home, CONTROL_ADMIN);
	struct settings settings = settings_default();
	int rc = show_cluster(daemon->home, &daemon->cluster, &settings, err);

	listen_host = daemon->cluster.listen_host ? daemon->cluster.listen_host : "0.0.0.0";
	daemon->admin.loop = &daemon->loop;
	daemon->admin.home = daemon->home;
	daemon->admin.identity = daemon->identity;
	daemon->admin.listen_host = listen_host;
	daemon->admin.host = daemon->cluster.host;
	if (rc == 0)
		rc = serve_start(&daemon->loop, daemon->home, daemon->identity, listen_host,
				 daemon->cluster.port, on_nodes_changed, daemon,
				 &daemon->admin.serve, err);
	if (rc == 0) /* before the loop runs, and anyone registers */
		serve_set_approve(daemon->admin.serve, settings.approve);
	if (rc == 0)
		rc = admin_start(&daemon->loop, daemon->home, daemon->identity, on_published,
				 daemon, &daemon->admin.admin, err);
	if (rc == 0)
		rc = server_start(&daemon->loop, path, admin_answer, admin_client_gone,
				  &daemon->admin, &daemon->admin_server, err);
	if (rc == 0)
		log_notice("serve", "", "admin listens on %s port %u", listen_host,
			   serve_port(daemon->admin.serve));
	free(path);
	return rc;
}

/* --- the node half --- */

static void on_node_changed(void *arg)
{
	struct daemon *daemon = arg;

	node_changed(&daemon->node);
	service_changed(daemon->service);
}

static int node_half(struct daemon *daemon, struct err *err)
{
	struct cluster own = {0};
	struct runtime_options options = {.name = daemon->options->name,
					  .role = daemon->options->role,
					  .force_reload = daemon->options->force_reload,
					  .plain_group = daemon->options->plain_group};
	char *path = home_run(daemon->home, CONTROL_NODE);
	int rc;

	if (daemon->options->admin) {
		own_cluster(&daemon->admin, options.role, &own);
		daemon->admin.own_role = options.role;
		options.cluster = &own;
	}
	rc = runtime_start(&daemon->loop, daemon->home, &options, daemon->proc, on_node_changed,
			   daemon, &daemon->node.runtime, err);
	if (rc == 0)
		rc = server_start(&daemon->loop, path, node_answer, node_client_gone, &daemon->node,
				  &daemon->node_server, err);
	if (rc == 0)
		log_notice("node", options.name, "runs in role %s", options.role);
	if (daemon->options->admin)
		daemon->admin.runtime = daemon->node.runtime;
	cluster_clear(&own);
	free(path);
	return rc;
}

/* --- both --- */

static json_t *on_status(void *arg)
{
	struct daemon *daemon = arg;

	return daemon->options->admin ? admin_status(&daemon->admin) : node_status(&daemon->node);
}

static int status_half(struct daemon *daemon, struct err *err)
{
	if (!daemon->options->status_listen)
		return 0;
	if (endpoints_start(&daemon->loop, daemon->options->status_listen, on_status, daemon,
			    &daemon->endpoints, err) != 0)
		return -1;
	daemon->admin.endpoints = daemon->node.endpoints = daemon->endpoints;
	log_notice("status", "", "status on %s, metrics on %s", endpoints_status(daemon->endpoints),
		   endpoints_metrics(daemon->endpoints));
	return 0;
}

/* A start or a reload is over. */
static bool is_ready(void *arg)
{
	const struct daemon *daemon = arg;
	const struct runtime *runtime = daemon->node.runtime;

	if (!daemon->started || daemon->republishing)
		return false;
	return !runtime || (!runtime_reloading(runtime) && runtime_settled(runtime));
}

static char *status_line(void *arg)
{
	struct daemon *daemon = arg;
	char *admin, *node, *both;

	if (!daemon->started)
		return text_copy("starting");
	if (!daemon->options->admin)
		return node_line(&daemon->node);
	admin = admin_line(&daemon->admin);
	if (!daemon->options->role)
		return admin;
	node = node_line(&daemon->node);
	both = text_format("%s; %s", admin, node);
	free(admin);
	free(node);
	return both;
}

static const struct service_calls service_calls = {.ready = is_ready, .status = status_line};

static int daemon_start(struct daemon *daemon, struct err *err)
{
	if (proc_start(daemon->home->etc, &daemon->proc, err) != 0)
		return -1;
	if (home_lock(daemon->home, err) != 0)
		return -1;
	if (geteuid() == 0)
		log_warning("daemon", "",
			    "runs as root and needs no such rights: give it a user of its own");
	walls_raise(daemon->home, daemon->options->role != NULL);
	if (daemon->options->admin && admin_open(daemon, err) != 0)
		return -1;
	open_signals(daemon);
	daemon->service = service_start(&daemon->loop, &service_calls, daemon);
	if (proc_attach(daemon->proc, &daemon->loop, err) != 0)
		return -1;
	if (daemon->options->admin && admin_half(daemon, err) != 0)
		return -1;
	if (daemon->options->role && node_half(daemon, err) != 0)
		return -1;
	return status_half(daemon, err);
}

int daemon_run(struct home *home, const struct daemon_options *options, bool *lingers,
	       struct err *err)
{
	struct daemon *daemon = mem_new(1, sizeof(*daemon));
	int rc;

	*daemon = (struct daemon){.home = home, .options = options};
	daemon->admin.waiters.version = daemon->node.waiters.version = 1;
	*lingers = false;
	if (uv_loop_init(&daemon->loop) != 0) {
		free(daemon);
		return err_set(err, ERR_RETRY, "the event loop cannot be made");
	}
	rc = daemon_start(daemon, err);
	if (rc != 0) {
		daemon_stop(daemon);
	} else {
		daemon->started = true;
		service_changed(daemon->service);
		(void)uv_run(&daemon->loop, UV_RUN_DEFAULT); /* until it is stopped */
	}
	*lingers = !loop_run_out(&daemon->loop);
	waiters_clear(&daemon->admin.waiters);
	waiters_clear(&daemon->node.waiters);
	if (daemon->cluster.host)
		cluster_clear(&daemon->cluster);
	identity_free(daemon->identity);
	home_unlock(home);
	if (*lingers)
		return rc; /* a thread still has the loop */
	(void)uv_loop_close(&daemon->loop); /* busy only when something leaked */
	free(daemon);
	return rc;
}
