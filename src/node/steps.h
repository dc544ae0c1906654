/*
 * What the files of a node's steps share: for src/node only. The steps and their order are in
 * cycle.c.
 */
#ifndef MUSTER_NODE_STEPS_H
#define MUSTER_NODE_STEPS_H

#include "config/cluster.h"
#include "config/seal.h"
#include "config/model.h"
#include "config/settings.h"
#include "core/fileset.h"
#include "core/inotify.h"
#include "node/join.h"
#include "node/link.h"
#include "node/plain.h"
#include "node/revision.h"
#include "node/runtime.h"
#include "node/state.h"
#include "repo/tidy.h"

#include <stdatomic.h>
#include <time.h>

enum node_state_word {
#define X(name, serving) NODE_##name,
	NODE_STATES(X)
#undef X
};

/* What this node refused, and why. */
struct refusal {
	struct oid release; /* zero: a pin that names none */
	uint64_t sequence;  /* of the release; 0: not known */
	const char *step;   /* static text; NULL: nothing is refused */
	char reason[1024];
};

enum { WATCH_FILES = 3 };

struct runtime {
	uv_loop_t *loop;
	const struct home *home;
	struct proc *proc;
	void (*changed)(void *arg);
	void *arg;
	char name[NAME_MAX_LEN + 1];
	struct plain plain;
	enum node_state_word word;

	struct static_key *key;
	struct keyring *ring;	   /* what opens the secrets of this node; a worker has a copy */
	struct join *join;	   /* which cluster it talks to */
	struct link *link;	   /* NULL: no cluster configuration */

	struct node_state state;
	bool head_known;	/* the admin said what its newest release is */
	struct oid head;
	uint64_t head_sequence; /* 0: the role has none */
	struct news news;	/* the last that came with a pack */
	struct refusal refusal;	     /* of the admin's newest release */
	struct refusal hold_refusal; /* of the one it is held at */
	struct refusal pin_refusal;  /* of the admin's pin, which holds at none then */

	struct buf pin;	   /* what the admin sent last, raw */
	bool pin_waits;	   /* it is to be judged, once the newest release is */
	bool judging;	   /* a worker does */
	/* it was accepted, and is not on the disk yet: nothing is taken up before */
	bool pin_unsaved;
	struct wish *wish; /* a rollback or resume that was asked for here, or NULL */

	struct inotify *watch; /* NULL: there is none to be had */
	uv_timer_t poll;       /* runs then */
	struct timespec seen[WATCH_FILES]; /* and then: when files of etc/ changed last */
	struct activation *activation; /* under way, or NULL */
	struct health *health;	       /* of it, or NULL */
	char active[REVISION_NAME_MAX]; /* the revision last activated; "": none */
	struct oid active_source;
	uint64_t active_sequence;
	int64_t active_since;
	bool reactivate; /* BACK is to be activated although it is ACTIVE: after a swap back */
	bool refresh;	 /* what its plain copy is made of may have changed: the parameters */
	bool put_off;	 /* an activation that could not be, for now */
	bool unclean;	 /* there may be plain copies that are not needed any more */
	bool cleaning;	 /* they are being removed */
	bool look_again; /* current moved while an activation was under way */
	bool swapping;	 /* the swap back to BACK is under way */
	bool unswapped;	 /* it failed and is tried again */
	char back[REVISION_NAME_MAX];
	bool broken; /* the local copy is unusable, and there is nothing to go back to */

	struct heal *heal;	  /* NULL: not yet, or no more */
	atomic_uint drift;	  /* how often another hand's change was found */
	/* it is to be fetched anew; set by whichever worker found it so */
	atomic_bool replica_lost;
	struct tidy *tidy;   /* of the replica */
	struct cycle *cycle; /* under way, or NULL */
	uv_timer_t retry; /* of whatever failed for now: a cycle, a swap back, writing the state */
	unsigned retries;
	bool saving, save_again;    /* the state is being written; it changed meanwhile */
	bool unsaved;		    /* writing it failed */
	struct cycle *save_waiter; /* goes on when it is on the disk */
	struct err save_err;
	/* what run/ is to say of the activation; written with the state */
	char *record;
	bool reloading; /* the secret and etc/init are being read again */
	bool stopping;
	int busy; /* worker jobs and hooks under way: while there are any, it is not freed */
	int handles;
};

/* One release on its way through the steps. */
struct cycle {
	struct runtime *runtime;
	size_t step;
	/* it is what this node is held at, NAME, or what a wish asks for: on the disk */
	bool is_hold;
	bool is_wish;
	bool swaps;		  /* swap began */
	bool over;		  /* and was not done when the activation had failed already */
	struct oid asked;	  /* what the admin named */
	struct oid target;	  /* the same; after fetch, what the branch holds */
	bool refill;		  /* it ends when the replica has it: nothing is to be deployed */
	bool whole;		  /* fetch: the replica was lost, and all of it was asked for */
	/* it came through this one, still open from the fetch; NULL: the replica has it */
	struct repo *quarantine;
	struct chain_state chain; /* verify: moves to the release */
	struct release release;
	struct fileset files;
	struct settings settings; /* check: those of the release */
	struct keyring *ring;	  /* a copy */
	struct buf raw;		  /* the signed commit */
	char name[REVISION_NAME_MAX];
	char *plain;		  /* stage: the candidate's plain copy; NULL: there is none */
	struct node_state known;  /* the log, for the worker: its reasons are not to be read */
	int rc;			  /* of the step on a worker */
	struct err err;
	struct buf pack;	  /* of fetch: what came with the news */
	int fetch_parts;	  /* of fetch: worker and pump that are not done */
	int fd;			  /* of fetch: the worker's end */
};

