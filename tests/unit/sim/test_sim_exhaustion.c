/* A script of transactions over several areas, with RAM of 2, 3, 4, … frames until it goes through, and with the n-th
 * allocation of the host failing in turn: whatever is refused leaves everything as it was. */
#include <stdlib.h>
#include <string.h>

#include "../core/failing_alloc.h"
#include "machine_fixture.h"

#define LAZY(start_, end_, flags_)                                                                                     \
    {                                                                                                                  \
        .range = {start_, end_}, .attr = {.flags = flags_, .backing = ASPACE_BACKING_LAZY }                            \
    }
#define EAGER(start_, end_, flags_)                                                                                    \
    {                                                                                                                  \
        .range = {start_, end_}, .attr = {.flags = flags_, .backing = ASPACE_BACKING_EAGER }                           \
    }
#define LINEAR(start_, end_, flags_, delta_)                                                                           \
    {                                                                                                                  \
        .range = {start_, end_}, .attr = {.flags = flags_, .backing = ASPACE_BACKING_LINEAR, .delta = delta_ }         \
    }

#define EDITS_MAX 4

/* One transaction: all of its edits or none. */
struct script_step {
    unsigned count;
    struct edit edits[EDITS_MAX];
};

static const struct script_step script[] = {
    /* frames at once, across two leaf tables */
    {1, {{.kind = EDIT_MAP, .area = EAGER(SPAN2 - 2, SPAN2 + 3, RW)}}},
    /* fixed addresses under another entry of the root */
    {1, {{.kind = EDIT_MAP, .area = LINEAR(SPAN4, SPAN4 + 3, RW | ASPACE_DEVICE, 0x100000)}}},
    /* frames at first use, across two tables of level 2 */
    {2,
     {{.kind = EDIT_MAP, .area = LAZY(SPAN3 - 2, SPAN3 + 2, RWX)},
      {.kind = EDIT_TOUCH, .area = LAZY(SPAN3 - 1, SPAN3 + 1, RWX)}}},
    /* the middle taken out and something else put in its place */
    {4,
     {{.kind = EDIT_UNMAP, .area = EAGER(SPAN2 - 1, SPAN2 + 1, RW)},
      {.kind = EDIT_MAP, .area = EAGER(SPAN2 - 1, SPAN2 + 1, RX)},
      {.kind = EDIT_PROTECT, .area = EAGER(SPAN2 - 2, SPAN2 - 1, RW), .flags = 0},
      {.kind = EDIT_PROTECT, .area = EAGER(SPAN2 + 1, SPAN2 + 3, RW), .flags = R | ASPACE_KERNEL}}},
    /* a move out of a table and back into its place, and one through it */
    {2,
     {{.kind = EDIT_MAP, .area = EAGER(3 * SPAN2 - 4, 3 * SPAN2 + 4, RW)},
      {.kind = EDIT_MOVE, .area = EAGER(3 * SPAN2 - 4, 3 * SPAN2 + 4, RW), .to = 2 * SPAN2 - 4}}},
    {2,
     {{.kind = EDIT_MOVE, .area = EAGER(2 * SPAN2 - 4, 2 * SPAN2 + 4, RW), .to = 3 * SPAN2 - 4},
      {.kind = EDIT_MOVE, .area = LAZY(SPAN3 - 2, SPAN3 + 2, RWX), .to = 9 * SPAN4}}},
    {1, {{.kind = EDIT_MOVE, .area = LINEAR(SPAN4, SPAN4 + 3, RW | ASPACE_DEVICE, 0x100000), .to = 5 * SPAN4 - 1}}},
    /* whole tables go, and something larger comes: the old frames are not free before the commit */
    {3,
     {{.kind = EDIT_UNMAP, .area = EAGER(3 * SPAN2 - 4, 3 * SPAN2 + 4, RW)},
      {.kind = EDIT_MAP, .area = EAGER(3 * SPAN2 - 8, 3 * SPAN2 + 8, RWX)},
      {.kind = EDIT_UNMAP, .area = LAZY(9 * SPAN4, 9 * SPAN4 + 4, RWX)}}},
    /* mapped, filled and unmapped again in one go */
    {4,
     {{.kind = EDIT_MAP, .area = LAZY(7 * SPAN4, 8 * SPAN4, RW)},
      {.kind = EDIT_TOUCH, .area = LAZY(7 * SPAN4 + SPAN3 - 1, 7 * SPAN4 + SPAN3 + 1, RW)},
      {.kind = EDIT_UNMAP, .area = LAZY(7 * SPAN4, 7 * SPAN4 + SPAN3, RW)},
      {.kind = EDIT_PROTECT, .area = LAZY(7 * SPAN4 + SPAN3, 8 * SPAN4, RW), .flags = R}}},
};

#define SCRIPT_STEPS (sizeof(script) / sizeof(script[0]))

static enum aspace_error try_step(struct machine *m, const struct script_step *step)
{
    for (unsigned i = 0; i < step->count; i++)
        if (machine_try(m, &step->edits[i]))
            return m->why.code;
    return ASPACE_OK;
}

