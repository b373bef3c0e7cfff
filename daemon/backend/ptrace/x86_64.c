/* x86-64: registers, restart codes and the trampoline's layout. */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "ptrace/arch.h"

#ifndef __x86_64__
#error "the ptrace backend knows x86-64 alone"
#endif

/* The kernel's own codes for a call to be restarted (include/linux/errno.h): never seen by user mode. */
#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

#define CS_64       0x33
#define FLAG_TF     0x100
#define FLAG_DF     0x400
#define FLAG_OF     0x800
#define CALL_LENGTH 2 /* of the instructions syscall and int 0x80 */

bool registers_get(pid_t tid, struct registers *ret)
{
    return ptrace(PTRACE_GETREGS, tid, NULL, &ret->raw) == 0;
}

bool registers_set(pid_t tid, const struct registers *r)
{
    return ptrace(PTRACE_SETREGS, tid, NULL, &r->raw) == 0;
}

bool registers_native(const struct registers *r)
{
    return r->raw.cs == CS_64;
}

bool registers_in_call(const struct registers *r)
{
    return (long long)r->raw.orig_rax >= 0;
}

bool registers_maybe_strict(const struct registers *r)
{
    switch ((long long)r->raw.orig_rax) {
    case SYS_read:
    case SYS_write:
    case SYS_exit:
    case SYS_rt_sigreturn:
        return true;
    default:
        return !registers_in_call(r);
    }
}

uint64_t registers_stack(const struct registers *r)
{
    return r->raw.rsp;
}

uint64_t registers_instruction(const struct registers *r)
{
    return r->raw.rip;
}

void registers_jump(struct registers *r, uint64_t addr)
{
    r->raw.rip = addr;
}

/* signal(7), "Interruption of system calls". The ones of sockets do so only with SO_RCVTIMEO or SO_SNDTIMEO. connect is
 * not one: made again it fails. */
bool is_woken_call(long number)
{
    static const short calls[] = {
        SYS_epoll_wait, SYS_epoll_pwait,  SYS_epoll_pwait2,  SYS_semop,   SYS_semtimedop,     SYS_rt_sigtimedwait,
        SYS_read,       SYS_write,        SYS_readv,         SYS_writev,  SYS_io_uring_enter, SYS_recvfrom,
        SYS_recvmsg,    SYS_recvmmsg,     SYS_sendto,        SYS_sendmsg, SYS_sendmmsg,       SYS_accept,
        SYS_accept4,    SYS_io_getevents, SYS_io_pgetevents,
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i] == number)
            return true;
    return false;
}

bool registers_hide_interrupt(struct registers *r)
{
    if (!registers_native(r) || (long long)r->raw.rax != -EINTR || !is_woken_call((long)r->raw.orig_rax))
        return false;
    r->raw.rax = (unsigned long long)-ERESTARTNOHAND;
    return true;
}

/* Clears what would trap or turn string instructions round, and with it the kernel's idea of a call to restart. */
static void load(const struct registers *saved, uint64_t entry, struct registers *ret)
{
    *ret = *saved;
    ret->raw.rip = entry;
    ret->raw.orig_rax = (unsigned long long)-1;
    ret->raw.eflags &= ~(unsigned long long)(FLAG_TF | FLAG_DF);
}

void registers_load_call(const struct registers *saved, uint64_t entry, const struct remote_call *call,
                         struct registers *ret)
{
    load(saved, entry, ret);
    ret->raw.rax = (unsigned long long)call->number;
    ret->raw.rdi = call->args[0];
    ret->raw.rsi = call->args[1];
    ret->raw.rdx = call->args[2];
    ret->raw.r10 = call->args[3];
    ret->raw.r8 = call->args[4];
    ret->raw.r9 = call->args[5];
}

void registers_load_batch(const struct registers *saved, const struct batch_registers *batch, struct registers *ret)
{
    load(saved, batch->entry, ret);
    ret->raw.rbx = batch->first;
    ret->raw.rbp = batch->end;
    ret->raw.r12 = batch->info;
    ret->raw.r14 = (unsigned long long)batch->signal;
}

_Static_assert(offsetof(struct agent_data, old) == 8 && offsetof(struct agent_data, made) == 16 &&
                   offsetof(struct agent_data, patience) == 24,
               "the offsets in trampoline_x86_64.S");

void registers_load_agent(const struct registers *saved, uint64_t entry, uint64_t data, struct registers *ret)
{
    load(saved, entry, ret);
    ret->raw.r12 = data;
}

