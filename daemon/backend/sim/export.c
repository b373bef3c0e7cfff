/* The simulated RAM as a file whose offsets are physical addresses less that of RAM: what an emulator can boot on. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "sim/machine.h"

static enum aspace_error refuse_path(struct refusal *why, enum aspace_error code, const char *path, int error)
{
    refuse(why, code, "%s cannot be written: %s", path, strerror(error));
    why->param = "path";
    return why->code;
}

static enum aspace_error open_new(const char *path, struct refusal *why, int *ret)
{
    if (*path != '/') {
        refuse(why, ASPACE_INVALID_PARAM, "%s is not an absolute path", path);
        why->param = "path";
        why->hint = "the daemon has a working directory of its own: begin the path with /";
        return why->code;
    }
    *ret = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*ret >= 0)
        return ASPACE_OK;
    if (errno == EEXIST) {
        refuse_path(why, ASPACE_ALREADY_EXISTS, path, errno);
        why->hint = "nothing is written over: choose another path, or remove the file";
        return why->code;
    }
    return refuse_path(why, errno == ENOENT || errno == ENOTDIR ? ASPACE_NOT_FOUND : ASPACE_DENIED, path, errno);
}

/* Whether the frame may hold anything but zeros. */
static bool holds_bytes(const struct frames *frames, uint64_t frame)
{
    return frames->state[frame] & FRAME_DIRTY || frames_kind(frames, frame) == FRAME_TABLE;
}

static bool write_all(int fd, const uint8_t *bytes, uint64_t size, uint64_t offset)
{
    while (size) {
        ssize_t n = pwrite(fd, bytes, size, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return true;
}

/* The rest is a hole of the file. */
static bool write_frames(const struct frames *frames, int fd, uint64_t *ret_count)
{
    uint64_t fresh = frames->ram->fresh;
    uint64_t end;

    *ret_count = 0;
    if (ftruncate(fd, (off_t)page_addr(frames->total)))
        return false;
    for (uint64_t first = frames->first; first < fresh; first = end) {
        end = first;
        while (end < fresh && holds_bytes(frames, end))
            end++;
        if (!write_all(fd, frames_at(frames, first), page_addr(end - first), page_addr(first - frames->first)))
            return false;
        *ret_count += end - first;
        end += end == first;
    }
    return true;
}

enum aspace_error sim_op_export(struct backend *backend, const char *path, struct refusal *why, struct export *ret)
{
    const struct sim *sim = sim_of(backend);
    uint64_t count;
    bool written;
    int error;
    int fd = -1;

    if (open_new(path, why, &fd))
        return why->code;
    written = write_frames(&sim->frames, fd, &count);
    error = errno;
    if (close(fd) && written) { /* some file systems tell only now that they are full */
        written = false;
        error = errno;
    }
    if (!written) {
        unlink(path);
        return refuse_path(why, ASPACE_BAD_STATE, path, error);
    }
    *ret = (struct export){.root = sim->root << sim->arch->root_shift | sim->arch->root_mode,
                           .ram_base = page_addr(sim->frames.first),
                           .ram = page_addr(sim->frames.total),
                           .frames = count};
    return ASPACE_OK;
}
