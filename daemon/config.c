/* The command line. The options of the limits come from LIMIT_MAP. */
#include "daemon/config.h"

#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aspace/version.h"
#include "daemon/sandbox.h"
#include "proto/methods.h"

#define DEFAULT_MODE 0600
/* The mode when others are let in by name: who they are is then looked at when they connect. */
#define OPEN_MODE        0666
#define LIMIT_OPTION_MAX 40

enum option_id {
    OPTION_SOCKET = 256,
    OPTION_MODE,
    OPTION_ALLOW_UID,
    OPTION_ALLOW_GID,
    OPTION_READ_ONLY_GID,
    OPTION_LISTEN_FD,
    OPTION_AUDIT,
    OPTION_LOG_FILE,
    OPTION_SANDBOX,
    OPTION_READY_FD,
    OPTION_LOG_LEVEL,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_LIMIT
};

enum limit_id {
#define X(name, value, least, most, text) LIMIT_##name,
    LIMIT_MAP(X)
#undef X
        LIMIT_COUNT
};

static const struct option options[] = {
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"allow-uid", required_argument, NULL, OPTION_ALLOW_UID},
    {"allow-gid", required_argument, NULL, OPTION_ALLOW_GID},
    {"read-only-gid", required_argument, NULL, OPTION_READ_ONLY_GID},
    {"listen-fd", required_argument, NULL, OPTION_LISTEN_FD},
    {"audit", required_argument, NULL, OPTION_AUDIT},
    {"log-file", required_argument, NULL, OPTION_LOG_FILE},
    {"sandbox", no_argument, NULL, OPTION_SANDBOX},
    {"ready-fd", required_argument, NULL, OPTION_READY_FD},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

/* The option of a limit: --max-user-spaces for user_spaces. */
static void limit_option(const char *name, char *buffer, size_t size)
{
    snprintf(buffer, size, "max-%s", name);
    for (char *at = strchr(buffer, '_'); at; at = strchr(at, '_'))
        *at = '-';
}

static void print_limit(const char *name, uint64_t value, const char *text)
{
    char option[LIMIT_OPTION_MAX];

    limit_option(name, option, sizeof(option));
    printf("  --%-22s %s (%" PRIu64 ")\n", strcat(option, " N"), text, value);
}

static void print_help(void)
{
    struct limits limits = limits_default();

    printf("aspaced %s: keeps named address spaces and lets programs change and inspect them\n"
           "\n"
           "usage: aspaced [OPTION]...\n"
           "\n"
           "  --socket PATH        the Unix socket to listen on; else $ASPACED_SOCKET, else\n"
           "                       $XDG_RUNTIME_DIR/aspaced.sock, else /run/aspaced/aspaced.sock for root,\n"
           "                       else /tmp/aspaced-UID/aspaced.sock; @NAME is an abstract name, with no file\n"
           "  --listen-fd N        take over the listening socket that descriptor N is, instead of making one\n"
           "  --mode OCTAL         permission bits of the socket (%04o; %04o with one of the next three)\n"
           "  --allow-uid USER     let this user connect too, a name or a number; may be repeated, as the next two\n"
           "  --allow-gid GROUP    let everybody in this group connect\n"
           "  --read-only-gid GROUP\n"
           "                       let everybody in this group connect who may look and not touch\n"
           "  --audit FILE         add a line of JSON to FILE for every call that changes something\n"
           "  --log-file FILE      log to FILE; SIGHUP opens it and the audit log again\n"
           "  --sandbox            give up what is not needed, tracing processes included (%s)\n"
           "  --ready-fd N         write READY=1 to descriptor N and close it once the socket listens\n"
           "  --log-level LEVEL    error, warning, info or debug (info)\n"
           "  --help, --version\n"
           "\n"
           "Limits, with their defaults; numbers may end in K, M, G or T:\n",
           ASPACE_VERSION, DEFAULT_MODE, OPEN_MODE, sandbox_is_there() ? "seccomp" : "not in this build");
#define X(name, value, least, most, text) print_limit(#name, limits.name, text);
    LIMIT_MAP(X)
#undef X
    printf(
        "\nIt stays in the foreground and logs to standard error. SIGTERM and SIGINT finish pending replies, remove\n"
        "the socket and exit 0. `aspacectl help` lists what a running daemon can be asked.\n");
}

static bool bad(const char *option, const char *value, const char *wanted)
{
    fprintf(stderr, "aspaced: --%s %s: %s\n", option, value, wanted);
    return false;
}

static bool read_mode(const char *text, mode_t *ret)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);

    if (!*text || *end || mode > 0777 || !strchr("01234567", *text))
        return bad("mode", text, "wants permission bits in octal, such as 0600");
    *ret = (mode_t)mode;
    return true;
}

static bool read_id(const char *option, const char *text, bool named, uint32_t id, struct id_list *list)
{
    uint64_t number;

    if (!named && (!number_parse(text, strlen(text), false, &number) || number >= UINT32_MAX)) /* the last: no id */
        return bad(option, text, "there is none of that name, and it is no number of one");
    if (id_list_add(list, named ? id : (uint32_t)number))
        return true;
    return bad(option, text, "so many are not possible; make a group of them");
}

