/* Making the noted steps real in the target, all or none.
 *
 * One action (one system call) needs one stopped thread and no undo: the kernel leaves the range whole if it refuses, but
 * for mprotect, whose pieces get their old flags back. More are made with every thread stopped, and what is unmapped
 * goes to a stash first (mremap), from where it can come back; only when all is done the stash is unmapped. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "ptrace/target.h"

#define ADDR          "0x%" PRIx64
#define RESERVE_PAGES 4 /* each a mapping of its own */
#define RESERVE_SIZE  ((uint64_t)RESERVE_PAGES * ASPACE_PAGE_SIZE)

/* Consecutive steps that are one system call. */
struct action {
    const struct step *first;
    size_t count;
    struct range range;      /* what the call is about */
    const struct step *over; /* a MAP in place of the unmapped pieces that come before it: MAP_FIXED; else NULL */
};

struct settling {
    struct target *t;
    struct action *actions;
    size_t action_count;
    struct remote_call *calls; /* the calls, and from `undo` on those that undo them, in the order of the calls */
    size_t count;
    struct remote_call *undo;
    size_t undo_count;
    const struct step **of; /* the step that calls[i] is for */
    size_t *undo_upto;      /* of undo[], those to be made when calls[0..i) were */
    uint64_t stash;         /* its last pages are the reserve */
    uint64_t stash_size;
    bool lost; /* what could not be put back is in the stash */
    uint64_t stash_used;
};

/* ---- Actions ---- */

static bool extends(const struct action *action, const struct step *step)
{
    const struct step *last = action->first + action->count - 1;

    if (action->over || step->kind != last->kind || step->area.range.start != action->range.end)
        return false;
    return step->kind == STEP_UNMAP || (step->kind == STEP_PROTECT && step->flags == last->flags);
}

/* Takes the unmaps just before a map into it where they lie inside its range. */
static size_t swallow(struct settling *s, const struct step *map)
{
    size_t count = 0;

    while (s->action_count) {
        const struct action *last = &s->actions[s->action_count - 1];

        if (last->over || last->first->kind != STEP_UNMAP || !range_contains(map->area.range, last->range))
            break;
        count += last->count;
        s->action_count--;
    }
    return count;
}

static void find_actions(struct settling *s)
{
    for (size_t i = 0; i < s->t->step_count; i++) {
        const struct step *step = &s->t->steps[i];
        size_t before;

        if (s->action_count && extends(&s->actions[s->action_count - 1], step)) {
            s->actions[s->action_count - 1].count++;
            s->actions[s->action_count - 1].range.end = step->area.range.end;
            continue;
        }
        before = step->kind == STEP_MAP ? swallow(s, step) : 0;
        s->actions[s->action_count++] =
            (struct action){step - before, before + 1, step->area.range, before ? step : NULL};
    }
}

/* ---- Calls ---- */

static int protection(uint16_t flags)
{
    return (flags & ASPACE_READ ? PROT_READ : 0) | (flags & ASPACE_WRITE ? PROT_WRITE : 0) |
           (flags & ASPACE_EXEC ? PROT_EXEC : 0);
}

static void call(struct settling *s, const struct step *step, long number, uint64_t a, uint64_t b, uint64_t c,
                 uint64_t d, uint64_t e, uint64_t f)
{
    s->of[s->count] = step;
    s->calls[s->count++] = (struct remote_call){.number = number, .args = {a, b, c, d, e, f}};
    s->undo_upto[s->count] = s->undo_count;
}

static void undo(struct settling *s, long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    s->undo[s->undo_count++] = (struct remote_call){.number = number, .args = {a, b, c, d, e}};
    s->undo_upto[s->count] = s->undo_count;
}

static uint64_t start_of(struct range range)
{
    return page_addr(range.start);
}

static void call_mmap(struct settling *s, const struct step *step, int fixed)
{
    const struct area *area = &step->area;
    bool file = step->fd >= 0;
    int flags = (area->attr.flags & ASPACE_SHARED ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS) | fixed;
    uint64_t offset = file ? page_addr(area->range.start + area->attr.delta) : 0;

    call(s, step, SYS_mmap, start_of(area->range), range_bytes(area->range), (uint64_t)protection(area->attr.flags),
         (uint64_t)flags, (uint64_t)(int64_t)step->fd, offset);
    undo(s, SYS_munmap, start_of(area->range), range_bytes(area->range), 0, 0, 0);
}

