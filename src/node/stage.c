/*
 * stage: the release becomes a revision, a complete and synced folder, read back against its
 * digest; and its plain copy is made, so that a template that fails refuses the release.
 */
#include "node/steps.h"

static int make_revision(struct cycle *cycle, struct err *err)
{
	const struct home *home = cycle->runtime->home;
	struct revision revision;
	struct err unsound;

	if (!cycle->is_hold)
		(void)oid_hex(&cycle->target, cycle->name);
	if (revision_read(home, cycle->name, &cycle->known, &revision, &unsound) == 0) {
		revision_clear(&revision); /* it is there already */
		return 0;
	}
	if (cycle->raw.len == 0) /* it was there when it was read */
		return err_set(err, unsound.code, "%s", unsound.text);
	if (revision_write(home, cycle->name, &cycle->files, cycle->raw.data, cycle->raw.len,
			   err) != 0 ||
	    revision_read(home, cycle->name, &cycle->known, &revision, err) != 0)
		return -1;
	revision_clear(&revision);
	return 0;
}

int stage_step(struct cycle *cycle, struct err *err)
{
	bool is_current;

	if (make_revision(cycle, err) != 0)
		return -1;
	return plain_prepare(&cycle->runtime->plain, &cycle->files, &cycle->plain, &is_current,
			     NULL, err);
}
