/* A target's memory, read and written from outside. /proc/PID/mem first: its descriptor is bound to one image, so that
 * neither a recycled pid nor an exec can make us write into another's memory; and it reaches what the target's own page
 * permissions forbid. */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ptrace/internal.h"

static enum aspace_error refuse_address(uint64_t addr, struct refusal *why)
{
    refuse(why, ASPACE_NOT_FOUND, "no memory can be reached at 0x%llx", (unsigned long long)addr);
    why->has_conflict = true;
    why->conflict = addr;
    return why->code;
}

static enum aspace_error refuse_failed(struct tracer *t, uint64_t addr, ssize_t got, struct refusal *why)
{
    if (tracer_fate(t) != TRACER_ALIVE)
        return process_refuse_gone(t, why);
    if (got < 0 && (errno == EPERM || errno == EACCES)) {
        refuse(why, ASPACE_DENIED, "the kernel does not let us reach the memory of process %d", (int)t->pid);
        why->hint = "give the daemon CAP_SYS_PTRACE, or run it as the target's user";
        return why->code;
    }
    return refuse_address(addr, why);
}

/* One step of either direction; how many bytes, 0 or -1 with errno if none. */
static ssize_t move_bytes(struct tracer *t, uint64_t addr, void *buffer, size_t size, bool write)
{
    struct iovec local = {buffer, size};
    struct iovec remote = {(void *)(uintptr_t)addr, size};

    if (t->memory >= 0)
        return write ? pwrite(t->memory, buffer, size, (off_t)addr) : pread(t->memory, buffer, size, (off_t)addr);
    if (!process_alive(t))
        return 0;
    return write ? process_vm_writev(t->pid, &local, 1, &remote, 1, 0)
                 : process_vm_readv(t->pid, &local, 1, &remote, 1, 0);
}

static enum aspace_error move_all(struct tracer *t, uint64_t addr, void *buffer, size_t size, bool write,
                                  struct refusal *why)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = move_bytes(t, addr + done, (char *)buffer + done, size - done, write);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return refuse_failed(t, addr + done, got, why);
        done += (size_t)got;
    }
    return ASPACE_OK;
}

enum aspace_error tracer_read(struct tracer *t, uint64_t addr, void *buffer, size_t size, struct refusal *why)
{
    return move_all(t, addr, buffer, size, false, why);
}

enum aspace_error tracer_write(struct tracer *t, uint64_t addr, const void *buffer, size_t size, struct refusal *why)
{
    return move_all(t, addr, (void *)(uintptr_t)buffer, size, true, why); /* not written to */
}

/* In a stop, words of the first tracee's memory; `size` a multiple of a word. */
static bool poke_words(struct tracer *t, uint64_t addr, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(long)) {
        long word;
        memcpy(&word, (const char *)bytes + i, sizeof(word));
        if (ptrace(PTRACE_POKEDATA, t->tracees[0].tid, addr + i, word) != 0)
            return false;
    }
    return true;
}

enum aspace_error memory_poke(struct tracer *t, uint64_t addr, const void *bytes, size_t size, struct refusal *why)
{
    if (t->memory >= 0 && pwrite(t->memory, bytes, size, (off_t)addr) == (ssize_t)size)
        return ASPACE_OK;
    if (t->count > 0 && t->tracees[0].stopped && poke_words(t, addr, bytes, size))
        return ASPACE_OK;
    return refuse_failed(t, addr, 0, why);
}
