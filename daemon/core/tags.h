/* The tags of one space: each text is kept once and areas carry its number. Texts that no area carries any more are
 * dropped when room is needed. Not thread-safe: the space's owner alone calls it. */
#ifndef CORE_TAGS_H
#define CORE_TAGS_H

#include "core/area_map.h"

struct tags {
    char **texts;    /* by id - 1; NULL where an id is free */
    uint32_t *slots; /* open hash table of ids; 0 is empty */
    uint32_t count;
    uint32_t capacity; /* of texts; the hash table has twice as many slots, a power of two */
    uint32_t lowest;   /* no index below it is free */
    bool keep;         /* nothing is dropped: areas that are gone may come back with their tags */
};

/* An empty table: {0}. */
void tags_free(struct tags *tags);

/* The same texts under the same ids, in an empty table. NoMemory, and it stays empty. */
enum aspace_error tags_copy(const struct tags *from, struct tags *to, struct refusal *why);

/* The id of `text`, which is copied if it is new. When the table is full, texts that no area of `map` carries go
 * first. NoMemory. */
enum aspace_error tags_intern(struct tags *tags, const struct area_map *map, const char *text, struct refusal *why,
                              uint32_t *ret);

/* The id of `text` if it is known, else 0. */
uint32_t tags_find(const struct tags *tags, const char *text);

/* The text of `id`, NULL for 0 (no tag). The table's; valid until the next tags_intern. */
const char *tags_text(const struct tags *tags, uint32_t id);

/* Checks the table: every text is found by its own id and no slot holds anything else, nothing free lies below `lowest`, the
 * counts are right. True if all hold; else false and `problem` (of `size` bytes) says in a sentence which one does not. */
bool tags_validate(const struct tags *tags, char *problem, size_t size);

#endif
