/* The ring and its followers. */
#include "rpc/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/peer.h"

#define BYTES_A_NOTICE 1024 /* on average, at most */

struct notice *notice_new(unsigned kind, const char *name, const char *text, size_t size)
{
    struct notice *notice = malloc(sizeof(*notice) + size);

    if (!notice)
        return NULL;
    notice->next = NULL;
    notice->kind = kind;
    notice->is_private = false;
    notice->size = size;
    snprintf(notice->name, sizeof(notice->name), "%s", name);
    memcpy(notice->bytes, text, size);
    return notice;
}

void feed_init(struct feed *feed, size_t capacity, enum notification_id notice, enum notification_id lost)
{
    *feed = (struct feed){.notice = notice, .lost = lost, .capacity = capacity, .first = 1};
}

static struct notice **slot(const struct feed *feed, uint64_t seq)
{
    return &feed->slots[seq % feed->capacity];
}

static size_t footprint(const struct notice *notice)
{
    return sizeof(*notice) + notice->size;
}

static void wake(struct peer *peer)
{
    if (peer->wake)
        peer->wake(peer);
}

/* ---- Who wants what ---- */

static bool wants_name(const struct follower *f, const char *name)
{
    for (size_t i = 0; i < f->name_count; i++) {
        size_t size = f->feed->by_prefix ? strlen(f->names[i]) : sizeof(f->names[i]);

        if (strncmp(f->names[i], name, size) == 0)
            return true;
    }
    return f->name_count == 0;
}

static bool wants(const struct follower *f, const struct notice *notice)
{
    if (notice->is_private && f->peer->who.is_guest)
        return false;
    return f->kinds >> notice->kind & 1 && wants_name(f, notice->name);
}

/* ---- Following ---- */

struct follower *feed_follow(struct feed *feed, struct peer *peer, uint64_t id, uint32_t kinds,
                             char (*names)[ASPACE_NAME_MAX + 1], size_t name_count)
{
    struct follower *f;

    if (!feed->slots)
        feed->slots = calloc(feed->capacity, sizeof(struct notice *));
    f = feed->slots ? malloc(sizeof(*f)) : NULL;
    if (!f)
        return NULL;
    *f = (struct follower){.feed = feed,
                           .peer = peer,
                           .next = feed->followers,
                           .link = &feed->followers,
                           .next_of_peer = peer->followers,
                           .id = id,
                           .at = feed->last + 1,
                           .kinds = kinds,
                           .name_count = name_count,
                           .names = names};
    if (f->next)
        f->next->link = &f->next;
    feed->followers = f;
    peer->followers = f;
    return f;
}

uint64_t feed_rewind(struct follower *f, uint64_t since)
{
    uint64_t first = f->feed->first;

    f->at = since + 1 < first ? first : since + 1;
    if (f->at <= f->feed->last)
        wake(f->peer);
    return f->at - (since + 1);
}

void feed_leave(struct follower *f)
{
    struct follower **link = &f->peer->followers;

    while (*link != f)
        link = &(*link)->next_of_peer;
    *link = f->next_of_peer;
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    free(f->names);
    free(f);
}

/* ---- Publishing ---- */

/* The oldest goes; who has not seen it has lost it. */
static void drop_oldest(struct feed *feed)
{
    uint64_t seq = feed->first++;
    struct notice *notice = *slot(feed, seq);

    for (struct follower *f = feed->followers; f; f = f->next) {
        if (f->at > seq)
            continue;
        f->at = seq + 1;
        f->lost += wants(f, notice);
    }
    *slot(feed, seq) = NULL;
    feed->bytes -= footprint(notice);
    free(notice);
}

void feed_publish(struct feed *feed, struct notice *notice)
{
    size_t size = footprint(notice);

    while (feed->first <= feed->last &&
           (feed->last - feed->first + 1 >= feed->capacity || feed->bytes + size > feed->capacity * BYTES_A_NOTICE))
        drop_oldest(feed);
    feed->last++;
    feed->bytes += size;
    *slot(feed, feed->last) = notice;
    for (struct follower *f = feed->followers; f; f = f->next) {
        if (wants(f, notice))
            wake(f->peer);
        else if (f->at == feed->last)
            f->at++;
    }
}

void feed_lose(struct feed *feed, const char *name, uint64_t count)
{
    if (!feed->slots || !count)
        return;
    for (; feed->first <= feed->last;) /* numbers without a notice: what is kept has no gap */
        drop_oldest(feed);
    feed->last += count;
    feed->first = feed->last + 1;
    for (struct follower *f = feed->followers; f; f = f->next) {
        f->at = feed->first;
        f->lost += wants_name(f, name) ? count : 0;
        wake(f->peer);
    }
}

void feed_free(struct feed *feed)
{
    while (feed->followers)
        feed_leave(feed->followers);
    while (feed->slots && feed->first <= feed->last)
        drop_oldest(feed);
    free(feed->slots);
    feed->slots = NULL;
}

/* ---- Telling ---- */

static void begin(const struct follower *f, enum notification_id id, struct json_writer *out)
{
    out->comma = false;
    json_begin_object(out);
    json_name_string(out, "jsonrpc", "2.0");
    json_name_string(out, "method", notifications[id].name);
    json_name(out, "params");
    json_begin_object(out);
    if (f->feed->numbered)
        json_name_uint(out, "subscription", f->id);
}

static void end(struct json_writer *out)
{
    json_end_object(out);
    json_end_object(out);
}

static void tell_lost(struct follower *f, struct json_writer *out)
{
    begin(f, f->feed->lost, out);
    json_name_uint(out, "lost", f->lost);
    end(out);
    f->lost = 0;
}

static void tell(const struct follower *f, uint64_t seq, const struct notice *notice, struct json_writer *out)
{
    begin(f, f->feed->notice, out);
    if (f->feed->numbered)
        json_name_uint(out, "seq", seq);
    if (out->comma)
        json_bytes(out, ",", 1);
    json_bytes(out, notice->bytes, notice->size);
    end(out);
}

static bool next_of(struct follower *f, struct json_writer *out)
{
    if (f->lost) {
        tell_lost(f, out);
        return true;
    }
    while (f->at <= f->feed->last) {
        uint64_t seq = f->at++;
        const struct notice *notice = *slot(f->feed, seq);

        if (wants(f, notice)) {
            tell(f, seq, notice, out);
            return true;
        }
    }
    return false;
}

bool feed_next(struct peer *peer, struct json_writer *out)
{
    for (struct follower *f = peer->followers; f; f = f->next_of_peer)
        if (next_of(f, out))
            return true;
    return false;
}
