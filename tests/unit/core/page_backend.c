/* Pages as array elements; every change is logged as the element that it replaced. */
#include "page_backend.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE "page 0x%" PRIx64

static struct page_backend *self(struct backend *backend)
{
    return (struct page_backend *)backend;
}

static uint64_t index_of(const struct page_backend *b, uint64_t page)
{
    uint64_t index = (page - b->base) & (PAGE_LIMIT - 1);

    if (page >= PAGE_LIMIT || index >= b->pages)
        fail_msg(PAGE " is outside the test backend's universe", page);
    return index;
}

struct page_entry *page_backend_at(struct page_backend *b, uint64_t page)
{
    return &b->entries[index_of(b, page)];
}

void page_backend_fail(struct page_backend *b, unsigned nth, enum aspace_error error)
{
    b->operations = 0;
    b->fail_at = nth;
    b->fail_with = error;
    b->fired = false;
}

/* ---- the log ---- */

/* Logs the entry and hands it out to be changed. */
static struct page_entry *change(struct page_backend *b, uint64_t page)
{
    uint64_t index = index_of(b, page);

    if (b->log_count == b->log_capacity)
        fail_msg("more changes in one transaction than the log holds");
    b->log[b->log_count++] = (struct page_undo){index, false, false, b->entries[index]};
    return &b->entries[index];
}

static void commit(struct backend *backend)
{
    struct page_backend *b = self(backend);

    if (b->failed)
        fail_msg("commit after an operation failed");
    for (size_t i = 0; i < b->log_count; i++)
        if (b->log[i].gone)
            free(b->log[i].old.frame);
    b->log_count = 0;
    b->commits++;
}

static void rollback(struct backend *backend)
{
    struct page_backend *b = self(backend);

    while (b->log_count) {
        struct page_undo *undo = &b->log[--b->log_count];
        struct page_entry *entry = &b->entries[undo->index];

        /* A frame that the older entry lacks was made since, or moved here and is its old place's again; one that the
         * newer lacks comes back with the older. */
        if (entry->frame && !undo->old.frame && !undo->moved)
            free(entry->frame);
        *entry = undo->old;
    }
    b->failed = false;
    b->rollbacks++;
}

/* ---- the operations ---- */

/* Counts an operation; true if it shall fail. */
static bool strikes(struct page_backend *b, struct refusal *why)
{
    if (b->failed)
        fail_msg("an operation after one that failed, without a rollback");
    if (!b->fail_at || ++b->operations != b->fail_at)
        return false;
    b->failed = true;
    b->fired = true;
    refuse(why, b->fail_with, "the test backend fails operation %u", b->fail_at);
    return true;
}

/* How far an operation gets: to its end, or to its middle if it fails. */
static uint64_t reach(const struct area *piece, bool fails)
{
    return fails ? piece->range.start + range_pages(piece->range) / 2 : piece->range.end;
}

static void check_piece(const struct area *piece)
{
    if (range_empty(piece->range) || piece->range.end > PAGE_LIMIT)
        fail_msg("an empty or impossible piece from " PAGE " to 0x%" PRIx64, piece->range.start, piece->range.end);
    if (piece->attr.backing != ASPACE_BACKING_LINEAR && piece->attr.delta != 0)
        fail_msg("a piece at " PAGE " that is not linear has a delta", piece->range.start);
}

static void check_entry(const struct page_entry *entry, const struct area_attr *attr, uint64_t page)
{
    if (!entry->identity)
        fail_msg(PAGE " is not mapped", page);
    if (entry->flags != attr->flags || entry->backing != attr->backing || entry->delta != attr->delta)
        fail_msg(PAGE " is mapped with other attributes than its piece says", page);
}

static enum aspace_error map(struct backend *backend, const struct area *area, struct refusal *why)
{
    struct page_backend *b = self(backend);
    bool fails = strikes(b, why);

    b->maps++;
    check_piece(area);
    b->identities++;
    for (uint64_t page = area->range.start; page < reach(area, fails); page++) {
        if (page_backend_at(b, page)->identity)
            fail_msg(PAGE " is mapped over", page);
        *change(b, page) = (struct page_entry){.identity = b->identities,
                                               .delta = area->attr.delta,
                                               .flags = area->attr.flags,
                                               .backing = area->attr.backing};
    }
    return fails ? why->code : ASPACE_OK;
}

static enum aspace_error unmap(struct backend *backend, const struct area *piece, struct refusal *why)
{
    struct page_backend *b = self(backend);
    bool fails = strikes(b, why);

