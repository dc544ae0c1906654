/* swap: var/node/current leads to the staged revision: one rename, and a sync of the folder. */
#include "node/steps.h"

int swap_step(struct cycle *cycle, struct err *err)
{
	return revision_swap(cycle->runtime->home, cycle->name, err);
}
