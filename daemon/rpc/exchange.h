/* A message that is answered later: its own copy of the text, its requests as jobs, and the reply when all have
 * ended. */
#ifndef RPC_EXCHANGE_H
#define RPC_EXCHANGE_H

#include "rpc/actor.h"
#include "rpc/peer.h"

struct exchange {
    struct service *service;
    struct peer *peer;      /* NULL: it has left */
    struct peer_user *user; /* whose it was also then; or NULL */
    struct exchange *next;
    struct exchange **link;
    char *text;
    size_t size;
    struct json_doc doc;
    bool batch;
    size_t waiting;            /* jobs that have not ended, and one for who is still adding */
    struct json_writer before; /* the replies to a batch's first requests, which were made at once */
    size_t bytes;              /* of replies so far */
    bool failed;               /* there was no memory for a reply */
    struct job *first;
    struct job **last;
};

/* Copies the message. NULL without memory. */
struct exchange *exchange_new(struct service *service, struct peer *peer, const char *text, size_t size);

/* A new job at the end of the exchange, counted as waiting; NULL without memory. */
struct job *exchange_add(struct exchange *exchange);

/* The job has ended. When it was the last, the peer gets its answer and the exchange is gone. */
void exchange_job_done(struct job *job);

/* Who added the jobs has added the last one. */
void exchange_complete(struct exchange *exchange);

#endif
