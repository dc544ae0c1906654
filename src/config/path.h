/*
 * The canonical path of an element, for messages and for what authenticates a value's place. For
 * config/ only.
 */
#ifndef MUSTER_CONFIG_PATH_H
#define MUSTER_CONFIG_PATH_H

#include "config/model.h"
#include "config/xml.h"
#include "core/buf.h"

/*
 * Appends `/profiles/profile[token-service]/endpoints`: for people. Local names from below
 * `config`, the key of list entries in brackets with `]`, `/` and `\` escaped by `\`, control
 * characters as '?', long keys cut. MODEL may be NULL: then every element that looks like a list
 * entry is one. The root is `/`.
 */
void path_put(struct buf *out, const xmlNode *node, const struct model *model);
/* The same as a new string. */
char *path_text(const xmlNode *node, const struct model *model);
/*
 * Appends `/{namespace}name[key]` steps, exact: two elements of a merged configuration have the
 * same one only if both are items of one leaf-list. In namespace and key `]`, `}`, `/` and `\` are
 * escaped by `\`.
 */
void path_put_canonical(struct buf *out, const xmlNode *node, const struct model *model);
/* The steps from below `config` to NODE; names are borrowed. */
void path_steps(const xmlNode *node, struct steps *steps);

#endif
