/* The ptrace backend: its life, and the steps of a transaction, which are noted and made real when it is settled. */
#include "ptrace/ptrace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ptrace/target.h"

#define ADDR     "0x%" PRIx64
#define PATH_IDS 65535

bool ptrace_available(void)
{
    return true;
}

struct range ptrace_bounds(void)
{
    return (struct range){0, UINT64_C(1) << (47 - ASPACE_PAGE_BITS)}; /* TASK_SIZE_MAX, but for its guard page */
}

uint64_t ptrace_lowest_page(void)
{
    FILE *file = fopen("/proc/sys/vm/mmap_min_addr", "re");
    unsigned long long addr = 0;

    if (file) {
        if (fscanf(file, "%llu", &addr) != 1)
            addr = 0;
        fclose(file);
    }
    return page_of((addr > TRACER_PLACES_END ? addr : TRACER_PLACES_END) + ASPACE_PAGE_SIZE - 1);
}

const char *ptrace_arch(void)
{
#if defined(__x86_64__)
    return "x86_64";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "unknown";
#endif
}

pid_t ptrace_pid(const struct backend *backend)
{
    return tracer_pid(((const struct target *)backend)->tracer);
}

/* ---- Paths ---- */

enum aspace_error target_path_id(struct target *t, const char *path, struct refusal *why, uint16_t *ret)
{
    uint32_t id = 0;

    if (*path && (tags_find(&t->paths, path) || t->paths.count < PATH_IDS) &&
        tags_intern(&t->paths, NULL, path, why, &id))
        return why->code;
    *ret = (uint16_t)id;
    return ASPACE_OK;
}

static const char *target_path(const struct backend *backend, uint16_t id)
{
    return tags_text(&((const struct target *)backend)->paths, id);
}

/* ---- Stopping and letting go ---- */

enum aspace_error target_begin(struct target *t, enum tracer_scope scope, struct refusal *why)
{
    if (t->begun)
        return ASPACE_OK;
    if (tracer_begin(t->tracer, scope, why))
        return why->code;
    t->begun = true;
    return ASPACE_OK;
}

static void close_files(struct target *t)
{
    struct refusal why;
    int64_t result;

    for (size_t i = 0; i < t->fd_count; i++)
        if (tracer_call_one(t->tracer, SYS_close, (uint64_t[6]){(uint64_t)t->fds[i]}, &why, &result))
            break; /* it is gone, and so are its descriptors */
    t->fd_count = 0;
    t->next_fd = -1;
}

void target_end(struct target *t)
{
    if (!t->begun)
        return;
    close_files(t);
    tracer_end(t->tracer);
    t->begun = false;
}

/* ---- Steps ---- */

/* What must stay as it is: the kernel would let much of it go, and the target would die of it. */
static enum aspace_error refuse_special(const struct target *t, const struct area *area, struct refusal *why)
{
    const char *path = tags_text(&t->paths, area->attr.path);

    if (area->attr.backing != ASPACE_BACKING_SPECIAL)
        return ASPACE_OK;
    refuse(why, ASPACE_DENIED, "the pages at " ADDR " are %s, which the target needs as it is",
           page_addr(area->range.start), path ? path : "the kernel's own");
    why->hint = "special areas can be looked at and not changed";
    return why->code;
}

/* The kernel moves whole huge pages, more than it was asked for, where a length ends in one. Kernels without
 * PROCMAP_QUERY do not say where they are. */
static enum aspace_error refuse_huge(struct target *t, const struct area *area, struct refusal *why)
{
    char name[MAPS_NAME_MAX];
    struct mapping m;
    bool is_there;

    if (area->attr.backing != ASPACE_BACKING_FILE || t->maps.no_query)
        return ASPACE_OK;
    if (maps_query(&t->maps, page_addr(area->range.start), name, why, &m, &is_there))
        return why->code == ASPACE_UNSUPPORTED ? ASPACE_OK : why->code;
    if (!is_there || m.page_size <= ASPACE_PAGE_SIZE ||
        ((page_addr(area->range.start) | range_bytes(area->range)) & (m.page_size - 1)) == 0)
        return ASPACE_OK;
    refuse(why, ASPACE_BAD_STATE, "the pages at " ADDR " are huge, and the range begins or ends within one",
           page_addr(area->range.start));
    why->hint = "move and unmap huge pages as wholes";
    return why->code;
}

