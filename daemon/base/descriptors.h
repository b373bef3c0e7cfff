/* How many descriptors the daemon may have. */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

#include <stdint.h>

/* Those that neither a connection nor a space keeps: what a request opens while it runs is never lacking. */
#define DESCRIPTORS_FOR_WORK 16

/* As many as may be: the soft limit, which is low for the sake of programs that use select(), is raised to the hard one. Once,
 * before there are threads. */
void descriptors_raise(void);

/* For a program that we start: the limit that we were started with. In the child, async-signal-safe. */
void descriptors_restore(void);

/* Any thread; UINT64_MAX if there is no limit. */
uint64_t descriptors_limit(void);

#endif
