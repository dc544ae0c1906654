/* Packs kept few: see tidy.h. */
#include "repo/tidy.h"

#include "core/log.h"
#include "core/loop.h"
#include "core/text.h"
#include "repo/pack.h"

#include <stdbool.h>
#include <stdlib.h>

enum { PAUSE_AFTER_FAULT = 64 }; /* looks that are left out: a damaged pack stays damaged */

struct tidy {
	uv_loop_t *loop;
	char *path;
	atomic_bool stop;
	bool running, again, closing;
	unsigned pause;
	int rc;
	struct err err;
};

static void tidy_release(struct tidy *tidy)
{
	free(tidy->path);
	free(tidy);
}

static void on_work(void *arg)
{
	struct tidy *tidy = arg;

	tidy->rc = pack_join(tidy->path, &tidy->stop, &tidy->err);
}

static void on_done(void *arg)
{
	struct tidy *tidy = arg;

	tidy->running = false;
	if (tidy->closing) {
		tidy_release(tidy);
		return;
	}
	if (tidy->rc != 0) {
		log_warning("pack", tidy->path,
			    "packs could not be joined, and stay as they are: %s", tidy->err.text);
		tidy->pause = PAUSE_AFTER_FAULT;
	}
	if (tidy->again)
		tidy_look(tidy);
}

struct tidy *tidy_new(uv_loop_t *loop, const char *path)
{
	struct tidy *tidy = mem_new(1, sizeof(*tidy));

	tidy->loop = loop;
	tidy->path = text_copy(path);
	atomic_init(&tidy->stop, false);
	return tidy;
}

void tidy_look(struct tidy *tidy)
{
	tidy->again = tidy->running;
	if (tidy->running)
		return;
	if (tidy->pause > 0) {
		tidy->pause--;
		return;
	}
	tidy->running = true;
	loop_work(tidy->loop, on_work, on_done, tidy);
}

void tidy_free(struct tidy *tidy)
{
	if (!tidy)
		return;
	tidy->closing = true;
	atomic_store(&tidy->stop, true);
	if (!tidy->running)
		tidy_release(tidy);
}