static enum aspace_error note(struct target *t, const struct step *step, struct refusal *why)
{
    if (t->step_count == t->step_capacity) {
        size_t capacity = t->step_capacity ? t->step_capacity * 2 : 16;
        struct step *steps = realloc(t->steps, capacity * sizeof(*steps));

        if (!steps)
            return refuse_no_memory(why);
        t->steps = steps;
        t->step_capacity = capacity;
    }
    t->steps[t->step_count++] = *step;
    return ASPACE_OK;
}

static enum aspace_error target_map(struct backend *backend, const struct area *area, struct refusal *why)
{
    struct target *t = target_of(backend);
    struct step step = {.kind = STEP_MAP, .area = *area, .fd = t->next_fd};

    t->next_fd = -1;
    return note(t, &step, why);
}

static enum aspace_error target_grow(struct backend *backend, const struct area *area, struct refusal *why)
{
    struct step step = {.kind = STEP_GROW, .area = *area, .fd = -1};

    return note(target_of(backend), &step, why);
}

static enum aspace_error target_unmap(struct backend *backend, const struct area *piece, struct refusal *why)
{
    struct target *t = target_of(backend);
    struct step step = {.kind = STEP_UNMAP, .area = *piece, .fd = -1};

    /* One of many is moved to the stash. */
    if (refuse_special(t, piece, why) || (t->begun && refuse_huge(t, piece, why)))
        return why->code;
    return note(t, &step, why);
}

static enum aspace_error target_protect(struct backend *backend, const struct area *piece, uint16_t flags,
                                        struct refusal *why)
{
    struct target *t = target_of(backend);
    struct step step = {.kind = STEP_PROTECT, .area = *piece, .flags = flags, .fd = -1};
    const uint16_t permissions = ASPACE_READ | ASPACE_WRITE | ASPACE_EXEC;

    if (refuse_special(t, piece, why))
        return why->code;
    if ((flags ^ piece->attr.flags) & ~permissions) {
        refuse(why, ASPACE_UNSUPPORTED, "a live process can change read, write and execute only");
        why->param = "flags";
        return why->code;
    }
    return note(t, &step, why);
}

static enum aspace_error target_move(struct backend *backend, const struct area *piece, uint64_t to,
                                     struct refusal *why)
{
    struct target *t = target_of(backend);
    struct step step = {.kind = STEP_MOVE, .area = *piece, .to = to, .fd = -1};

    return refuse_special(t, piece, why) || refuse_huge(t, piece, why) ? why->code : note(t, &step, why);
}

static void forget_bytes(struct target *t)
{
    for (size_t i = 0; i < t->saved_count; i++)
        free(t->saved[i].bytes);
    free(t->saved);
    t->saved = NULL;
    t->saved_count = 0;
}

static void target_commit(struct backend *backend)
{
    struct target *t = target_of(backend);

    target_end(t);
    t->step_count = 0;
    t->next_fd = -1;
    forget_bytes(t);
}

static void target_rollback(struct backend *backend)
{
    struct target *t = target_of(backend);
    struct refusal why;

    for (size_t i = t->saved_count; i-- > 0;)
        if (t->saved[i].written) /* a target that is gone wants nothing back */
            (void)tracer_write(t->tracer, t->saved[i].addr, t->saved[i].bytes, t->saved[i].size, &why);
    target_commit(backend);
}

/* ---- Files ---- */

/* The path behind a descriptor of the target's, as its maps will tell it. */
static enum aspace_error path_of(struct target *t, int fd, struct refusal *why, uint16_t *ret)
{
    char name[40];
    char path[MAPS_NAME_MAX];
    ssize_t n;

