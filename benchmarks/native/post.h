/* One keep-alive HTTP/1.1 connection of the publisher: sends a POST, waits for its answer. */
#ifndef BENCH_POST_H
#define BENCH_POST_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_BYTES 8192

struct post_connection {
    int fd;
    bool connected;
    bool in_flight;
    bool stalled;     /* the socket took only a part of the request */
    unsigned events;  /* in the post in flight, … */
    unsigned path;    /* … and which of the paths it goes to */
    uint64_t sent_ns; /* when the post in flight was begun */
    char *request;
    size_t request_capacity;
    size_t request_length;
    size_t written;
    char answer[ANSWER_BYTES + 1];
    size_t answer_length;
};

/* What an answer says. */
struct answer {
    int status;       /* 0: not complete yet; -1: the connection is lost or not understood */
    const char *body; /* zero-terminated, valid until the next post */
};

/* The events of the posts: `count` of them, each of about `event_bytes`, stamped by `tag`. */
struct event_shape {
    const char *target; /* the request's path */
    const char *host;
    unsigned count;
    unsigned event_bytes;
    unsigned tag; /* 0 to 9: the last digit of every sent_ns */
};

/* Build a request whose events are stamped with the time of now. */
void post_prepare(struct post_connection *connection, const struct event_shape *shape);

/* Write what the socket takes; false when the connection is lost. */
bool post_write(struct post_connection *connection);
bool post_written(const struct post_connection *connection);

/* Read what has come of the answer. */
struct answer post_read(struct post_connection *connection);

#endif
