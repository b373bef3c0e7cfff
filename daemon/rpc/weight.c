/* How long a request may take, guessed from what it may touch: what is long runs on a worker, so that the loop goes on
 * serving others. */
#include "rpc/request.h"

/* Pages, areas and frames, all counted alike; a worker is worth its handing over from about 100 us on. */
#define LONG 4096

/* What there is in the space to be touched. */
static uint64_t held(const struct space *space)
{
    struct space_summary summary = space_count(space);

    return summary.areas + summary.frames.used;
}

static uint64_t in_snapshots(const struct space *space)
{
    return space->kept.data + space->kept.tables + space->kept.areas;
}

/* What a method that is about all of a space may touch beside that. */
static uint64_t held_beside(const struct call *call)
{
    uint64_t beside = in_snapshots(call->space);

    return call->other && call->other != call->space ? beside + held(call->other) + in_snapshots(call->other) : beside;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Pages that an edit by range makes real, or finds there. */
static uint64_t weigh_range(const struct method *method, const struct params *params, uint64_t in_space)
{
    enum param_id size = params_has(params, PARAM_NEW_SIZE) ? PARAM_NEW_SIZE : PARAM_SIZE;
    uint64_t pages = params_has(params, size) ? params->value[size].number >> ASPACE_PAGE_BITS : in_space;

    if (method->traits & METHOD_MAPS && params->value[PARAM_BACKING].number != ASPACE_BACKING_LAZY)
        return pages;
    if (params_has(params, PARAM_NEW_SIZE) || params_has(params, PARAM_NEW_START))
        return in_space + pages; /* an area of any size moves, and perhaps grows */
    return least(pages, in_space);
}

static uint64_t weigh(const struct method *method, const struct params *params, uint64_t in_space)
{
    if (method->traits & METHOD_BY_RANGE)
        return weigh_range(method, params, in_space);
    return method->traits & METHOD_BY_SPACE ? in_space : 1;
}

/* The operations of a space.apply, up to the first that will be refused. */
static uint64_t weigh_ops(const struct call *call, uint64_t in_space)
{
    const struct json_doc *doc = call->params->doc;
    uint32_t ops = call->params->value[PARAM_OPS].token;
    uint64_t sum = 0;

    for (uint32_t token = ops + 1; token < doc->tokens[ops].next && sum <= LONG; token = doc->tokens[token].next) {
        const struct method *method;
        struct refusal why;
        struct params params;

        if (op_bind(doc, token, &why, &method, &params))
            break;
        sum += 1 + weigh(method, &params, in_space);
    }
    return sum;
}

bool request_is_long(const struct call *call)
{
    uint64_t in_space;

    if (!call->space || !(call->method->traits & (METHOD_BY_RANGE | METHOD_BY_SPACE | METHOD_MANY)))
        return false;
    in_space = held(call->space);
    if (call->method->traits & METHOD_MANY)
        return weigh_ops(call, in_space) > LONG;
    if (call->method->traits & METHOD_BY_SPACE)
        in_space += held_beside(call);
    return weigh(call->method, call->params, in_space) > LONG;
}
