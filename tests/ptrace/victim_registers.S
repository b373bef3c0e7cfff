/* int pin_registers(uint64_t rounds): holds known values in every register, all arithmetic flags with the direction
 * flag, vector registers and the red zone, spinning in between; 0 if they were never changed, or what was. */

#define FLAGS_A 0xcd7 /* CF PF AF ZF SF DF OF */
#define FLAGS_B 0x202
#define FLAGS   0xcd5

    .text
    .globl pin_registers
    .type pin_registers, @function
pin_registers:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    push    %rdi
    mov     $0x12345678, %eax
    movq    %rax, %xmm0
    movq    %rax, %xmm7
    movq    %rax, %xmm15
round:
    movq    $0x51ed, -128(%rsp)
    movq    $0x51ee, -32(%rsp)
    mov     $-101, %rbx
    mov     $-102, %rdx
    mov     $-103, %rsi
    mov     $-104, %rdi
    mov     $-105, %rbp
    mov     $-106, %r8
    mov     $-107, %r9
    mov     $-108, %r10
    mov     $-109, %r11
    mov     $-110, %r12
    mov     $-111, %r13
    mov     $-112, %r14
    mov     $-113, %r15
    testb   $1, (%rsp)
    jz      1f
    pushq   $FLAGS_A
    jmp     2f
1:  pushq   $FLAGS_B
2:  popfq
    mov     $-114, %rax
    mov     $400, %ecx
3:  loop    3b                      /* leaves the flags alone */
    mov     %rax, -64(%rsp)
    pushfq
    pop     %rax
    cld
    and     $FLAGS, %eax
    testb   $1, (%rsp)
    jz      4f
    cmp     $(FLAGS_A & FLAGS), %eax
    jmp     5f
4:  cmp     $(FLAGS_B & FLAGS), %eax
5:  mov     $1, %eax
    jne     out
    mov     $2, %eax
    cmpq    $-114, -64(%rsp)
    jne     out
    inc     %eax
    test    %rcx, %rcx
    jne     out
    inc     %eax                    /* 4 */
    cmp     $-101, %rbx
    jne     out
    inc     %eax
    cmp     $-102, %rdx
    jne     out
    inc     %eax
    cmp     $-103, %rsi
    jne     out
    inc     %eax
    cmp     $-104, %rdi
    jne     out
    inc     %eax
    cmp     $-105, %rbp
    jne     out
    inc     %eax
    cmp     $-106, %r8
    jne     out
    inc     %eax
    cmp     $-107, %r9
    jne     out
    inc     %eax
    cmp     $-108, %r10
    jne     out
    inc     %eax
    cmp     $-109, %r11
    jne     out
    inc     %eax
    cmp     $-110, %r12
    jne     out
    inc     %eax
    cmp     $-111, %r13
    jne     out
    inc     %eax
    cmp     $-112, %r14
    jne     out
    inc     %eax
    cmp     $-113, %r15
    jne     out
    inc     %eax                    /* 17 */
    movq    %xmm0, %rcx
    cmp     $0x12345678, %rcx
    jne     out
    inc     %eax
    movq    %xmm7, %rcx
    cmp     $0x12345678, %rcx
    jne     out
    inc     %eax
    movq    %xmm15, %rcx
    cmp     $0x12345678, %rcx
    jne     out
    inc     %eax                    /* 20: the red zone */
    cmpq    $0x51ed, -128(%rsp)
    jne     out
    cmpq    $0x51ee, -32(%rsp)
    jne     out
    decq    (%rsp)
    jnz     round
    xor     %eax, %eax
out:
    pop     %rdi
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

    .section .note.GNU-stack, "", @progbits
