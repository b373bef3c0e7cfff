/* A libFuzzer target: a peer's bytes, from the framing to the replies, against a daemon with one space. Every reply is
 * strict JSON and a JSON-RPC reply, and afterwards every space agrees with itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/rpc.h"
#include "rpc/call.h"
#include "rpc/dispatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
enum aspace_error __wrap_create_live(struct call *call, struct space_options *options, struct backend **ret);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* No input shall start a program or touch a process. */
enum aspace_error __wrap_create_live(struct call *call, struct space_options *options, struct backend **ret)
{
    (void)options;
    (void)ret;
    return refuse(&call->why, ASPACE_UNSUPPORTED, "there are no live spaces here");
}

static void start(struct service *service)
{
    struct limits limits = limits_default();

    limits.message = 4096;
    limits.reply = 65536;
    limits.spaces = 4;
    limits.areas = 64;
    limits.ram = 1 << 22;
    limits.read = 4096;
    service_init(service, &limits);
}

static void check_reply(const struct json_writer *out)
{
    struct json_doc doc = {0};
    struct rpc_reply reply;

    must(!out->failed && json_read(&doc, out->data, out->size) == ASPACE_OK);
    if (doc.tokens[0].type == JSON_ARRAY) {
        for (uint32_t at = 1; at < doc.count; at = doc.tokens[at].next)
            must(rpc_read_reply(&doc, at, &reply));
    } else {
        must(rpc_read_reply(&doc, 0, &reply));
    }
    json_free(&doc);
}

static void ask(struct service *service, const char *text, size_t size, struct json_writer *out)
{
    struct peer peer = {0};

    out->size = 0;
    if (dispatch_message(service, &peer, text, size, out) == DISPATCHED_REPLY)
        check_reply(out);
    else
        must(out->size == 0);
}

static void ask_text(struct service *service, const char *text, struct json_writer *out)
{
    ask(service, text, strlen(text), out);
}

static void check_spaces(struct service *service, struct json_writer *out)
{
    static const char sound[] = "\"result\":{\"problems\":[],\"ok\":true}}";

    for (size_t i = 0; i < service->registry.count; i++) {
        char text[200];

        snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"space.check\",\"params\":[\"%s\"]}",
                 service->registry.spaces[i]->name);
        ask_text(service, text, out);
        must(out->size > sizeof(sound) &&
             memcmp(out->data + out->size - (sizeof(sound) - 1), sound, sizeof(sound) - 1) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct service service; /* large */
    struct json_writer out = {0};
    struct frame_reader frames;
    enum frame_event event;
    const char *text;
    size_t length;
    char *room;

    start(&service);
    ask_text(&service,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"space.create\",\"params\":{\"name\":\"s\",\"ram\":\"1M\"}}",
             &out);
    ask_text(&service,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"area.map\",\"params\":[\"s\",\"16K\",\"rw-\",\"0x4000\"]}",
             &out);
    frame_init(&frames, service.limits.message, NULL);
    room = frame_room(&frames, size + 1);
    must(room != NULL);
    memcpy(room, bytes, size);
    frame_fed(&frames, size);
    frame_eof(&frames);
    while ((event = frame_next(&frames, &text, &length)) != FRAME_MORE) {
        if (event == FRAME_MESSAGE)
            ask(&service, text, length, &out);
    }
    check_spaces(&service, &out);
    frame_free(&frames);
    json_writer_free(&out);
    service_free(&service);
    return 0;
}
