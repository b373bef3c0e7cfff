/* The command line. The options of the limits come from LIMIT_MAP. */
#include "daemon/config.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aspace/version.h"
#include "proto/methods.h"

#define DEFAULT_MODE 0600

enum option_id {
    OPTION_SOCKET = 256,
    OPTION_MODE,
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
    {"ready-fd", required_argument, NULL, OPTION_READY_FD},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
#define X(name, value, least, most, text) {"max-" #name, required_argument, NULL, OPTION_LIMIT + LIMIT_##name},
    LIMIT_MAP(X)
#undef X
        {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static void print_limit(const char *name, uint64_t value, const char *text)
{
    char option[40];

    snprintf(option, sizeof(option), "--max-%s N", name);
    printf("  %-20s %s (%" PRIu64 ")\n", option, text, value);
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
           "                       else /tmp/aspaced-UID/aspaced.sock\n"
           "  --mode OCTAL         permission bits of the socket (%04o)\n"
           "  --ready-fd N         write READY=1 to descriptor N and close it once the socket listens\n"
           "  --log-level LEVEL    error, warning, info or debug (info)\n"
           "  --help, --version\n"
           "\n"
           "Limits, with their defaults; numbers may end in K, M, G or T:\n",
           ASPACE_VERSION, DEFAULT_MODE);
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

static bool read_fd(const char *text, int *ret)
{
    uint64_t fd;

    if (!number_parse(text, strlen(text), false, &fd) || fd > 1 << 20)
        return bad("ready-fd", text, "wants the number of an open descriptor");
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
        const char *option;
        uint64_t least;
        uint64_t most;
        size_t offset;
    } all[LIMIT_COUNT] = {
#define X(name, value, least, most, text) {"max-" #name, (least), (most), offsetof(struct limits, name)},
        LIMIT_MAP(X)
#undef X
    };
    char wanted[80];
    uint64_t value;

    if (!number_parse(text, strlen(text), true, &value) || value < all[id].least || value > all[id].most) {
        snprintf(wanted, sizeof(wanted), "wants a number from %" PRIu64 " to %" PRIu64, all[id].least, all[id].most);
        return bad(all[id].option, text, wanted);
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
        return read_mode(optarg, &config->mode);
    case OPTION_READY_FD:
        return read_fd(optarg, &config->ready_fd);
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

enum config_result config_read(int argc, char **argv, struct config *ret)
{
    int option;

    *ret = (struct config){.mode = DEFAULT_MODE, .ready_fd = -1, .log_level = LOG_INFO, .limits = limits_default()};
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
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
    return CONFIG_RUN;
}
