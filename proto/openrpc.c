/* rpc.discover: the method table as an OpenRPC 1.3 document. The schemas of the protocol's values stand below as JSON;
 * methods, params, results and errors come from the table. */
#include <stdio.h>
#include <string.h>

#include "aspace/version.h"
#include "proto/methods.h"

#define ADDRESS         "{\"$ref\":\"#/components/schemas/Address\"}"
#define SIZE            "{\"$ref\":\"#/components/schemas/Size\"}"
#define COUNT           "{\"$ref\":\"#/components/schemas/Count\"}"
#define FLAGS           "{\"$ref\":\"#/components/schemas/Flags\"}"
#define AREA            "{\"$ref\":\"#/components/schemas/Area\"}"
#define SPACE           "{\"$ref\":\"#/components/schemas/Space\"}"
#define RANGE           "{\"$ref\":\"#/components/schemas/Range\"}"
#define TEXT            "{\"type\":\"string\"}"
#define BOOL            "{\"type\":\"boolean\"}"
#define OR_NULL(schema) "{\"oneOf\":[" schema ",{\"type\":\"null\"}]}"
#define ARRAY(schema)   "{\"type\":\"array\",\"items\":" schema "}"

/* X("Name", "schema") */
#define SCHEMA_MAP(X)                                                                                                  \
    X("Address", "{\"title\":\"Address\",\"description\":\"64 bits: hex or decimal string, or an integer up to 2^53. " \
                 "Replies have hex strings.\",\"oneOf\":[{\"type\":\"string\","                                        \
                 "\"pattern\":\"^(0x[0-9a-fA-F]+|[0-9]+)$\"},"                                                         \
                 "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9007199254740992}]}")                                \
    X("Size",                                                                                                          \
      "{\"title\":\"Size\",\"description\":\"Bytes: as an address, in strings also with K, M, G or T (binary) "        \
      "after it. Replies have hex strings.\",\"oneOf\":[{\"type\":\"string\","                                         \
      "\"pattern\":\"^(0x[0-9a-fA-F]+|[0-9]+)[KkMmGgTt]?$\"},"                                                         \
      "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9007199254740992}]}")                                           \
    X("Count", "{\"title\":\"Count\",\"type\":\"integer\",\"minimum\":0,\"maximum\":9007199254740992}")                \
    X("Name", "{\"title\":\"Name\",\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$\"}")           \
    X("Text", "{\"title\":\"Text\",\"description\":\"At most 1023 bytes of UTF-8 without NUL.\","                      \
              "\"type\":\"string\",\"minLength\":1,\"maxLength\":1023}")                                               \
    X("Flags", "{\"title\":\"Flags\",\"description\":\"Permissions, then attributes, each no more than once.\","       \
               "\"type\":\"string\","                                                                                  \
               "\"pattern\":\"^[r-][w-][x-](,(kernel|global|device|uncached|shared))*$\"}")                            \
    X("FlagsChange", "{\"title\":\"FlagsChange\",\"description\":\"Flags, or a change of them such as +w, -x, +r-w "   \
                     "or +w,-global.\",\"type\":\"string\",\"minLength\":2}")                                          \
    X("Range", "{\"title\":\"Range\",\"description\":\"Half-open: [lo, hi).\",\"type\":\"array\",\"items\":" ADDRESS   \
               ",\"minItems\":2,\"maxItems\":2}")                                                                      \
    X("Base64", "{\"title\":\"Base64\",\"type\":\"string\",\"contentEncoding\":\"base64\"}")                           \
    X("Operation", "{\"title\":\"Operation\",\"description\":\"A method that edits areas; params without space.\","    \
                   "\"type\":\"object\",\"properties\":{\"method\":" TEXT ",\"params\":{\"type\":"                     \
                   "[\"object\",\"array\"]}},\"required\":[\"method\"],\"additionalProperties\":false}")               \
    X("SpaceAt", "{\"title\":\"SpaceAt\",\"description\":\"A space, or one of its snapshots: SPACE@SNAPSHOT.\","       \
                 "\"type\":\"string\",\"pattern\":"                                                                    \
                 "\"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}(@[A-Za-z0-9_][A-Za-z0-9._-]{0,63})?$\"}")                        \
    X("Hex", "{\"title\":\"Hex\",\"type\":\"string\",\"pattern\":\"^([0-9a-fA-F]{2})*$\"}")                            \
    X("Area",                                                                                                          \
      "{\"title\":\"Area\",\"type\":\"object\",\"properties\":{\"start\":" ADDRESS ",\"end\":" ADDRESS                 \
      ",\"size\":" SIZE ",\"flags\":" FLAGS ",\"backing\":" TEXT ",\"tag\":" TEXT ",\"pa\":" ADDRESS ",\"path\":" TEXT \
      ",\"offset\":" SIZE "},\"required\":[\"start\",\"end\",\"size\",\"flags\",\"backing\"]}")                        \
    X("Space", "{\"title\":\"Space\",\"type\":\"object\",\"properties\":{\"name\":" TEXT ",\"backend\":" TEXT          \
               ",\"arch\":" TEXT ",\"pid\":" COUNT ",\"agent\":" BOOL ",\"range\":" RANGE ",\"page_size\":" SIZE       \
               ",\"merge\":" TEXT ",\"generation\":" COUNT ",\"areas\":" COUNT ",\"mapped\":" SIZE                     \
               ",\"resident\":" SIZE ",\"tag\":" TEXT ",\"snapshots\":" COUNT                                          \
               "},\"required\":[\"name\",\"backend\",\"range\",\"page_size\",\"merge\",\"generation\",\"areas\","      \
               "\"mapped\",\"resident\"]}")                                                                            \
    X("Level", "{\"title\":\"Level\",\"description\":\"One page table entry of a walk.\",\"type\":\"object\","         \
               "\"properties\":{\"level\":" COUNT ",\"table\":" ADDRESS ",\"index\":" COUNT ",\"entry\":" ADDRESS      \
               ",\"flags\":" FLAGS ",\"present\":" BOOL ",\"leaf\":" BOOL                                              \
               "},\"required\":[\"level\",\"table\",\"index\",\"entry\",\"flags\",\"present\",\"leaf\"]}")             \
    X("TableEntry",                                                                                                    \
      "{\"title\":\"TableEntry\",\"type\":\"object\",\"properties\":{\"start\":" ADDRESS ",\"size\":" SIZE             \
      ",\"name\":" TEXT ",\"level\":" COUNT ",\"table\":" ADDRESS ",\"index\":" COUNT ",\"entry\":" ADDRESS            \
      ",\"flags\":" FLAGS ",\"present\":" BOOL ",\"leaf\":" BOOL ",\"count\":" COUNT ",\"pa\":" ADDRESS                \
      ",\"bits\":" TEXT                                                                                                \
      "},\"required\":[\"start\",\"size\",\"name\",\"level\",\"table\",\"index\",\"entry\",\"flags\",\"present\","     \
      "\"leaf\",\"count\",\"pa\",\"bits\"]}")                                                                          \
    X("Fault",                                                                                                         \
      "{\"title\":\"Fault\",\"type\":\"object\",\"properties\":{\"reason\":" TEXT ",\"addr\":" ADDRESS                 \
      ",\"code\":" COUNT ",\"area\":" OR_NULL(AREA) "},\"required\":[\"reason\",\"addr\",\"code\",\"area\"]}")         \
    X("Snapshot", "{\"title\":\"Snapshot\",\"description\":\"The space as it was at that generation.\","               \
                  "\"type\":\"object\",\"properties\":{\"name\":" TEXT ",\"generation\":" COUNT ",\"areas\":" COUNT    \
                  ",\"mapped\":" SIZE ",\"resident\":" SIZE                                                            \
                  "},\"required\":[\"name\",\"generation\",\"areas\",\"mapped\",\"resident\"]}")                       \
    X("Difference",                                                                                                    \
      "{\"title\":\"Difference\",\"description\":\"A piece that differs, as the event that would make it so.\","       \
      "\"type\":\"object\",\"properties\":{\"kind\":{\"type\":\"string\",\"enum\":[\"area.mapped\","                   \
      "\"area.unmapped\",\"area.protected\",\"area.split\",\"area.merged\"]},\"before\":" AREA ",\"after\":" AREA      \
      "},\"required\":[\"kind\"]}")                                                                                    \
    X("InjectedFault",                                                                                                 \
      "{\"title\":\"InjectedFault\",\"description\":\"As it was set, with the operations that it has seen and "        \
      "failed. "                                                                                                       \
      "It has either nth or every.\",\"type\":\"object\",\"properties\":{\"id\":" COUNT ",\"op\":" TEXT                \
      ",\"nth\":" COUNT ",\"every\":" COUNT ",\"within\":" RANGE ",\"error\":" TEXT ",\"count\":" COUNT                \
      ",\"seen\":" COUNT ",\"fired\":" COUNT "},\"required\":[\"id\",\"op\",\"error\",\"count\",\"seen\",\"fired\"]}")

