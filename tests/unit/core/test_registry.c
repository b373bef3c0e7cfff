/* The registry: spaces in order of name, each name once, and a limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/registry.h"
#include "page_backend.h"

static struct space *add(struct registry *registry, const char *name, unsigned *destroyed)
{
    struct space_options options = {.name = name, .arch = "none", .bounds = {16, 32}, .max_areas = 100};
    struct page_backend *backend = page_backend_create(16, 16);
    struct refusal why;
    struct space *space;

    backend->destroyed = destroyed;
    assert_int_equal(registry_reserve(registry, name, &why), ASPACE_OK);
    assert_int_equal(space_create(&options, &backend->head, &why, &space), ASPACE_OK);
    registry_add(registry, space);
    return space;
}

static void spaces_are_listed_in_order_of_name(void **state)
{
    static const char *const names[] = {"m", "a", "z", "B", "mm", "_", "l", "0"};
    struct registry registry;

    (void)state;
    registry_init(&registry, 100);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        add(&registry, names[i], NULL);
    assert_int_equal(registry.count, sizeof(names) / sizeof(*names));
    for (size_t i = 1; i < registry.count; i++)
        assert_true(strcmp(registry.spaces[i - 1]->name, registry.spaces[i]->name) < 0);
    registry_free(&registry);
    assert_int_equal(registry.count, 0);
}

static void every_space_is_found_by_its_name_alone(void **state)
{
    struct registry registry;
    struct space *spaces[100];
    char name[20];

    (void)state;
    registry_init(&registry, 1000);
    assert_null(registry_find(&registry, "space"));
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "s%u", i * 37 % 100);
        spaces[i * 37 % 100] = add(&registry, name, NULL);
    }
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        assert_ptr_equal(registry_find(&registry, name), spaces[i]);
    }
    assert_null(registry_find(&registry, ""));
    assert_null(registry_find(&registry, "s"));
    assert_null(registry_find(&registry, "s100"));
    assert_null(registry_find(&registry, "S1"));
    registry_free(&registry);
}

static void a_name_that_is_taken_is_refused(void **state)
{
    struct registry registry;
    struct refusal why;

    (void)state;
    registry_init(&registry, 100);
    add(&registry, "one", NULL);
    assert_int_equal(registry_reserve(&registry, "one", &why), ASPACE_ALREADY_EXISTS);
    assert_string_equal(why.param, "name");
    assert_int_equal(registry_reserve(&registry, "One", &why), ASPACE_OK);
    registry_unreserve(&registry);
    registry_free(&registry);
}

static void the_limit_on_spaces_is_busy_until_one_goes(void **state)
{
    struct registry registry;
    struct refusal why;
    struct space *one;
    unsigned destroyed = 0;

    (void)state;
    registry_init(&registry, 2);
    add(&registry, "one", &destroyed);
    add(&registry, "two", &destroyed);
    assert_int_equal(registry_reserve(&registry, "three", &why), ASPACE_BUSY);
    assert_non_null(why.hint);
    assert_int_equal(registry_reserve(&registry, "two", &why), ASPACE_ALREADY_EXISTS);
    one = registry_find(&registry, "one");
    registry_remove(&registry, one);
    space_destroy(one);
    assert_int_equal(destroyed, 1);
    assert_null(registry_find(&registry, "one"));
    assert_non_null(registry_find(&registry, "two"));
    add(&registry, "three", &destroyed);
    registry_free(&registry);
    assert_int_equal(destroyed, 3);
}

static void a_place_that_is_kept_counts_until_it_is_given_up(void **state)
{
    struct registry registry;
    struct refusal why;

    (void)state;
    registry_init(&registry, 2);
    add(&registry, "one", NULL);
    assert_int_equal(registry_reserve(&registry, "two", &why), ASPACE_OK);
    assert_int_equal(registry_reserve(&registry, "three", &why), ASPACE_BUSY);
    registry_unreserve(&registry);
    add(&registry, "three", NULL);
    assert_int_equal(registry.count, 2);
    registry_free(&registry);
}

static void the_ram_of_a_family_counts_once_a_sum(void **state)
{
    struct space_family family = {.members = 2};
    struct space alone = {0};
    struct space one = {.family = &family};
    struct space two = {.family = &family};
    struct registry registry;

    (void)state;
    registry_init(&registry, 2);
    for (int i = 0; i < 2; i++) {
        registry_begin_sum(&registry);
        assert_true(registry_count_ram(&registry, &alone));
        assert_true(registry_count_ram(&registry, &two));
        assert_false(registry_count_ram(&registry, &one));
        assert_false(registry_count_ram(&registry, &two));
        assert_true(registry_count_ram(&registry, &alone));
    }
    registry_free(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spaces_are_listed_in_order_of_name),
        cmocka_unit_test(every_space_is_found_by_its_name_alone),
        cmocka_unit_test(a_name_that_is_taken_is_refused),
        cmocka_unit_test(a_place_that_is_kept_counts_until_it_is_given_up),
        cmocka_unit_test(the_ram_of_a_family_counts_once_a_sum),
        cmocka_unit_test(the_limit_on_spaces_is_busy_until_one_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
