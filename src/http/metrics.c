/* metrics: the status document in the Prometheus text format. See endpoints.h. */
#include "http/endpoints.h"

#include "core/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A family: its help and type, once, before its values. */
static void family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buf *out, const char *name, const char *help, json_int_t value)
{
	family(out, name, "gauge", help);
	buf_printf(out, "%s %lld\n", name, (long long)value);
}

/* A label's value: backslash, quote and newline are escaped. */
static void label(struct buf *out, const char *text)
{
	for (; text && *text; text++) {
		if (*text == '\\' || *text == '"')
			buf_put_u8(out, '\\');
		if (*text == '\n')
			buf_puts(out, "\\n");
		else
			buf_put_u8(out, (uint8_t)*text);
	}
}

/* Seconds since the epoch of a time as the documents write it; 0 for none. */
static json_int_t seconds(const json_t *document, const char *key)
{
	const char *text = json_string_value(json_object_get(document, key));
	struct tm tm = {0};

	return text && strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) ? (json_int_t)timegm(&tm) : 0;
}

static const char *string(const json_t *document, const char *key)
{
	const char *text = json_string_value(json_object_get(document, key));

	return text ? text : "";
}

static json_int_t number(const json_t *document, const char *key)
{
	return json_integer_value(json_object_get(document, key));
}

static void node_states(const json_t *node, struct buf *out)
{
	static const char *const states[] = {"BOOTING", "IDLE",  "WAITING",
					     "RUNNING", "ERROR", "STOPPING"};

	family(out, "muster_node_state", "gauge", "1 for the state the node is in.");
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		buf_printf(out, "muster_node_state{state=\"%s\"} %d\n", states[i],
			   strcmp(states[i], string(node, "nodeState")) == 0);
}

static void node_hold(const json_t *held, struct buf *out)
{
	static const char *const by[] = {"node", "admin"};

	family(out, "muster_held", "gauge",
	       "1 for who holds the node at a release: a rollback here, or its admin.");
	for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++)
		buf_printf(out, "muster_held{by=\"%s\"} %d\n", by[i],
			   strcmp(by[i], string(held, "by")) == 0);
	gauge(out, "muster_held_since_timestamp_seconds",
	      "Since when the node is held; 0: it is not.", seconds(held, "since"));
}

static void node_metrics(const json_t *node, struct buf *out)
{
	const json_t *admin = json_object_get(node, "admin");

	family(out, "muster_node_info", "gauge", "Always 1; the node's name, role and version.");
	buf_puts(out, "muster_node_info{name=\"");
	label(out, string(node, "name"));
	buf_puts(out, "\",role=\"");
	label(out, string(node, "role"));
	buf_puts(out, "\",version=\"");
	label(out, string(node, "version"));
	buf_puts(out, "\"} 1\n");
	node_states(node, out);
	gauge(out, "muster_serving", "Whether the node serves a configuration.",
	      json_is_true(json_object_get(node, "isServing")));
	gauge(out, "muster_release_sequence", "Sequence of the active release.",
	      number(node, "sequence"));
	gauge(out, "muster_release_activated_timestamp_seconds",
	      "When the active release was activated.", seconds(node, "activatedAt"));
	gauge(out, "muster_rejected", "Whether the newest release was refused here.",
	      json_is_object(json_object_get(node, "rejected")));
	node_hold(json_object_get(node, "held"), out);
	gauge(out, "muster_admin_connected", "Whether the node is connected to its admin.",
	      json_is_true(json_object_get(admin, "connected")));
	gauge(out, "muster_approved",
	      "Whether the node is connected and need not wait for its approval.",
	      json_is_true(json_object_get(admin, "approved")));
	gauge(out, "muster_admin_last_contact_timestamp_seconds", "When the admin was last heard.",
	      seconds(admin, "lastContact"));
	family(out, "muster_drift_total", "counter",
	       "How often the local copy was found changed and restored.");
	buf_printf(out, "muster_drift_total %lld\n", (long long)number(node, "drift"));
}

static void admin_metrics(const json_t *admin, struct buf *out)
{
	const json_t *published = json_object_get(admin, "published"),
		     *packs = json_object_get(admin, "packs");
	const char *key;
	json_t *value;

	family(out, "muster_nodes", "gauge",
	       "Nodes of the registry, by state; AWAY: not connected.");
	json_object_foreach(json_object_get(admin, "nodes"), key, value) {
		buf_puts(out, "muster_nodes{state=\"");
		label(out, key);
		buf_printf(out, "\"} %lld\n", (long long)json_integer_value(value));
	}
	gauge(out, "muster_nodes_held", "Nodes that are held at a release, or about to be.",
	      number(admin, "held"));
	gauge(out, "muster_nodes_unapproved",
	      "Nodes that are connected and wait for their approval.", number(admin, "unapproved"));
	gauge(out, "muster_nodes_behind", "Nodes that have not their role's newest release.",
	      number(admin, "behind"));
	gauge(out, "muster_nodes_rejected", "Nodes that refused a release.",
	      number(admin, "rejected"));
	gauge(out, "muster_nodes_ahead", "Nodes with a release that this admin does not have.",
	      number(admin, "ahead"));
	family(out, "muster_packs_built_total", "counter", "Packs built for nodes.");
	buf_printf(out, "muster_packs_built_total %lld\n", (long long)number(packs, "built"));
	family(out, "muster_pack_hits_total", "counter",
	       "Packs asked for that were there, or being built.");
	buf_printf(out, "muster_pack_hits_total %lld\n", (long long)number(packs, "hits"));
	gauge(out, "muster_pack_cache_bytes", "Packs that are kept.", number(packs, "bytes"));
	gauge(out, "muster_published_timestamp_seconds", "When a commit was last published.",
	      seconds(published, "at"));
	gauge(out, "muster_refused", "Whether the newest commit was refused.",
	      json_is_object(json_object_get(admin, "refused")));
	gauge(out, "muster_publication_failed",
	      "Whether the last publication failed and is tried again.",
	      json_is_string(json_object_get(admin, "failed")));
	family(out, "muster_role_sequence", "gauge", "Sequence of each role's newest release.");
	json_object_foreach(json_object_get(published, "roles"), key, value) {
		buf_puts(out, "muster_role_sequence{role=\"");
		label(out, key);
		buf_printf(out, "\"} %lld\n", (long long)number(value, "sequence"));
	}
}

void metrics_format(const json_t *status, struct buf *out)
{
	const json_t *admin = json_object_get(status, "adminNode");

	if (json_object_get(status, "nodeState"))
		node_metrics(status, out);
	else
		admin = status;
	if (admin)
		admin_metrics(admin, out);
}
