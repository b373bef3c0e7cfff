/* A libFuzzer target: the bytes are the numbers that the model of the memory set draws, so they are a script of edits
 * (map, unmap, protect, shrink, split, merge, move, by tag, transactions, backend failures), checked after each one. */
#include <stdlib.h>

#include "memory_set_model.h"

/* Small, so that edits meet one another and a step is quick. */
#define PAGES_MOST 600

struct script {
    struct model model; /* first: the source of numbers finds the rest behind it */
    const uint8_t *bytes;
    size_t size;
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* As many bytes as the number may need; 0 when none are left. */
static uint64_t roll(struct model *model, uint64_t below)
{
    struct script *script = (struct script *)model;
    uint64_t number = 0;

    for (uint64_t most = below - 1; most; most >>= 8) {
        number = number << 8 | (script->size ? *script->bytes : 0);
        script->bytes += script->size != 0;
        script->size -= script->size != 0;
    }
    return number % below;
}

/* What the test backend and the oracle find is an abort here, not the end of a cmocka test. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("CMOCKA_TEST_ABORT", "1", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct script script = {.model.roll = roll, .bytes = bytes, .size = size};

    model_open(&script.model, PAGES_MOST);
    while (script.size)
        model_step(&script.model);
    model_close(&script.model);
    return 0;
}
