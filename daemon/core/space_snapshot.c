/* Snapshots: spaces that nobody but their space knows, clones of it, and the way back to one. */
#include <stdlib.h>
#include <string.h>

#include "core/space.h"
#include "core/space_diff.h"

static size_t find(const struct space *space, const char *name)
{
    size_t i = 0;

    while (i < space->snapshot_count && strcmp(space->snapshots[i]->name, name) != 0)
        i++;
    return i;
}

enum aspace_error space_find_snapshot(const struct space *space, const char *name, struct refusal *why,
                                      struct space **ret)
{
    size_t i = find(space, name);

    if (i == space->snapshot_count) {
        refuse(why, ASPACE_NOT_FOUND, "space %s has no snapshot named %s", space->name, name);
        why->hint = "space.snapshots (aspacectl snapshots) lists those that it has";
        why->param = "name";
        return why->code;
    }
    *ret = space->snapshots[i];
    return ASPACE_OK;
}

/* ---- Keeping ---- */

static enum aspace_error check_new(const struct space *space, const char *name, size_t most, struct refusal *why)
{
    if (!space->backend->ops->clone || !space->backend->ops->restore)
        return refuse(why, ASPACE_UNSUPPORTED, "the %s backend has no snapshots", space->backend->ops->name);
    if (find(space, name) < space->snapshot_count) {
        refuse(why, ASPACE_ALREADY_EXISTS, "space %s has a snapshot named %s already", space->name, name);
        why->hint = "space.drop (aspacectl drop) forgets it";
        why->param = "name";
        return why->code;
    }
    if (space->snapshot_count >= most) {
        refuse(why, ASPACE_NO_MEMORY, "the limit of %zu snapshots of one space is reached", most);
        why->hint = "drop one, or start the daemon with a larger --max-snapshots";
    } else if (space->kept.areas + space->set.map.count > space->set.max_areas) {
        refuse(why, ASPACE_NO_MEMORY, "the snapshots of the space would have more areas than the limit of %zu",
               space->set.max_areas);
        why->hint = "drop one, or start the daemon with a larger --max-areas";
    } else {
        return ASPACE_OK;
    }
    return why->code;
}

static void count_kept(struct space *space, const struct space *snapshot, int sign)
{
    struct space_summary summary = space_summarize(snapshot);

    space->kept.data += sign > 0 ? summary.frames.data : -summary.frames.data;
    space->kept.tables += sign > 0 ? summary.frames.tables : -summary.frames.tables;
    space->kept.areas += sign > 0 ? summary.areas : -summary.areas;
}

enum aspace_error space_snapshot(struct space *space, const char *name, size_t most, struct refusal *why)
{
    struct space **snapshots;

    if (check_new(space, name, most, why))
        return why->code;
    snapshots = realloc(space->snapshots, (space->snapshot_count + 1) * sizeof(struct space *));
    if (!snapshots)
        return refuse_no_memory(why);
    space->snapshots = snapshots;
    if (space_clone(space, name, NULL, why, &snapshots[space->snapshot_count]))
        return why->code;
    snapshots[space->snapshot_count]->set.generation = space->set.generation;
    count_kept(space, snapshots[space->snapshot_count], 1);
    space->snapshot_count++;
    return ASPACE_OK;
}

enum aspace_error space_drop(struct space *space, const char *name, struct refusal *why)
{
    size_t i = find(space, name);
    struct space *snapshot;

    if (space_find_snapshot(space, name, why, &snapshot))
        return why->code;
    space->snapshot_count--;
    memmove(&space->snapshots[i], &space->snapshots[i + 1], (space->snapshot_count - i) * sizeof(struct space *));
    count_kept(space, snapshot, -1);
    space_destroy(snapshot);
    return ASPACE_OK;
}

/* ---- Going back ---- */

/* The space's own ids for the tags of the snapshot, by its ids less one. The areas that go keep theirs, too: who is told
 * of them wants their texts. */
static enum aspace_error learn_tags(struct space *space, const struct space *snapshot, uint32_t *ids,
                                    struct refusal *why)
{
    bool keep = space->tags.keep;

    space->tags.keep = true;
    for (uint32_t i = 0; i < snapshot->tags.capacity; i++) {
        const char *text = snapshot->tags.texts[i];

        if (text && tags_intern(&space->tags, &space->set.map, text, why, &ids[i])) {
            space->tags.keep = keep;
            return why->code;
        }
    }
    space->tags.keep = keep;
    return ASPACE_OK;
}

/* The snapshot's areas with the space's ids of tags. */
static enum aspace_error copy_areas(struct space *space, const struct space *snapshot, struct area_map *ret,
                                    struct refusal *why)
{
    uint32_t *ids = calloc((size_t)snapshot->tags.capacity + 1, sizeof(*ids));
    enum aspace_error error;

    if (!ids)
        return refuse_no_memory(why);
    error = learn_tags(space, snapshot, ids, why);
    if (!error)
        error = area_map_copy(&snapshot->set.map, ids, ret, why);
    free(ids);
    return error;
}

/* How the areas become those of the snapshot. */
static void note_changes(struct space *space, const struct area_map *after)
{
    const struct memory_set *set = &space->set;
    struct note notes[PIECE_NOTES];
    struct pieces pieces;
    struct piece piece;

    pieces_begin(&pieces, &set->map, &space->tags, after, &space->tags, set->merge == ASPACE_MERGE_AUTO,
                 set->map.bounds);
    while (pieces_next(&pieces, &piece)) {
        size_t count = piece_notes(&piece, notes);

        for (size_t i = 0; i < count; i++)
            watch_note(set->backend->watch, notes[i].kind, notes[i].has_before ? &notes[i].before : NULL,
                       notes[i].has_after ? &notes[i].after : NULL);
    }
}

enum aspace_error space_restore(struct space *space, const char *name, struct refusal *why)
{
    struct backend *backend = space->backend;
    struct space *snapshot;
    struct area_map map;

    if (!backend->ops->restore)
        return refuse(why, ASPACE_UNSUPPORTED, "the %s backend has no snapshots", backend->ops->name);
    if (space_find_snapshot(space, name, why, &snapshot))
        return why->code;
    if (snapshot->set.map.count > space->set.max_areas && snapshot->set.map.count > space->set.map.count)
        return refuse(why, ASPACE_NO_MEMORY, "the space would pass its limit of %zu areas", space->set.max_areas);
    area_map_init(&map, space->set.map.bounds);
    if (copy_areas(space, snapshot, &map, why) || backend->ops->restore(backend, snapshot->backend, why)) {
        area_map_clear(&map);
        return why->code;
    }
    if (backend->watch) /* nothing below can fail */
        note_changes(space, &map);
    memory_set_replace(&space->set, &map);
    return ASPACE_OK;
}
