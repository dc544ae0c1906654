/* Keeps the packs of a repository few, on a worker thread, while the daemon runs. For the loop. */
#ifndef MUSTER_REPO_TIDY_H
#define MUSTER_REPO_TIDY_H

#include <uv.h>

struct tidy;

/* PATH is a bare repository that only this process writes packs to (but for people with git). */
struct tidy *tidy_new(uv_loop_t *loop, const char *path);
/* Something was written: looks whether there is something to join, one look at a time. */
void tidy_look(struct tidy *tidy);
/* Gives up what is under way; memory goes when that has ended. NULL is fine. */
void tidy_free(struct tidy *tidy);

#endif
