/* Help, made from the method table. */
#ifndef CTL_HELP_H
#define CTL_HELP_H

#include <stdio.h>

#include "proto/methods.h"

/* `lead`, then "aspacectl map NAME START|any SIZE FLAGS [--replace] …", on as many lines as it takes. */
void help_usage(const struct method *method, const char *lead, FILE *file);

/* All verbs. */
void help_overview(FILE *file);

#endif
