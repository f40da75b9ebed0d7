/* What is learnt from the messages that clients receive: counts, latencies, order. */
#ifndef BENCH_TALLY_H
#define BENCH_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "histogram.h"

#define TAGS 10 /* the last digit of sent_ns names the publisher */
#define SAMPLE_BYTES 240

/* What holds for every client of a run. */
struct rules {
    uint64_t began_ns; /* an event sent after this proves that a client has caught up */
    bool check_order;  /* read "seq" as well */
};

/* One client's own record. */
struct reader {
    uint64_t events;
    uint64_t first_seq;
    uint64_t last_seq;
    uint64_t order_hash; /* over sent_ns, in order of arrival */
    uint64_t caught_up_ns;
};

/* What a group of clients has in common. */
struct tally {
    struct histogram *by_tag[TAGS];
    uint64_t measured; /* events since the last reset */
    uint64_t first_ns; /* receipt of the first and the last of them */
    uint64_t last_ns;
    uint64_t bytes;
    uint64_t messages;
    uint64_t eventless; /* messages without an event: control frames of the feed */
    uint64_t ahead;     /* events stamped in the future: not a clock that we share */
    uint64_t gaps;
    uint64_t missing;
    uint64_t duplicates;
    char sample[SAMPLE_BYTES]; /* the start of the first message without an event */
};

/* Take the whole text of one message, received at now_ns. */
void tally_message(struct tally *tally, struct reader *reader, const struct rules *rules, const char *text,
                   size_t length, uint64_t now);

/* Forget latencies and amounts; what was wrong (order, frames without events) stays. */
void tally_reset(struct tally *tally);

/* Write the group's figures as JSON members, without the surrounding braces. */
void tally_print(FILE *out, const struct tally *tally);

#endif
