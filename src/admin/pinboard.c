/* The newest pin of each node, in memory: see pinboard.h. */
#include "admin/pinboard.h"

#include "admin/cycle.h"
#include "core/log.h"
#include "crypto/encode.h"

#include <stdlib.h>
#include <string.h>

#define PINS "refs/pins/"

enum { WIRE_MAX = PIN_RAW_MAX * 4 / 3 + 4 }; /* bytes of a pin in base64 */

static size_t position(const struct pinboard *board, const char *node, bool *found)
{
	size_t low = 0, high = board->count;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(node, board->list[middle].node);

		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct pinned *pinboard_find(const struct pinboard *board, const char *node)
{
	bool found;
	size_t at = position(board, node, &found);

	return found ? board->list + at : NULL;
}

/* A new free place at AT. */
static void make_room(struct pinboard *board, size_t at)
{
	board->list = mem_grow(board->list, board->count + 1, sizeof(*board->list));
	memmove(board->list + at + 1, board->list + at, (board->count - at) * sizeof(*board->list));
	board->count++;
	board->list[at] = (struct pinned){.wire = NULL};
}

/* Of `muster <admin@HOST> SECONDS +0000`, which pin_parse and pin_sign have checked. */
static int64_t seconds_of(const char *tagger)
{
	const char *end = strstr(tagger, "> ");

	return end ? strtoll(end + 2, NULL, 10) : 0;
}

bool pinboard_put(struct pinboard *board, const struct pin *pin, const struct buf *raw)
{
	struct buf wire;
	struct pinned *place;
	bool found;
	size_t at = position(board, pin->node, &found);

	if (found && board->list[at].sequence >= pin->sequence)
		return false;
	if (!found)
		make_room(board, at);
	place = board->list + at;
	free(place->wire);
	*place = (struct pinned){.release = pin->release,
				 .hold = pin->hold,
				 .sequence = pin->sequence,
				 .since = seconds_of(pin->tagger)};
	memcpy(place->node, pin->node, strlen(pin->node) + 1);
	memcpy(place->reason, pin->reason, strlen(pin->reason) + 1);
	buf_init(&wire, WIRE_MAX);
	encode_base64(&wire, raw->data, raw->len);
	place->wire = (char *)buf_steal(&wire, NULL); /* ends in a NUL */
	return true;
}

void pinboard_remove(struct pinboard *board, const char *node)
{
	bool found;
	size_t at = position(board, node, &found);

	if (!found)
		return;
	free(board->list[at].wire);
	board->count--;
	memmove(board->list + at, board->list + at + 1, (board->count - at) * sizeof(*board->list));
}

void pinboard_clear(struct pinboard *board)
{
	for (size_t i = 0; i < board->count; i++)
		free(board->list[i].wire);
	free(board->list);
	*board = (struct pinboard){.list = NULL};
}

/* --- loading --- */

struct loading {
	struct pinboard *board;
	struct repo *repo;
	const uint8_t *cluster_id;
};

static int load_pin(struct loading *loading, const char *node, struct buf *raw, struct pin *pin,
		    struct err *err)
{
	if (pin_load(loading->repo, node, raw, err) != 0 ||
	    pin_parse(raw->data, raw->len, pin, err) != 0)
		return -1;
	if (strcmp(pin->node, node) != 0)
		return err_set(err, ERR_REFUSED, "is a pin of the node %s", pin->node);
	if (memcmp(pin->cluster_id, loading->cluster_id, CLUSTER_ID_SIZE) != 0)
		return err_set(err, ERR_REFUSED, "is a pin of another cluster");
	return 0;
}

/* One that is damaged must not keep the admin from starting: the others hold their nodes. */
static int load_ref(void *arg, const char *ref, const struct oid *oid)
{
	struct loading *loading = arg;
	const char *node = ref + strlen(PINS);
	struct pin pin = {.sequence = 0};
	struct err err = {.code = ERR_NONE};
	struct buf raw;

	(void)oid; /* found by its name */
	buf_init(&raw, PIN_RAW_MAX);
	if (load_pin(loading, node, &raw, &pin, &err) == 0)
		(void)pinboard_put(loading->board, &pin, &raw); /* each name comes once */
	else
		log_warning("pins", node, "%s%s does not count: %s", PINS, node, err.text);
	buf_clear(&raw);
	return 0;
}

int pinboard_load(struct pinboard *board, const struct home *home,
		  const uint8_t cluster_id[static CLUSTER_ID_SIZE], struct err *err)
{
	char *path = home_var(home, ADMIN_RELEASES);
	struct loading loading = {.board = board, .cluster_id = cluster_id};
	int rc = repo_open(path, &loading.repo, err);

	if (rc == 0)
		rc = repo_ref_each(loading.repo, PINS, load_ref, &loading, err);
	repo_free(loading.repo);
	free(path);
	return rc;
}
