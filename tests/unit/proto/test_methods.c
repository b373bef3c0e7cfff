/* The method table agrees with itself, and the pages made from it are current. */
#include "cmocka_all.h"

#include "proto/methods.h"

static bool is_one_line(const char *text)
{
    return text && *text && !strchr(text, '\n') && !strchr(text, '|') && text[strlen(text) - 1] != '.';
}

static void every_method_is_whole(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        const struct method *m = &methods[i];

        assert_int_equal(m->id, i);
        assert_true(is_one_line(m->summary));
        assert_non_null(m->errors);
        assert_ptr_equal(method_by_name(m->name, strlen(m->name)), m);
        assert_true((m->param_count == 0) == (m->params == NULL));
        assert_true((m->field_count == 0) == (m->fields == NULL));
        for (size_t e = 0; m->errors[e]; e++)
            assert_in_range(m->errors[e], ASPACE_INVALID_PARAM, ASPACE_TIMEOUT);
    }
    assert_null(method_by_name("area.ma", 7));
    assert_null(method_by_name("", 0));
}

static void a_method_is_found_by_its_whole_name_alone(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        char name[64];
        size_t size = strlen(methods[i].name);

        memcpy(name, methods[i].name, size + 1);
        assert_ptr_equal(method_by_name(name, size), &methods[i]);
        for (size_t at = 0; at < size; at++) {
            name[at] ^= 0x20;
            assert_null(method_by_name(name, size));
            name[at] ^= 0x20;
        }
        name[size] = 'x';
        assert_null(method_by_name(name, size + 1));
    }
    assert_null(method_by_name("", 0));
}

static void verbs_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (!methods[i].verb)
            continue; /* aspacectl has a verb of its own for it */
        assert_ptr_equal(method_by_verb(methods[i].verb), &methods[i]);
    }
    assert_null(method_by_verb("nonsense"));
}

static void check_param(const struct method *m, size_t i)
{
    const struct param_spec *p = &m->params[i];

    assert_in_range(p->id, 0, PARAM_COUNT - 1);
    assert_true(is_one_line(p->doc));
    if (i)
        assert_true(m->params[i - 1].required || !p->required);
    for (size_t j = 0; j < i; j++)
        assert_int_not_equal(m->params[j].id, p->id);
    assert_int_equal(p->type == TYPE_CHOICE || p->type == TYPE_CHOICES, p->choices != NULL);
    if (p->choices)
        assert_non_null(p->choices[0]);
    if (p->type == TYPE_CHOICE && !p->required)
        assert_string_equal(p->fallback, p->choices[0]);
    if (p->required)
        assert_null(p->fallback);
    if (p->cli == CLI_CHOICE_FLAG)
        assert_int_equal(p->type, TYPE_CHOICE);
    assert_int_equal(p->place > 0, p->cli == CLI_POSITIONAL || p->cli == CLI_PLACE || p->cli == CLI_PATH);
    if (p->cli == CLI_POSITIONAL || p->cli == CLI_PATH)
        assert_true(p->required);
    if (p->cli == CLI_PLACE)
        assert_false(p->required);
}

static void required_params_come_before_optional_ones(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        for (size_t p = 0; p < methods[i].param_count; p++)
            check_param(&methods[i], p);
    }
}

static void places_on_the_command_line_have_no_gap(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        uint64_t seen = 0;

        for (size_t p = 0; p < methods[i].param_count; p++) {
            uint64_t bit = UINT64_C(1) << methods[i].params[p].place;

            assert_true(bit == 1 || !(seen & bit));
            seen |= bit;
        }
        seen >>= 1;
        assert_int_equal(seen & (seen + 1), 0);
    }
}

static bool has_param(const struct method *m, enum param_id id)
{
    for (size_t p = 0; p < m->param_count; p++) {
        if (m->params[p].id == id)
            return true;
    }
    return false;
}

static bool has_field(const struct method *m, const char *name)
{
    for (size_t f = 0; f < m->field_count; f++) {
        if (strcmp(m->fields[f].name, name) == 0)
            return true;
    }
    return false;
}

static bool has_error(const struct method *m, enum aspace_error code)
{
    for (size_t e = 0; m->errors[e]; e++) {
        if (m->errors[e] == code)
            return true;
    }
    return false;
}

