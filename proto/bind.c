/* A request's params against the method table: what is missing, unknown or of the wrong shape is refused here, so that
 * handlers see values. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/methods.h"

_Static_assert(PARAM_COUNT <= 64, "struct params has a bit for each");

#define INTEGER_MAX (UINT64_C(1) << 53)
#define QUOTE_MAX   64

/* ---- Saying what is wrong ---- */

/* The text of a token as it was written, on one line, ASCII, and not too long: what is cut ends in three dots. */
static const char *quote(const struct json_doc *doc, uint32_t token, char buffer[QUOTE_MAX])
{
    const struct json_token *t = &doc->tokens[token];
    bool quoted = t->type == JSON_STRING;
    const char *text = doc->text + t->start - quoted;
    size_t size = t->end - t->start + 2u * quoted;
    const char *end = size < QUOTE_MAX ? "" : quoted ? "...\"" : "...";

    size = *end ? QUOTE_MAX - 1 - strlen(end) : size;
    for (size_t i = 0; i < size; i++)
        buffer[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : text[i] == '\n' || text[i] == '\t' ? ' ' : '?';
    strcpy(buffer + size, end);
    return buffer;
}

static void join_choices(const char *const *choices, char *buffer, size_t capacity)
{
    size_t used = 0;

    for (size_t i = 0; choices[i]; i++) {
        size_t size = strlen(choices[i]);

        if (used + size + 3 > capacity)
            break;
        memcpy(buffer + used, ", ", used ? 2 : 0);
        used += used ? 2 : 0;
        memcpy(buffer + used, choices[i], size);
        used += size;
    }
    buffer[used] = '\0';
}

/* What a value of each type is not, and what to write instead. */
static const char *const type_complaints[] = {
    [TYPE_ADDR] = "an address: write \"0x...\" or a decimal string, below 2^64",
    [TYPE_SIZE] = "a size: write \"0x...\", a decimal string, or either with K, M, G or T after it, below 2^64",
    [TYPE_COUNT] = "a count: write an integer from 0 to 2^53 without fraction or exponent",
    [TYPE_BOOL] = "true or false",
    [TYPE_NAME] = "a name: write 1 to 64 of A-Z a-z 0-9 . _ - with no . or - first",
    [TYPE_TEXT] = "a text of 1 to 1023 bytes of UTF-8 without NUL",
    [TYPE_CHOICE] = "one of ",
    [TYPE_FLAGS] = "flags: write r or -, w or -, x or -, then attributes, such as \"rw-\" or \"r-x,kernel\"",
    [TYPE_FLAGS_CHANGE] = "flags such as \"rw-,kernel\" nor a change of them such as \"+w\" or \"+r-w,-global\"",
    [TYPE_RANGE] = "a range: write [lo, hi], an array of two addresses",
    [TYPE_BASE64] = "base64 with padding (RFC 4648) in a string",
    [TYPE_HEX] = "pairs of hex digits in a string",
    [TYPE_SPACE_AT] = "a space's name, or SPACE@SNAPSHOT",
    [TYPE_NAMES] = "an array of at least one name: 1 to 64 of A-Z a-z 0-9 . _ - with no . or - first",
    [TYPE_CHOICES] = "an array of at least one of ",
    [TYPE_TEXTS] = "an array of at least one text",
    [TYPE_OPS] = "an array of operations, each with a method and params",
};

static enum aspace_error refuse_param(const struct param_spec *spec, const struct json_doc *doc, uint32_t token,
                                      struct refusal *why)
{
    char quoted[QUOTE_MAX];
    char choices[240] = "";

    if (spec->choices)
        join_choices(spec->choices, choices, sizeof(choices));
    refuse(why, ASPACE_INVALID_PARAMS, "%s %s is not %s%s", param_names[spec->id], quote(doc, token, quoted),
           type_complaints[spec->type], choices);
    why->param = param_names[spec->id];
    return why->code;
}

/* A name that the table does not have, or what fits of it. */
static void name_other_param(const struct json_doc *doc, uint32_t name, struct refusal *why)
{
    const struct json_token *t = &doc->tokens[name];
    size_t most = sizeof(why->other_param) - 1;
    size_t size;

    if (json_unescape(doc, name, why->other_param, sizeof(why->other_param), &size))
        return;
    size = t->escaped ? 0 : t->end - t->start < most ? t->end - t->start : most;
    while (size && ((unsigned char)doc->text[t->start + size] & 0xc0) == 0x80)
        size--; /* not within a character */
    memcpy(why->other_param, doc->text + t->start, size);
    why->other_param[size] = '\0';
}

static enum aspace_error refuse_other_param(const struct method *method, const struct json_doc *doc, uint32_t name,
                                            struct refusal *why)
{
    char quoted[QUOTE_MAX];

    refuse(why, ASPACE_INVALID_PARAMS, "%s has no parameter %s", method->name, quote(doc, name, quoted));
    name_other_param(doc, name, why);
    return why->code;
}

/* ---- Values ---- */

static size_t span(const struct json_token *t)
{
    return t->end - t->start;
}

/* Digits alone, so no minus, fraction or exponent. */
static bool read_integer(const struct json_doc *doc, uint32_t token, uint64_t *ret)
{
    const struct json_token *t = &doc->tokens[token];
    const char *text = doc->text + t->start;

    return t->type == JSON_NUMBER && number_parse(text, span(t), false, ret) && *ret <= INTEGER_MAX;
}

/* A string's text without its escapes: where it lies if it has none, else in `buffer`. NULL if it is too long. */
static const char *plain_text(const struct json_doc *doc, uint32_t token, char *buffer, size_t capacity,
                              size_t *ret_size)
{
    const struct json_token *t = &doc->tokens[token];

    if (t->type != JSON_STRING)
        return NULL;
    if (t->escaped)
        return json_unescape(doc, token, buffer, capacity, ret_size) ? buffer : NULL;
    *ret_size = span(t);
    return doc->text + t->start;
}

static bool read_number(const struct json_doc *doc, uint32_t token, bool suffix, uint64_t *ret)
{
    char buffer[80];
    size_t size;
    const char *text;

    if (doc->tokens[token].type == JSON_NUMBER)
        return read_integer(doc, token, ret);
    text = plain_text(doc, token, buffer, sizeof(buffer), &size);
    return text && number_parse(text, size, suffix, ret);
}

static bool read_range(const struct json_doc *doc, uint32_t token, struct param_value *ret)
{
    uint32_t low = token + 1;

    if (doc->tokens[token].type != JSON_ARRAY || doc->tokens[token].count != 2)
        return false;
    return read_number(doc, low, false, &ret->number) && read_number(doc, doc->tokens[low].next, false, &ret->high);
}

static bool read_flags(const struct json_doc *doc, uint32_t token, bool change, struct flags_change *ret)
{
    char buffer[160];
    size_t size;
    const char *text = plain_text(doc, token, buffer, sizeof(buffer), &size);

    return text && flags_parse(text, size, change, ret);
}

static bool read_choice(const struct json_doc *doc, uint32_t token, const char *const *choices, struct param_value *ret)
{
    if (doc->tokens[token].type != JSON_STRING)
        return false;
    for (uint64_t i = 0; choices[i]; i++) {
        if (json_equals(doc, token, choices[i])) {
            ret->number = i;
            ret->text = choices[i];
            return true;
        }
    }
    return false;
}

static bool read_choices(const struct json_doc *doc, uint32_t token, const char *const *choices,
                         struct param_value *ret)
{
    struct param_value one;

    if (doc->tokens[token].type != JSON_ARRAY || doc->tokens[token].count == 0)
        return false;
    for (uint32_t at = token + 1; at < doc->tokens[token].next; at = doc->tokens[at].next) {
        if (!read_choice(doc, at, choices, &one))
            return false;
        ret->number |= UINT64_C(1) << one.number;
    }
    return true;
}

/* Puts a string of 1 to `most` bytes into the scratch. */
static bool read_text(struct params *p, uint32_t token, size_t most, struct param_value *ret, size_t *ret_size)
{
    char *place = p->scratch + p->scratch_size;
    size_t room = sizeof(p->scratch) - p->scratch_size;

    if (p->doc->tokens[token].type != JSON_STRING ||
        !json_unescape(p->doc, token, place, room < most + 1 ? room : most + 1, ret_size) || *ret_size == 0)
        return false;
    p->scratch_size += *ret_size + 1;
    ret->text = place;
    return true;
}

static bool is_name(const char *text, size_t size)
{
    if (text[0] == '.' || text[0] == '-')
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return false;
    }
    return true;
}

