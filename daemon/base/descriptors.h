/* How many descriptors the daemon may have; the first three. */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

#include <stdbool.h>
#include <stdint.h>

/* A closed standard stream would be given to the next file or socket that we open: here it is to /dev/null. What is
 * written to a closed standard output fails as it should: the stand-in is read-only. False if it could not be opened. */
bool descriptors_fill_standard(void);

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
