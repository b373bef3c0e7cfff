/* Members of cJSON trees, by exact name. */
#include "ctl/json_text.h"

#include <string.h>

#include "proto/methods.h"

/* cJSON's numbers are doubles: counts are exact up to here. */
#define EXACT_MAX 9007199254740992.0

const char *json_text(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(member) ? member->valuestring : "";
}

uint64_t json_number(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    uint64_t value;

    if (cJSON_IsNumber(member) && member->valuedouble >= 0 && member->valuedouble <= EXACT_MAX)
        return (uint64_t)member->valuedouble;
    if (cJSON_IsString(member) && number_parse(member->valuestring, strlen(member->valuestring), false, &value))
        return value;
    return 0;
}

bool json_has(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);

    return member && !cJSON_IsNull(member);
}

bool json_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}
