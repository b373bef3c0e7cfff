/* The journal of a transaction. */
#include "core/journal.h"

#include <stdlib.h>

/* Room for `more` elements of `size` bytes behind `count`: the array, grown if need be, or NULL. */
static void *room(void *array, size_t count, size_t more, size_t size, size_t *capacity)
{
    size_t wanted = *capacity ? *capacity : 8;
    void *grown;

    if (*capacity - count >= more && array)
        return array;
    while (wanted - count < more)
        wanted *= 2;
    grown = realloc(array, wanted * size);
    if (grown)
        *capacity = wanted;
    return grown;
}

static bool make_room(struct journal *j, size_t areas)
{
    void *grown = room(j->entries, j->count, 1, sizeof(*j->entries), &j->capacity);

    if (!grown)
        return false;
    j->entries = grown;
    grown = room(j->areas, j->area_count, areas, sizeof(*j->areas), &j->area_capacity);
    if (!grown)
        return false;
    j->areas = grown;
    return true;
}

enum aspace_error journal_note(struct journal *journal, struct area_map *map, struct range window, size_t taken,
                               struct refusal *why)
{
    struct journal_entry entry = {window, journal->area_count, taken};
    struct area_cursor cursor;

    if (!make_room(journal, taken) || area_map_hold(map, taken))
        return refuse_no_memory(why);
    area_map_seek(map, window.start, &cursor);
    for (size_t i = 0; i < taken; i++) {
        area_cursor_get(&cursor, &journal->areas[journal->area_count++]);
        area_cursor_next(&cursor);
    }
    journal->entries[journal->count++] = entry;
    return ASPACE_OK;
}

void journal_replay(struct journal *journal, struct area_map *map)
{
    while (journal->count) {
        const struct journal_entry *entry = &journal->entries[--journal->count];

        area_map_replace(map, entry->window, journal->areas + entry->first, entry->count);
    }
    journal_clear(journal, map);
}

void journal_clear(struct journal *journal, struct area_map *map)
{
    area_map_unhold(map);
    if (!journal->capacity)
        return;
    free(journal->entries);
    free(journal->areas);
    *journal = (struct journal){0};
}
