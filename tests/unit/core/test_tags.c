/* Tags: one id for one text, and texts that nobody carries make room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/tags.h"

static void carry(struct area_map *map, uint64_t page, uint32_t tag)
{
    struct area area = {{page, page + 1}, {.tag = tag}};

    assert_int_equal(area_map_reserve(map, 1), ASPACE_OK);
    area_map_replace(map, area.range, &area, 1);
}

static uint32_t intern(struct tags *tags, const struct area_map *map, const char *text)
{
    struct refusal why;
    uint32_t id = 0;

    assert_int_equal(tags_intern(tags, map, text, &why, &id), ASPACE_OK);
    assert_int_not_equal(id, 0);
    assert_string_equal(tags_text(tags, id), text);
    return id;
}

static uint32_t intern_number(struct tags *tags, const struct area_map *map, unsigned number)
{
    char text[32];

    snprintf(text, sizeof(text), "tag %u", number);
    return intern(tags, map, text);
}

static void a_text_has_one_id_and_two_texts_have_two(void **state)
{
    struct area_map map;
    struct tags tags = {0};
    uint32_t heap;

    (void)state;
    area_map_init(&map, (struct range){0, 100000});
    assert_int_equal(tags_find(&tags, "heap"), 0);
    heap = intern(&tags, &map, "heap");
    assert_int_equal(intern(&tags, &map, "heap"), heap);
    assert_int_not_equal(intern(&tags, &map, "Heap"), heap);
    assert_int_not_equal(intern(&tags, &map, "heap "), heap);
    assert_int_equal(tags_find(&tags, "heap"), heap);
    assert_int_equal(tags_find(&tags, "stack"), 0);
    assert_int_equal(tags.count, 3);
    tags_free(&tags);
    assert_int_equal(tags_find(&tags, "heap"), 0);
    tags_free(&tags);
}

static void no_tag_has_no_text(void **state)
{
    struct tags tags = {0};

    (void)state;
    assert_null(tags_text(&tags, 0));
}

static void the_text_is_copied(void **state)
{
    struct area_map map;
    struct tags tags = {0};
    char text[] = "mine";
    uint32_t id;

    (void)state;
    area_map_init(&map, (struct range){0, 100000});
    id = intern(&tags, &map, text);
    text[0] = 'f';
    assert_string_equal(tags_text(&tags, id), "mine");
    tags_free(&tags);
}

static void carried_tags_keep_their_ids_while_the_table_grows(void **state)
{
    struct area_map map;
    struct tags tags = {0};
    uint32_t ids[5000];

    (void)state;
    area_map_init(&map, (struct range){0, 100000});
    for (unsigned i = 0; i < 5000; i++) {
        ids[i] = intern_number(&tags, &map, i);
        carry(&map, i, ids[i]);
    }
    assert_int_equal(tags.count, 5000);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(intern_number(&tags, &map, i), ids[i]);
    tags_free(&tags);
    area_map_clear(&map);
}

static void a_table_with_few_carried_tags_stays_small(void **state)
{
    struct area_map map;
    struct tags tags = {0};
    uint32_t kept[4];

    (void)state;
    area_map_init(&map, (struct range){0, 100000});
    for (unsigned i = 0; i < 4; i++) {
        kept[i] = intern_number(&tags, &map, 1000000 + i);
        carry(&map, 10 * i, kept[i]);
    }
    for (unsigned i = 0; i < 10000; i++)
        carry(&map, 77, intern_number(&tags, &map, i)); /* each takes the place of the one before */
    assert_true(tags.capacity <= 32);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(intern_number(&tags, &map, 1000000 + i), kept[i]);
    tags_free(&tags);
    area_map_clear(&map);
}

/* A sweep that frees little is followed by growth, or every new text would cost a sweep. */
static void a_full_table_half_of_whose_tags_are_carried_grows(void **state)
{
    struct area_map map;
    struct tags tags = {0};
    uint32_t capacity;

    (void)state;
    area_map_init(&map, (struct range){0, 100000});
    intern_number(&tags, &map, 0);
    capacity = tags.capacity;
    for (unsigned i = 1; i < capacity; i++) {
        uint32_t id = intern_number(&tags, &map, i);

        if (i % 2)
            carry(&map, i, id);
    }
    assert_int_equal(tags.capacity, capacity);
    intern_number(&tags, &map, capacity);
    assert_int_equal(tags.capacity, 2 * capacity);
    assert_int_equal(tags.count, capacity / 2 + 1);
    tags_free(&tags);
    area_map_clear(&map);
}

/* Each new text looks for a free id; were it from the middle on, a table whose upper half is carried cost n * n. */
static void a_swept_table_gives_its_free_ids_again_from_the_lowest(void **state)
{
    struct area_map map;
    struct tags tags = {0};
    uint32_t capacity = 64;

    (void)state;
    area_map_init(&map, (struct range){0, 100000});
    for (unsigned i = 0; i < capacity; i++)
        carry(&map, i, intern_number(&tags, &map, i));
    assert_int_equal(tags.capacity, capacity);
    area_map_clear(&map);
    for (unsigned i = capacity / 2 + 1; i < capacity; i++)
        carry(&map, i, i + 1);
    for (unsigned i = 0; i < capacity / 2; i++)
        assert_int_equal(intern_number(&tags, &map, capacity + i), i + 1);
    assert_int_equal(tags.lowest, capacity / 2 - 1);
    tags_free(&tags);
    area_map_clear(&map);
}

static void the_longest_tag_is_kept_whole(void **state)
{
    struct area_map map;
    struct tags tags = {0};
    char text[ASPACE_TAG_MAX + 1];

    (void)state;
    area_map_init(&map, (struct range){0, 100000});
    memset(text, 0xc3, ASPACE_TAG_MAX); /* bytes over 127 */
    text[ASPACE_TAG_MAX] = '\0';
    intern(&tags, &map, text);
    text[ASPACE_TAG_MAX - 1] = 'x';
    intern(&tags, &map, text);
    assert_int_equal(tags.count, 2);
    tags_free(&tags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_has_one_id_and_two_texts_have_two),
        cmocka_unit_test(no_tag_has_no_text),
        cmocka_unit_test(the_text_is_copied),
        cmocka_unit_test(carried_tags_keep_their_ids_while_the_table_grows),
        cmocka_unit_test(a_table_with_few_carried_tags_stays_small),
        cmocka_unit_test(a_full_table_half_of_whose_tags_are_carried_grows),
        cmocka_unit_test(a_swept_table_gives_its_free_ids_again_from_the_lowest),
        cmocka_unit_test(the_longest_tag_is_kept_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
