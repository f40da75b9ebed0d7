/* One WebSocket client of the load generator: connects, reads, answers pings and closes. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tally.h"
#include "websocket.h"

#define MOST_PATHS 1024
#define CLOSE_CODES 5000 /* close codes are counted by their number; 1006 stands for a lost connection */

enum client_state { CLIENT_NEW, CLIENT_CONNECTING, CLIENT_UPGRADING, CLIENT_OPEN, CLIENT_CLOSED };

/* Bytes kept between two reads. */
struct leftover {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

struct client {
    int fd;
    enum client_state state;
    unsigned path; /* the index of its own */
    bool slow;     /* one of the clients that stop reading */
    bool resting;  /* not reading now */
    char accept[WS_ACCEPT_SIZE];
    struct leftover partial; /* of a frame */
    struct leftover message; /* of a message in several frames */
    struct reader reader;
};

/* What the clients of one run share. */
struct shared {
    struct sockaddr_in address;
    const char *host; /* for the Host header */
    const char *paths[MOST_PATHS];
    unsigned path_count;
    struct rules rules;
    struct tally tally;      /* of the clients that always read */
    struct tally slow_tally; /* of those that rest */
    struct leftover input;   /* where every client's reads go: one buffer that stays in the cache */
    uint64_t pings;
    uint64_t failed_connects;
    uint64_t failed_upgrades;
    uint64_t broken; /* protocol errors */
    uint32_t closed[CLOSE_CODES];
    char refusal[SAMPLE_BYTES]; /* the start of the first response that did not upgrade */
};

/* Begin to connect. Afterwards `fd` is to be watched for output, or `state` is CLIENT_CLOSED. */
void client_begin(struct client *client, struct shared *shared);

/* Go on after the socket has become writable: finish connecting and ask for the upgrade. */
void client_writable(struct client *client, struct shared *shared);

/* Read once and take what has come. */
void client_readable(struct client *client, struct shared *shared);

#endif
