/* stage: the release becomes a revision, a complete and synced folder, read back against its digest. */
#include "node/steps.h"

int stage_step(struct cycle *cycle, struct err *err)
{
	const struct home *home = cycle->runtime->home;
	struct revision revision;
	struct err unsound;

	(void)oid_hex(&cycle->target, cycle->name);
	if (revision_read(home, cycle->name, &cycle->known, &revision, &unsound) == 0) {
		revision_clear(&revision); /* it is there already */
		return 0;
	}
	if (revision_write(home, cycle->name, &cycle->files, cycle->raw.data, cycle->raw.len, err) != 0 ||
	    revision_read(home, cycle->name, &cycle->known, &revision, err) != 0)
		return -1;
	revision_clear(&revision);
	return 0;
}