void registers_load_park(const struct registers *saved, uint64_t entry, uint64_t data, bool watching,
                         struct registers *ret)
{
    load(saved, entry, ret);
    ret->raw.rsp = data;
    ret->raw.r12 = data;
    ret->raw.rdi = data + offsetof(struct agent_data, watch_fd);
    ret->raw.rsi = watching;
    ret->raw.rdx = watching ? 0 : data + offsetof(struct agent_data, patience);
}

uint64_t registers_batch_position(const struct registers *r)
{
    return r->raw.rbx;
}

void registers_end_batch(struct registers *r)
{
    if (r->raw.rbx < r->raw.rbp)
        r->raw.rbp = r->raw.rbx + sizeof(struct batch_entry);
}

/* In a call that ended with one of the restart codes. */
static bool is_restart(const struct registers *r)
{
    switch (-(long long)r->raw.rax) {
    case ERESTARTSYS:
    case ERESTARTNOINTR:
    case ERESTARTNOHAND:
    case ERESTART_RESTARTBLOCK:
        return (long long)r->raw.orig_rax >= 0;
    default:
        return false;
    }
}

void registers_redo(struct registers *r)
{
    if (is_restart(r)) {
        r->raw.rip -= CALL_LENGTH;
        r->raw.rax = r->raw.orig_rax;
    }
    r->raw.orig_rax = (unsigned long long)-1;
}

/* As trampoline_x86_64.S reads it, by its offsets. */
struct block {
    uint8_t direction;
    uint8_t overflow;
    uint8_t flags; /* SF, ZF, AF, PF, CF */
    uint8_t unused[13];
    uint64_t rip; /* 16 */
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15;
};

void recovery_block_fill(const struct registers *saved, void *block)
{
    struct user_regs_struct r = saved->raw;

    if (is_restart(saved)) {
        r.rip -= CALL_LENGTH;
        r.rax = (long long)r.rax == -ERESTART_RESTARTBLOCK ? SYS_restart_syscall : r.orig_rax;
    }
    struct block b = {
        .direction = (r.eflags & FLAG_DF) != 0,
        .overflow = (r.eflags & FLAG_OF) != 0,
        .flags = (uint8_t)r.eflags,
        .rip = r.rip,
        .rax = r.rax,
        .rbx = r.rbx,
        .rcx = r.rcx,
        .rdx = r.rdx,
        .rsi = r.rsi,
        .rdi = r.rdi,
        .rbp = r.rbp,
        .rsp = r.rsp,
        .r8 = r.r8,
        .r9 = r.r9,
        .r10 = r.r10,
        .r11 = r.r11,
        .r12 = r.r12,
        .r13 = r.r13,
        .r14 = r.r14,
        .r15 = r.r15,
    };

    _Static_assert(sizeof(b) == 152 && sizeof(b) <= RECOVERY_BLOCK_MAX, "the offsets in trampoline_x86_64.S");
    memcpy(block, &b, sizeof(b));
}

#define BLOCK_OFFSET 0x800 /* as in trampoline_x86_64.S */

extern const unsigned char trampoline_x86_64[], trampoline_x86_64_end[];
extern const unsigned char trampoline_x86_64_call[], trampoline_x86_64_batch[], trampoline_x86_64_batch_end[];
extern const unsigned char trampoline_x86_64_batch_tail[], trampoline_x86_64_agent[], trampoline_x86_64_park[];
extern const unsigned char trampoline_x86_64_info[];

struct trampoline_layout trampoline_layout(void)
{
    return (struct trampoline_layout){
        .image = trampoline_x86_64,
        .size = (size_t)(trampoline_x86_64_end - trampoline_x86_64),
        .call = (size_t)(trampoline_x86_64_call - trampoline_x86_64),
        .batch = (size_t)(trampoline_x86_64_batch - trampoline_x86_64),
        .batch_tail = (size_t)(trampoline_x86_64_batch_tail - trampoline_x86_64),
        .batch_end = (size_t)(trampoline_x86_64_batch_end - trampoline_x86_64),
        .agent = (size_t)(trampoline_x86_64_agent - trampoline_x86_64),
        .park = (size_t)(trampoline_x86_64_park - trampoline_x86_64),
        .info = (size_t)(trampoline_x86_64_info - trampoline_x86_64),
        .block = BLOCK_OFFSET,
        .block_size = sizeof(struct block),
    };
}

bool find_system_call(const unsigned char *text, size_t size, size_t *ret)
{
    for (size_t i = 0; i + CALL_LENGTH <= size; i++) {
        if (text[i] != 0x0f || text[i + 1] != 0x05)
            continue;
        *ret = i;
        return true;
    }
    return false;
}
