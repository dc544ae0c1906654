/*
 * The tree behind struct document, for the files of config/ only. Every element remembers the file
 * and line it came from. A leaf has no element in it; its text, if any, is its first child and the
 * only text in it. No other text and no blank text is in a tree.
 */
#ifndef MUSTER_CONFIG_XML_H
#define MUSTER_CONFIG_XML_H

#include "config/document.h"
#include "config/model.h"

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NS_CONFIG "http://tail-f.com/ns/config/1.0"
#define NS_BASE   "https://curity.se/ns/conf/base"
#define NS_MUSTER "urn:muster:1"

/* Of one element, declarations too: libxml2 compares each with each. */
enum { XML_ATTRIBUTES_MAX = 64 };

struct origin {
	const char *file; /* interned in the document */
	uint32_t line;
};

struct origins;
struct table;

struct document {
	xmlDoc *xml;
	char **files; /* names of the files that elements came from */
	size_t file_count;
	struct origins *origins; /* where element->_private points to */
};

/* Makes a document around XML, which moves in (NULL: a new one without a root). */
struct document *xml_document(xmlDoc *xml);
/* Says where NODE, an element of DOC, came from. FILE is copied. */
void xml_set_origin(struct document *doc, xmlNode *node, const char *file, uint32_t line);
/*
 * The file and line of an element; made elements have those of the nearest element above that has
 * one.
 */
const char *xml_file(const xmlNode *node);
unsigned xml_line(const xmlNode *node);

xmlNode *xml_root(const struct document *doc);
/* The first element in NODE, the next element after NODE; NULL at the end. */
xmlNode *xml_first(const xmlNode *node);
xmlNode *xml_next(const xmlNode *node);
/* The first element in NODE with that local name; the next after NODE with NODE's local name. */
xmlNode *xml_child(const xmlNode *node, const char *name);
xmlNode *xml_again(const xmlNode *node);
/*
 * Calls FN for each element at the path of local names NAMES (NULL at the end) below NODE, until it
 * returns other than 0, which is returned. Several of each are looked at: a document need not be
 * merged. FN may remove the element.
 */
int xml_each(xmlNode *node, const char *const *names, int (*fn)(void *arg, xmlNode *node),
	     void *arg);
/* The paths of what Muster itself knows. */
extern const char *const xml_path_cluster[];   /* environments/environment/cluster */
extern const char *const xml_path_roles[];     /* environments/environment/services/service-role */
extern const char *const xml_path_profiles[];  /* profiles/profile */
extern const char *const xml_path_endpoints[]; /* endpoints/endpoint, below a profile */
/* Local name, and namespace ("" for none); borrowed. */
const char *xml_name(const xmlNode *node);
const char *xml_ns(const xmlNode *node);
bool xml_is(const xmlNode *node, const char *name);
bool xml_is_leaf(const xmlNode *node);
/* The text of a leaf, exact; "" when empty. Borrowed. */
const char *xml_text(const xmlNode *node);
/* A new string, or NULL when there is no such attribute in the namespace. */
char *xml_attribute(const xmlNode *node, const char *ns, const char *name);
/* How many attributes and declarations it has. */
size_t xml_attribute_count(const xmlNode *node);
/* Only blanks as XML defines them. */
bool xml_is_blank(const char *text);

/* What an element is for merge, check, slice and path. */
enum xml_kind {
	XML_ONE,   /* a leaf or container that stands once in its parent */
	XML_ENTRY, /* a list entry, told from others by its key */
	XML_ITEM,  /* of a leaf-list, told from others by its text */
};

/*
 * The kind of an element with the properties PROPS. KEY becomes the key of an entry, the text of an
 * item, else NULL; borrowed.
 */
enum xml_kind xml_kind(const xmlNode *node, const struct model_props *props, const char **key);
/* The leaf that is the key of an element by its form alone (whatever the model says), or NULL. */
xmlNode *xml_key_leaf(const xmlNode *node);

/* The namespace that PREFIX (NULL: the default one) means at NODE, or NULL. */
xmlNs *xml_scope(const xmlNode *node, const xmlChar *prefix);
/* The same as text; "" for none. */
const char *xml_scope_href(const xmlNode *node, const xmlChar *prefix);

/* Appends an empty element to PARENT, in a namespace that is declared on it if need be. */
xmlNode *xml_add(struct document *doc, xmlNode *parent, const char *ns, const char *name);
void xml_add_leaf(struct document *doc, xmlNode *parent, const char *ns, const char *name,
		  const char *text);
/* Makes TEXT the text of a leaf; remarks in it stay, and the old text is wiped. */
void xml_set_text(struct document *doc, xmlNode *leaf, const char *text);
/*
 * Copies an element without the elements in it (attributes, text, declarations, origin) to the end
 * of PARENT (NULL: as the root). With FOREIGN, the prefixes that mean something else or nothing at
 * PARENT than above NODE are declared on the copy, so that a prefix in any text below keeps its
 * meaning.
 */
xmlNode *xml_copy_element(struct document *doc, xmlNode *parent, const xmlNode *node, bool foreign);
/*
 * Copies a comment or processing instruction; other nodes are nothing. PARENT as in the tree (may
 * be the xmlDoc).
 */
void xml_copy_remark(struct document *doc, xmlNode *parent, const xmlNode *node);
void xml_copy_attribute(xmlNode *to, const xmlAttr *attribute);
/*
 * The whole document, with its comments and processing instructions or without, but for the
 * elements in LESS, by scope, and what is in them (NULL: all of them).
 */
struct document *xml_copy(const struct document *doc, bool remarks, const struct table *less);
/* An element and all that is in it as a document of its own, which keeps what its prefixes mean. */
struct document *xml_part(const xmlNode *node);
/* Takes an element out of its tree and frees it. */
void xml_remove(xmlNode *node);

#endif
