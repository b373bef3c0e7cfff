/* What the edits of a space did, for who wants to tell others: notes of areas before and after each step. A watch hangs
 * at the backend (core/backend.h) while somebody wants to know; without one nothing here costs anything.
 *
 * Notes follow the transaction: what is noted before a rollback is forgotten, what is noted before a commit is kept, with
 * the generation that the commit made. A note that finds no memory is counted instead; the edit goes on. */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "aspace/types.h"
#include "core/area.h"

struct note {
    enum aspace_event kind;
    bool has_before;
    bool has_after;
    uint64_t generation; /* of the space when it has happened; set by the commit */
    struct area before;
    struct area after;
};

/* Start from {.most = …, .generation = the space's}. */
struct watch {
    size_t most; /* notes at once; what goes beyond is lost */
    struct note *notes;
    size_t count;
    size_t capacity;
    size_t kept;         /* notes of these that are committed */
    uint64_t generation; /* of the last commit */
    uint64_t lost;       /* notes that are not there, all of them after the kept ones */
    uint64_t kept_lost;
};

/* Notes a step of the edit at hand. `before` and `after` may be NULL. */
void watch_note(struct watch *watch, enum aspace_event kind, const struct area *before, const struct area *after);

/* The edit at hand is over: it made `generation`, or it is undone. */
void watch_commit(struct watch *watch, uint64_t generation);
void watch_rollback(struct watch *watch);

/* Notes what happened to a live target by itself (target.exec, target.exit): a rollback does not undo it. Between edits or in
 * the midst of one. */
void watch_target(struct watch *watch, enum aspace_event kind);

/* Frees the notes. */
void watch_free(struct watch *watch);

#endif
