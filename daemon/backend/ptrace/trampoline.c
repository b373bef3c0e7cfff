/* The pages of ours in a target: mapped with the help of the vdso's system call instruction, checked before each use,
 * unmapped at the end, also those that a killed daemon left behind. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ptrace/internal.h"

#define PLACE_HIGHEST (TRACER_PLACES_END - PLACE_STEP)
#define PLACE_LOWEST  UINT64_C(0x20000)
#define PLACE_STEP    UINT64_C(0x10000)

#define VDSO_SIZE    (4 * (size_t)ASPACE_PAGE_SIZE) /* at most looked through */
#define ORPHANS_MAX  16                             /* cleaned at one opening */
#define STACK_LOOKED (64 * (size_t)1024)            /* bytes looked through for return addresses */

/* At the start of the code page: whose it is. */
struct trampoline_header {
    char magic[16];
    uint64_t session;
    uint64_t owner_start; /* of the daemon, in clock ticks since boot: proc(5), starttime */
    uint64_t owner_pids;  /* the inode of its pid namespace */
    uint32_t owner;
    uint32_t unused[5];
};

_Static_assert(sizeof(struct trampoline_header) == 64, "trampoline_*.S keeps room for it");

static const char magic[16] = "aspaced-tracer1";

static uint64_t start_time(pid_t pid)
{
    char path[32], text[1024];
    unsigned long long start = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    const char *end = strrchr(text, ')');
    if (end)
        sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &start);
    return start;
}

static uint64_t pid_namespace(void)
{
    struct stat info;

    return stat("/proc/self/ns/pid", &info) == 0 ? info.st_ino : 0;
}

/* What a batch sends to itself at its end: known again by its value, so that the target's own use of the signal is not
 * eaten. The kernel adds the signal's number. */
static siginfo_t batch_info(const struct tracer *t)
{
    siginfo_t info = {0};

    info.si_code = SI_QUEUE;
    info.si_value.sival_ptr = (void *)(uintptr_t)t->session;
    return info;
}

void trampoline_new_session(struct tracer *t)
{
    struct trampoline_header header = {.owner = (uint32_t)getpid()};
    siginfo_t info;

    t->layout = trampoline_layout();
    if (getrandom(&t->session, sizeof(t->session), GRND_NONBLOCK) != sizeof(t->session))
        t->session = (uint64_t)(uintptr_t)t ^ (uint64_t)getpid() << 32 ^ (uint64_t)t->pid;
    info = batch_info(t);
    memcpy(header.magic, magic, sizeof(magic));
    header.session = t->session;
    header.owner_start = start_time(getpid());
    header.owner_pids = pid_namespace();
    memcpy(t->code, t->layout.image, t->layout.size);
    memcpy(t->code, &header, sizeof(header));
    memcpy(t->code + t->layout.info, &info, BATCH_INFO_SIZE);
}

enum aspace_error trampoline_protect(struct tracer *t, struct refusal *why)
{
    unsigned char block[RECOVERY_BLOCK_MAX];

    recovery_block_fill(&t->tracees[0].saved, block);
    if (t->block_known && memcmp(block, t->block, t->layout.block_size) == 0)
        return ASPACE_OK;
    t->block_known = false;
    if (memory_poke(t, t->trampoline + t->layout.block, block, t->layout.block_size, why))
        return why->code;
    memcpy(t->block, block, t->layout.block_size);
    t->block_known = true;
    return ASPACE_OK;
}

/* ---- Mapping ---- */

enum aspace_error trampoline_bootstrap(struct tracer *t, struct refusal *why, uint64_t *ret)
{
    Elf64_auxv_t vector[64];
    unsigned char text[VDSO_SIZE];
    uint64_t vdso = 0;
    size_t offset, size;
    int fd = tracer_open_file(t, "auxv", O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, vector, sizeof(vector));

    if (fd >= 0)
        close(fd);
    for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(vector[0]); i++)
        if (vector[i].a_type == AT_SYSINFO_EHDR)
            vdso = vector[i].a_un.a_val;
    for (size = 0; vdso && size < sizeof(text); size += ASPACE_PAGE_SIZE)
        if (tracer_read(t, vdso + size, text + size, ASPACE_PAGE_SIZE, why))
            break;
    if (find_system_call(text, size, &offset)) {
        *ret = vdso + offset;
        return ASPACE_OK;
    }
    if (!process_survives(t) || tracer_fate(t) != TRACER_ALIVE)
        return process_refuse_gone(t, why);
    refuse(why, ASPACE_UNSUPPORTED, "process %d has no vdso to make its first call with", (int)t->pid);
    why->hint = "it was unmapped, or the kernel was started with vdso=0";
    return why->code;
}

