/*
 * Muster's own settings, which a cluster's nodes share: `<muster xmlns="urn:muster:1">` below
 * `config`, a part of the configuration and of every slice (muster-config(5), "Settings of
 * Muster").
 */
#ifndef MUSTER_CONFIG_SETTINGS_H
#define MUSTER_CONFIG_SETTINGS_H

#include "config/check.h"
#include "config/document.h"
#include "config/model.h"
#include "core/fileset.h"
#include "core/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* Numbers: field, element, least, most, and what it is where the configuration does not say. */
#define SETTINGS_NUMBERS(X)                                                                        \
	X(health_timeout, "health-timeout", 1, LIMIT_HOOK_SECONDS, WAIT_HEALTH / 1000)             \
	X(hook_timeout, "hook-timeout", 1, LIMIT_HOOK_SECONDS, WAIT_HOOK / 1000)                   \
	X(keep_revisions, "keep-revisions", 2, LIMIT_REVISIONS, 10)

struct settings {
	bool approve; /* a node's key counts once the admin approved it */
#define X(field, element, least, most, otherwise) uint32_t field;
	SETTINGS_NUMBERS(X) /* the timeouts in seconds */
#undef X
};

struct settings settings_default(void);
/* What is wrong with the settings of a merged configuration or a slice, for check(). */
void settings_check(const struct document *doc, const struct model *model,
		    struct findings *findings);
/*
 * The settings of a configuration; one that is not there, or that settings_check would refuse, has
 * its default.
 */
struct settings settings_read(const struct document *doc);
/* The same of the slice FILES, which is parsed for it; that is no work for the loop. */
struct settings settings_of_slice(const struct fileset *files);

#endif
