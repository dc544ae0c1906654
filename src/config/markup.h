/*
 * Where elements are in the text of a document, for config/ only. The text is one that
 * document_parse has accepted: so there is no CDATA and no DTD in it, and the start tags come in
 * the order of the tree.
 */
#ifndef MUSTER_CONFIG_MARKUP_H
#define MUSTER_CONFIG_MARKUP_H

#include "core/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Offsets in the text. */
struct span {
	size_t start;       /* the '<' of the start tag */
	size_t name_len;    /* of its name, with a prefix, behind the '<' */
	size_t open_end;    /* behind the start tag */
	size_t close_start; /* the end tag; OPEN_END if there is none */
	size_t end;         /* behind it all */
	bool closed;        /* <x/>: there is no end tag */
};

/* Of every element, in the order of the start tags, which is that of the tree. */
struct spans {
	struct span *items;
	size_t count;
};

/* OUT is the caller's, ended with spans_clear. */
void markup_read(const char *text, size_t len, struct spans *out);
void spans_clear(struct spans *spans);
/* The white space that a line begins with, if nothing else is before AT on it: its length; SIZE_MAX
 * if there is more. */
size_t markup_indent(const char *text, size_t at);

/* Appends a value as text of a document. */
void markup_put_text(struct buf *out, const char *text);

#endif
