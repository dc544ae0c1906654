/* Every limit on what comes from outside, with its unit and its reason. */
#ifndef MUSTER_CORE_LIMITS_H
#define MUSTER_CORE_LIMITS_H

/* --- trees and releases --- */
#define LIMIT_FILE_SIZE (64u << 20)	/* bytes of one file: the largest known configuration is 10
					   MB */
#define LIMIT_TREE_SIZE (256u << 20)	/* bytes of all files of a tree: several such files and
					   templates */
#define LIMIT_TREE_FILES 10000u		/* files of a tree */
#define LIMIT_PATH 255u			/* bytes of a path in a tree: below what any file system
					   takes */
#define LIMIT_COMMIT_SIZE (64u << 10)	/* bytes of a raw commit: a long message and a signature */
#define LIMIT_RELEASE_KEYS 8u		/* keys in Muster-Keys: two while rotating, room for
					   overlap */
#define LIMIT_PACK_SIZE (512u << 20)	/* bytes of a pack a node takes */
#define LIMIT_PACK_MEMORY (64u << 20)	/* bytes of objects held in memory until they are one
					   pack */
#define LIMIT_PACK_OBJECTS 1000000u	/* objects of a pack: 100,000 releases and their trees */

/* --- configuration --- */
#define LIMIT_XML_SIZE LIMIT_FILE_SIZE	/* bytes of one XML file */
#define LIMIT_XML_DEPTH 128u		/* elements within each other: the deepest known is 20 */
#define LIMIT_XML_FILES 1000u		/* XML files of one configuration */
#define LIMIT_FINDINGS 1000u		/* findings a check lists before it stops */
#define LIMIT_SECRET_VALUE (256u << 10)	/* bytes of one secret: a key store with a long chain is 20
					   kB */
#define LIMIT_SECRET_KEYS 16u		/* entries of a keyring: those of past rotations open old
					   commits */

#define LIMIT_RENDER_OUTPUT (16u << 20)	/* bytes one template writes */
#define LIMIT_RENDER_MEMORY (512u << 20) /* bytes one template works with: a configuration of 10 MB
					    takes 100 */
#define LIMIT_RENDER_SECONDS 10u	/* of processor time one template takes */
#define LIMIT_RENDER_DEPTH 1000		/* templates within each other: what recursion over a list
					   takes */
#define LIMIT_SCHEMA_MEMORY (1024u << 20) /* bytes a check by a schema works with */
#define LIMIT_SCHEMA_SECONDS 30u	/* of processor time it takes */
#define LIMIT_HOOK_SECONDS 3600u	/* of a timeout of hooks that is configured: the next
					   release waits as long */
#define LIMIT_REVISIONS 50u		/* a node keeps: half of the releases that its state
					   remembers */
#define LIMIT_PARAMS 4096u		/* lines of etc/params: the largest known configuration has
					   30 parameters */

/* --- small files of ours --- */
#define LIMIT_SMALL_FILE (1u << 20)	/* bytes of state, keys, params, cluster files */

/* --- channel --- */
#define LIMIT_CONTROL_MESSAGE (16u << 10) /* bytes of one control message: a verb and some values */
#define LIMIT_PEERS 20000u		/* open connections at the admin, below its descriptors */
#define LIMIT_HANDSHAKES 2048u		/* unfinished handshakes at the admin: 1 kB each; the oldest
					   that does not wait for us makes room */
#define LIMIT_PEER_INPUT (256u << 10)	/* bytes received and not yet handled, for each peer */
#define LIMIT_PEER_OUTPUT (256u << 10)	/* bytes sealed and not yet sent before a sender pauses,
					   for each peer: 1,000 that read nothing hold 256 MB at
					   most */
#define LIMIT_CONTROL_BURST 64u		/* control messages of one node in half a second: it says a
					   few a minute */
