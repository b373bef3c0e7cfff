/* Results for people, one function a method. */
#ifndef CTL_PRINT_H
#define CTL_PRINT_H

#include <cjson/cJSON.h>

#include "ctl/args.h"

/* Prints `result` to standard output. STATUS_DONE, or STATUS_REFUSED when the result is bad news (a failed check). */
typedef int print_fn(const struct args *args, const cJSON *result);

/* By enum method_id; NULL: the result is printed as JSON. */
print_fn *print_for(enum method_id id);

/* Text from elsewhere, without what a terminal would obey. */
void print_clean(const char *text);

/* "0x1000-0x3000 rw- lazy", with the tag (cut if it is long) when there is one, safe to print. Returns `buffer` of
 * AREA_TEXT_MAX. */
#define AREA_TEXT_MAX 480
char *area_text(const cJSON *area, char *buffer);

/* What makes the area real, with the physical address of a linear one. Returns `buffer` of BACKING_TEXT_MAX. */
#define BACKING_TEXT_MAX 64
char *backing_text(const cJSON *area, char *buffer);

/* Ends the line of an event or a difference: the area before, the area after. */
void print_change(const cJSON *event);

/* One member a line: names, values; sizes with their unit; nested ones indented. */
void print_members(const cJSON *object, int indent);

/* print_daemon.c */
int print_discover(const struct args *args, const cJSON *result);
int print_stats(const struct args *args, const cJSON *result);
/* openmetrics.c: the result of daemon.stats */
void print_openmetrics(const cJSON *stats);
/* print_memory.c */
int print_walk(const struct args *args, const cJSON *result);
int print_access(const struct args *args, const cJSON *result);
/* print_inject.c */
int print_injected(const struct args *args, const cJSON *result);
int print_uninjected(const struct args *args, const cJSON *result);
int print_faults(const struct args *args, const cJSON *result);
/* print_snapshot.c */
int print_snapshot(const struct args *args, const cJSON *result);
int print_restore(const struct args *args, const cJSON *result);
int print_drop(const struct args *args, const cJSON *result);
int print_snapshots(const struct args *args, const cJSON *result);
int print_diff(const struct args *args, const cJSON *result);

#endif
