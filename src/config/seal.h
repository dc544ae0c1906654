/*
 * Sealing and opening the secrets of a configuration: muster-formats(5), "Sealed values". Which
 * leaves are secret is config/secret.h's, how a value is sealed crypto/seal.h's. The path that
 * authenticates a value's place is the canonical one of its leaf, by the model.
 *
 * A value is sealed for a scope: `config` in the authoring repository (role NULL here), role/ROLE
 * in what that role gets.
 */
#ifndef MUSTER_CONFIG_SEAL_H
#define MUSTER_CONFIG_SEAL_H

#include "config/check.h"
#include "config/document.h"
#include "config/model.h"
#include "core/buf.h"
#include "core/err.h"
#include "crypto/secret.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Who seals and opens: a keyring of this process, or a daemon that has one. As keyring_seal and
 * keyring_open: the caller wipes what was opened.
 */
struct sealer {
	int (*seal)(void *arg, const char *scope, const char *path, const void *plain, size_t n,
		    struct buf *out, struct err *err);
	int (*open)(void *arg, const char *scope, const char *path, const char *text,
		    struct buf *out, struct err *err);
	void *arg;
};

/* By a keyring, which is borrowed. */
struct sealer sealer_of(const struct keyring *ring);

/*
 * Opens every sealed value in place; other values stay. SCOPE_ROLE is the role whose slice it is,
 * NULL for the scope config. The first that does not open ends it: `FILE:LINE: PATH: reason`,
 * REFUSED (no key) or CORRUPT (changed, or of another place). DOC holds secrets in the clear then:
 * end it with seal_document_free.
 */
int seal_open_document(struct document *doc, const struct model *model, const struct keyring *ring,
		       const char *scope_role, struct err *err);
/* Frees a document after wiping the values of its secret leaves. NULL is fine. */
void seal_document_free(struct document *doc, const struct model *model);
/* Opens nothing but environments/environment/cluster/keystore, if it is sealed. */
int seal_open_cluster(struct document *doc, const struct model *model, const struct sealer *sealer,
		      const char *scope_role, struct err *err);

/*
 * Makes the secrets of what ROLE gets readable by its nodes only: what is sealed for config is
 * opened, then that and what is in the clear is sealed for the role. What cannot be is a finding.
 * 0, or -1 when there are findings.
 */
int seal_for_role(struct document *doc, const struct model *model, const struct sealer *sealer,
		  const char *role, struct findings *findings);
/*
 * Checks a slice as a node of ROLE does: every secret is sealed, or may stand as it is, and opens.
 * -1 when something was added to FINDINGS.
 */
int seal_check(const struct document *doc, const struct model *model, const struct sealer *sealer,
	       const char *role, struct findings *findings);

/* How a file of the authoring repository is sealed. */
struct sealing {
	const struct model *model;
	const struct sealer *sealer;
	bool renew; /* what is sealed is opened and sealed again, for a new key */
	/*
	 * A sealed value does not open at PATH, where it now stands: puts the plain text into OUT
	 * if it was moved there and may be (0), else -1. NULL: nothing may move.
	 */
	int (*moved)(void *arg, const char *text, const char *path, struct buf *out);
	void *arg;
};

/*
 * Appends the file to OUT with what is in the clear sealed; no other byte changes. CHANGED says
 * whether any did. Faults (a private key where no secret belongs, a secret in a comment, …) are
 * added to FINDINGS and the file is of no use then: -1. -1 with ERR set when it is not readable as
 * a configuration or nothing can seal.
 */
int seal_file(const char *name, const void *data, size_t len, const struct sealing *how,
	      struct buf *out, bool *changed, struct findings *findings, struct err *err);
/*
 * Looks for secrets in the clear in a file of the authoring repository; needs no key. One that is
 * no XML is looked at as text. -1 when something was added to FINDINGS.
 */
int seal_scan(const char *name, const void *data, size_t len, const struct model *model,
	      struct findings *findings);

/* Calls FN with each sealed value of a document and its canonical path; until it returns other
 * than 0, which is returned. */
int seal_each(const struct document *doc, const struct model *model,
	      int (*fn)(void *arg, const char *path, const char *text), void *arg);
/*
 * Calls FN with the place, for people, of each secret leaf that is not empty, and how it is kept:
 * "sealed", "as it is" or "in the clear".
 */
void seal_list(const struct document *doc, const struct model *model,
	       void (*fn)(void *arg, const char *place, const char *how), void *arg);

#endif
