/* The audit log: a line of JSON for every call of a method that changes something or makes a file, also for one that was refused. Where
 * the lines go is somebody else's (daemon/line_file.h). */
#ifndef RPC_AUDIT_H
#define RPC_AUDIT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct call;

struct audit {
    /* Takes a copy of the line, which ends with LF, and does not wait; `text` NULL: there was no memory for a line. */
    void (*write)(struct audit *audit, const char *text, size_t size);
    _Atomic uint64_t lines; /* written by now */
    _Atomic uint64_t lost;
};

/* Parameters longer than this are left out of the line, and "params_size" says how long they were. */
#define AUDIT_PARAMS_MAX 65536

/* Writes the line of a call that has ended, if it is to have one. With service->audit there. */
void audit_call(struct call *call);

#endif
