/* Random edits, alone and in transactions, against the page oracle, everything compared after each. Prints its seed;
 * ASPACE_SEED repeats a run and ASPACE_STEPS sets its length. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "memory_set_model.h"

#define STEPS 20000

/* xorshift64*. */
static uint64_t roll(struct model *m, uint64_t below)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return (m->random * UINT64_C(2685821657736338717)) % below;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void random_edits_do_to_the_areas_what_they_do_to_an_array_of_pages(void **state)
{
    uint64_t seed = from_environment("ASPACE_SEED", (uint64_t)time(NULL));
    uint64_t steps = from_environment("ASPACE_STEPS", STEPS);
    struct model m = {
        .roll = roll, .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .trace = getenv("ASPACE_TRACE") != NULL};
    size_t most = 0;

    (void)state;
    if (!m.random)
        m.random = 1;
    printf("ASPACE_SEED=%" PRIu64 " ASPACE_STEPS=%" PRIu64 "\n", seed, steps);
    fflush(stdout);
    while (steps) {
        uint64_t left = model_open(&m, UINT64_MAX);

        for (; left && steps; left--, steps--) {
            model_step(&m);
            if (m.set.map.count > most)
                most = m.set.map.count;
        }
        model_close(&m);
    }
    printf("at most %zu areas\n", most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_edits_do_to_the_areas_what_they_do_to_an_array_of_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
