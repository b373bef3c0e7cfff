/* Makes the n-th allocation fail, in programs linked with -Wl,--wrap=malloc and its like. */
#ifndef TEST_FAILING_ALLOC_H
#define TEST_FAILING_ALLOC_H

#include <stdbool.h>

/* From here on the n-th allocation returns NULL, once; 0 lets all pass. Counts anew. */
void failing_alloc_arm(unsigned nth);

/* Lets all pass again; whether the armed one was reached. */
bool failing_alloc_disarm(void);

/* Allocations since it was armed. */
unsigned failing_alloc_count(void);

#endif
