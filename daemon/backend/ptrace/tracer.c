/* The tracer's life: what tracer.h offers, made of the parts beside this file. */
#include "ptrace/tracer.h"

bool tracer_gone(struct tracer *t)
{
    return tracer_fate(t) == TRACER_EXITED;
}
