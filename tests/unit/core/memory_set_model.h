/* Edits of a memory set over the test backend, alone and in transactions, each done to the page oracle too and all
 * compared after it. What is done is drawn from a source of numbers: random ones in a test, a fuzzer's bytes. */
#ifndef TEST_MEMORY_SET_MODEL_H
#define TEST_MEMORY_SET_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "page_oracle.h"

struct model;

/* A number below `below`, which is at least 1. */
typedef uint64_t model_roll_fn(struct model *model, uint64_t below);

/* Start from {.roll = …}. */
struct model {
    model_roll_fn *roll;
    uint64_t random; /* the source's own */
    struct memory_set set;
    struct page_backend *backend;
    struct oracle oracle;
    struct range bounds;
    struct refusal why;
    uint64_t long_odds; /* one range in so many may be long: 8 keeps a set thin, 400 lets it grow full */
    bool trace;         /* to stderr */
    bool refused;       /* an edit of the open transaction was */
};

/* Opens a set of at most `most` pages. Returns for how many steps: large sets need more to fill. */
uint64_t model_open(struct model *model, uint64_t most);
void model_close(struct model *model);

/* One step: an edit, a question or a transaction; fails the test unless all is as the oracle says. */
void model_step(struct model *model);

#endif