    snprintf(name, sizeof(name), "fd/%d", fd);
    int link = tracer_open_file(t->tracer, name, O_PATH | O_NOFOLLOW);
    n = link < 0 ? -1 : readlinkat(link, "", path, sizeof(path) - 1);
    if (link >= 0)
        close(link);
    if (n < 0)
        return refuse(why, ASPACE_BAD_STATE, "cannot tell the file that the target opened: %s", strerror(errno));
    path[n] = '\0';
    maps_escape(path);
    return target_path_id(t, path, why, ret);
}

static enum aspace_error keep_fd(struct target *t, int fd, struct refusal *why)
{
    int *fds = realloc(t->fds, (t->fd_count + 1) * sizeof(*fds));

    if (!fds) {
        int64_t result;

        (void)tracer_call_one(t->tracer, SYS_close, (uint64_t[6]){(uint64_t)fd}, why, &result);
        return refuse_no_memory(why);
    }
    t->fds = fds;
    fds[t->fd_count++] = fd;
    return ASPACE_OK;
}

static enum aspace_error refuse_open(const char *path, int64_t result, struct refusal *why)
{
    int error = (int)-result;

    refuse(why,
           error == ENOENT || error == ENOTDIR                     ? ASPACE_NOT_FOUND
           : error == EACCES || error == EPERM                     ? ASPACE_DENIED
           : error == EMFILE || error == ENFILE || error == ENOMEM ? ASPACE_NO_MEMORY
                                                                   : ASPACE_BAD_STATE,
           "the target cannot open %.200s: %s (%s)", path, strerrordesc_np(error), strerrorname_np(error));
    why->param = "path";
    why->hint = "the path is opened by the target itself: in its root and working directory, with its rights";
    return why->code;
}

