/*
 * One XML document of the configuration dialect (muster-config(5)). Opaque: only config/ knows
 * libxml2.
 */
#ifndef MUSTER_CONFIG_DOCUMENT_H
#define MUSTER_CONFIG_DOCUMENT_H

#include "core/buf.h"
#include "core/err.h"

#include <stddef.h>

struct document;

/* Once at start, before threads. */
void config_setup(void);

/*
 * Parses LEN bytes; NAME (borrowed for the call) is what errors call the file: `NAME:LINE: reason`.
 * No network, entities, DTD, XInclude, CDATA or mixed content; depth and size bounded (limits.h).
 * Root must be {http://tail-f.com/ns/config/1.0}config.
 */
int document_parse(const char *name, const void *data, size_t len, struct document **out,
		   struct err *err);
/* An empty configuration: the root alone. */
struct document *document_new(void);
struct document *document_copy(const struct document *doc);
void document_free(struct document *doc);
/* Appends the stable form: UTF-8, two blanks, one element a line, document order, comments kept; a
 * second pass changes no byte. */
int document_serialise(const struct document *doc, struct buf *out, struct err *err);
/* Elements of the document, for the shrink guard and for people. */
size_t document_count(const struct document *doc);

#endif