/* SPACE or SPACE@SNAPSHOT: two texts in the scratch. */
static bool read_space_at(struct params *p, uint32_t token, struct param_value *ret)
{
    char *text = p->scratch + p->scratch_size;
    size_t size;
    char *at;

    if (!read_text(p, token, 2 * ASPACE_NAME_MAX + 1, ret, &size))
        return false;
    at = memchr(text, '@', size);
    if (!at)
        return size <= ASPACE_NAME_MAX && is_name(text, size);
    *at = '\0';
    ret->number = (uint64_t)(at + 1 - text);
    size -= ret->number;
    return at > text && at - text <= ASPACE_NAME_MAX && is_name(text, (size_t)(at - text)) && size > 0 &&
           size <= ASPACE_NAME_MAX && is_name(at + 1, size);
}

static bool are_names(const struct json_doc *doc, uint32_t token)
{
    char buffer[ASPACE_NAME_MAX + 1];
    size_t size;

    if (doc->tokens[token].type != JSON_ARRAY || doc->tokens[token].count == 0)
        return false;
    for (uint32_t at = token + 1; at < doc->tokens[token].next; at = doc->tokens[at].next) {
        if (doc->tokens[at].type != JSON_STRING || !json_unescape(doc, at, buffer, sizeof(buffer), &size) || !size ||
            !is_name(buffer, size))
            return false;
    }
    return true;
}