#define ACTIVATED_FILE "activated" /* in run/: the revision last activated, and the boot id */

/* --- runtime.c --- */
/* Frees it once it is stopping and nothing is under way any more. */
void runtime_release(struct runtime *runtime);
/* Opens the link; KEYSTORE is borrowed as link_new does. */
void runtime_link(struct runtime *runtime, const struct cluster *cluster,
		  const struct keystore *keystore);
/* The secret was read again: the rest of runtime_reload. */
void runtime_reloaded(struct runtime *runtime);

/* --- cycle.c --- */
/* Takes up what the admin offers, if it is to be taken up and nothing is under way. */
void cycle_consider(struct runtime *runtime);
/* The step that is under way ended: 0, or -1 with ERR. */
void cycle_step_done(struct cycle *cycle, int rc, const struct err *err);
/* The state is on the disk, or could not be written. */
void cycle_saved(struct cycle *cycle, int rc, const struct err *err);
/*
 * A revision was activated, or its activation failed, or there is nothing to activate: what the
 * cycle may wait for. While stopping it ends the cycle.
 */
void cycle_activated(struct runtime *runtime, const char *name, bool ok);

/*
 * One that deploys a revision, whatever the admin offers: what this node is held at, or with
 * IS_WISH is to be.
 */
void cycle_hold(struct runtime *runtime, const char *name, bool is_wish);
/* Whether it was the cycle that made current lead to NAME. */
bool cycle_swapped(const struct runtime *runtime, const char *name);

/* Tells that a release is refused, from STEP (static text) with a sentence. */
void refusal_set(struct refusal *refusal, const struct oid *release, uint64_t sequence,
		 const char *step, const char *reason);
/* Another hold counts: only that its release is burnt is known of it. */
void hold_refusal_renew(struct runtime *runtime);
/* What was refused may be tried again; that the admin is behind stays told for as long as it is. */
void refusal_forget(struct runtime *runtime);
/* Neither the release nor the admin is to blame, or not for ever: once more, after the back-off. */
void retry_later(struct runtime *runtime);

/*
 * --- the steps: those on a worker return 0 or -1, those on the loop end with cycle_step_done ---
 */
void fetch_step(struct cycle *cycle);
/* The link has pumped all of the fetch. */
void fetch_pumped(struct runtime *runtime);
/* Ends a fetch that is under way, and with it the connection. */
void fetch_give_up(struct runtime *runtime);
int verify_step(struct cycle *cycle, struct err *err);
int check_step(struct cycle *cycle, struct err *err);
int stage_step(struct cycle *cycle, struct err *err);
void vet_step(struct cycle *cycle);
int swap_step(struct cycle *cycle, struct err *err);
void activate_step(struct cycle *cycle);
void report_step(struct cycle *cycle);

/* --- check.c --- */
/* The names and the configuration of a slice of ROLE, and that RING opens all its secrets. */
int check_files(const struct fileset *files, const struct keyring *ring, const char *role,
		struct err *err);
/*
 * A merged configuration; findings go to the log, the first into ERR. FILES has the schemas, or is
 * NULL. RING NULL: it is no slice, and its secrets are as they are.
 */
int check_document(const struct document *doc, const struct model *model,
		   const struct fileset *files, const struct keyring *ring, const char *role,
		   struct err *err);

/* --- watch.c --- */
void watch_start(struct runtime *runtime);
/* A watch could not be had: looks from time to time instead, until it can. */
void watch_fails(struct runtime *runtime, const struct err *err);

/* --- activate.c --- */
/* Looks where var/node/current leads, and activates that if it is not what is active. */
void activate_look(struct runtime *runtime);
/*
 * Removes the plain copies that are not needed any more, once nothing is under way that may need
 * them.
 */
void clean_later(struct runtime *runtime);
/*
 * Work on the local copy is over that CLEANING kept all else away from: what came meanwhile is
 * looked at.
 */
void clean_done(struct runtime *runtime);
/* Tries again what failed for now. */
void activate_retry(struct runtime *runtime);

/* --- swap.c --- */
/*
 * current goes back to what was active here, or before this start; its inotify event activates
 * that. FAILED is what current led to: going back to that would go on for ever.
 */
void swap_back(struct runtime *runtime, const char *failed);
/* Tries a swap back again that failed. */
void swap_retry(struct runtime *runtime);

/* --- health.c --- */
/*
 * Runs etc/health.d for the revision NAME until it holds, NAME is current no more, or its time is
 * over; then DONE is called, once, later. TAKE_ENV is of hook_env.
 */
