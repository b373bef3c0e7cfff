/* Firmware for the emulator test: loads TTBR0_EL1 with an exported root, turns the MMU on, then does the accesses of a
 * table, each at EL1 or EL0, and writes to the serial line (PL011), 24 bytes each, what the CPU made of it: 0, 0 and what
 * was read; or the exception class, ESR_EL1 and FAR_EL1.
 *
 * It lies in flash at 0, where the CPU begins at EL1. From TABLE on lies what the test puts there: the root, the number of
 * accesses, then 16 bytes each: the address, and what to do (0 read, 1 write, 2 execute; +4 at EL0). What is executed is an
 * SVC, which comes back as an exception. The space maps the flash and the serial line where they are for EL1, and the page
 * at `user` 4 GiB higher for EL0. */
        .set uart, 0x09000000
        .set higher, 0x100000000

        .text
        .globl _start
_start:
        ldr x20, =TABLE
        ldr x22, =uart
        mov w0, #0x301                  /* UARTCR: UARTEN, TXE, RXE */
        str w0, [x22, #0x30]
        ldp x0, x21, [x20], #16
        msr ttbr0_el1, x0
        ldr x0, =0x0044ff
        msr mair_el1, x0
        ldr x0, =(16 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 5 << 32 | 1 << 39 | 1 << 40)
        msr tcr_el1, x0                 /* T0SZ, IRGN0, ORGN0, SH0, EPD1, IPS, HA, HD */
        adr x0, vectors
        msr vbar_el1, x0
        isb
        mrs x0, sctlr_el1
        ldr x1, =(1 << 23 | 1 << 12 | 1 << 2 | 1)
        orr x0, x0, x1                  /* SPAN, I, C, M */
        bic x0, x0, #(1 << 19)          /* WXN */
        msr sctlr_el1, x0
        isb
next:
        cbz x21, done
        sub x21, x21, #1
        ldp x0, x1, [x20], #16
        ldr w2, =0xd4000001             /* what a write writes: an SVC, and the address */
        orr x2, x2, x0, lsl #32
        tbnz x1, #2, to_user
        cmp x1, #1
        b.eq write
        b.hi execute
        ldr x2, [x0]
        b went_through
write:
        str x2, [x0]
        mov x2, xzr
        b went_through
execute:
        mov x2, xzr
        mov x3, #0x3c5                  /* EL1h, interrupts masked */
        msr spsr_el1, x3
        msr elr_el1, x0
        eret

to_user:
        and x1, x1, #3
        ldr x3, =higher
        adr x4, user
        add x3, x3, x4
        add x3, x3, x1, lsl #4
        cmp x1, #2
        csel x3, x0, x3, eq
        csel x2, xzr, x2, eq
        mov x4, #0x3c0                  /* EL0t */
        msr spsr_el1, x4
        msr elr_el1, x3
        eret

exception:
        mrs x4, esr_el1
        lsr x3, x4, #26
        cmp x3, #0x15                   /* SVC */
        b.eq went_through
        mrs x2, far_el1
        b report
went_through:
        mov x3, xzr
        mov x4, xzr
report:
        mov x5, x3
        bl put
        mov x5, x4
        bl put
        mov x5, x2
        bl put
        b next
done:
        ldr w0, =0x84000008             /* PSCI: SYSTEM_OFF */
        hvc #0
1:      b 1b

put:                                    /* x5, the lowest byte first */
        mov x6, #8
1:      ldr w7, [x22, #0x18]            /* UARTFR: TXFF */
        tbnz w7, #5, 1b
        str w5, [x22]
        lsr x5, x5, #8
        subs x6, x6, #1
        b.ne 1b
        ret
        .ltorg

        .org 0x800
vectors:
        .org 0xa00                      /* from EL1 itself */
        b exception
        .org 0xc00                      /* from EL0 */
        b exception

        .org 0x1000
user:
        ldr x2, [x0]
        svc #0
        .org 0x1010
        str x2, [x0]
        mov x2, xzr
        svc #0
        .org 0x2000