#define REF(name) "{\"$ref\":\"#/components/schemas/" name "\"}"

static const char *const param_schemas[] = {
    [TYPE_ADDR] = ADDRESS,
    [TYPE_SIZE] = SIZE,
    [TYPE_COUNT] = COUNT,
    [TYPE_BOOL] = BOOL,
    [TYPE_NAME] = REF("Name"),
    [TYPE_TEXT] = REF("Text"),
    [TYPE_FLAGS] = FLAGS,
    [TYPE_FLAGS_CHANGE] = REF("FlagsChange"),
    [TYPE_RANGE] = RANGE,
    [TYPE_BASE64] = REF("Base64"),
    [TYPE_HEX] = REF("Hex"),
    [TYPE_OPS] = ARRAY(REF("Operation")),
    [TYPE_NAMES] = ARRAY(REF("Name")),
    [TYPE_SPACE_AT] = REF("SpaceAt"),
    [TYPE_TEXTS] = "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1}",
};

static const char *const field_schemas[] = {
    [FIELD_ADDR] = ADDRESS,
    [FIELD_SIZE] = SIZE,
    [FIELD_COUNT] = COUNT,
    [FIELD_BOOL] = BOOL,
    [FIELD_STRING] = TEXT,
    [FIELD_FLAGS] = FLAGS,
    [FIELD_BASE64] = REF("Base64"),
    [FIELD_OBJECT] = "{\"type\":\"object\"}",
    [FIELD_AREA] = AREA,
    [FIELD_AREA_OR_NULL] = OR_NULL(AREA),
    [FIELD_ADDR_OR_NULL] = OR_NULL(ADDRESS),
    [FIELD_AREAS] = ARRAY(AREA),
    [FIELD_SPACES] = ARRAY(SPACE),
    [FIELD_STRINGS] = ARRAY(TEXT),
    [FIELD_LEVELS] = ARRAY(REF("Level")),
    [FIELD_TABLE_ENTRIES] = ARRAY(REF("TableEntry")),
    [FIELD_FAULT] = REF("Fault"),
    [FIELD_RESULTS] = ARRAY("{\"type\":\"object\"}"),
    [FIELD_INJECTED_FAULTS] = ARRAY(REF("InjectedFault")),
    [FIELD_SNAPSHOTS] = ARRAY(REF("Snapshot")),
    [FIELD_DIFFERENCES] = ARRAY(REF("Difference")),
    [FIELD_RANGES] = ARRAY(RANGE),
};

