/* A live space is changed by others too: bringing its map to what is really there, window by window, and keeping what
 * only we know of: tags, and splits between areas that are alike. */
#ifndef CORE_RECONCILE_H
#define CORE_RECONCILE_H

#include "core/memory_set.h"

/* Puts what is really there in place of what the map has in found->window, whose ends cut no area of either. An area
 * keeps its tag where the same thing (backing, path and offset) still lies; a border between two areas that were alike
 * stays where they still are; other neighbours that are alike within one area found are one. *ret_changed says whether
 * the map was changed, which is then a new generation. NoMemory: nothing was changed. Never in a transaction. */
enum aspace_error memory_set_reconcile(struct memory_set *set, const struct area_list *found, struct refusal *why,
                                       bool *ret_changed);

#endif
