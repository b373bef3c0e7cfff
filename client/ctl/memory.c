/* `read` and `write`: bytes out as a dump, bytes in from wherever they are. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/verbs.h"

#define DUMP_ROW 16

/* ---- read ---- */

/* Base64 from the daemon (RFC 4648, padded) in place: the number of bytes. */
static size_t decode(char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0;
    size_t size = 0;

    for (const char *c = text; *c && *c != '='; c++) {
        const char *digit = strchr(digits, *c);

        if (!digit)
            continue;
        bits = bits << 6 | (uint32_t)(digit - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            text[size++] = (char)(bits >> have & 0xFF);
        }
    }
    return size;
}

static int address_digits(uint64_t last)
{
    if (last >> 32 == 0)
        return 8;
    return last >> 48 == 0 ? 12 : 16;
}

static void dump_row(uint64_t address, int digits, const char *bytes, size_t count)
{
    printf("%0*" PRIx64 " ", digits, address);
    for (size_t i = 0; i < DUMP_ROW; i++) {
        if (i < count)
            printf("%s%02x", i == 8 ? "  " : " ", (unsigned char)bytes[i]);
        else
            fputs(i == 8 ? "    " : "   ", stdout);
    }
    fputs("  |", stdout);
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)bytes[i];

        putchar(c >= 0x20 && c < 0x7F ? c : '.');
    }
    puts("|");
}

/* As `hexdump -C` has it: rows like the one before them are one asterisk, the end has a line of its own. */
static void dump(uint64_t address, const char *bytes, size_t size)
{
    int digits = address_digits(address + size);
    bool starred = false;

    for (size_t i = 0; i < size; i += DUMP_ROW) {
        size_t count = size - i < DUMP_ROW ? size - i : DUMP_ROW;

        if (i && count == DUMP_ROW && memcmp(bytes + i, bytes + i - DUMP_ROW, DUMP_ROW) == 0) {
            if (!starred)
                puts("*");
            starred = true;
            continue;
        }
        starred = false;
        dump_row(address + i, digits, bytes + i, count);
    }
    printf("%0*" PRIx64 "\n", digits, address + size);
}

static int show(const struct args *args, const struct aspace_reply *reply)
{
    size_t capacity = strlen(aspace_reply_result(reply)) + 1;
    char *data = malloc(capacity);
    uint64_t address = 0;
    size_t size;

    if (!data || aspace_reply_string(reply, "data", data, capacity)) {
        free(data);
        complain(data ? "the daemon sent no data" : "out of memory");
        return STATUS_REFUSED;
    }
    size = decode(data);
    number_parse(args->value[PARAM_ADDR], strlen(args->value[PARAM_ADDR]), false, &address);
    if (args->extra[EXTRA_RAW])
        fwrite(data, 1, size, stdout);
    else
        dump(address, data, size);
    free(data);
    return STATUS_DONE;
}

int run_read(struct session *s, const struct args *args)
{
    struct aspace_reply *reply;
    int status;

    if (s->json && args->extra[EXTRA_RAW])
        return usage_error("--json and --raw: which of them?");
    status = call_with_args(s, args, &reply);
    if (status)
        return status;
    if (s->json)
        print_result(reply);
    else
        status = show(args, reply);
    aspace_reply_free(reply);
    return status;
}

/* ---- write ---- */

static int check_one_source(const struct args *args)
{
    int sources =
        !!args->extra[EXTRA_TEXT] + !!args->extra[EXTRA_FILE] + !!args->value[PARAM_HEX] + !!args->value[PARAM_DATA];

    if (sources == 1)
        return STATUS_DONE;
    return usage_error("write wants %s: TEXT, --hex HEX, --data BASE64 or --file FILE",
                       sources ? "its bytes once only" : "the bytes");
}

static int read_file(const char *name, char **ret, size_t *ret_size)
{
    bool standard = strcmp(name, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? -errno : read_all(fd, ret, ret_size);

    if (fd > STDIN_FILENO)
        close(fd);
    if (error)
        return usage_error("cannot read %s: %s", standard ? "standard input" : name, strerror(-error));
    return STATUS_DONE;
}

static int call_write(struct session *s, const struct args *args)
{
    struct aspace_reply *reply;
    uint64_t written = 0;
    int status = call_with_args(s, args, &reply);

    if (status)
        return status;
    aspace_reply_u64(reply, "written", &written);
    if (s->json)
        print_result(reply);
    else
        printf("wrote %" PRIu64 " byte%s\n", written, written == 1 ? "" : "s");
    aspace_reply_free(reply);
    return STATUS_DONE;
}

static int write_bytes(struct session *s, const struct args *args, const char *bytes, size_t size)
{
    struct args with_data = *args;
    struct json_writer quoted = {0};
    int status = STATUS_REFUSED;

    json_base64(&quoted, bytes, size);
    if (quoted.failed) {
        complain("out of memory");
    } else {
        quoted.data[quoted.size - 1] = '\0';
        with_data.value[PARAM_DATA] = quoted.data + 1;
        status = call_write(s, &with_data);
    }
    json_writer_free(&quoted);
    return status;
}

int run_write(struct session *s, const struct args *args)
{
    int status = check_one_source(args);
    char *bytes;
    size_t size;

    if (status)
        return status;
    if (args->extra[EXTRA_TEXT])
        return write_bytes(s, args, args->extra[EXTRA_TEXT], strlen(args->extra[EXTRA_TEXT]));
    if (!args->extra[EXTRA_FILE])
        return call_write(s, args);
    status = read_file(args->extra[EXTRA_FILE], &bytes, &size);
    if (status)
        return status;
    status = write_bytes(s, args, bytes, size);
    free(bytes);
    return status;
}