static enum aspace_error run_step(struct machine *m, const struct script_step *step)
{
    if (try_step(m, step)) {
        m->backend->ops->rollback(m->backend);
        return m->why.code;
    }
    m->backend->ops->commit(m->backend);
    for (unsigned i = 0; i < step->count; i++)
        machine_follow(m, &step->edits[i]);
    return ASPACE_OK;
}

/* Every frame of data gets bytes of its own, so that a photograph tells them apart. */
static void scribble(struct machine *m)
{
    for (uint64_t f = 0; f < m->sim->frames.ram->fresh; f++) {
        if (frames_kind(&m->sim->frames, f) != FRAME_DATA)
            continue;
        frames_touch(&m->sim->frames, f);
        memset(frames_at(&m->sim->frames, f), (int)(f % 251 + 1), ASPACE_PAGE_SIZE);
    }
}

static void expect_refused(struct machine *m, struct machine_image *before)
{
    assert_int_equal(m->why.code, ASPACE_NO_MEMORY);
    assert_true(m->why.message[0]);
    machine_expect_same(m, before);
    machine_expect_sound(m);
}

/* Whether the script went through. */
static bool run_script(uint64_t frames)
{
    struct machine m;
    size_t done;

    machine_open(&m, frames);
    for (done = 0; done < SCRIPT_STEPS; done++) {
        struct machine_image *before = machine_photograph(&m);

        if (run_step(&m, &script[done])) {
            expect_refused(&m, before);
            break;
        }
        machine_forget_image(before);
        machine_expect_sound(&m);
        scribble(&m);
    }
    machine_close(&m);
    return done == SCRIPT_STEPS;
}

static void an_edit_that_uses_up_the_ram_leaves_everything_as_it_was(void **state)
{
    uint64_t frames = 2;

    (void)state;
    while (!run_script(frames))
        assert_true(frames++ < 1000);
    assert_true(frames > 40); /* so many refusals were seen */
}

/* Takes all frames but `left`; how many. */
static size_t hold_frames(struct machine *m, uint64_t left, uint64_t *held)
{
    size_t count = 0;

    while (frames_free(&m->sim->frames) > left)
        assert_true(frames_take(&m->sim->frames, FRAME_DATA, &held[count++]));
    return count;
}

static void let_frames_go(struct machine *m, const uint64_t *held, size_t count)
{
    while (count)
        frames_give(&m->sim->frames, held[--count]);
}

/* Each step is refused for want of frames as often as it takes, while all that came before had enough. */
static void each_edit_is_undone_at_every_frame_that_it_takes(void **state)
{
    unsigned refusals = 0;

    (void)state;
    for (size_t last = 0; last < SCRIPT_STEPS; last++) {
        struct machine m;
        uint64_t held[1000];

        machine_open(&m, 1000);
        for (size_t i = 0; i < last; i++)
            assert_int_equal(run_step(&m, &script[i]), ASPACE_OK);
        scribble(&m);
        for (uint64_t left = 0;; left++) {
            size_t count = hold_frames(&m, left, held);
            struct machine_image *before = machine_photograph(&m);
            enum aspace_error error = run_step(&m, &script[last]);

            if (error == ASPACE_OK)
                machine_forget_image(before);
            else
                machine_expect_same(&m, before);
            let_frames_go(&m, held, count);
            machine_expect_sound(&m);
            if (error == ASPACE_OK)
                break;
            assert_int_equal(error, ASPACE_NO_MEMORY);
            assert_true(m.why.message[0]);
            refusals++;
        }
        machine_expect_sound(&m);
        machine_close(&m);
    }
    assert_true(refusals > 30);
}

/* The log takes its memory afresh. */
static void drop_log(struct machine *m)
{
    free(m->sim->log);
    m->sim->log = NULL;
    m->sim->log_capacity = 0;
}

static void an_edit_whose_log_finds_no_memory_leaves_everything_as_it_was(void **state)
{
    unsigned refusals = 0;

    (void)state;
    for (size_t last = 0; last < SCRIPT_STEPS; last++) {
        for (unsigned nth = 1;; nth++) {
            struct machine m;
            struct machine_image *before;
            enum aspace_error error;
            bool fired;

            machine_open(&m, 1000);
            for (size_t i = 0; i < last; i++)
                assert_int_equal(run_step(&m, &script[i]), ASPACE_OK);
            scribble(&m);
            before = machine_photograph(&m);
            drop_log(&m);
            failing_alloc_arm(nth);
            error = try_step(&m, &script[last]);
            fired = failing_alloc_disarm();
            if (fired)
                assert_int_equal(error, ASPACE_NO_MEMORY);
            else
                assert_int_equal(error, ASPACE_OK);
            m.backend->ops->rollback(m.backend); /* what went through is undone as well */
            machine_expect_same(&m, before);
            machine_expect_sound(&m);
            machine_close(&m);
            if (!fired)
                break;
            refusals++;
        }
    }
    assert_true(refusals >= SCRIPT_STEPS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_that_uses_up_the_ram_leaves_everything_as_it_was),
        cmocka_unit_test(each_edit_is_undone_at_every_frame_that_it_takes),
        cmocka_unit_test(an_edit_whose_log_finds_no_memory_leaves_everything_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
