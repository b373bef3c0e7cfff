/* The kernel's list of mappings: its lines, the whole of it, and one by one. */
#include "ptrace/maps.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int open_maps_of(pid_t pid)
{
    char path[40];

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void a_line_is_read_into_its_parts(void **state)
{
    struct mapping m;

    (void)state;
    assert_true(maps_parse("7f1c00000000-7f1c00003000 r-xp 00001000 fe:00 1234    /usr/lib/a b.so (deleted)", &m));
    assert_int_equal(m.start, 0x7f1c00000000);
    assert_int_equal(m.end, 0x7f1c00003000);
    assert_true(m.read && !m.write && m.exec && !m.shared);
    assert_int_equal(m.offset, 0x1000);
    assert_int_equal(m.inode, 1234);
    assert_string_equal(m.name, "/usr/lib/a b.so (deleted)");
    assert_true(maps_parse("00400000-00401000 -w-s 00000000 00:00 0 ", &m));
    assert_true(!m.read && m.write && !m.exec && m.shared && m.inode == 0);
    assert_string_equal(m.name, "");
    assert_true(maps_parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]", &m));
    assert_true(m.end == 0xffffffffff601000);
}

static void what_is_no_line_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "rw-p",
        "1000-2000",
        "2000-1000 rw-p 0 0:0 0",
        "1000-1000 rw-p 0 0:0 0",
        "1000-2000 rw-q 0 0:0 0",
        "1000-2000 wr-p 0 0:0 0",
        "1000-2000 rw-p 0 0:0 x",
        "1000-2000 rw-p 0 00 0",
        "1000_2000 rw-p 0 0:0 0",
        "1000-2000 rw-p",
    };
    struct mapping m;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (maps_parse(bad[i], &m))
            fail_msg("taken for a line: %s", bad[i]);
}

static void a_line_feed_in_a_name_is_escaped_as_the_text_has_it(void **state)
{
    char name[MAPS_NAME_MAX] = "/a\nb\n";
    char full[MAPS_NAME_MAX];

    (void)state;
    maps_escape(name);
    assert_string_equal(name, "/a\\012b\\012");
    memset(full, '\n', sizeof(full) - 1);
    full[sizeof(full) - 1] = '\0';
    maps_escape(full);
    assert_true(strlen(full) < sizeof(full));
    assert_memory_equal(full, "\\012\\012", 8);
}

struct found {
    uint64_t wanted;
    struct mapping mapping;
    char name[200];
    unsigned seen;
    uint64_t last_end;
};

static bool look(void *arg, const struct mapping *mapping)
{
    struct found *found = arg;

    assert_true(mapping->start >= found->last_end);
    found->last_end = mapping->end;
    if (mapping->start == found->wanted) {
        found->mapping = *mapping;
        snprintf(found->name, sizeof(found->name), "%s", mapping->name);
        found->seen++;
    }
    return true;
}

static void our_own_mappings_are_found_whole_and_one_by_one(void **state)
{
    char *place = mmap(NULL, 5 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct found found = {0};
    struct mapping one;
    struct refusal why;
    struct maps maps;
    char name[MAPS_NAME_MAX];
    bool is_there;

    (void)state;
    assert_true(place != MAP_FAILED);
    assert_int_equal(mprotect(place + 4096, 4096, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(munmap(place + 3 * 4096, 4096), 0);
    assert_int_equal(maps_open(open_maps_of(getpid()), getpid(), &why, &maps), ASPACE_OK);
    found.wanted = (uintptr_t)place + 4096;
    assert_int_equal(maps_read(&maps, look, &found, &why), ASPACE_OK);
    assert_int_equal(found.seen, 1);
    assert_true(found.mapping.end == found.wanted + 4096 && found.mapping.write && !found.mapping.exec);
    if (maps_query(&maps, found.wanted + 100, name, &why, &one, &is_there)) {
        assert_int_equal(why.code, ASPACE_UNSUPPORTED); /* a kernel before 6.11 */
    } else {
        assert_true(is_there && one.start == found.wanted && one.end == found.wanted + 4096 && one.write &&
                    !one.shared);
        assert_int_equal(maps_query(&maps, (uintptr_t)place + 3 * 4096, name, &why, &one, &is_there), ASPACE_OK);
        assert_true(is_there && one.start == (uintptr_t)place + 4 * 4096); /* the next one above the hole */
        assert_int_equal(
            maps_query(&maps, (uintptr_t)our_own_mappings_are_found_whole_and_one_by_one, name, &why, &one, &is_there),
            ASPACE_OK);
        assert_true(one.exec && one.inode && strstr(name, "test_maps"));
    }
    maps_close(&maps);
    munmap(place, 5 * 4096);
}

static void a_process_that_is_gone_is_said_to_be(void **state)
{
    struct found found = {0};
    struct refusal why;
    struct maps maps;
    int line[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(line), 0);
    pid = fork();
    if (pid == 0) {
        char byte;

        close(line[1]);
        _exit(read(line[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(maps_open(open_maps_of(pid), pid, &why, &maps), ASPACE_OK);
    assert_int_equal(maps_read(&maps, look, &found, &why), ASPACE_OK);
    close(line[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    found.last_end = 0;
    assert_int_equal(maps_read(&maps, look, &found, &why), ASPACE_TARGET_GONE);
    maps_close(&maps);
    assert_int_equal(maps_open(open_maps_of(pid), pid, &why, &maps), ASPACE_TARGET_GONE);
    close(line[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_read_into_its_parts),
        cmocka_unit_test(what_is_no_line_is_refused),
        cmocka_unit_test(a_line_feed_in_a_name_is_escaped_as_the_text_has_it),
        cmocka_unit_test(our_own_mappings_are_found_whole_and_one_by_one),
        cmocka_unit_test(a_process_that_is_gone_is_said_to_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