void health_run(struct runtime *runtime, const char *name, const struct settings *settings,
		char **take_env, proc_done_fn *done, void *arg);
/* While stopping: what is under way ends without another round. */
void health_stop(struct runtime *runtime);
/* The step that burnt a release: static text. */
const char *burnt_step(const struct state_entry *entry);
/* --- pinned.c --- */
/* The pin that came with a head, base64; NULL: none came. */
void pin_offered(struct runtime *runtime, const char *text);
/* Judges it if it waits and can be judged; true: nothing else is to begin. */
bool pin_consider(struct runtime *runtime);
void pin_saved(struct runtime *runtime, int rc);

/* --- rollback.c --- */
/* Begins what is wished, if it can; true: nothing else is to begin. */
bool wish_consider(struct runtime *runtime);
/* The wished revision passed vet: from now on it holds. */
void wish_hold(struct runtime *runtime);
/* It is done, or with ERR is not, and nothing holds that did not before: answers. */
void wish_end(struct runtime *runtime, const struct err *err);
/* The activation of NAME failed at STEP: whether that was wished, and who did is answered. */
bool wish_failed(struct runtime *runtime, const char *name, const char *step, const char *reason);
void wish_saved(struct runtime *runtime, int rc, const struct err *err);
/* Without an answer. */
void wish_free(struct runtime *runtime);

/* --- report.c --- */
/* What is told as refused, of all that is: NULL for nothing. */
const struct refusal *report_refusal(const struct runtime *runtime);
/* Fills register and status messages. */
void report_tell(struct runtime *runtime, struct control_message *message);
/*
 * Something of the status changed: enters the right node state, tells the admin and whoever waits.
 */
void report_changed(struct runtime *runtime);
/* Writes the state, on a worker, one writing at a time; then runtime->save_waiter goes on. */
void report_save(struct runtime *runtime);

/* --- init.c --- */
/* What a start finds: the last configuration or that of etc/init. */
struct start {
	struct keyring *ring;
	struct node_state state;
	char *before;		   /* the state's text as it was read; NULL: there was none */
	/* nothing of before counts: another cluster or role, or a damaged state */
	bool anew;
	bool has_revision;
	struct revision revision;  /* the last configuration, verified again */
	struct settings settings;  /* its own, or the default ones */
	/* the state was lost: it is of its copy, or made anew from the rest */
	bool rebuilt;
	/* REVISION was made anew and is not yet on the disk, or CURRENT does not lead to it */
	bool mended;
	bool from_init;		   /* REVISION is made of etc/init and not yet on the disk */
	struct point file;	   /* the cluster configuration in etc/init */
	struct point active;	   /* and the revision's */
	bool repointed;		   /* FILE is new, and counts before ACTIVE */
	/* of etc/init from what was loaded first, for people; NULL: none */
	char *difference;
};
int init_find(const struct home *home, const struct runtime_options *options, struct start *out,
	      struct err *err);
/* Tells what of it an operator must know: a start does, and musterd --check. */
void start_tell(const struct home *home, const struct runtime_options *options,
		const struct start *start);
void start_clear(struct start *start);
/*
 * What etc/init holds for a node of ROLE. OUT is to be cleared on failure too, and has the marks
 * when the files could be read.
 */
int given_read(const struct home *home, const char *role, struct given *out, struct err *err);
void given_clear(struct given *given);
/*
 * Puts the revision that START has made of etc/init on the disk, where a sound one of that name
 * stays as it is (current may lead to it), and swaps to it.
 */
int init_settle(const struct home *home, const struct start *start, struct err *err);
/*
 * The same for what a node of ROLE without an admin read there while it runs. NAME is the
 * revision's, "" if there is no configuration of the role in it.
 */
int init_load(const struct home *home, const char *role, struct keyring *ring,
	      const struct node_state *state, const struct given *given,
	      char name[static REVISION_NAME_MAX], struct err *err);
/* The cluster of a revision's config.xml, opened for ROLE. GONE when there is none. */
int revision_cluster(const struct revision *revision, const struct keyring *ring, const char *role,
		     struct point *out, struct err *err);
/*
 * Which cluster configuration it is: to see whether the one in etc/init is another than last time.
 */
void cluster_digest(const struct cluster *cluster, char out[static STATE_DIGEST_MAX]);
/* Until a release is accepted the keys of the cluster configuration count. */
void chain_begin(struct chain_state *chain, const struct keystore *keystore);

/* --- seed.c --- */
/*
 * With nothing accepted yet: takes the releases of the first bundle in etc/init that verifies.
 * STATE, which is on the disk, moves to the newest of them, and so does the disk; on failure
 * neither does.
 */
int seed_replica(const struct home *home, struct node_state *state, struct err *err);

/*
 * The environment of hooks, for MUSTER_* variables; free with hook_env_free. PLAIN NULL: there is
 * no plain copy.
 */
char **hook_env(const struct runtime *runtime, const char *release, uint64_t sequence,
		const char *source, const char *previous, const char *plain);
void hook_env_free(char **env);

#endif