static void traits_say_what_the_params_say(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        const struct method *m = &methods[i];
        bool on_space = m->traits & METHOD_ON_SPACE;

        assert_int_equal(on_space, has_param(m, PARAM_SPACE));
        if (on_space) {
            assert_int_equal(m->params[0].id, PARAM_SPACE);
            assert_true(has_error(m, ASPACE_NOT_FOUND));
        }
        if (m->traits & METHOD_RETURNS_SPACE)
            assert_int_equal(m->field_count, 0);
    }
}

static void who_takes_if_generation_returns_generation_and_may_conflict(void **state)
{
    int count = 0;

    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        bool takes = has_param(&methods[i], PARAM_IF_GENERATION);

        if (methods[i].id != METHOD_DAEMON_WAIT)
            assert_int_equal(takes, has_field(&methods[i], "generation"));
        assert_int_equal(takes, has_error(&methods[i], ASPACE_CONFLICT));
        if (takes)
            assert_true(methods[i].traits & METHOD_MUTATES);
        count += takes;
    }
    assert_int_equal(count, 11);
}

static void fields_have_names_and_docs(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        for (size_t f = 0; f < methods[i].field_count; f++) {
            assert_true(methods[i].fields[f].name[0]);
            assert_true(is_one_line(methods[i].fields[f].doc));
        }
    }
}

static void every_param_name_is_used(void **state)
{
    (void)state;
    for (int id = 0; id < PARAM_COUNT; id++) {
        bool used = false;

        for (int i = 0; i < METHOD_COUNT; i++)
            used |= has_param(&methods[i], (enum param_id)id);
        if (!used)
            fail_msg("no method has %s", param_names[id]);
    }
}

/* ---- The document ---- */

static void the_openrpc_document_is_json_without_duplicates_and_has_every_method(void **state)
{
    struct json_writer w = {0};
    struct json_doc doc = {0};
    uint32_t list;
    uint32_t at;

    (void)state;
    methods_write_openrpc(&w);
    assert_false(w.failed);
    assert_int_equal(json_read(&doc, w.data, w.size), ASPACE_OK);
    for (uint32_t i = 0; i < doc.count; i++) {
        if (doc.tokens[i].type == JSON_OBJECT)
            assert_int_equal(json_duplicate(&doc, i), 0);
    }
    assert_true(json_equals(&doc, json_member(&doc, 0, "openrpc"), "1.3.2"));
    list = json_member(&doc, 0, "methods");
    assert_int_equal(doc.tokens[list].count, METHOD_COUNT);
    at = list + 1;
    for (int i = 0; i < METHOD_COUNT; i++, at = doc.tokens[at].next) {
        uint32_t params = json_member(&doc, at, "params");

        assert_true(json_equals(&doc, json_member(&doc, at, "name"), methods[i].name));
        assert_int_equal(doc.tokens[params].count, methods[i].param_count);
    }
    json_free(&doc);
    json_writer_free(&w);
}

static void an_injected_error_is_one_of_the_protocols_own_by_its_name(void **state)
{
#define X(name, text) ASPACE_##name,
    static const enum aspace_error errors[] = {ASPACE_INJECT_ERROR_MAP(X)};
#undef X
    size_t count = sizeof(errors) / sizeof(*errors);

    (void)state;
    assert_int_equal(count, ASPACE_TIMEOUT);
    for (size_t i = 0; i < count; i++) {
        assert_in_range(errors[i], ASPACE_INVALID_PARAM, ASPACE_TIMEOUT);
        assert_string_equal(inject_error_names[i], aspace_error_name(errors[i]));
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(errors[i], errors[j]);
    }
    assert_null(inject_error_names[count]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_whole),
        cmocka_unit_test(a_method_is_found_by_its_whole_name_alone),
        cmocka_unit_test(verbs_are_unique),
        cmocka_unit_test(required_params_come_before_optional_ones),
        cmocka_unit_test(places_on_the_command_line_have_no_gap),
        cmocka_unit_test(traits_say_what_the_params_say),
        cmocka_unit_test(who_takes_if_generation_returns_generation_and_may_conflict),
        cmocka_unit_test(fields_have_names_and_docs),
        cmocka_unit_test(an_injected_error_is_one_of_the_protocols_own_by_its_name),
        cmocka_unit_test(every_param_name_is_used),
        cmocka_unit_test(the_openrpc_document_is_json_without_duplicates_and_has_every_method),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