    b->unmaps++;
    check_piece(piece);
    for (uint64_t page = piece->range.start; page < reach(piece, fails); page++) {
        check_entry(page_backend_at(b, page), &piece->attr, page);
        *change(b, page) = (struct page_entry){0};
        b->log[b->log_count - 1].gone = true;
    }
    return fails ? why->code : ASPACE_OK;
}

static enum aspace_error protect(struct backend *backend, const struct area *piece, uint16_t flags, struct refusal *why)
{
    struct page_backend *b = self(backend);
    bool fails = strikes(b, why);

    b->protects++;
    check_piece(piece);
    if (piece->attr.flags == flags)
        fail_msg("protect of a piece at " PAGE " that has these flags already", piece->range.start);
    for (uint64_t page = piece->range.start; page < reach(piece, fails); page++) {
        check_entry(page_backend_at(b, page), &piece->attr, page);
        change(b, page)->flags = flags;
    }
    return fails ? why->code : ASPACE_OK;
}

/* The entry with its frame goes from `page` to `to`; what it leads to in a linear area stays. */
static void move_page(struct page_backend *b, uint64_t page, uint64_t to)
{
    struct page_entry entry = *page_backend_at(b, page);

    if (page_backend_at(b, to)->identity)
        fail_msg(PAGE " is moved over", to);
    if (entry.backing == ASPACE_BACKING_LINEAR)
        entry.delta += page - to;
    *change(b, page) = (struct page_entry){0};
    *change(b, to) = entry;
    b->log[b->log_count - 1].moved = true;
}

static enum aspace_error move(struct backend *backend, const struct area *piece, uint64_t to, struct refusal *why)
{
    struct page_backend *b = self(backend);
    bool fails = strikes(b, why);
    struct area moved = {{to, to + range_pages(piece->range)}, {0}};

    b->moves++;
    check_piece(piece);
    check_piece(&moved);
    if (range_overlaps(piece->range, moved.range))
        fail_msg("a move from " PAGE " to 0x%" PRIx64 " that overlaps itself", piece->range.start, to);
    for (uint64_t page = piece->range.start; page < reach(piece, fails); page++) {
        check_entry(page_backend_at(b, page), &piece->attr, page);
        move_page(b, page, to + (page - piece->range.start));
    }
    return fails ? why->code : ASPACE_OK;
}

/* Gives `page` a frame of zeroes if it has none. */
static bool fill(struct page_backend *b, uint64_t page)
{
    struct page_entry *entry = page_backend_at(b, page);
    uint8_t *frame;

    if (entry->frame)
        return false;
    frame = calloc(1, ASPACE_PAGE_SIZE);
    assert_non_null(frame);
    change(b, page)->frame = frame;
    return true;
}

static void check_bytes(struct page_backend *b, const struct area *area, uint64_t addr, uint64_t size)
{
    if (!size || page_of(addr) < area->range.start || page_of(addr + (size - 1)) >= area->range.end)
        fail_msg("bytes at 0x%" PRIx64 " that are not inside their area", addr);
    for (uint64_t page = page_of(addr); page <= page_of(addr + (size - 1)); page++)
        check_entry(page_backend_at(b, page), &area->attr, page);
}

static enum aspace_error prepare_write(struct backend *backend, const struct area *area, uint64_t addr, uint64_t size,
                                       struct refusal *why)
{
    struct page_backend *b = self(backend);
    bool fails = strikes(b, why);

    b->prepares++;
    check_bytes(b, area, addr, size);
    fill(b, page_of(addr));
    if (fails)
        return why->code;
    for (uint64_t page = page_of(addr) + 1; page <= page_of(addr + (size - 1)); page++)
        fill(b, page);
    return ASPACE_OK;
}

/* Copies byte by byte, which is slow and plain. */
static void copy_bytes(struct page_backend *b, uint64_t addr, uint8_t *out, const uint8_t *in, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const struct page_entry *entry = page_backend_at(b, page_of(addr + i));
        uint64_t offset = (addr + i) & (ASPACE_PAGE_SIZE - 1);

        if (out)
            out[i] = entry->frame ? entry->frame[offset] : 0;
        else if (entry->frame)
            entry->frame[offset] = in[i];
        else
            fail_msg("a write to " PAGE " that was not prepared", page_of(addr + i));
    }
}

static enum aspace_error read_bytes(struct backend *backend, const struct area *area, uint64_t addr, void *buffer,
                                    size_t size, struct refusal *why)
{
    if (strikes(self(backend), why)) {
        self(backend)->failed = false; /* a read is no part of a transaction */
        return why->code;
    }
    check_bytes(self(backend), area, addr, size);
    copy_bytes(self(backend), addr, buffer, NULL, size);
    return ASPACE_OK;
}

