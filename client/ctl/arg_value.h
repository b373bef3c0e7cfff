/* Values as people type them, judged before anything is sent. */
#ifndef CTL_ARG_VALUE_H
#define CTL_ARG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/methods.h"

bool arg_is_utf8(const char *text);

/* For a TYPE_CHOICE. */
bool arg_is_choice(const struct param_spec *spec, const char *text);

/* "a, b or c"; cut at `size`. */
void arg_list_choices(const struct param_spec *spec, char *buffer, size_t size);

/* What a value of that type looks like, in words; NULL if `text` does. Choices are not looked at. */
const char *arg_wanted(const struct param_spec *spec, const char *text);

/* "LO-HI": where HI starts; NULL if it is not two addresses. */
const char *arg_range_high(const char *text);

#endif