#define LIMIT_WANT_REQUEST (64u << 10)	/* bytes of one upload-pack negotiation round */
#define LIMIT_HAVES 4096u		/* haves in one upload-pack conversation */
#define LIMIT_PUSHED_PACK (16u << 10)	/* bytes of a pack that is sent with the news of it: a small
					   release is 2 kB, and 20,000 peers' socket buffers take
					   it */
#define LIMIT_PACK_CACHE (64u << 20)	/* bytes of packs kept at the admin beside those being
					   sent */
#define LIMIT_PACKS_KEPT 1024u		/* of those that nobody takes: as many releases ago nodes
					   that come back at once may have left */
#define LIMIT_NODES 50000u		/* nodes the registry keeps */
#define LIMIT_REVOKED 10000u		/* revoked keys that are remembered: a fifth of those
					   nodes */
#define LIMIT_NODE_AGE (90u * 86400)	/* seconds away until a full registry forgets a node: longer
					   than any repair */
#define LIMIT_REPORT (4u << 10)		/* bytes of what a node last said of itself: a few ids and a
					   reason */

/* --- waits, in milliseconds --- */
#define WAIT_HANDSHAKE 10000u		/* TCP accepted to handshake done: a slow link takes a
					   second */
#define WAIT_ROOM 200u			/* of silence after which a handshake makes room for
					   another: 10,000 that only come are closed in a second */
#define WAIT_ROOM_ANSWERED 1000u	/* the same when it was answered: a busy node and a long
					   way */
#define WAIT_CONNECT 10000u		/* name lookup and TCP connect */
#define WAIT_FETCH 120000u		/* one fetch conversation, all of it */
#define WAIT_PING 20000u		/* silence before a node sends ping */
#define WAIT_SILENCE 60000u		/* silence before either side closes: three pings */
#define WAIT_BACKOFF_MIN 250u		/* first back-off; full jitter */
#define WAIT_BACKOFF_MAX 30000u		/* largest back-off */
#define WAIT_CLAIM 600000u		/* a claim to another's name counts: twenty times
					   WAIT_BACKOFF_MAX */
#define WAIT_HOOK 30000u		/* one hook, where the configuration says nothing else: a
					   reload takes a second */
#define WAIT_HEALTH 10000u		/* for health.d to hold, likewise */
#define WAIT_HEALTH_ROUND 1000u		/* from one round of health.d to the next */
#define WAIT_CHILD 60000u		/* a template: six times its processor time, for a busy
					   machine */
#define WAIT_CONTROL 5000u		/* an answer on the local control socket that needs no
					   work */
#define WAIT_SETTLE 200u		/* after a change in etc/init: files are copied there one
					   after the other */
#define WAIT_LOCK 1000u			/* for the lock of a home */
#define WAIT_HEAL 200u			/* hint to look: what an editor or a script does is one
					   change */
#define WAIT_HEAL_MAX 30000u		/* between looks when each of many finds something: it
					   doubles up to this */
#define WAIT_POLL 5000u			/* between looks where there are no watches to be had */
#define WAIT_ROLLBACK 300000u		/* an answer to a rollback on a node: its hooks, and those
					   under way before it */
#define WAIT_PUBLISH 300000u		/* an answer to a publication asked for on the control
					   socket */

/* --- status and metrics --- */
#define LIMIT_HTTP_CONNECTIONS 64u /* open connections of probes and scrapers, for each port */
#define LIMIT_HTTP_ADDRESS 16u	   /* of those from one address: what it holds open leaves room for
				      the probes of others */
#define LIMIT_HTTP_MEMORY 16384u   /* bytes of a request's headers */
#define WAIT_HTTP 10000u	   /* milliseconds a connection may be silent */

/* --- control socket --- */
#define LIMIT_CONTROL_CLIENTS 64u	/* open local clients */
#define LIMIT_CONTROL_GROUPS 1024u	/* groups of one local client that are looked at */
#define LIMIT_CONTROL_REQUEST (1u << 20) /* bytes of one request line: a secret in base64, sealed or
					    not */
#define LIMIT_CONTROL_ANSWER (64u << 20) /* bytes of one answer: a list of all nodes */

#endif
