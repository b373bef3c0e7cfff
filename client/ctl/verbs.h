/* What aspacectl can be told to do: the verbs of the method table, and those that only the client has. */
#ifndef CTL_VERBS_H
#define CTL_VERBS_H

#include <cjson/cJSON.h>

#include "ctl/args.h"
#include "ctl/session.h"

/* A verb that is no method's. `run` gets the words after it and returns an exit status. */
struct client_verb {
    const char *name;
    const char *usage; /* what stands after the name */
    const char *summary;
    const char *text; /* more, in whole lines */
    int (*run)(struct session *s, char **words, int count);
};

extern const struct client_verb client_verbs[];
extern const size_t client_verb_count;

/* NULL if there is none. */
const struct client_verb *client_verb_by_name(const char *name);

/* Runs a method's verb with the words after it: an exit status. */
int run_method(struct session *s, const struct method *method, char **words, int count);

/* Says that there is no such verb and what to type instead: STATUS_USAGE. */
int unknown_verb(const char *verb);

/* Calls the method with the arguments as they are and gives the reply out (the caller's). */
int call_with_args(struct session *s, const struct args *args, struct aspace_reply **ret);

/* The same for a method that lists in parts: `each` gets every element of the result's member `list`. *ret_next, of `size`
 * bytes, is where to go on; empty at the end. */
typedef void list_fn(void *arg, const cJSON *element);
int call_for_part(struct session *s, const struct args *args, const char *list, list_fn *each, void *arg,
                  char *ret_next, size_t size);

/* The methods whose verbs do more than call and print. */
int run_areas(struct session *s, const struct args *args);  /* areas.c */
int run_tables(struct session *s, const struct args *args); /* tables.c */
int run_read(struct session *s, const struct args *args);   /* memory.c */
int run_write(struct session *s, const struct args *args);  /* memory.c */
int run_apply(struct session *s, struct args *args);        /* apply.c */

/* All bytes of `fd` into a new buffer, NUL-terminated, that the caller frees. 0 or a negative errno value, -EFBIG
 * for more than 256 MiB. call.c */
int read_all(int fd, char **ret, size_t *ret_size);

/* Params that the library takes, an object or an array: checked here for the sake of a better message. call.c */
int check_json(const char *text, size_t size);

/* Calls the method with what `args` say and prints the reply for people or as JSON. */
int run_plain(struct session *s, const struct args *args);

/* The client's own verbs, a file each. */
int run_help(struct session *s, char **words, int count);
int run_import(struct session *s, char **words, int count);
int run_call(struct session *s, char **words, int count);
int run_batch(struct session *s, char **words, int count);
int run_watch(struct session *s, char **words, int count);
int run_monitor(struct session *s, char **words, int count); /* watch.c */
int run_run(struct session *s, char **words, int count);

#endif
