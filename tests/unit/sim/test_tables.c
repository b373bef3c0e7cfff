/* The tree of tables: what is made, shared, taken out and put back. */
#include "machine_fixture.h"

static enum aspace_error move(struct machine *m, struct area area, uint64_t to)
{
    return m->backend->ops->move(m->backend, &area, to, &m->why);
}

/*  table   |      A'     |      A      |      B      |
 *  source                          AAAA|AAAA            A is empty once its four pages have gone,
 *  target          BBBB|BBBB                            and a table comes in its place for the other four
 */
static void a_move_into_the_place_of_a_table_that_it_emptied_is_undone(void **state)
{
    struct machine m;
    struct machine_image *before;
    struct area area = machine_eager(2 * SPAN2 - 4, 8, RW);

    (void)state;
    machine_open(&m, 64);
    machine_map(&m, area);
    machine_write(&m, &area, page_addr(area.range.start) + 5, "sevenths", 8);
    before = machine_photograph(&m);
    assert_int_equal(move(&m, area, SPAN2 - 4), ASPACE_OK);
    m.backend->ops->rollback(m.backend);
    machine_expect_same(&m, before);
    machine_expect_sound(&m);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_into_the_place_of_a_table_that_it_emptied_is_undone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