static enum aspace_error refuse_map(struct tracer *t, int64_t result, struct refusal *why)
{
    if (result == -ENOMEM) {
        refuse(why, ASPACE_NO_MEMORY, "process %d has no room for our own pages", (int)t->pid);
        why->hint = "raise vm.max_map_count or its RLIMIT_AS, or let it unmap something";
        return why->code;
    }
    refuse(why, ASPACE_DENIED, "the kernel refuses to map our pages into process %d: %s", (int)t->pid,
           strerror((int)-result));
    why->hint = "a security module or a limit of the target is in the way: see the kernel's log";
    return why->code;
}

static struct remote_call map_call(uint64_t addr, uint64_t size, int protection)
{
    return (struct remote_call){
        .number = SYS_mmap,
        .args = {addr, size, (uint64_t)protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0},
    };
}

static bool is_mapped(const struct remote_call *call)
{
    return call->done && !remote_call_failed(call) && (uint64_t)call->result == call->args[0];
}

/* Unmaps the code page by the vdso's instruction. */
static enum aspace_error unmap_code(struct tracer *t, uint64_t entry, struct refusal *why)
{
    struct remote_call unmap = {.number = SYS_munmap, .args = {t->trampoline, TRAMPOLINE_SIZE}};

    t->trampoline = 0;
    t->block_known = false;
    return remote_call_at(t, entry, &unmap, why);
}

/* Fills the code page just mapped at `addr` and maps the data pages after it. *ret_taken: something is in their place,
 * and nothing of ours is mapped. */
static enum aspace_error complete(struct tracer *t, uint64_t entry, uint64_t addr, struct refusal *why, bool *ret_taken)
{
    struct remote_call setup[] = {
        {.number = SYS_madvise, .args = {addr, TRAMPOLINE_SIZE, MADV_DONTFORK}},
        map_call(addr + TRAMPOLINE_SIZE, DATA_PAGES * (uint64_t)ASPACE_PAGE_SIZE, PROT_READ | PROT_WRITE),
        {.number = SYS_madvise,
         .args = {addr + TRAMPOLINE_SIZE, DATA_PAGES * (uint64_t)ASPACE_PAGE_SIZE, MADV_DONTFORK}},
    };
    struct remote_call undo = {.number = SYS_munmap,
                               .args = {addr + TRAMPOLINE_SIZE, DATA_PAGES * (uint64_t)ASPACE_PAGE_SIZE}};

    t->block_known = false;
    t->trampoline = addr;
    if (memory_poke(t, addr, t->code, sizeof(t->code), why))
        return why->code;
    for (size_t i = 0; i < sizeof(setup) / sizeof(setup[0]); i++) {
        if (remote_call_at(t, addr + t->layout.call, &setup[i], why))
            return why->code;
        if (!remote_call_failed(&setup[i]))
            continue;
        *ret_taken = setup[i].result == -EEXIST;
        if ((i == 2 && remote_call_at(t, addr + t->layout.call, &undo, why)) || unmap_code(t, entry, why))
            return why->code;
        return *ret_taken ? ASPACE_OK : refuse_map(t, setup[i].result, why);
    }
    return ASPACE_OK;
}

static enum aspace_error install(struct tracer *t, struct refusal *why)
{
    uint64_t entry;

    if (trampoline_bootstrap(t, why, &entry))
        return why->code;
    for (uint64_t place = PLACE_HIGHEST; place >= PLACE_LOWEST; place -= PLACE_STEP) {
        struct remote_call map = map_call(place, TRAMPOLINE_SIZE, PROT_READ | PROT_EXEC);
        bool taken = false;
        if (remote_call_at(t, entry, &map, why))
            return why->code;
        if (is_mapped(&map)) {
            enum aspace_error error = complete(t, entry, place, why, &taken);
            if (error || !taken)
                return error;
            continue;
        }
        if (map.result != -EEXIST && map.result != -EPERM) /* EPERM: below vm.mmap_min_addr */
            return refuse_map(t, map.result, why);
    }
    refuse(why, ASPACE_NO_MEMORY, "process %d has something everywhere below 4 MiB, where our own pages go",
           (int)t->pid);
    why->hint = "28 KiB are needed at a multiple of 64 KiB: let it unmap something there";
    return why->code;
}

enum aspace_error trampoline_ready(struct tracer *t, struct refusal *why)
{
    unsigned char found[TRAMPOLINE_CODE_MAX];

    if (t->trampoline == 0)
        return install(t, why);
    if (!tracer_read(t, t->trampoline, found, t->layout.size, why) && memcmp(t->code, found, t->layout.size) == 0)
        return ASPACE_OK;
    if (tracer_fate(t) != TRACER_ALIVE)
        return process_refuse_gone(t, why);
    if (process_image(t) != t->image) {
        t->replaced = true;
        return process_refuse_gone(t, why);
    }
    t->trampoline = 0; /* the target unmapped or overwrote it */
    t->block_known = false;
    return install(t, why);
}

