/* Reading the text of /proc/PID/maps (proc(5)), strictly. */
#ifndef CTL_MAPS_H
#define CTL_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row. */
struct maps_row {
    uint64_t start;
    uint64_t end;   /* one past the last byte; greater than start, both page-aligned */
    char flags[16]; /* as the protocol has them: "rw-", "rw-,shared" */
    char *tag;      /* the pathname column made fit for a tag; NULL if it is empty; owned */
    bool cut;       /* the tag is only the end of it, for want of room */
    size_t line;    /* from 1 */
};

struct maps {
    struct maps_row *rows;
    size_t count;
    size_t capacity;
};

#define MAPS_PROBLEM_MAX 200

/* Reads all of `text`. False if a row is malformed or there is no memory: `problem` (of MAPS_PROBLEM_MAX bytes) says
 * which line and why, and nothing is to be freed. */
bool maps_read(const char *text, size_t size, struct maps *ret, char *problem);
void maps_free(struct maps *maps);

#endif