static void member_json(struct json_writer *w, const char *name, const char *json)
{
    json_name(w, name);
    json_raw(w, json, strlen(json));
}

/* ---- Params ---- */

static void write_choices(struct json_writer *w, const struct param_spec *spec)
{
    json_begin_object(w);
    json_name_string(w, "type", "string");
    json_name(w, "enum");
    json_begin_array(w);
    for (size_t i = 0; spec->choices[i]; i++)
        json_string(w, spec->choices[i]);
    json_end_array(w);
    if (!spec->required && spec->type == TYPE_CHOICE)
        json_name_string(w, "default", spec->choices[0]);
    json_end_object(w);
}

static void write_array_of_choices(struct json_writer *w, const struct param_spec *spec)
{
    json_begin_object(w);
    json_name_string(w, "type", "array");
    json_name(w, "items");
    write_choices(w, spec);
    json_name_uint(w, "minItems", 1);
    json_end_object(w);
}

static void write_param(struct json_writer *w, const struct param_spec *spec)
{
    json_begin_object(w);
    json_name_string(w, "name", param_names[spec->id]);
    json_name_string(w, "summary", spec->doc);
    json_name_bool(w, "required", spec->required);
    if (spec->unless)
        json_name_string(w, "x-unless", param_names[spec->unless]);
    if (spec->fallback)
        json_name_string(w, "x-default", spec->fallback);
    if (spec->choices) {
        json_name(w, "schema");
        (spec->type == TYPE_CHOICE ? write_choices : write_array_of_choices)(w, spec);
    } else {
        member_json(w, "schema", param_schemas[spec->type]);
    }
    json_end_object(w);
}

/* ---- Results ---- */

static void write_field(struct json_writer *w, const struct field_spec *field)
{
    const char *schema = field_schemas[field->type];

    json_name(w, field->name);
    if (strncmp(schema, "{\"$ref\"", 7) != 0) {
        json_raw(w, schema, strlen(schema) - 1);
        json_name_string(w, "description", field->doc);
        json_bytes(w, "}", 1);
        return;
    }
    json_begin_object(w); /* in draft 7 nothing may stand beside $ref */
    json_name(w, "allOf");
    json_begin_array(w);
    json_raw(w, schema, strlen(schema));
    json_end_array(w);
    json_name_string(w, "description", field->doc);
    json_end_object(w);
}

