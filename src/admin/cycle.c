/*
 * The publication: see cycle.h. The table is the flow; check and slice are config/'s words, called
 * from here.
 */
#include "admin/cycle.h"

#include "admin/state.h"
#include "admin/steps.h"
#include "config/render.h"
#include "config/schema.h"
#include "core/log.h"
#include "crypto/digest.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int check_cluster(struct cycle *cycle, struct err *err)
{
	const struct sealer sealer = sealer_of(cycle->keyring);
	struct findings *findings = &cycle->out->findings;
	struct keystore *keystore = NULL;
	struct err why = {.code = ERR_NONE};

	if (!cycle->without_keys &&
	    seal_open_cluster(cycle->doc, cycle->model, &sealer, NULL, &why) != 0) {
		findings_add(findings, "%s", why.text);
		return 0;
	}
	if (cluster_read(cycle->doc, &cycle->cluster, &why) != 0) {
		if (why.code == ERR_GONE)
			findings_add(findings,
				     "/environments/environment: no cluster element, so nodes "
				     "would not know the admin: add one with its host and port");
		else if (why.code == ERR_REFUSED || why.code == ERR_CORRUPT)
			findings_add(findings, "%s", why.text);
		else
			return err_set(err, why.code, "%s", why.text);
		return 0;
	}
	if (!cycle->cluster.keystore)
		return 0;
	/*
	 * a cluster file that was put among the configuration: fine if it is ours, each slice gets
	 * its own anyway
	 */
	if (keystore_parse(cycle->cluster.keystore, &keystore, &why) != 0)
		findings_add(findings, "/environments/environment/cluster/keystore: %s", why.text);
	else if (memcmp(keystore->cluster_id, cycle->in->identity->cluster_id, CLUSTER_ID_SIZE) !=
		 0)
		findings_add(findings,
			     "/environments/environment/cluster/keystore: is of another cluster");
	keystore_free(keystore);
	return 0;
}

static int find_roles(struct cycle *cycle, struct err *err)
{
	struct roles roles = {.count = 0};

	if (slice_roles(cycle->doc, &roles, err) != 0)
		return -1;
	cycle->roles = mem_new(roles.count, sizeof(*cycle->roles));
	for (size_t i = 0; i < roles.count; i++)
		memcpy(cycle->roles[cycle->role_count++].name, roles.names[i],
		       strnlen(roles.names[i], NAME_MAX_LEN));
	roles_clear(&roles);
	return 0;
}

int check_commit(struct cycle *cycle, struct err *err)
{
	if (check_cluster(cycle, err) != 0)
		return -1;
	/* a schema says nothing that helps of what is wrong anyway */
	if (check(cycle->doc, cycle->model, &cycle->out->findings) == 0 &&
	    schema_check(&cycle->files, cycle->doc, cycle->model, &cycle->out->findings, err) != 0)
		return -1;
	if (render_check(&cycle->files, &cycle->out->findings, err) != 0)
		return -1;
	return cycle->out->findings.count ? -1 : find_roles(cycle, err);
}

static const struct {
	const char *name;
	int (*run)(struct cycle *cycle, struct err *err);
} steps[] = {
	{"load", load},          /* the commit's tree, as one document */
	{"check", check_commit}, /* what is wrong with it */
	{"slice", cut},          /* what each role gets */
	{"seal", seal},          /* as files that a node accepts */
	{"sign", sign},          /* a release for each role whose slice is new */
	{"publish", publish},    /* the branches, and the state */
};

/* Another version may cut or check otherwise, other keys must be announced or sealed with. */
static char *made_by(const struct cycle *cycle)
{
	const struct identity *identity = cycle->in->identity;
	uint8_t digest[DIGEST_SIZE];
	char hex[DIGEST_HEX_SIZE], id[SEAL_ID_HEX_SIZE] = "none";
	struct buf keys;

	(void)keyring_seals(cycle->keyring, SCOPE_CONFIG, id); /* else none */
	buf_init(&keys, 4 + KEY_SIZE);
	buf_put_be32(&keys, identity->roots[0].epoch);
	buf_put(&keys, identity->release_public[0], KEY_SIZE);
	digest_bytes(keys.data, keys.len, digest);
	buf_clear(&keys);
	return text_format("%s %.16s %s", PACKAGE_VERSION, digest_hex(digest, hex), id);
}

int cycle_keys(struct cycle *cycle, struct err *err)
{
	return keyring_load(cycle->in->home, &cycle->keyring, err);
}

/* What to publish, and everything that is needed to look at it. */
static int cycle_open(struct cycle *cycle, struct err *err)
{
	const struct admin_input *in = cycle->in;
	char *source = home_var(in->home, ADMIN_SOURCE);
	char *releases = home_var(in->home, ADMIN_RELEASES);
	struct err why = {.code = ERR_NONE};
	int rc = 0;

	if (cycle_keys(cycle, err) != 0) {
		free(source);
		free(releases);
		return -1;
	}
	cycle->made_by = made_by(cycle);
	if (state_read(in->home->var_fd, &cycle->state, &why) != 0 && why.code != ERR_GONE)
		log_warning("load", "", "%s: going by the branches instead", why.text);
	if (repo_open(source, &cycle->source, err) != 0 ||
	    repo_open(releases, &cycle->releases, err) != 0)
		rc = -1;
	else if (in->commit)
		cycle->out->source = *in->commit;
	else if (repo_ref_get(cycle->source, ADMIN_MAIN, &cycle->out->source, err) != 0)
		rc = err_prefix(err, "%s", source);
	free(source);
	free(releases);
	return rc;
}

