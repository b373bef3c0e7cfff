/* What the edits of a memory set have in common. Private to memory_set*.c. */
#ifndef CORE_MEMORY_SET_EDIT_H
#define CORE_MEMORY_SET_EDIT_H

#include <inttypes.h>

#include "core/memory_set.h"
#include "core/plan.h"

#define ADDR "0x%" PRIx64

/* The frame: begin, plan, reserve, ask the backend, settle, commit; fail from anywhere between. In a transaction the backend
 * and the generation wait for its end, and a failure leaves it to be rolled back as a whole. */
void edit_begin(struct memory_set *set, struct range range, struct plan *plan);
enum aspace_error edit_reserve(struct memory_set *set, struct plan *plan, struct refusal *why);
enum aspace_error edit_fail(struct memory_set *set, struct plan *plan, struct refusal *why);
enum aspace_error edit_settle(struct memory_set *set, struct refusal *why);
void edit_commit(struct memory_set *set, struct plan *plan);

/* The backend's steps since the last commit, and the notes of them. */
void undo_steps(struct memory_set *set);

/* Notes a step that the backend is not asked for. */
static inline void note_step(struct memory_set *set, enum aspace_event kind, const struct area *before,
                             const struct area *after)
{
    if (set->backend->watch)
        watch_note(set->backend->watch, kind, before, after);
}

/* NotFound at the first page of the plan's range that no area holds, if holes are to be refused. */
enum aspace_error edit_check_holes(const struct plan *plan, enum aspace_holes holes, struct refusal *why);

/* What a cut takes away. */
struct removal {
    uint64_t pages;
    size_t removed; /* areas gone whole */
    size_t cuts;    /* edges of the range that lie inside an area */
};

/* Plans the removal of what lies in the plan's range, with `middle` (may be NULL) in its place. Adds to *sum. */
enum aspace_error plan_cut(struct plan *plan, const struct area *middle, struct removal *sum, struct refusal *why);
void count_removal(struct memory_set *set, const struct removal *sum);

/* Asks the backend to unmap what lies in the plan's range. */
enum aspace_error apply_unmap(struct memory_set *set, const struct plan *plan, struct refusal *why);

enum aspace_error refuse_overlap(struct range range, const struct area *in_the_way, struct refusal *why);

#endif
