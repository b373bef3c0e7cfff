/* Interning of tags: an open hash table over an array of texts, swept instead of counted. */
#include "core/tags.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_FIRST_CAPACITY 16

void tags_free(struct tags *tags)
{
    for (uint32_t i = 0; i < tags->capacity; i++)
        free(tags->texts[i]);
    free(tags->texts);
    free(tags->slots);
    *tags = (struct tags){0};
}

enum aspace_error tags_copy(const struct tags *from, struct tags *to, struct refusal *why)
{
    if (!from->capacity)
        return ASPACE_OK;
    *to = (struct tags){.count = from->count, .capacity = from->capacity, .lowest = from->lowest};
    to->texts = calloc(from->capacity, sizeof(*to->texts));
    to->slots = malloc((size_t)from->capacity * 2 * sizeof(*to->slots));
    if (!to->texts || !to->slots) {
        to->capacity = 0; /* of which there is nothing to free */
        goto fail;
    }
    memcpy(to->slots, from->slots, (size_t)from->capacity * 2 * sizeof(*to->slots));
    for (uint32_t i = 0; i < from->capacity; i++) {
        if (!from->texts[i])
            continue;
        to->texts[i] = malloc(strlen(from->texts[i]) + 1);
        if (!to->texts[i])
            goto fail;
        strcpy(to->texts[i], from->texts[i]);
    }
    return ASPACE_OK;
fail:
    tags_free(to);
    return refuse_no_memory(why);
}

/* FNV-1a. */
static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u;

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 16777619u;
    return h;
}

static uint32_t mask(const struct tags *tags)
{
    return tags->capacity * 2 - 1;
}

/* The slot that holds `text`, or the empty one where it belongs. */
static uint32_t *slot_of(const struct tags *tags, const char *text)
{
    uint32_t i = hash(text) & mask(tags);

    while (tags->slots[i] && strcmp(tags->texts[tags->slots[i] - 1], text) != 0)
        i = (i + 1) & mask(tags);
    return &tags->slots[i];
}

static void rehash(struct tags *tags)
{
    memset(tags->slots, 0, (size_t)tags->capacity * 2 * sizeof(*tags->slots));
    for (uint32_t i = 0; i < tags->capacity; i++)
        if (tags->texts[i])
            *slot_of(tags, tags->texts[i]) = i + 1;
}

static void mark_used(const struct area_map *map, uint8_t *used)
{
    struct area_cursor cursor;
    struct area area;

    area_map_seek(map, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor))
        used[area.attr.tag] = 1;
}

/* Drops the texts that no area carries. */
static enum aspace_error sweep(struct tags *tags, const struct area_map *map, struct refusal *why)
{
    uint8_t *used = calloc((size_t)tags->capacity + 1, 1);

    if (!used)
        return refuse_no_memory(why);
    mark_used(map, used);
    for (uint32_t i = 0; i < tags->capacity; i++) {
        if (!tags->texts[i] || used[i + 1])
            continue;
        free(tags->texts[i]);
        tags->texts[i] = NULL;
        tags->count--;
    }
    free(used);
    tags->lowest = 0;
    rehash(tags);
    return ASPACE_OK;
}

static enum aspace_error grow(struct tags *tags, struct refusal *why)
{
    uint32_t capacity = tags->capacity ? tags->capacity * 2 : TAGS_FIRST_CAPACITY;
    uint32_t *slots = malloc((size_t)capacity * 2 * sizeof(*slots));
    char **texts = slots ? realloc(tags->texts, (size_t)capacity * sizeof(*texts)) : NULL;

    if (!texts) {
        free(slots);
        return refuse_no_memory(why);
    }
    memset(texts + tags->capacity, 0, (size_t)(capacity - tags->capacity) * sizeof(*texts));
    free(tags->slots);
    tags->texts = texts;
    tags->slots = slots;
    tags->capacity = capacity;
    rehash(tags);
    return ASPACE_OK;
}

/* A sweep that frees less than half is followed by growth, so that sweeps cost O(1) an intern over time. */
static enum aspace_error make_room(struct tags *tags, const struct area_map *map, struct refusal *why)
{
    if (tags->count < tags->capacity)
        return ASPACE_OK;
    if (tags->capacity && !tags->keep && sweep(tags, map, why))
        return why->code;
    return tags->count >= tags->capacity / 2 ? grow(tags, why) : ASPACE_OK;
}

/* The lowest free index; there is one. All steps between two sweeps together are no more than the capacity. */
static uint32_t free_index(struct tags *tags)
{
    while (tags->texts[tags->lowest])
        tags->lowest++;
    return tags->lowest;
}

enum aspace_error tags_intern(struct tags *tags, const struct area_map *map, const char *text, struct refusal *why,
                              uint32_t *ret)
{
    uint32_t known = tags_find(tags, text);
    size_t size = strlen(text) + 1;
    uint32_t index;
    char *copy;

    if (known) {
        *ret = known;
        return ASPACE_OK;
    }
    if (make_room(tags, map, why))
        return why->code;
    copy = malloc(size);
    if (!copy)
        return refuse_no_memory(why);
    memcpy(copy, text, size);
    index = free_index(tags);
    tags->texts[index] = copy;
    tags->count++;
    *slot_of(tags, copy) = index + 1;
    *ret = index + 1;
    return ASPACE_OK;
}

uint32_t tags_find(const struct tags *tags, const char *text)
{
    return tags->capacity ? *slot_of(tags, text) : 0;
}

const char *tags_text(const struct tags *tags, uint32_t id)
{
    return id ? tags->texts[id - 1] : NULL;
}

/* True if a search for the text of `id` ends at it. Trusts no slot, and ends in a table that has no empty one. */
static bool found_by_text(const struct tags *tags, uint32_t id)
{
    const char *text = tags->texts[id - 1];
    uint32_t i = hash(text) & mask(tags);

    for (uint32_t steps = 0; steps <= mask(tags) && tags->slots[i]; steps++, i = (i + 1) & mask(tags)) {
        uint32_t at = tags->slots[i];

        if (at <= tags->capacity && tags->texts[at - 1] && strcmp(tags->texts[at - 1], text) == 0)
            return at == id;
    }
    return false;
}

bool tags_validate(const struct tags *tags, char *problem, size_t size)
{
    uint32_t texts = 0;
    uint32_t slots = 0;

    for (uint32_t i = 0; i < tags->capacity; i++) {
        texts += tags->texts[i] != NULL;
        if (tags->texts[i] ? found_by_text(tags, i + 1) : i >= tags->lowest)
            continue;
        snprintf(problem, size, "tags: tag %" PRIu32 " is %s", i + 1,
                 tags->texts[i] ? "not found by its text" : "free, below the lowest free one");
        return false;
    }
    for (uint32_t i = 0; i < tags->capacity * 2; i++)
        slots += tags->slots[i] != 0;
    if (texts == tags->count && slots == tags->count)
        return true;
    snprintf(problem, size, "tags: %" PRIu32 " texts and %" PRIu32 " slots in use, but the table says %" PRIu32, texts,
             slots, tags->count);
    return false;
}
