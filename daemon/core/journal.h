/* What the edits of a transaction took out of the interval map, so that it can be put back. It takes all its memory,
 * nodes included, when an edit is noted: replaying cannot fail. */
#ifndef CORE_JOURNAL_H
#define CORE_JOURNAL_H

#include "core/area_map.h"

/* One edit: these areas stood in that window before it. */
struct journal_entry {
    struct range window;
    size_t first; /* index into the areas */
    size_t count;
};

/* Start from {0}. */
struct journal {
    struct journal_entry *entries;
    size_t count;
    size_t capacity;
    struct area *areas;
    size_t area_count;
    size_t area_capacity;
};

/* Notes what stands in `window`, before an edit of `map` that replaces just that; `taken` areas touch it. NoMemory. */
enum aspace_error journal_note(struct journal *journal, struct area_map *map, struct range window, size_t taken,
                               struct refusal *why);

/* Puts everything back, the last edit first. */
void journal_replay(struct journal *journal, struct area_map *map);

/* Forgets everything and frees it; the map may give back what was held for the replay. */
void journal_clear(struct journal *journal, struct area_map *map);

#endif