static void write_object_schema(struct json_writer *w, const struct field_spec *fields, size_t count)
{
    json_begin_object(w);
    json_name_string(w, "type", "object");
    json_name(w, "properties");
    json_begin_object(w);
    for (size_t i = 0; i < count; i++)
        write_field(w, &fields[i]);
    json_end_object(w);
    json_name(w, "required");
    json_begin_array(w);
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].optional)
            json_string(w, fields[i].name);
    }
    json_end_array(w);
    json_end_object(w);
}

static void write_result(struct json_writer *w, const struct method *method)
{
    json_begin_object(w);
    json_name_string(w, "name", method->traits & METHOD_RETURNS_SPACE ? "space" : "result");
    if (method->traits & METHOD_RETURNS_SPACE) {
        member_json(w, "schema", SPACE);
    } else {
        json_name(w, "schema");
        write_object_schema(w, method->fields, method->field_count);
    }
    json_end_object(w);
}

/* ---- Errors ---- */

static void write_error_ref(struct json_writer *w, enum aspace_error code)
{
    char ref[80];

    snprintf(ref, sizeof(ref), "#/components/errors/%s", aspace_error_name(code));
    json_begin_object(w);
    json_name_string(w, "$ref", ref);
    json_end_object(w);
}

static void write_errors(struct json_writer *w, const struct method *method)
{
    json_begin_array(w);
    write_error_ref(w, ASPACE_INVALID_PARAMS);
    write_error_ref(w, ASPACE_INTERNAL_ERROR);
    for (size_t i = 0; method->errors[i]; i++)
        write_error_ref(w, method->errors[i]);
    json_end_array(w);
}

/* message is a text that differs from reply to reply; here it is what the code stands for. */
static void write_error(struct json_writer *w, enum aspace_error code)
{
    json_name(w, aspace_error_name(code));
    json_begin_object(w);
    json_name(w, "code");
    json_int(w, code);
    json_name_string(w, "message", aspace_error_text(code));
    json_name(w, "data");
    json_begin_object(w);
    json_name_string(w, "name", aspace_error_name(code));
    json_end_object(w);
    json_end_object(w);
}

static void write_components(struct json_writer *w)
{
    json_begin_object(w);
    json_name(w, "schemas");
    json_begin_object(w);
#define X(name, schema) member_json(w, name, schema);
    SCHEMA_MAP(X)
#undef X
    json_end_object(w);
    json_name(w, "errors");
    json_begin_object(w);
#define X(code, id, name, err, text) write_error(w, ASPACE_##id);
    ASPACE_ERROR_MAP(X)
#undef X
    json_end_object(w);
    json_end_object(w);
}

/* ---- The document ---- */

static void write_method(struct json_writer *w, const struct method *method)
{
    json_begin_object(w);
    json_name_string(w, "name", method->name);
    json_name_string(w, "summary", method->summary);
    json_name_string(w, "paramStructure", "either");
    json_name(w, "params");
    json_begin_array(w);
    for (size_t i = 0; i < method->param_count; i++)
        write_param(w, &method->params[i]);
    json_end_array(w);
    json_name(w, "result");
    write_result(w, method);
    json_name(w, "errors");
    write_errors(w, method);
    if (method->verb)
        json_name_string(w, "x-verb", method->verb);
    json_end_object(w);
}

static void write_info(struct json_writer *w)
{
    json_begin_object(w);
    json_name_string(w, "title", "aspaced");
    json_name_string(w, "description",
                     "Address spaces over a Unix socket: named sets of areas, simulated page tables.");
    json_name_string(w, "version", ASPACE_VERSION);
    json_end_object(w);
}

/* OpenRPC has no word for what a server tells unasked: an extension, each with the schema of its params. */
static void write_notification(struct json_writer *w, const struct notification *notification)
{
    json_begin_object(w);
    json_name_string(w, "name", notification->name);
    json_name_string(w, "summary", notification->summary);
    json_name(w, "params");
    write_object_schema(w, notification->fields, notification->field_count);
    json_end_object(w);
}

void methods_write_openrpc(struct json_writer *w)
{
    json_begin_object(w);
    json_name_string(w, "openrpc", "1.3.2");
    json_name(w, "info");
    write_info(w);
    json_name(w, "methods");
    json_begin_array(w);
    for (int i = 0; i < METHOD_COUNT; i++)
        write_method(w, &methods[i]);
    json_end_array(w);
    json_name(w, "components");
    write_components(w);
    json_name(w, "x-notifications");
    json_begin_array(w);
    for (int i = 0; i < NOTIFY_COUNT; i++)
        write_notification(w, &notifications[i]);
    json_end_array(w);
    json_end_object(w);
}
