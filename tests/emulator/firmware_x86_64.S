/* Firmware for the emulator test: loads CR3 with an exported root, then does the accesses of a table, each in ring 0 or 3,
 * and writes to the debug console (port 0xe9), 24 bytes each, what the CPU made of it: 0, 0 and what was read; or the
 * vector, the error code and CR2.
 *
 * The ROM ends at 4 GiB. Its last 64 KiB are this; before, from `table` on, what the test puts there: CR3, CR4, the number
 * of accesses, the CR3 to begin with, then 16 bytes each: the address, and what to do (0 read, 1 write, 2 call; +4 in ring
 * 3). The space maps, from `base` on, where its half begins, the ROM where it is for ring 0, the page at `user` 4 GiB higher
 * for ring 3, and two pages of stack. Tables of our own lead from where there is no paging to there. */
        .set table, TABLE
        .set base, BASE
        .set kernel_stack, 0x10001000
        .set user_stack, 0x10003000
        .set higher, 0x100000000

        .text
        .globl _start
_start:
        /* 0x0000: 16 bits, then 32, then 64 */
        .code16
start16:
        cli
        lgdtl %cs:(gdt_pointer - _start)
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmpl $0x08, $start32
        .code32
start32:
        movw $0x10, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl table + 8, %eax
        movl %eax, %cr4
        movl table + 24, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx          /* EFER */
        rdmsr
        orl $0x900, %eax                /* LME, NXE */
        wrmsr
        movl $0x80010001, %eax          /* PG, WP, PE */
        movl %eax, %cr0
        ljmpl $0x18, $start64
        .code64
start64:
        movabsq $at_base + base, %rax
        jmp *%rax
at_base:
        movabsq $table + base, %rbx
        movq (%rbx), %rax
        movq %rax, %cr3
        movabsq $kernel_stack + base, %rsp
        lgdt gdt_pointer(%rip)
        lidt idt_pointer(%rip)
        movw $0x30, %ax
        ltr %ax
        movl 16(%rbx), %r12d
        addq $32, %rbx
next:
        testl %r12d, %r12d
        jz done
        decl %r12d
        movabsq $kernel_stack + base, %rsp
        movq (%rbx), %rdi
        movq 8(%rbx), %rax
        addq $16, %rbx
        movq %rdi, %rcx                 /* what a write writes */
        shlq $8, %rcx
        movb $0xc3, %cl
        testl $4, %eax
        jnz to_user
        cmpl $1, %eax
        je write
        ja execute
        movq (%rdi), %rax
        jmp went_through
write:
        movq %rcx, (%rdi)
        xorl %eax, %eax
        jmp went_through
execute:
        call *%rdi
        xorl %eax, %eax
        jmp went_through

to_user:
        andl $3, %eax
        shll $4, %eax
        movabsq $user + higher + base, %rdx
        addq %rax, %rdx
        movabsq $user_stack + base, %rax
        pushq $0x2b
        pushq %rax
        pushq $2
        pushq $0x23
        pushq %rdx
        iretq

went_through:
        xorl %edx, %edx
        xorl %ecx, %ecx
report:                                 /* edx the vector, rcx the error code, rax the value */
        pushq %rax
        pushq %rcx
        pushq %rdx
        movq %rsp, %rsi
        movl $24, %ecx
        movl $0xe9, %edx
        cld
        rep outsb
        jmp next
done:
        movl $0xf4, %edx
        outb %al, %dx                   /* isa-debug-exit */
        hlt

        .org 0x800
gdt:    .quad 0
        .quad 0x00cf9b000000ffff        /* 0x08: code, 32 bits */
        .quad 0x00cf93000000ffff        /* 0x10: data */
        .quad 0x00af9b000000ffff        /* 0x18: code, 64 bits */
        .quad 0x00affb000000ffff        /* 0x23: code of ring 3 */
        .quad 0x00cff3000000ffff        /* 0x2b: data of ring 3 */
        .word 103, tss - _start         /* 0x30: the TSS; what marks it busy goes nowhere, to ROM */
        .byte 0xff, 0x89, 0, 0xff
        .long base >> 32, 0
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .quad gdt + base                /* of which 16-bit code takes the lower half */
idt_pointer:
        .word 0x81 * 16 - 1
        .quad idt + base

        .org 0x900
tss:    .long 0
        .quad kernel_stack + base
        .zero 92
        .org 0xa00

        .org 0x1000
page_fault:
        popq %rcx
        movq %cr2, %rax
        movl $14, %edx
        movabsq $kernel_stack + base, %rsp
        jmp report

        .org 0x1100
general_protection:
        popq %rcx
        xorl %eax, %eax
        movl $13, %edx
        movabsq $kernel_stack + base, %rsp
        jmp report

        .org 0x1200
back_from_user:
        movabsq $kernel_stack + base, %rsp
        jmp went_through

        .org 0x2000
user:
        movq (%rdi), %rax
        int $0x80
        .org 0x2010
        movq %rcx, (%rdi)
        xorl %eax, %eax
        int $0x80
        .org 0x2020
        call *%rdi
        xorl %eax, %eax
        int $0x80

/* Gates to base + 0xffff1000 and so on. */
        .macro gate offset, type
        .word \offset, 0x18
        .byte 0, \type
        .word 0xffff
        .long base >> 32, 0
        .endm

        .org 0x3000
idt:    .zero 13 * 16
        gate 0x1100, 0x8e
        gate 0x1000, 0x8e
        .zero (0x80 - 15) * 16
        gate 0x1200, 0xee

/* To begin with: the fourth GiB, where it is and from base on. Accessed and dirty already, for ROM stays as it is. */
        .org 0x4000
pdpt:   .zero 3 * 8
        .quad 0xc00000e3                /* a page of 1 GiB */
        .org 0x5000
pml4:   .quad pdpt + 0x23
        .zero 255 * 8
        .quad pdpt + 0x23
        .org 0x6000
pml5:   .quad pml4 + 0x23
        .zero 255 * 8
        .quad pml4 + 0x23

        .org 0xfff0
reset:  .byte 0xe9, 0x0d, 0x00          /* jmp start16, round the end of the segment */
        .org 0x10000
