/*
 * publish: moves the branches of release.git to their new releases, one by one, then says so in
 * var/admin/state. Each ref is a point of no return of its own: a kill between two leaves the state
 * at the commit before, so that the next start runs the same publication again and finds only the
 * branches that did not move in need of a release.
 */
#include "admin/steps.h"

#include "admin/signers.h"
#include "core/log.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
	const struct cycle_role *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int move_branch(struct cycle *cycle, const struct cycle_role *role, struct err *err)
{
	char *ref = text_format("refs/heads/%s", role->name);
	char source[OID_HEX_SIZE], release[OID_HEX_SIZE];
	int rc = repo_ref_set(cycle->releases, ref, role->has_tip ? &role->tip_oid : NULL,
			      &role->next_oid, err);

	free(ref);
	if (rc != 0)
		return rc;
	log_notice("publish", role->name, "release %s sequence %llu from %s%s",
		   oid_hex(&role->next_oid, release), (unsigned long long)role->next_sequence,
		   oid_hex(&cycle->out->source, source), role->removed ? ", removed" : "");
	return 0;
}

static void tell(struct cycle *cycle)
{
	struct publication *out = cycle->out;

	out->roles = mem_new(cycle->role_count, sizeof(*out->roles));
	for (size_t i = 0; i < cycle->role_count; i++) {
		const struct cycle_role *role = cycle->roles + i;
		struct publication_role *told = out->roles + out->role_count++;

		memcpy(told->name, role->name, sizeof(told->name));
		told->release = role->changed ? role->next_oid : role->tip_oid;
		told->sequence = role->changed ? role->next_sequence : role->tip.sequence;
		told->source = role->changed ? out->source : role->tip.source;
		told->changed = role->changed;
		told->removed = role->removed;
	}
}

static int write_state(struct cycle *cycle, struct err *err)
{
	const struct publication *out = cycle->out;
	struct admin_state state = {.has_published = false};
	int rc;

	state_set_published(&state, &out->source, cycle->made_by);
	for (size_t i = 0; i < out->role_count; i++) {
		struct state_role *role = state_add_role(&state, out->roles[i].name);

		role->release = out->roles[i].release;
		role->sequence = out->roles[i].sequence;
		role->source = out->roles[i].source;
		role->removed = out->roles[i].removed;
	}
	rc = state_write(cycle->in->home->var_fd, &state, err);
	state_clear(&state);
	return rc;
}

int publish(struct cycle *cycle, struct err *err)
{
	if (signers_add(cycle->in->home, cycle->in->identity, cycle->cluster.host, err) != 0)
		return -1;
	if (cycle->role_count)
		qsort(cycle->roles, cycle->role_count, sizeof(*cycle->roles), by_name);
	for (size_t i = 0; i < cycle->role_count; i++) {
		const struct cycle_role *role = cycle->roles + i;

		/* the point of no return for this role */
		if (role->changed && move_branch(cycle, role, err) != 0)
			return -1;
	}
	tell(cycle);
	return write_state(cycle, err);
}
