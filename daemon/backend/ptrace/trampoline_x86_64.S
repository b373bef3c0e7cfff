/* The page that the tracer maps into a target. After its system call it reloads every register from the recovery block
 * and jumps back to where the thread was: a target whose tracer dies in mid-call restores itself. The stack is never
 * touched, not even below the red zone. The code is position independent; it is only ever copied, never run here. */

#define BLOCK_OFFSET 0x800
#define BLOCK(field) trampoline_x86_64 + BLOCK_OFFSET + (field) (%rip)

    .section .rodata
    .balign 64
    .globl trampoline_x86_64, trampoline_x86_64_call, trampoline_x86_64_batch, trampoline_x86_64_batch_tail
    .globl trampoline_x86_64_batch_end, trampoline_x86_64_agent, trampoline_x86_64_park, trampoline_x86_64_info
    .globl trampoline_x86_64_end
trampoline_x86_64:
    .skip 64, 0                     /* struct trampoline_header, trampoline.c */

/* One call, loaded by registers_load_call(). */
trampoline_x86_64_call:
    syscall

restore:
    testb   $1, BLOCK(0)            /* direction flag */
    jz      1f
    std
    jmp     2f
1:  cld
2:  movq    BLOCK(32), %rbx
    movq    BLOCK(40), %rcx
    movq    BLOCK(48), %rdx
    movq    BLOCK(56), %rsi
    movq    BLOCK(64), %rdi
    movq    BLOCK(72), %rbp
    movq    BLOCK(80), %rsp
    movq    BLOCK(88), %r8
    movq    BLOCK(96), %r9
    movq    BLOCK(104), %r10
    movq    BLOCK(112), %r11
    movq    BLOCK(120), %r12
    movq    BLOCK(128), %r13
    movq    BLOCK(136), %r14
    movq    BLOCK(144), %r15
    movb    BLOCK(1), %al           /* 1 if the overflow flag was set: 1 + 127 overflows */
    addb    $0x7f, %al
    movb    BLOCK(2), %ah
    sahf                            /* SF, ZF, AF, PF, CF; OF stays */
    movq    BLOCK(24), %rax
    jmp     *BLOCK(16)

/* A table of calls, loaded by registers_load_batch(): rbx the next entry, rbp past the last, r12 the siginfo, r14 the
 * signal. Stops by itself at the first call that is refused. */
trampoline_x86_64_batch:
    movq    (%rbx), %rax
    movq    8(%rbx), %rdi
    movq    16(%rbx), %rsi
    movq    24(%rbx), %rdx
    movq    32(%rbx), %r10
    movq    40(%rbx), %r8
    movq    48(%rbx), %r9
    syscall
    movq    %rax, 56(%rbx)
    addq    $64, %rbx
    cmpq    $-4095, %rax
    jae     trampoline_x86_64_batch_tail
    cmpq    %rbp, %rbx
    jb      trampoline_x86_64_batch
trampoline_x86_64_batch_tail:
    movl    $39, %eax               /* getpid: in the target's own pid namespace */
    syscall
    movl    %eax, %r13d
    movl    $186, %eax              /* gettid */
    syscall
    movl    %eax, %esi
    movl    %r13d, %edi
    movl    %r14d, %edx
    movq    %r12, %r10
    movl    $297, %eax              /* rt_tgsigqueueinfo */
    syscall
trampoline_x86_64_batch_end:
    jmp     restore

/* Makes the agent, loaded by registers_load_agent(): r12 is the address of a struct agent_data. The new thread blocks every
 * signal from its first moment on: a handler would run on no stack. */
trampoline_x86_64_agent:
    movl    $14, %eax               /* rt_sigprocmask(SIG_SETMASK, &all, &old, 8) */
    movl    $2, %edi
    leaq    0(%r12), %rsi
    leaq    8(%r12), %rdx
    movl    $8, %r10d
    syscall
    movl    $56, %eax               /* clone(VM | FS | FILES | SIGHAND | THREAD, 0, 0, 0, 0) */
    movl    $0x10f00, %edi
    xorl    %esi, %esi
    xorl    %edx, %edx
    xorl    %r10d, %r10d
    xorl    %r8d, %r8d
    syscall
    testq   %rax, %rax
    jz      4f
    movq    %rax, 16(%r12)
    movl    $14, %eax
    movl    $2, %edi
    leaq    8(%r12), %rsi
    xorl    %edx, %edx
    movl    $8, %r10d
    syscall
    jmp     restore

/* The agent, before its tracer has told it whom to wait for: a few seconds, in case there is none any more. */
4:  movq    %r12, %rsp
    xorl    %edi, %edi
    xorl    %esi, %esi
    leaq    24(%r12), %rdx
/* Waits for the end of who made it, and ends; loaded by registers_load_park(). Nothing else ends the wait. */
trampoline_x86_64_park:
    movl    $271, %eax              /* ppoll(rdi, rsi, rdx, 0, 8) */
    xorl    %r10d, %r10d
    movl    $8, %r8d
    syscall
    movl    $60, %eax               /* exit: of the thread */
    xorl    %edi, %edi
    syscall

    .org    trampoline_x86_64 + 464 /* the assembler refuses to go back */
trampoline_x86_64_info:
    .skip   48, 0                   /* the siginfo that ends a batch, trampoline.c */
trampoline_x86_64_end:              /* at TRAMPOLINE_CODE_MAX */

    .section .note.GNU-stack, "", @progbits