/* The last page of what is there is made longer: so it stays one mapping. */
static void call_grow(struct settling *s, const struct step *step)
{
    struct range range = step->area.range;

    call(s, step, SYS_mremap, start_of(range) - ASPACE_PAGE_SIZE, ASPACE_PAGE_SIZE,
         ASPACE_PAGE_SIZE + range_bytes(range), 0, 0, 0);
    undo(s, SYS_munmap, start_of(range), range_bytes(range), 0, 0, 0);
}

static void call_stash(struct settling *s, const struct step *step)
{
    uint64_t size = range_bytes(step->area.range);
    uint64_t to = s->stash + s->stash_used;

    s->stash_used += size;
    call(s, step, SYS_mremap, start_of(step->area.range), size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to, 0);
    undo(s, SYS_mremap, to, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, start_of(step->area.range));
}

static void call_protect(struct settling *s, const struct action *action)
{
    call(s, action->first, SYS_mprotect, start_of(action->range), range_bytes(action->range),
         (uint64_t)protection(action->first->flags), 0, 0, 0);
    for (size_t i = 0; i < action->count; i++) {
        const struct area *piece = &action->first[i].area;

        undo(s, SYS_mprotect, start_of(piece->range), range_bytes(piece->range),
             (uint64_t)protection(piece->attr.flags), 0, 0);
    }
}

static void call_move(struct settling *s, const struct step *step)
{
    uint64_t from = start_of(step->area.range);
    uint64_t size = range_bytes(step->area.range);
    uint64_t to = page_addr(step->to);

    call(s, step, SYS_mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to, 0);
    undo(s, SYS_mremap, to, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, from);
}

static void call_unmaps(struct settling *s, const struct action *action)
{
    size_t count = action->count - (action->over != NULL);

    if (s->stash)
        for (size_t i = 0; i < count; i++)
            call_stash(s, &action->first[i]);
    else if (!action->over)
        call(s, action->first, SYS_munmap, start_of(action->range), range_bytes(action->range), 0, 0, 0, 0);
}

static void make_calls(struct settling *s)
{
    for (size_t i = 0; i < s->action_count; i++) {
        const struct action *action = &s->actions[i];

        switch (action->over ? STEP_UNMAP : action->first->kind) {
        case STEP_UNMAP:
            call_unmaps(s, action);
            if (action->over)
                call_mmap(s, action->over, s->stash ? MAP_FIXED_NOREPLACE : MAP_FIXED);
            break;
        case STEP_MAP:
            call_mmap(s, action->first, MAP_FIXED_NOREPLACE);
            break;
        case STEP_GROW:
            call_grow(s, action->first);
            break;
        case STEP_PROTECT:
            call_protect(s, action);
            break;
        case STEP_MOVE:
            call_move(s, action->first);
            break;
        }
    }
}

/* ---- The stash ---- */

/* Bytes of all that is unmapped, if it must be able to come back, and of the reserve, if anything moves at all. */
static uint64_t stash_wanted(const struct settling *s)
{
    uint64_t size = 0;
    bool moves = false;

    if (s->action_count < 2)
        return 0;
    for (size_t i = 0; i < s->t->step_count; i++) {
        const struct step *step = &s->t->steps[i];

        moves |= step->kind == STEP_UNMAP || step->kind == STEP_MOVE;
        if (step->kind == STEP_UNMAP)
            size += range_bytes(step->area.range);
    }
    return moves ? size + RESERVE_SIZE : 0;
}

static uint64_t reserve_of(const struct settling *s)
{
    return s->stash + s->stash_size - RESERVE_SIZE;
}

/* mremap wants room for a few mappings more than it makes (mm/mremap.c), also on the way back, and then the target may
 * have no more: these are given up for it. */
static void make_reserve(struct settling *s)
{
    if (!s->stash)
        return;
    for (uint64_t i = 0; i < RESERVE_PAGES; i += 2)
        call(s, &s->t->steps[0], SYS_mprotect, reserve_of(s) + i * ASPACE_PAGE_SIZE, ASPACE_PAGE_SIZE, PROT_READ, 0, 0,
             0);
}

