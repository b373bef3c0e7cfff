/* Firmware for the emulator test: loads CR3 with an exported root, then does the accesses of a table, each in ring 0 or 3,
 * and writes to the debug console (port 0xe9), 24 bytes each, what the CPU made of it: 0, 0 and what was read; or the
 * vector, the error code and CR2.
 *
 * The ROM ends at 4 GiB. Its last 64 KiB are this; before, from `table` on, what the test puts there: CR3, CR4, the number
 * of accesses, then 16 bytes each: the address, and what to do (0 read, 1 write, 2 call; +4 in ring 3). The space maps the
 * ROM where it is for ring 0, the page at `user` 4 GiB higher for ring 3, and two pages of stack. */
        .set table, TABLE
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
        movl table, %eax
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
        movl $kernel_stack, %esp
        lidt idt_pointer(%rip)
        movw $0x30, %ax
        ltr %ax
        movl $table + 32, %ebx
        movl -16(%rbx), %r12d
next:
        testl %r12d, %r12d
        jz done
        decl %r12d
        movl $kernel_stack, %esp
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
        movabsq $user + higher, %rdx
        addq %rax, %rdx
        pushq $0x2b
        pushq $user_stack
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
        .long 0, 0
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .long gdt
idt_pointer:
        .word 0x81 * 16 - 1
        .quad idt

        .org 0x900
tss:    .long 0
        .quad kernel_stack
        .zero 92
        .org 0xa00

        .org 0x1000
page_fault:
        popq %rcx
        movq %cr2, %rax
        movl $14, %edx
        movl $kernel_stack, %esp
        jmp report

        .org 0x1100
general_protection:
        popq %rcx
        xorl %eax, %eax
        movl $13, %edx
        movl $kernel_stack, %esp
        jmp report

        .org 0x1200
back_from_user:
        movl $kernel_stack, %esp
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

/* Gates to 0xffff1000 and so on. */
        .macro gate offset, type
        .word \offset, 0x18
        .byte 0, \type
        .word 0xffff
        .long 0, 0
        .endm

        .org 0x3000
idt:    .zero 13 * 16
        gate 0x1100, 0x8e
        gate 0x1000, 0x8e
        .zero (0x80 - 15) * 16
        gate 0x1200, 0xee

        .org 0xfff0
reset:  .byte 0xe9, 0x0d, 0x00          /* jmp start16, round the end of the segment */
        .org 0x10000
