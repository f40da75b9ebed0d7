#include "tally.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "token.h"

#define HASH_FACTOR 0x100000001b3ULL

static void measure(struct tally *tally, uint64_t sent, uint64_t now)
{
    struct histogram **h = &tally->by_tag[sent % TAGS];
    if (!*h)
        *h = memset(must_allocate(NULL, sizeof **h), 0, sizeof **h);
    if (sent > now)
        tally->ahead++;
    histogram_add(*h, sent > now ? 0 : (now - sent) / 1000);
    if (!tally->measured++)
        tally->first_ns = now;
    tally->last_ns = now;
}

static uint64_t read_stamps(struct tally *tally, struct reader *reader, const struct rules *rules,
                            const char *p, const char *end, uint64_t now)
{
    uint64_t before = reader->events;
    while ((p = after_token(p, end, SENT_TOKEN))) {
        uint64_t sent = read_digits(&p, end);
        reader->events++;
        reader->order_hash = (reader->order_hash ^ sent) * HASH_FACTOR;
        if (sent > rules->began_ns && !reader->caught_up_ns)
            reader->caught_up_ns = now;
        measure(tally, sent, now);
    }
    return reader->events - before;
}

static void read_order(struct tally *tally, struct reader *reader, const char *p, const char *end)
{
    while ((p = after_token(p, end, SEQ_TOKEN))) {
        uint64_t seq = read_digits(&p, end);
        if (!reader->first_seq) {
            reader->first_seq = seq;
        } else if (seq <= reader->last_seq) {
            tally->duplicates++;
            continue;
        } else if (seq != reader->last_seq + 1) {
            tally->gaps++;
            tally->missing += seq - reader->last_seq - 1;
        }
        reader->last_seq = seq;
    }
}

void tally_message(struct tally *tally, struct reader *reader, const struct rules *rules, const char *text,
                   size_t length, uint64_t now)
{
    const char *end = text + length;
    tally->messages++;
    if (read_stamps(tally, reader, rules, text, end, now) == 0 && !tally->eventless++)
        snprintf(tally->sample, SAMPLE_BYTES, "%.*s", (int)(length < SAMPLE_BYTES ? length : SAMPLE_BYTES),
                 text);
    if (rules->check_order)
        read_order(tally, reader, text, end);
}

void tally_reset(struct tally *tally)
{
    for (int tag = 0; tag < TAGS; tag++) {
        free(tally->by_tag[tag]);
        tally->by_tag[tag] = NULL;
    }
    tally->measured = tally->first_ns = tally->last_ns = tally->bytes = tally->messages = 0;
}

static void print_latency(FILE *out, const struct tally *tally)
{
    struct histogram *all = memset(must_allocate(NULL, sizeof *all), 0, sizeof *all);
    const char *comma = "";
    fputs("\"latency_by_tag\":{", out);
    for (int tag = 0; tag < TAGS; tag++) {
        if (!tally->by_tag[tag])
            continue;
        fprintf(out, "%s\"%d\":", comma, tag);
        histogram_print(out, tally->by_tag[tag]);
        histogram_merge(all, tally->by_tag[tag]);
        comma = ",";
    }
    fputs("},\"latency\":", out);
    histogram_print(out, all);
    free(all);
}

void tally_print(FILE *out, const struct tally *tally)
{
    double span_s = (double)(tally->last_ns - tally->first_ns) / NS_PER_S;
    print_latency(out, tally);
    fprintf(out, ",\"measured\":%" PRIu64 ",\"span_s\":%.6f,\"per_s\":%.1f", tally->measured, span_s,
            span_s > 0 ? (double)tally->measured / span_s : 0.0);
    fprintf(out,
            ",\"bytes\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"eventless\":%" PRIu64 ",\"ahead\":%" PRIu64,
            tally->bytes, tally->messages, tally->eventless, tally->ahead);
    fprintf(out, ",\"gaps\":%" PRIu64 ",\"missing\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"sample\":",
            tally->gaps, tally->missing, tally->duplicates);
    print_json_string(out, tally->sample);
}