static void drop_reserve(struct settling *s)
{
    struct refusal why;
    int64_t result;

    if (s->stash)
        (void)tracer_call_one(s->t->tracer, SYS_munmap, (uint64_t[6]){reserve_of(s), RESERVE_SIZE}, &why, &result);
}

static enum aspace_error make_stash(struct settling *s, struct refusal *why)
{
    int64_t result;

    s->stash_size = stash_wanted(s);
    if (!s->stash_size)
        return ASPACE_OK;
    if (tracer_call_one(
            s->t->tracer, SYS_mmap,
            (uint64_t[6]){0, s->stash_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, (uint64_t)-1, 0},
            why, &result))
        return why->code;
    if (result < 0 && result >= -4095)
        return target_refusal(s->t, &s->t->steps[0], "mmap", result, why);
    s->stash = (uint64_t)result;
    return ASPACE_OK;
}

static void drop_stash(struct settling *s)
{
    struct refusal why;
    int64_t result;

    if (s->stash && !s->lost)
        (void)tracer_call_one(s->t->tracer, SYS_munmap, (uint64_t[6]){s->stash, s->stash_size}, &why, &result);
}

/* ---- Policy that needs the stopped threads ---- */

struct stack_check {
    const struct settling *s;
    struct refusal *why;
    enum aspace_error error;
};

static bool check_stack(void *arg, pid_t tid, uint64_t pointer)
{
    struct stack_check *check = arg;
    const struct target *t = check->s->t;

    for (size_t i = 0; i < t->step_count && !check->error; i++) {
        const struct step *step = &t->steps[i];
        bool keeps = step->kind == STEP_MAP || step->kind == STEP_GROW ||
                     (step->kind == STEP_PROTECT && step->flags & ASPACE_WRITE);

        if (keeps || !range_has_page(step->area.range, page_of(pointer)))
            continue;
        check->error = refuse(check->why, ASPACE_DENIED, "the page at " ADDR " is under the stack pointer of thread %d",
                              page_addr(page_of(pointer)), (int)tid);
        check->why->hint = "the thread would die at its next step; leave out the page, or choose another moment";
    }
    return !check->error;
}

static enum aspace_error check_stacks(const struct settling *s, struct refusal *why)
{
    struct stack_check check = {s, why, ASPACE_OK};

    tracer_each_stack(s->t->tracer, check_stack, &check);
    return check.error;
}

/* ---- All together ---- */

/* What the kernel refused, in the words of the one who asked. */
static enum aspace_error refused_call(struct settling *s, size_t at, struct refusal *why)
{
    static const struct {
        long number;
        const char *name;
    } names[] = {{SYS_mmap, "mmap"}, {SYS_munmap, "munmap"}, {SYS_mprotect, "mprotect"}, {SYS_mremap, "mremap"}};
    const char *name = "a system call";

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].number == s->calls[at].number)
            name = names[i].name;
    return target_refusal(s->t, s->of[at], name, s->calls[at].result, why);
}

/* Takes back calls[0 .. done), the last first; `half`: also what the next one, refused, may have done in part. */
static bool take_back(struct settling *s, size_t done, bool half)
{
    size_t count = s->undo_upto[half ? done + 1 : done];
    struct refusal why;
    bool whole = true;

    for (size_t i = count; i-- > 0;) {
        struct remote_call *back = &s->undo[i];
        bool partial = half && i >= s->undo_upto[done];

        if (tracer_call(s->t->tracer, back, 1, &why))
            return false;
        whole &= partial || !remote_call_failed(back);
    }
    return whole;
}

/* All back as it was after calls[0 .. done); *why says already why. */
static void give_back(struct settling *s, size_t done, bool half, struct refusal *why)
{
    tracer_extend(s->t->tracer);
    drop_reserve(s);
    if (take_back(s, done, half))
        return;
    s->lost = true;
    why->code = ASPACE_BAD_STATE;
    why->hint = "and the kernel did not let all be put back: look at the areas again";
}

static enum aspace_error run(struct settling *s, struct refusal *why)
{
    enum aspace_error error = tracer_call(s->t->tracer, s->calls, s->count, why);
    size_t done = 0;

    while (done < s->count && s->calls[done].done && !remote_call_failed(&s->calls[done]))
        done++;
    if (error) {
        if (tracer_threads(s->t->tracer) > 0) /* it came to no end in time: all are stopped still */
            give_back(s, done, false, why);
        return why->code;
    }
    if (done == s->count)
        return ASPACE_OK;
    refused_call(s, done, why);
    give_back(s, done, s->calls[done].number == SYS_mprotect, why);
    return why->code;
}