static bool read_value(struct params *p, const struct param_spec *spec, uint32_t token, struct param_value *ret)
{
    const struct json_doc *doc = p->doc;
    size_t size;

    switch (spec->type) {
    case TYPE_ADDR:
    case TYPE_SIZE:
        return read_number(doc, token, spec->type == TYPE_SIZE, &ret->number);
    case TYPE_COUNT:
        return read_integer(doc, token, &ret->number);
    case TYPE_BOOL:
        ret->number = doc->tokens[token].type == JSON_TRUE;
        return ret->number || doc->tokens[token].type == JSON_FALSE;
    case TYPE_OPS:
        return doc->tokens[token].type == JSON_ARRAY;
    case TYPE_TEXTS:
        return doc->tokens[token].type == JSON_ARRAY && doc->tokens[token].count > 0;
    case TYPE_NAMES:
        return are_names(doc, token);
    case TYPE_CHOICES:
        return read_choices(doc, token, spec->choices, ret);
    case TYPE_NAME:
        return read_text(p, token, ASPACE_NAME_MAX, ret, &size) && is_name(ret->text, size);
    case TYPE_SPACE_AT:
        return read_space_at(p, token, ret);
    case TYPE_TEXT:
        return read_text(p, token, ASPACE_TAG_MAX, ret, &size);
    case TYPE_CHOICE:
        return read_choice(doc, token, spec->choices, ret);
    case TYPE_FLAGS:
    case TYPE_FLAGS_CHANGE:
        return read_flags(doc, token, spec->type == TYPE_FLAGS_CHANGE, &ret->change);
    case TYPE_RANGE:
        return read_range(doc, token, ret);
    case TYPE_BASE64:
    case TYPE_HEX:
        return doc->tokens[token].type == JSON_STRING;
    }
    return false;
}

/* ---- Params ---- */

static enum aspace_error bind_one(struct params *p, const struct param_spec *spec, uint32_t token, struct refusal *why)
{
    struct param_value *value = &p->value[spec->id];

    value->token = token;
    if (!read_value(p, spec, token, value))
        return refuse_param(spec, p->doc, token, why);
    p->present |= UINT64_C(1) << spec->id;
    return ASPACE_OK;
}

/* The params of a method; in an operation of space.apply all but the first, which is space. */
struct taken {
    const struct method *method;
    size_t first;
};

static const struct param_spec *find_param(struct taken taken, const struct json_doc *doc, uint32_t name)
{
    const struct method *method = taken.method;

    for (size_t i = taken.first; i < method->param_count; i++) {
        enum param_id id = method->params[i].id;

        if (json_equals_n(doc, name, param_names[id], param_name_sizes[id]))
            return &method->params[i];
    }
    return NULL;
}

/* Each member is either known and new, or ends this: so even a huge object costs no more than the method has params. */
static enum aspace_error bind_by_name(struct params *p, struct taken taken, uint32_t object, struct refusal *why)
{
    const struct json_doc *doc = p->doc;
    uint32_t end = doc->tokens[object].next;

