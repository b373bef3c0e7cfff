/* Notes of what edits did. */
#include "core/watch.h"

#include <stdlib.h>
#include <string.h>

static bool make_room(struct watch *watch)
{
    size_t capacity = watch->capacity ? watch->capacity * 2 : 16;
    struct note *notes;

    if (watch->lost || watch->count >= watch->most) /* after a gap nothing more: what is kept has none */
        return false;
    if (watch->count < watch->capacity)
        return true;
    notes = realloc(watch->notes, capacity * sizeof(*notes));
    if (!notes)
        return false;
    watch->notes = notes;
    watch->capacity = capacity;
    return true;
}

void watch_note(struct watch *watch, enum aspace_event kind, const struct area *before, const struct area *after)
{
    struct note *note;

    if (!make_room(watch)) {
        watch->lost++;
        return;
    }
    note = &watch->notes[watch->count++];
    *note = (struct note){.kind = kind, .has_before = before != NULL, .has_after = after != NULL};
    if (before)
        note->before = *before;
    if (after)
        note->after = *after;
}

void watch_commit(struct watch *watch, uint64_t generation)
{
    for (; watch->kept < watch->count; watch->kept++)
        watch->notes[watch->kept].generation = generation;
    watch->kept_lost = watch->lost;
    watch->generation = generation;
}

void watch_rollback(struct watch *watch)
{
    watch->count = watch->kept;
    watch->lost = watch->kept_lost;
}

void watch_target(struct watch *watch, enum aspace_event kind)
{
    if (!make_room(watch)) {
        watch->lost++;
        watch->kept_lost++;
        return;
    }
    memmove(&watch->notes[watch->kept + 1], &watch->notes[watch->kept],
            (watch->count - watch->kept) * sizeof(*watch->notes));
    watch->notes[watch->kept++] = (struct note){.kind = kind, .generation = watch->generation};
    watch->count++;
}

void watch_free(struct watch *watch)
{
    free(watch->notes);
    *watch = (struct watch){.most = watch->most, .generation = watch->generation};
}
