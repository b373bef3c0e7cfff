/* Log lines on standard error for the daemon's human. Libraries do not log. Any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* X(LEVEL, "name"), most severe first. */
#define LOG_LEVEL_MAP(X)                                                                                               \
    X(ERROR, "error")                                                                                                  \
    X(WARNING, "warning")                                                                                              \
    X(INFO, "info")                                                                                                    \
    X(DEBUG, "debug")

#define X(id, name) LOG_##id,
enum log_level { LOG_LEVEL_MAP(X) };
#undef X

/* Lines below this level are dropped; LOG_INFO at first. Set before threads start. */
void log_set_level(enum log_level level);

/* The level by its name; -1 if there is none. */
int log_level_by_name(const char *name);

/* One line, "aspaced: warning: …"; a newline is added. A log that cannot be written is lost, never waited for long. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