    for (uint32_t at = object + 1; at < end; at = doc->tokens[at + 1].next) {
        const struct param_spec *spec = find_param(taken, doc, at);

        if (!spec)
            return refuse_other_param(taken.method, doc, at, why);
        if (params_has(p, spec->id)) {
            refuse(why, ASPACE_INVALID_PARAMS, "%s is given twice", param_names[spec->id]);
            why->param = param_names[spec->id];
            return why->code;
        }
        if (bind_one(p, spec, at + 1, why))
            return why->code;
    }
    return ASPACE_OK;
}

static enum aspace_error bind_by_position(struct params *p, struct taken taken, uint32_t array, struct refusal *why)
{
    const struct json_doc *doc = p->doc;
    uint32_t count = doc->tokens[array].count;
    uint32_t at = array + 1;

    size_t most = taken.method->param_count - taken.first;

    if (count > most)
        return refuse(why, ASPACE_INVALID_PARAMS, "%s has %zu parameters, not %" PRIu32, taken.method->name, most,
                      count);
    for (uint32_t i = 0; i < count; i++) {
        if (bind_one(p, &taken.method->params[taken.first + i], at, why))
            return why->code;
        at = doc->tokens[at].next;
    }
    return ASPACE_OK;
}

/* A required one is there, or what it may be missing for, never both. */
static enum aspace_error check_missing(const struct params *p, struct taken taken, struct refusal *why)
{
    const struct method *method = taken.method;

    for (size_t i = taken.first; i < method->param_count; i++) {
        const struct param_spec *spec = &method->params[i];
        bool replaced = spec->unless && params_has(p, spec->unless);

        if (!spec->required || params_has(p, spec->id) != replaced)
            continue;
        if (replaced)
            refuse(why, ASPACE_INVALID_PARAMS, "%s cannot stand beside %s", param_names[spec->id],
                   param_names[spec->unless]);
        else
            refuse(why, ASPACE_INVALID_PARAMS, "%s needs the parameter %s: %s", method->name, param_names[spec->id],
                   spec->doc);
        why->param = param_names[spec->id];
        return why->code;
    }
    return ASPACE_OK;
}

static enum aspace_error bind(struct taken taken, const struct json_doc *doc, uint32_t token, struct refusal *why,
                              struct params *ret)
{
    const struct method *method = taken.method;
    enum aspace_error error = ASPACE_OK;

    ret->doc = doc;
    ret->present = 0;
    ret->scratch_size = 0;
    for (size_t i = 0; i < method->param_count; i++)
        ret->value[method->params[i].id] = (struct param_value){0};
    if (token && doc->tokens[token].type == JSON_ARRAY)
        error = bind_by_position(ret, taken, token, why);
    else if (token)
        error = bind_by_name(ret, taken, token, why);
    return error ? error : check_missing(ret, taken, why);
}

enum aspace_error method_bind(const struct method *method, const struct json_doc *doc, uint32_t token,
                              struct refusal *why, struct params *ret)
{
    return bind((struct taken){method, 0}, doc, token, why, ret);
}

/* ---- Operations of space.apply ---- */

static enum aspace_error bad_op(struct refusal *why, const char *message)
{
    refuse(why, ASPACE_INVALID_PARAMS, "%s", message);
    why->param = param_names[PARAM_OPS];
    return why->code;
}

static const struct method *op_method(const struct json_doc *doc, uint32_t token)
{
    char name[64];
    size_t size;
    const struct method *method = NULL;

    if (token && doc->tokens[token].type == JSON_STRING && json_unescape(doc, token, name, sizeof(name), &size))
        method = method_by_name(name, size);
    return method && method->traits & METHOD_IN_APPLY ? method : NULL;
}

enum aspace_error op_bind(const struct json_doc *doc, uint32_t token, struct refusal *why,
                          const struct method **ret_method, struct params *ret)
{
    uint32_t params = doc->tokens[token].type == JSON_OBJECT ? json_member(doc, token, "params") : 0;

    if (doc->tokens[token].type != JSON_OBJECT || doc->tokens[token].count != 1 + (params != 0))
        return bad_op(why, "an operation is an object of method and params, and nothing else");
    *ret_method = op_method(doc, json_member(doc, token, "method"));
    if (!*ret_method)
        return bad_op(why, "method must be one that edits areas, such as \"area.map\"");
    if (params && doc->tokens[params].type != JSON_OBJECT && doc->tokens[params].type != JSON_ARRAY)
        return bad_op(why, "params must be an object or an array");
    return bind((struct taken){*ret_method, 1}, doc, params, why, ret);
}