static enum aspace_error write_bytes(struct backend *backend, const struct area *area, uint64_t addr,
                                     const void *buffer, size_t size, struct refusal *why)
{
    (void)why;
    check_bytes(self(backend), area, addr, size);
    copy_bytes(self(backend), addr, NULL, buffer, size);
    return ASPACE_OK;
}

static bool allows(struct backend *backend, const struct area *area, enum aspace_access kind, enum aspace_mode mode)
{
    static const uint16_t needs[] = {ASPACE_READ, ASPACE_WRITE, ASPACE_EXEC};

    (void)backend, (void)mode;
    return area->attr.flags & needs[kind];
}

static enum aspace_error access_page(struct backend *backend, const struct area *area, uint64_t addr,
                                     enum aspace_access kind, enum aspace_mode mode, struct refusal *why,
                                     struct access *ret)
{
    struct page_backend *b = self(backend);

    if (strikes(b, why))
        return why->code;
    *ret = (struct access){.outcome = ASPACE_OUTCOME_FAULT, .addr = addr, .reason = "unmapped"};
    if (!area)
        return ASPACE_OK;
    check_bytes(b, area, addr, 1);
    ret->reason = "protection";
    if (!allows(backend, area, kind, mode))
        return ASPACE_OK;
    *ret = (struct access){
        .outcome = fill(b, page_of(addr)) ? ASPACE_OUTCOME_FILLED : ASPACE_OUTCOME_HIT, .has_pa = true, .pa = addr + 1};
    return ASPACE_OK;
}

static void count_frames(struct backend *backend, struct frame_counts *ret)
{
    *ret = (struct frame_counts){0};
    for (uint64_t i = 0; i < self(backend)->pages; i++)
        ret->data += self(backend)->entries[i].frame != NULL;
    ret->used = ret->data;
}

static void destroy(struct backend *backend)
{
    struct page_backend *b = self(backend);

    for (uint64_t i = 0; i < b->pages; i++)
        free(b->entries[i].frame);
    if (b->destroyed)
        ++*b->destroyed;
    free(b->entries);
    free(b->log);
    free(b);
}

static const struct backend_ops page_backend_ops = {
    .name = "pages",
    .map = map,
    .unmap = unmap,
    .protect = protect,
    .move = move,
    .commit = commit,
    .rollback = rollback,
    .prepare_write = prepare_write,
    .read = read_bytes,
    .write = write_bytes,
    .access = access_page,
    .allows = allows,
    .count_frames = count_frames,
    .destroy = destroy,
};

/* ---- life, and looking at it ---- */

struct page_backend *page_backend_create(uint64_t base, uint64_t pages)
{
    struct page_backend *b = calloc(1, sizeof(*b));

    assert_non_null(b);
    b->head.ops = &page_backend_ops;
    b->base = base;
    b->pages = pages;
    b->log_capacity = PAGE_BACKEND_LOG * pages;
    b->entries = calloc(pages, sizeof(*b->entries));
    b->log = calloc(b->log_capacity, sizeof(*b->log));
    assert_non_null(b->entries);
    assert_non_null(b->log);
    return b;
}

void page_backend_expect(struct page_backend *b, const struct area_map *areas)
{
    struct area_cursor cursor;
    struct area area;
    uint64_t mapped = 0;

    if (b->log_count || b->failed)
        fail_msg("a transaction was left open");
    area_map_seek(areas, 0, &cursor);
    for (; area_cursor_get(&cursor, &area); area_cursor_next(&cursor))
        for (uint64_t page = area.range.start; page < area.range.end; page++)
            check_entry(page_backend_at(b, page), &area.attr, page);
    for (uint64_t i = 0; i < b->pages; i++)
        mapped += b->entries[i].identity != 0;
    if (mapped != areas->pages)
        fail_msg("%" PRIu64 " pages are mapped but the areas have %" PRIu64, mapped, areas->pages);
}

struct page_entry *page_backend_copy(const struct page_backend *b)
{
    struct page_entry *copy = malloc(b->pages * sizeof(*copy));

    assert_non_null(copy);
    memcpy(copy, b->entries, b->pages * sizeof(*copy));
    return copy;
}

static bool same_entry(const struct page_entry *x, const struct page_entry *y)
{
    return x->identity == y->identity && x->delta == y->delta && x->flags == y->flags && x->backing == y->backing &&
           x->frame == y->frame;
}

bool page_backend_same(const struct page_backend *b, const struct page_entry *copy)
{
    for (uint64_t i = 0; i < b->pages; i++)
        if (!same_entry(&b->entries[i], &copy[i]))
            return false;
    return true;
}
