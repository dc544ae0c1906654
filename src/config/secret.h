/*
 * Which leaves are secret, what may stand in them as it is, and what may not stand anywhere in the
 * clear: muster-formats(5), "Sealed values". For config/ only; what is sealed is seal.h's.
 */
#ifndef MUSTER_CONFIG_SECRET_H
#define MUSTER_CONFIG_SECRET_H

#include "config/model.h"
#include "config/xml.h"

#include <stdbool.h>
#include <stddef.h>

enum secret_form {
	SECRET_NONE,   /* the leaf is no secret: it is told because of its fault */
	/* stays as it is: empty, a hash, a whole parameter, sealed by the seed product */
	SECRET_PASSED,
	SECRET_SEALED,
	SECRET_PLAIN,
};

/* A place that matters. */
struct secret_place {
	xmlNode *node;	    /* the leaf; for a fault in a comment the element around it */
	size_t ordinal;	    /* of the element, in document order, the root is 0 */
	unsigned line;
	bool is_keystore;   /* environments/environment/cluster/keystore */
	enum secret_form form;
	const char *fault;  /* why it is refused, or NULL */
};

/* Whether a leaf is secret, by the model or by its attribute muster:secret. */
bool secret_leaf(const xmlNode *node, const struct model_props *props);
/*
 * Calls FN for each secret leaf and for each fault (sealed where no secret belongs, a private key
 * in the clear, a secret in a comment or an attribute), in document order, until it returns other
 * than 0, which is returned. FN may change the text of the leaf.
 */
int secret_each(const struct document *doc, const struct model *model,
		int (*fn)(void *arg, const struct secret_place *place), void *arg);

/*
 * Whether LEN bytes that are no XML, or a comment, hold an element with a secret's name and a value
 * in the clear, or a private key.
 */
bool secret_in_text(const char *text, size_t len, const struct model *model);

#endif
