/* Firmware for the emulator test: loads satp with an exported root, then does the accesses of a table, each with the rights
 * of S-mode or U-mode, and writes to the serial line (NS16550), 24 bytes each, what the hart made of it: 0, 0 and what was
 * read; or 1, mcause and mtval.
 *
 * It lies in flash and runs in M-mode, whose own fetches are not translated; loads and stores are those of another mode with
 * mstatus.MPRV. What is executed, in that mode, is an ECALL, which comes back as a trap. From TABLE on lies what the test
 * puts there: satp, the number of accesses, then 16 bytes each: the address, and what to do (0 read, 1 write, 2 execute;
 * +4 in U-mode). */
        .set uart, 0x10000000
        .set menvcfg, 0x30a

        .option norelax
        .option norvc
        .text
        .globl _start
_start:
        li s0, TABLE
        li s2, uart
        li t0, -1
        csrw pmpaddr0, t0
        li t0, 0x1f                     /* all of memory: NAPOT, X, W, R */
        csrw pmpcfg0, t0
        la t0, 1f                       /* a hart without the register goes on behind it */
        csrw mtvec, t0
        li t0, 3 << 61                  /* PBMTE, ADUE */
        csrs menvcfg, t0
        .balign 4
1:      la t0, trap
        csrw mtvec, t0
        ld t0, 0(s0)
        csrw satp, t0
        sfence.vma
        ld s1, 8(s0)
next:
        addi s0, s0, 16
        beqz s1, done
        addi s1, s1, -1
        ld a0, 0(s0)
        ld a1, 8(s0)
        slli a2, a0, 32                 /* what a write writes: an ECALL, and the address */
        ori a2, a2, 0x73
        li t0, 3 << 11 | 1 << 19        /* MPP, MXR */
        csrc mstatus, t0
        li t0, 1 << 18                  /* SUM */
        csrs mstatus, t0
        andi t0, a1, 4
        bnez t0, 1f
        li t0, 1 << 11                  /* MPP: S-mode */
        csrs mstatus, t0
1:      andi a1, a1, 3
        li t0, 2
        beq a1, t0, execute
        li t1, 1 << 17                  /* MPRV */
        csrs mstatus, t1
        bnez a1, write
        ld a2, 0(a0)
        csrc mstatus, t1
        j went_through
write:
        sd a2, 0(a0)
        csrc mstatus, t1
        li a2, 0
        j went_through
execute:
        li a2, 0
        csrw mepc, a0
        mret

        .balign 4
trap:
        li t1, 1 << 17
        csrc mstatus, t1
        li a3, 1
        csrr a4, mcause
        li t0, 8                        /* ECALL from U-mode, */
        beq a4, t0, 1f
        li t0, 9                        /* and from S-mode */
        beq a4, t0, 1f
        csrr a2, mtval
        j report
1:      csrr a2, mepc
        bne a2, a0, report
        li a2, 0
went_through:
        li a3, 0
        li a4, 0
report:
        mv a5, a3
        jal put
        mv a5, a4
        jal put
        mv a5, a2
        jal put
        j next
done:
        li t0, 0x100000                 /* the test device */
        li t1, 0x5555                   /* pass */
        sw t1, 0(t0)
1:      j 1b

put:                                    /* a5, the lowest byte first */
        li t0, 8
1:      lbu t1, 5(s2)                   /* LSR: THRE */
        andi t1, t1, 0x20
        beqz t1, 1b
        sb a5, 0(s2)
        srli a5, a5, 8
        addi t0, t0, -1
        bnez t0, 1b
        ret