enum aspace_error ptrace_open_file(struct backend *backend, const char *path, uint16_t flags, struct refusal *why,
                                   uint16_t *ret)
{
    struct target *t = target_of(backend);
    bool writes = flags & ASPACE_SHARED && flags & ASPACE_WRITE;
    uint64_t open_flags = (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    uint64_t text;
    int64_t result;

    if (target_begin(t, TRACER_ALL_THREADS, why) || tracer_string(t->tracer, path, strlen(path) + 1, why, &text) ||
        tracer_call_one(t->tracer, SYS_openat, (uint64_t[6]){(uint64_t)AT_FDCWD, text, open_flags}, why, &result))
        return why->code;
    if (result < 0)
        return refuse_open(path, result, why);
    if (keep_fd(t, (int)result, why) || path_of(t, (int)result, why, ret))
        return why->code;
    t->next_fd = (int)result;
    return ASPACE_OK;
}

/* ---- Bytes ---- */

static enum aspace_error save(struct target *t, uint64_t addr, uint64_t size, struct refusal *why)
{
    struct saved_bytes *saved = realloc(t->saved, (t->saved_count + 1) * sizeof(*saved));

    if (!saved)
        return refuse_no_memory(why);
    t->saved = saved;
    saved += t->saved_count;
    *saved = (struct saved_bytes){addr, size, false, malloc(size)};
    if (!saved->bytes)
        return refuse_no_memory(why);
    t->saved_count++;
    return tracer_read(t->tracer, addr, saved->bytes, size, why);
}

static enum aspace_error target_prepare_write(struct backend *backend, const struct area *area, uint64_t addr,
                                              uint64_t size, struct refusal *why)
{
    struct target *t = target_of(backend);

    if (refuse_special(t, area, why))
        return why->code;
    for (size_t i = 0; i < t->saved_count; i++)
        if (t->saved[i].addr == addr)
            return ASPACE_OK; /* the second time */
    return save(t, addr, size, why);
}

static enum aspace_error target_read(struct backend *backend, const struct area *area, uint64_t addr, void *buffer,
                                     size_t size, struct refusal *why)
{
    (void)area;
    return tracer_read(target_of(backend)->tracer, addr, buffer, size, why);
}

static enum aspace_error target_write(struct backend *backend, const struct area *area, uint64_t addr,
                                      const void *buffer, size_t size, struct refusal *why)
{
    struct target *t = target_of(backend);

    (void)area;
    for (size_t i = 0; i < t->saved_count; i++)
        t->saved[i].written |= t->saved[i].addr == addr;
    return tracer_write(t->tracer, addr, buffer, size, why);
}

/* ---- Life ---- */

/* The second number of /proc/PID/statm. */
static uint64_t target_resident(const struct backend *backend)
{
    const struct target *t = (const struct target *)backend;
    unsigned long long size = 0;
    unsigned long long resident = 0;
    char text[128];
    ssize_t n = pread(t->statm, text, sizeof(text) - 1, 0);

    if (n > 0 && text[0] == '0') { /* its first thread has ended, or all of it */
        int fd = tracer_open_file(t->tracer, "statm", O_RDONLY);

        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (fd >= 0)
            close(fd);
    }
    if (n <= 0)
        return 0; /* it has exited */
    text[n] = '\0';
    return sscanf(text, "%llu %llu", &size, &resident) == 2 ? resident : 0;
}

static bool target_thread_bound(struct backend *backend)
{
    return tracer_held(target_of(backend)->tracer);
}

static bool target_thread_spent(struct backend *backend)
{
    return tracer_spent(target_of(backend)->tracer);
}

static void target_adopt(struct backend *backend)
{
    struct target *t = target_of(backend);

    t->begun = false;
    tracer_adopt(t->tracer);
}

static void target_destroy(struct backend *backend)
{
    struct target *t = target_of(backend);

    maps_close(&t->maps);
    if (t->statm >= 0)
        close(t->statm);
    tracer_close(t->tracer, t->spawned && !t->keep);
    tags_free(&t->paths);
    area_list_free(&t->found);
    forget_bytes(t);
    free(t->steps);
    free(t->fds);
    free(t);
}

static const struct backend_ops target_ops = {
    .name = "ptrace",
    .backings = 1 << ASPACE_BACKING_ANON | 1 << ASPACE_BACKING_FILE,
    .backing = ASPACE_BACKING_ANON,
    .map = target_map,
    .unmap = target_unmap,
    .protect = target_protect,
    .commit = target_commit,
    .rollback = target_rollback,
    .settle = target_settle,
    .sync = target_sync,
    .border = target_border,
    .path = target_path,
    .move = target_move,
    .grow = target_grow,
    .prepare_write = target_prepare_write,
    .read = target_read,
    .write = target_write,
    .access = target_access,
    .check = target_check,
    .resident = target_resident,
    .thread_bound = target_thread_bound,
    .thread_spent = target_thread_spent,
    .adopt = target_adopt,
    .destroy = target_destroy,
};

bool ptrace_is(const struct backend *backend)
{
    return backend->ops == &target_ops;
}

static enum aspace_error open_maps(struct target *t, struct refusal *why, struct maps *ret)
{
    return maps_open(tracer_open_file(t->tracer, "maps", O_RDONLY), tracer_pid(t->tracer), why, ret);
}

enum aspace_error ptrace_create(const struct ptrace_options *options, struct refusal *why, struct backend **ret)
{
    struct target *t = calloc(1, sizeof(*t));

    if (!t)
        return refuse_no_memory(why);
    if (tracer_open(&options->tracer, why, &t->tracer)) {
        free(t);
        return why->code;
    }
    t->head.ops = &target_ops;
    t->keep = options->keep;
    t->spawned = options->tracer.command != NULL;
    t->paths.keep = true;
    t->next_fd = -1;
    t->maps.fd = -1;
    t->statm = tracer_open_file(t->tracer, "statm", O_RDONLY);
    if (open_maps(t, why, &t->maps)) {
        target_destroy(&t->head);
        return why->code;
    }
    *ret = &t->head;
    return ASPACE_OK;
}

enum aspace_error ptrace_resume(struct backend *backend, struct refusal *why)
{
    return tracer_resume(target_of(backend)->tracer, why);
}

enum aspace_error ptrace_follow(struct backend *backend, struct refusal *why)
{
    struct target *t = target_of(backend);
    struct maps maps;

    if (target_fate(t) != TRACER_EXECED)
        return ASPACE_OK;
    if (tracer_follow(t->tracer, why) || open_maps(t, why, &maps))
        return why->code;
    maps_close(&t->maps);
    t->maps = maps;
    t->fate_told = TRACER_ALIVE; /* the next exec is another one */
    return ASPACE_OK;
}
