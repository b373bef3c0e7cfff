/* A verb's arguments: from the command line, by the method table, to the method's params. */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/json.h"
#include "proto/methods.h"

/* What the command line adds to a method's own parameters. */
enum extra_id { EXTRA_HOLES, EXTRA_RAW, EXTRA_FILE, EXTRA_TEXT, EXTRA_OPENMETRICS, EXTRA_COUNT };

struct extra_spec {
    enum extra_id id;
    enum method_id method;
    const char *name;  /* of the option, without the dashes; NULL: positional, after the others */
    const char *value; /* what its value is called; NULL: it takes none */
    const char *doc;
};

extern const struct extra_spec extras[];
extern const size_t extra_count;

#define ARGS_PROBLEM_MAX 400

struct args {
    const struct method *method;
    const char *value[PARAM_COUNT]; /* as typed, the command line's own; NULL: not given */
    const char *extra[EXTRA_COUNT]; /* the same; "" for one that takes no value */
    char *const *rest;              /* the words after --, where the method takes them; NULL: there is no -- */
    int rest_count;
    bool tagged;                    /* --tag is there: what its areas replace (unless) is not written */
    char problem[ARGS_PROBLEM_MAX]; /* what is wrong, after a failure */
};

/* Reads `count` words after the verb. False with `problem` set if they are not what the method takes. */
bool args_read(const struct method *method, char *const *words, int count, struct args *ret);

/* Writes the params object. */
void args_write(const struct args *args, struct json_writer *w);

/* The positional parameters of a method in the order of the command line; at most PARAM_COUNT. Returns how many. */
size_t args_positionals(const struct method *method, const struct param_spec **ret);

/* Whether a positional must be there. */
bool args_is_required(const struct param_spec *spec);

/* How people call it: "NAME", "NEW_SIZE"; the option's name: "new-size". `buffer` of PARAM_TEXT_MAX; returned. */
#define PARAM_TEXT_MAX 40
const char *args_placeholder(const struct param_spec *spec, char *buffer);
const char *args_option_name(const struct param_spec *spec, char *buffer);

/* Whether choice number `i` of a CLI_CHOICE_FLAG is an option of its own. */
bool args_choice_is_flag(const struct param_spec *spec, size_t i);

#endif
