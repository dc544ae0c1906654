/*
 * publish: puts the new releases on the disk, moves the branches of release.git to them, then says
 * so in var/admin/state. Each ref is a point of no return of its own: a kill between two leaves the
 * state at the commit before, so that the next start runs the same publication again and finds only
 * the branches that did not move in need of a release.
 *
 * What is synced, and why nothing else: the pack, its index and their folder, before any ref moves,
 * so that no ref is ever ahead of its objects; each ref's file before it gets its name, so that no
 * name leads to an empty file; the folder of the refs once for all of them, before any node is
 * told, so that no node is ever ahead of an admin that lost its power. The state's file before it
 * gets its name, but not its folder: it only repeats what the branches say, and the one before it
 * makes the next start look at this commit again and find nothing to release.
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

static void log_release(const struct cycle *cycle, const struct cycle_role *role)
{
	char source[OID_HEX_SIZE], release[OID_HEX_SIZE];

	log_notice("publish", role->name, "release %s sequence %llu from %s%s",
		   oid_hex(&role->next_oid, release), (unsigned long long)role->next_sequence,
		   oid_hex(&cycle->out->source, source), role->removed ? ", removed" : "");
}

/* The objects first, then the branches. */
static int move_branches(struct cycle *cycle, struct err *err)
{
	struct ref_move *moves = mem_new(cycle->role_count, sizeof(*moves));
	char **refs = mem_new(cycle->role_count, sizeof(*refs));
	size_t count = 0;
	int rc = pack_writer_finish(cycle->objects, err);

	for (size_t i = 0; i < cycle->role_count; i++) {
		const struct cycle_role *role = cycle->roles + i;

		if (!role->changed)
			continue;
		refs[count] = text_format("refs/heads/%s", role->name);
		moves[count] = (struct ref_move){.ref = refs[count],
						 .old = role->has_tip ? &role->branch : NULL,
						 .new = &role->next_oid};
		count++;
	}
	if (rc == 0 && count > 0)
		rc = repo_refs_move(cycle->releases, moves, count, err);
	for (size_t i = 0; i < count; i++)
		free(refs[i]);
	free(refs);
	free(moves);
	return rc;
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
	if (move_branches(cycle, err) != 0)
		return -1;
	for (size_t i = 0; i < cycle->role_count; i++)
		if (cycle->roles[i].changed)
			log_release(cycle, cycle->roles + i);
	tell(cycle);
	return write_state(cycle, err);
}