static bool read_user(const char *text, struct id_list *list)
{
    const struct passwd *user = getpwnam(text);

    return read_id("allow-uid", text, user, user ? user->pw_uid : 0, list);
}

static bool read_group(const char *option, const char *text, struct id_list *list)
{
    const struct group *group = getgrnam(text);

    return read_id(option, text, group, group ? group->gr_gid : 0, list);
}

static bool read_fd(const char *option, const char *text, int *ret)
{
    uint64_t fd;

    if (!number_parse(text, strlen(text), false, &fd) || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0)
        return bad(option, text, "wants the number of an open descriptor");
    *ret = (int)fd;
    return true;
}

static bool read_level(const char *text, enum log_level *ret)
{
    int level = log_level_by_name(text);

    if (level < 0)
        return bad("log-level", text, "wants error, warning, info or debug");
    *ret = (enum log_level)level;
    return true;
}

static bool read_limit(int id, const char *text, struct limits *limits)
{
    static const struct {
        const char *name;
        uint64_t least;
        uint64_t most;
        size_t offset;
    } all[LIMIT_COUNT] = {
#define X(name, value, least, most, text) {#name, (least), (most), offsetof(struct limits, name)},
        LIMIT_MAP(X)
#undef X
    };
    char option[LIMIT_OPTION_MAX];
    char wanted[80];
    uint64_t value;

    if (!number_parse(text, strlen(text), true, &value) || value < all[id].least || value > all[id].most) {
        snprintf(wanted, sizeof(wanted), "wants a number from %" PRIu64 " to %" PRIu64, all[id].least, all[id].most);
        limit_option(all[id].name, option, sizeof(option));
        return bad(option, text, wanted);
    }
    memcpy((char *)limits + all[id].offset, &value, sizeof(value));
    return true;
}

static bool read_option(int option, struct config *config)
{
    switch (option) {
    case OPTION_SOCKET:
        config->socket = optarg;
        return true;
    case OPTION_MODE:
        config->has_mode = true;
        return read_mode(optarg, &config->mode);
    case OPTION_ALLOW_UID:
        return read_user(optarg, &config->admission.uids);
    case OPTION_ALLOW_GID:
        return read_group("allow-gid", optarg, &config->admission.gids);
    case OPTION_READ_ONLY_GID:
        return read_group("read-only-gid", optarg, &config->admission.read_only_gids);
    case OPTION_READY_FD:
        return read_fd("ready-fd", optarg, &config->ready_fd);
    case OPTION_LISTEN_FD:
        return read_fd("listen-fd", optarg, &config->listen_fd);
    case OPTION_AUDIT:
        config->audit = optarg;
        return true;
    case OPTION_LOG_FILE:
        config->log_file = optarg;
        return true;
    case OPTION_SANDBOX:
        config->sandbox = true;
        return true;
    case OPTION_LOG_LEVEL:
        return read_level(optarg, &config->log_level);
    default:
        return option >= OPTION_LIMIT && read_limit(option - OPTION_LIMIT, optarg, &config->limits);
    }
}

static enum config_result usage(void)
{
    fprintf(stderr, "aspaced: see aspaced --help\n");
    return CONFIG_USAGE;
}

/* All options: those of the table and those of the limits, whose names are written to `names`. */
static void list_options(struct option *all, char names[LIMIT_COUNT][LIMIT_OPTION_MAX])
{
    static const char *const limits[] = {
#define X(name, value, least, most, text) #name,
        LIMIT_MAP(X)
#undef X
    };

    memcpy(all, options, sizeof(options));
    for (int i = 0; i < LIMIT_COUNT; i++) {
        limit_option(limits[i], names[i], LIMIT_OPTION_MAX);
        all[OPTION_COUNT + i] = (struct option){names[i], required_argument, NULL, OPTION_LIMIT + i};
    }
}

enum config_result config_read(int argc, char **argv, struct config *ret)
{
    struct option all[OPTION_COUNT + LIMIT_COUNT + 1] = {0};
    char names[LIMIT_COUNT][LIMIT_OPTION_MAX];
    int option;

    list_options(all, names);
    *ret = (struct config){
        .mode = DEFAULT_MODE, .ready_fd = -1, .listen_fd = -1, .log_level = LOG_INFO, .limits = limits_default()};
    while ((option = getopt_long(argc, argv, "", all, NULL)) != -1) {
        if (option == OPTION_HELP) {
            print_help();
            return CONFIG_DONE;
        }
        if (option == OPTION_VERSION) {
            printf("aspaced %s\n", ASPACE_VERSION);
            return CONFIG_DONE;
        }
        if (!read_option(option, ret))
            return usage();
    }
    if (optind < argc) {
        fprintf(stderr, "aspaced: what is \"%s\"? It takes options only\n", argv[optind]);
        return usage();
    }
    if (!ret->has_mode && admission_is_open(&ret->admission))
        ret->mode = OPEN_MODE;
    return CONFIG_RUN;
}
