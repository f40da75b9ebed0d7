/* The state of one run of the load generator: who is connected, who is complete, when it is over. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "client.h"
#include "support.h"

struct run {
    struct shared shared;
    struct client *clients;
    uint32_t count;
    uint32_t slow;      /* the first so many clients rest after their handshake */
    double slow_s;      /* for so long after all are connected; 0: until they are told */
    double ramp_per_s;  /* connections begun per second; 0: all at once */
    double timeout_s;   /* counted from the start */
    uint64_t linger_ns; /* how long to look for surplus events after the last expected one */
    uint64_t expected[MOST_PATHS]; /* events per client of each path; 0: not known */
    uint64_t *progress; /* events per client so far, for a publisher that keeps to a window */

    int epoll;
    bool stopped;
    uint32_t begun;
    uint32_t settled; /* connected, or failed to */
    uint32_t connected;
    uint32_t caught_up;
    uint64_t delivered; /* to clients that are not slow */
    uint64_t ready_ns;
    uint64_t measured_from_ns; /* the start, or the last reset */
    uint64_t next_look_ns;
    uint64_t over_ns; /* the last expected event had been received */
    struct cpu_time cpu_from;
    struct cpu_time cpu_over;
};

/* A client's state was `before` and has changed. */
void run_changed(struct run *run, const struct client *client, enum client_state before);

/* A client's record was `before`, before a read. */
void run_received(struct run *run, const struct client *client, const struct reader *before);

/* Events per client: one number for all paths, or as many as there are paths. */
void run_expect(struct run *run, const uint64_t *expected, unsigned count);

/* Measure latencies, amounts and CPU from here on. */
void run_reset(struct run *run);

/* Why the run is over, or NULL while it goes on. */
const char *run_over(struct run *run);

/* Write one JSON line of the given kind with every figure. */
void run_print(const struct run *run, const char *kind, const char *reason);

#endif
