/* Reading members of a result's tree without caring whether they are there: the daemon is newer or older than we are. */
#ifndef CTL_JSON_TEXT_H
#define CTL_JSON_TEXT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* The string member, or "" if there is none. Borrowed from the tree. */
const char *json_text(const cJSON *object, const char *name);

/* An address, size or count; 0 if there is none. */
uint64_t json_number(const cJSON *object, const char *name);

bool json_has(const cJSON *object, const char *name);
bool json_true(const cJSON *object, const char *name);

#endif
