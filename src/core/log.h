/*
 * The log: `step object: message` on stderr, one line each, lower case, no secrets. The step is the
 * word of the step in the table, the file and the manual, so that a line leads to its file.
 */
#ifndef MUSTER_CORE_LOG_H
#define MUSTER_CORE_LOG_H

/*
 * error: someone must act; warning: we coped; notice: configuration changed hands; info:
 * connections; debug: states
 */
#define LOG_LEVELS(X)                                                                              \
	X(ERROR, "error", 3)                                                                       \
	X(WARNING, "warning", 4)                                                                   \
	X(NOTICE, "notice", 5)                                                                     \
	X(INFO, "info", 6)                                                                         \
	X(DEBUG, "debug", 7)

enum log_level {
#define X(name, word, priority) LOG_LEVEL_##name,
	LOG_LEVELS(X)
#undef X
};

/* Parses a level in any case ("warn" is "warning"); 0, or -1 for another word. */
int log_level_parse(const char *word, enum log_level *level);

/*
 * Lines below LEVEL are dropped. Under systemd (JOURNAL_STREAM set) lines carry a priority instead
 * of a time.
 */
void log_setup(enum log_level level);

/* Writes one line; control characters in it are escaped, so text of a peer may be passed. */
void log_at(enum log_level level, const char *step, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_at(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