/*
 * The same commit by the same program and keys, and every branch where it was left: nothing to look
 * at.
 */
static bool nothing_to_do(struct cycle *cycle)
{
	const struct admin_state *state = &cycle->state;

	if (!state->has_published || state->has_refused ||
	    !oid_equal(&state->source, &cycle->out->source) ||
	    strcmp(state->made_by, cycle->made_by) != 0)
		return false;
	for (size_t i = 0; i < state->role_count; i++) {
		char *ref = text_format("refs/heads/%s", state->roles[i].name);
		struct oid tip;
		int rc = repo_ref_get(cycle->releases, ref, &tip, NULL);

		free(ref);
		if (rc != 0 || !oid_equal(&tip, &state->roles[i].release))
			return false;
	}
	return true;
}

/* What was published stays what it was. */
static void tell_unchanged(struct cycle *cycle)
{
	struct publication *out = cycle->out;

	out->roles = mem_new(cycle->state.role_count, sizeof(*out->roles));
	for (; out->role_count < cycle->state.role_count; out->role_count++) {
		const struct state_role *role = cycle->state.roles + out->role_count;
		struct publication_role *told = out->roles + out->role_count;

		memcpy(told->name, role->name, sizeof(told->name));
		told->release = role->release;
		told->sequence = role->sequence;
		told->source = role->source;
		told->removed = role->removed;
	}
}

/* Whether the state says just this already. */
static bool refusal_known(const struct admin_state *state, const struct publication *out)
{
	if (!state->has_refused || !oid_equal(&state->refused_source, &out->source) ||
	    strcmp(state->step, out->step) != 0 || state->reason_count != out->findings.count)
		return false;
	for (size_t i = 0; i < state->reason_count; i++)
		if (strcmp(state->reasons[i], out->findings.lines[i]) != 0)
			return false;
	return true;
}

/* Nothing was changed: says why in the log and the state, beside what was published last. */
static int refuse(struct cycle *cycle, const char *step, struct err *err)
{
	struct publication *out = cycle->out;
	struct findings *findings = &out->findings;
	char hex[OID_HEX_SIZE];

	out->refused = true;
	out->step = step;
	(void)oid_hex(&out->source, hex);
	if (refusal_known(&cycle->state, out)) {
		log_warning(step, hex, "refused as before: %s", findings->lines[0]);
		return 0;
	}
	log_error(step, hex, "refused, nothing was published: %zu reasons", findings->count);
	for (size_t i = 0; i < findings->count; i++)
		log_error(step, hex, "%s", findings->lines[i]);
	state_set_refused(&cycle->state, &out->source, step, findings->lines, findings->count);
	return state_write(cycle->in->home->var_fd, &cycle->state, err);
}

static double now_ms(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now); /* a valid clock */
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Runs one step, and says how long it took: what `make bench` reads. */
static int run_step(struct cycle *cycle, size_t i, struct err *err)
{
	double from = now_ms(CLOCK_MONOTONIC), busy = now_ms(CLOCK_THREAD_CPUTIME_ID);
	int rc = steps[i].run(cycle, err);
	char hex[OID_HEX_SIZE];

	log_debug(steps[i].name, oid_hex(&cycle->out->source, hex),
		  "took %.2f ms, %.2f ms of processor time", now_ms(CLOCK_MONOTONIC) - from,
		  now_ms(CLOCK_THREAD_CPUTIME_ID) - busy);
	return rc;
}

static int run_steps(struct cycle *cycle, struct err *err)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct err why = {.code = ERR_NONE};

		if (run_step(cycle, i, &why) == 0)
			continue;
		if (why.code == ERR_REFUSED || why.code == ERR_CORRUPT)
			findings_add(&cycle->out->findings, "%s", why.text);
		else if (why.code != ERR_NONE)
			return err_set(err, why.code, "%s: %s", steps[i].name, why.text);
		return refuse(cycle, steps[i].name, err);
	}
	return 0;
}

void cycle_clear(struct cycle *cycle)
{
	for (size_t i = 0; i < cycle->role_count; i++) {
		seal_document_free(cycle->roles[i].doc, cycle->model);
		params_clear(&cycle->roles[i].params);
		fileset_clear(&cycle->roles[i].tree);
		release_clear(&cycle->roles[i].tip);
	}
	free(cycle->roles);
	cluster_clear(&cycle->cluster);
	free(cycle->author);
	free(cycle->message);
	seal_document_free(cycle->doc, cycle->model);
	model_free(cycle->model);
	keyring_free(cycle->keyring);
	fileset_clear(&cycle->files);
	state_clear(&cycle->state);
	free(cycle->made_by);
	pack_writer_free(cycle->objects);
	repo_free(cycle->source);
	repo_free(cycle->releases);
}

int cycle_run(const struct admin_input *in, struct publication *out, struct err *err)
{
	struct cycle cycle = {.in = in, .out = out};
	int rc;

	*out = (struct publication){.refused = false};
	rc = cycle_open(&cycle, err);
	if (rc == 0 && nothing_to_do(&cycle))
		tell_unchanged(&cycle);
	else if (rc == 0)
		rc = run_steps(&cycle, err);
	cycle_clear(&cycle);
	return rc;
}

void publication_clear(struct publication *publication)
{
	findings_clear(&publication->findings);
	free(publication->roles);
	*publication = (struct publication){.refused = false};
}