/* Calls, undos and their bounds: a step is at most one of each, a map over others one more; and the reserve's. */
static enum aspace_error take_memory(struct settling *s, struct refusal *why)
{
    size_t most = s->t->step_count + 1 + RESERVE_PAGES / 2;

    s->actions = calloc(most, sizeof(*s->actions));
    s->calls = calloc(most, sizeof(*s->calls));
    s->undo = calloc(most, sizeof(*s->undo));
    s->of = calloc(most, sizeof(*s->of));
    s->undo_upto = calloc(most + 1, sizeof(*s->undo_upto));
    if (s->actions && s->calls && s->undo && s->of && s->undo_upto)
        return ASPACE_OK;
    return refuse_no_memory(why);
}

static void free_memory(struct settling *s)
{
    free(s->actions);
    free(s->calls);
    free(s->undo);
    free(s->of);
    free(s->undo_upto);
}

static enum aspace_error settle_stopped(struct settling *s, struct refusal *why)
{
    enum aspace_error error;

    if (check_stacks(s, why) || make_stash(s, why))
        return why->code;
    make_reserve(s);
    make_calls(s);
    error = run(s, why);
    drop_stash(s);
    return error;
}

enum aspace_error target_settle(struct backend *backend, struct refusal *why)
{
    struct settling s = {.t = target_of(backend)};
    enum aspace_error error;

    if (!s.t->step_count) {
        target_end(s.t);
        return ASPACE_OK;
    }
    error = take_memory(&s, why);
    if (!error) {
        find_actions(&s);
        error = target_begin(s.t, s.action_count == 1 ? TRACER_ONE_THREAD : TRACER_ALL_THREADS, why);
    }
    if (!error)
        error = settle_stopped(&s, why);
    if (!error)
        target_end(s.t);
    free_memory(&s);
    return error;
}

/* ---- What a refusal means ---- */

struct meaning {
    int error;
    enum aspace_error code;
    const char *hint;
};

static const struct meaning meanings[] = {
    {ENOMEM, ASPACE_NO_MEMORY,
     "the target may be at vm.max_map_count mappings (a cut makes one more), at its RLIMIT_AS or RLIMIT_DATA, or out "
     "of memory; or it has just unmapped a part of the range itself: then read the areas again"},
    {EEXIST, ASPACE_ALREADY_EXISTS, "the target has mapped something there itself: read the areas again"},
    {EPERM, ASPACE_DENIED, "the mapping is sealed (mseal), or the address lies below vm.mmap_min_addr"},
    {EACCES, ASPACE_DENIED,
     "the file is not open for this, or the target forbids itself to make memory executable (MDWE, SELinux)"},
    {EAGAIN, ASPACE_NO_MEMORY, "the target may not lock more memory (RLIMIT_MEMLOCK)"},
    {EINVAL, ASPACE_BAD_STATE,
     "the kernel keeps this mapping as it is (huge pages want 2 MiB steps, special pages cannot be cut)"},
    {EFAULT, ASPACE_BAD_STATE,
     "there is a hole, or more than one mapping, where one was expected: read the areas again"},
    {ENODEV, ASPACE_UNSUPPORTED, "this file cannot be mapped"},
    {ETXTBSY, ASPACE_BUSY, "the file is being written to or executed"},
    {EOVERFLOW, ASPACE_INVALID_PARAM, "offset and size pass the largest file"},
};

enum aspace_error target_refusal(struct target *t, const struct step *step, const char *call_name, int64_t result,
                                 struct refusal *why)
{
    int error = (int)-result;
    const struct range *range = &step->area.range;

    (void)t;
    refuse(why, ASPACE_BAD_STATE, "the kernel refused %s for the range from " ADDR " to " ADDR ": %s (%s)", call_name,
           start_of(*range), range_last(*range), strerrordesc_np(error) ? strerrordesc_np(error) : "unknown error",
           strerrorname_np(error) ? strerrorname_np(error) : "?");
    for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++) {
        if (meanings[i].error != error)
            continue;
        why->code = meanings[i].code;
        why->hint = meanings[i].hint;
    }
    return why->code;
}
