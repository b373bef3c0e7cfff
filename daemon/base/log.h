/* Log lines for the daemon's human: on standard error, or in a file. Libraries do not log. Any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* X(LEVEL, "name", priority as in syslog(3)), most severe first. */
#define LOG_LEVEL_MAP(X)                                                                                               \
    X(ERROR, "error", 3)                                                                                               \
    X(WARNING, "warning", 4)                                                                                           \
    X(INFO, "info", 6)                                                                                                 \
    X(DEBUG, "debug", 7)

#define X(id, name, priority) LOG_##id,
enum log_level { LOG_LEVEL_MAP(X) };
#undef X

/* Lines below this level are dropped; LOG_INFO at first. Set before threads start. */
void log_set_level(enum log_level level);

/* The level by its name; -1 if there is none. */
int log_level_by_name(const char *name);

/* How lines begin on standard error: with "<6>" if it is the journal of systemd (its environment says so), else with
 * the program's name. Call it before threads start. */
void log_look_for_journal(void);

/* From here on lines go to the end of the file at `path` (borrowed), which is made if it is missing, with the time
 * before them. 0 or a negative errno value; then they go where they went. */
int log_open(const char *path);

/* Opens the file again, after it was moved away. 0 (also without a file) or a negative errno value; then lines go where
 * they went. */
int log_reopen(void);

/* One line, "aspaced: warning: …"; a newline is added. A log that cannot be written is lost, never waited for long. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
