/* The log: see log.h. */
#include "core/log.h"

#include "core/buf.h"
#include "core/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { LOG_LINE_MAX = 2048 }; /* bytes; longer lines are cut */

static const struct {
	const char *word;
	int priority;
} levels[] = {
#define X(name, word, priority) {word, priority},
	LOG_LEVELS(X)
#undef X
};

static enum log_level threshold = LOG_LEVEL_NOTICE;
static bool journal;

int log_level_parse(const char *word, enum log_level *level)
{
	if (strcasecmp(word, "warn") == 0)
		word = "warning";
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcasecmp(word, levels[i].word) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -1;
}

void log_setup(enum log_level level)
{
	threshold = level;
	journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_at(enum log_level level, const char *step, const char *object, const char *fmt, ...)
{
	char message[LOG_LINE_MAX], line[LOG_LINE_MAX + 256], now[TEXT_TIME_MAX];
	int n;
	va_list ap;

	if (level > threshold)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap); /* cut is fine */
	va_end(ap);
	if (journal)
		n = snprintf(line, sizeof(line), "<%d>%s%s%s: %s", levels[level].priority, step,
			     *object ? " " : "", object, message);
	else
		n = snprintf(line, sizeof(line), "%s %s %s%s%s: %s",
			     text_time(text_now(), now), levels[level].word, step,
			     *object ? " " : "", object, message);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	text_escape_in_place(line);
	line[n] = '\n';
	/*
	 * one write, so that lines of several processes do not mix; there is no one to tell if it
	 * fails
	 */
	if (write(STDERR_FILENO, line, (size_t)n + 1) < 0)
		return;
}