/* ---- Bytes ---- */

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four letters, the last `padding` of which are "=", to 3 - padding bytes; bits past them must be 0. */
static bool decode_quad(const char *text, unsigned padding, uint8_t *out)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < 4; i++) {
        int value = i < 4 - padding ? sextet(text[i]) : 0;

        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
    }
    for (unsigned i = 0; i < 3 - padding; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    return padding == 0 || (bits & ((1u << 8 * padding) - 1)) == 0;
}

/* In place: what is written never passes what has been read. */
static bool decode_base64(char *text, size_t size, size_t *ret_size)
{
    uint8_t *out = (uint8_t *)text;
    unsigned padding = 0;

    if (size % 4)
        return false;
    if (size)
        padding = text[size - 1] != '=' ? 0 : text[size - 2] != '=' ? 1 : 2;
    for (size_t at = 0; at < size; at += 4) {
        unsigned here = at + 4 == size ? padding : 0;
        uint8_t bytes[3];

        if (!decode_quad(text + at, here, bytes))
            return false;
        memcpy(out, bytes, 3 - here);
        out += 3 - here;
    }
    *ret_size = (size_t)(out - (uint8_t *)text);
    return true;
}

static int nibble(char c)
{
    uint64_t value;
    char text[3] = {'0', 'x', c};

    return number_parse(text, sizeof(text), false, &value) ? (int)value : -1;
}

static bool decode_hex(char *text, size_t size, size_t *ret_size)
{
    uint8_t *out = (uint8_t *)text;

    if (size % 2)
        return false;
    for (size_t i = 0; i < size; i += 2) {
        int high = nibble(text[i]);
        int low = nibble(text[i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    *ret_size = size / 2;
    return true;
}

static const struct param_spec bytes_specs[] = {
    {.id = PARAM_DATA, .type = TYPE_BASE64},
    {.id = PARAM_HEX, .type = TYPE_HEX},
};

enum aspace_error params_bytes(const struct params *p, enum param_id id, struct refusal *why, uint8_t **ret,
                               size_t *ret_size)
{
    const struct param_spec *spec = &bytes_specs[id == PARAM_HEX];
    uint32_t token = p->value[id].token;
    size_t capacity = span(&p->doc->tokens[token]) + 1;
    char *text = malloc(capacity);
    size_t size;

    if (!text)
        return refuse_no_memory(why);
    if (!json_unescape(p->doc, token, text, capacity, &size) ||
        !(spec->type == TYPE_HEX ? decode_hex : decode_base64)(text, size, ret_size)) {
        free(text);
        return refuse_param(spec, p->doc, token, why);
    }
    *ret = (uint8_t *)text;
    return ASPACE_OK;
}

/* ---- Texts ---- */

#define TEXTS_MAX (128 * 1024) /* a string of execve's: MAX_ARG_STRLEN, include/uapi/linux/binfmts.h */

static enum aspace_error refuse_text(enum param_id id, uint32_t index, struct refusal *why)
{
    refuse(why, ASPACE_INVALID_PARAMS, "%s: number %" PRIu32 " is not a text of less than 128 KiB without NUL",
           param_names[id], index);
    why->param = param_names[id];
    return why->code;
}

enum aspace_error params_texts(const struct params *p, enum param_id id, struct refusal *why, char ***ret)
{
    const struct json_doc *doc = p->doc;
    uint32_t array = p->value[id].token;
    uint32_t count = doc->tokens[array].count;
    uint32_t at = array + 1;
    size_t bytes = doc->tokens[array].end - doc->tokens[array].start + count;
    char **texts = malloc((count + 1) * sizeof(*texts) + bytes);
    char *place = (char *)(texts + count + 1);

    if (!texts)
        return refuse_no_memory(why);
    for (uint32_t i = 0; i < count; i++, at = doc->tokens[at].next) {
        size_t size;

        if (doc->tokens[at].type != JSON_STRING || span(&doc->tokens[at]) >= TEXTS_MAX ||
            !json_unescape(doc, at, place, span(&doc->tokens[at]) + 1, &size)) {
            free(texts);
            return refuse_text(id, i, why);
        }
        texts[i] = place;
        place += size + 1;
    }
    texts[count] = NULL;
    *ret = texts;
    return ASPACE_OK;
}