enum aspace_error trampoline_remove(struct tracer *t, struct refusal *why)
{
    struct remote_call unmap = {.number = SYS_munmap,
                                .args = {t->trampoline + TRAMPOLINE_SIZE, DATA_PAGES * (uint64_t)ASPACE_PAGE_SIZE}};
    uint64_t entry;

    if (t->trampoline == 0)
        return ASPACE_OK;
    if (trampoline_bootstrap(t, why, &entry) || remote_call_at(t, t->trampoline + t->layout.call, &unmap, why))
        return why->code;
    if (unmap_code(t, entry, why))
        return why->code;
    if (agent_is(t, &t->tracees[0]))
        agent_end(t, entry);
    return ASPACE_OK;
}

/* ---- Others ---- */

bool tracer_is_trampoline(struct tracer *t, uint64_t start)
{
    uint64_t place = start & ~(PLACE_STEP - 1);
    char found[sizeof(magic)];
    struct refusal why;

    if (place < PLACE_LOWEST || place > PLACE_HIGHEST || start - place >= OWN_PAGES * (uint64_t)ASPACE_PAGE_SIZE)
        return false;
    return !tracer_read(t, place, found, sizeof(found), &why) && memcmp(found, magic, sizeof(found)) == 0;
}

/* ---- Orphans ---- */

/* The page at `addr` is a trampoline, and its daemon is no more. */
static bool is_orphan(struct tracer *t, uint64_t addr)
{
    struct trampoline_header header;
    struct refusal why;

    if (tracer_read(t, addr, &header, sizeof(header), &why) || memcmp(header.magic, magic, sizeof(magic)) != 0)
        return false;
    if (header.owner_pids != pid_namespace())
        return false; /* whether it lives cannot be seen from here */
    return start_time((pid_t)header.owner) != header.owner_start;
}

/* Finds orphans in the target's maps: an anonymous r-x page, and whether our data pages follow it. */
static size_t find_orphans(struct tracer *t, struct range *found)
{
    char line[512];
    unsigned long long start, end, inode;
    char flags[8];
    size_t count = 0;
    int fd = tracer_open_file(t, "maps", O_RDONLY);
    FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");

    if (!maps) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%llx-%llx %7s %*x %*s %llu", &start, &end, flags, &inode) != 4 || inode != 0)
            continue;
        if (count > 0 && page_of(start) == found[count - 1].end && strcmp(flags, "rw-p") == 0 &&
            range_pages(found[count - 1]) == 1 && end - start == DATA_PAGES * (uint64_t)ASPACE_PAGE_SIZE)
            found[count - 1].end = page_of(end);
        else if (count < ORPHANS_MAX && strcmp(flags, "r-xp") == 0 && end - start == TRAMPOLINE_SIZE &&
                 is_orphan(t, start))
            found[count++] = (struct range){page_of(start), page_of(end)};
    }
    fclose(maps);
    return count;
}

/* A thread is in the page, or will return to it: a word of its stack points there, to its code, which lies before the
 * recovery block. */
static bool is_in_use(struct tracer *t, uint64_t addr)
{
    const uint64_t code = t->layout.block;
    static const size_t step = ASPACE_PAGE_SIZE;
    uint64_t words[ASPACE_PAGE_SIZE / sizeof(uint64_t)];
    struct refusal why;

    for (size_t i = 0; i < t->count; i++) {
        uint64_t stack = registers_stack(&t->tracees[i].saved) & ~(uint64_t)7;
        if (registers_instruction(&t->tracees[i].saved) - addr < code)
            return true;
        for (size_t at = 0; at < STACK_LOOKED; at += step) {
            size_t size = at == 0 ? step - stack % step : step;
            if (tracer_read(t, at == 0 ? stack : (stack & ~(uint64_t)(step - 1)) + at, words, size, &why))
                break;
            for (size_t word = 0; word < size / sizeof(words[0]); word++)
                if (words[word] - addr < code)
                    return true;
        }
    }
    return false;
}

void trampoline_clean_orphans(struct tracer *t)
{
    struct range found[ORPHANS_MAX];
    struct refusal why;
    size_t count = find_orphans(t, found);

    bool used = false;

    if (count == 0 || tracer_begin(t, TRACER_ALL_THREADS, &why))
        return;
    /* A thread in one of them may return to another, as its recovery block says: all are left then. */
    for (size_t i = 0; i < count; i++)
        used = used || is_in_use(t, page_addr(found[i].start));
    for (size_t i = 0; i < count && !used; i++) {
        uint64_t args[6] = {page_addr(found[i].start), range_bytes(found[i])};
        int64_t result;
        if (tracer_call_one(t, SYS_munmap, args, &why, &result))
            break;
    }
    tracer_end(t);
}
