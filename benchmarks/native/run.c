#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS (10 * NS_PER_MS)

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / NS_PER_S : 0;
}

static void announce_ready(struct run *run)
{
    run->ready_ns = now_ns();
    printf("{\"event\":\"ready\",\"connected\":%u,\"failed\":%u,\"seconds\":%.6f}\n", run->connected,
           run->count - run->connected, seconds_between(run->shared.rules.began_ns, run->ready_ns));
}

void run_changed(struct run *run, const struct client *client, enum client_state before)
{
    if (before >= CLIENT_OPEN || client->state < CLIENT_OPEN)
        return;
    run->settled++;
    if (client->state == CLIENT_OPEN)
        run->connected++;
    if (run->settled == run->count)
        announce_ready(run);
}

void run_received(struct run *run, const struct client *client, const struct reader *before)
{
    if (!client->slow) {
        run->delivered += client->reader.events - before->events;
        if (run->progress)
            __atomic_store_n(run->progress, run->delivered / (run->count - run->slow), __ATOMIC_RELAXED);
    }
    if (client->reader.caught_up_ns && !before->caught_up_ns && ++run->caught_up == run->count)
        printf("{\"event\":\"caught_up\",\"seconds\":%.6f}\n",
               seconds_between(run->shared.rules.began_ns, client->reader.caught_up_ns));
}

void run_expect(struct run *run, const uint64_t *expected, unsigned count)
{
    if (count != 1 && count < run->shared.path_count)
        die("%u numbers of events for %u paths", count, run->shared.path_count);
    for (unsigned path = 0; path < run->shared.path_count; path++)
        run->expected[path] = expected[count == 1 ? 0 : path];
}

void run_reset(struct run *run)
{
    tally_reset(&run->shared.tally);
    tally_reset(&run->shared.slow_tally);
    run->measured_from_ns = now_ns();
    run->cpu_from = cpu_now();
}

static uint32_t count_complete(const struct run *run, bool or_closed)
{
    uint32_t complete = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct client *client = &run->clients[i];
        uint64_t expected = run->expected[client->path];
        bool enough = expected && client->reader.events >= expected;
        complete += enough || (or_closed && client->state == CLIENT_CLOSED);
    }
    return complete;
}

/* Whether nobody is left to wait for. Looking at every client costs a little: not done at each turn. */
static bool nobody_waits(struct run *run, uint64_t now)
{
    if (run->settled < run->count || now < run->next_look_ns)
        return false;
    run->next_look_ns = now + LOOK_NS;
    return count_complete(run, true) == run->count;
}

const char *run_over(struct run *run)
{
    uint64_t now = now_ns();
    if (stop_requested() || run->stopped)
        return "stopped";
    if (seconds_between(run->shared.rules.began_ns, now) > run->timeout_s)
        return "timeout";
    if (!run->over_ns && nobody_waits(run, now)) {
        run->over_ns = now;
        run->cpu_over = cpu_now();
    }
    if (run->over_ns && now - run->over_ns >= run->linger_ns)
        return count_complete(run, false) == run->count ? "complete" : "closed";
    return NULL;
}

struct spread {
    uint64_t least;
    uint64_t most;
};

static void widen(struct spread *spread, uint64_t value)
{
    if (value < spread->least)
        spread->least = value;
    if (value > spread->most)
        spread->most = value;
}

static void print_spread(const char *name, struct spread spread)
{
    uint64_t least = spread.least > spread.most ? 0 : spread.least;
    printf(",\"%s\":[%" PRIu64 ",%" PRIu64 "]", name, least, spread.most);
}

/* What the clients of one path have received. */
struct path_stand {
    struct spread events;
    struct spread last;
    struct spread hash;
    uint64_t total;
    uint32_t clients;
};

static void print_paths(const struct path_stand *stands, unsigned count)
{
    fputs(",\"by_path\":[", stdout);
    for (unsigned path = 0; path < count; path++) {
        const struct path_stand *stand = &stands[path];
        printf("%s{\"clients\":%u,\"events\":%" PRIu64, path ? "," : "", stand->clients, stand->total);
        print_spread("events_per_client", stand->events);
        print_spread("last_seq", stand->last);
        printf(",\"order_hash\":\"%016" PRIx64 "\",\"same_order\":%s}", stand->hash.most,
               stand->hash.least >= stand->hash.most ? "true" : "false");
    }
    fputs("]", stdout);
}

/* Where the clients of a group stand by their paths, and whether those of each path have received the very
   same events in one order. */
static bool print_stands(const struct run *run, bool slow)
{
    unsigned count = run->shared.path_count;
    struct path_stand *stands = must_allocate(NULL, count * sizeof *stands);
    const struct spread none = {UINT64_MAX, 0};
    bool same = true;
    for (unsigned path = 0; path < count; path++)
        stands[path] = (struct path_stand){.events = none, .last = none, .hash = none};
    for (uint32_t i = 0; i < run->count; i++) {
        const struct reader *reader = &run->clients[i].reader;
        struct path_stand *stand = &stands[run->clients[i].path];
        if (run->clients[i].slow != slow)
            continue;
        stand->clients++;
        stand->total += reader->events;
        widen(&stand->events, reader->events);
        widen(&stand->last, reader->last_seq);
        widen(&stand->hash, reader->order_hash);
    }
    for (unsigned path = 0; path < count; path++)
        same = same && stands[path].hash.least >= stands[path].hash.most;
    print_paths(stands, count);
    free(stands);
    return same;
}

/* Where the clients of a group stand. `order_hash` says which order it is if there is one path. */
static void print_readers(const struct run *run, bool slow)
{
    struct spread events = {UINT64_MAX, 0}, first = events, last = events, hash = events;
    struct histogram *caught_up = memset(must_allocate(NULL, sizeof *caught_up), 0, sizeof *caught_up);
    for (uint32_t i = 0; i < run->count; i++) {
        const struct reader *reader = &run->clients[i].reader;
        if (run->clients[i].slow != slow)
            continue;
        widen(&events, reader->events);
        widen(&first, reader->first_seq);
        widen(&last, reader->last_seq);
        widen(&hash, reader->order_hash);
        if (reader->caught_up_ns)
            histogram_add(caught_up, (reader->caught_up_ns - run->shared.rules.began_ns) / 1000);
    }
    print_spread("events_per_client", events);
    print_spread("first_seq", first);
    print_spread("last_seq", last);
    bool same = print_stands(run, slow);
    printf(",\"order_hash\":\"%016" PRIx64 "\",\"same_order\":%s,\"catch_up\":", hash.most,
           same ? "true" : "false");
    histogram_print(stdout, caught_up);
    free(caught_up);
}

static void print_faults(const struct shared *shared)
{
    const char *comma = "";
    printf(",\"failed_connects\":%" PRIu64 ",\"failed_upgrades\":%" PRIu64 ",\"broken\":%" PRIu64
           ",\"pings\":%" PRIu64 ",\"closed\":{",
           shared->failed_connects, shared->failed_upgrades, shared->broken, shared->pings);
    for (int code = 0; code < CLOSE_CODES; code++) {
        if (!shared->closed[code])
            continue;
        printf("%s\"%d\":%u", comma, code, shared->closed[code]);
        comma = ",";
    }
    fputs("},\"refusal\":", stdout);
    print_json_string(stdout, shared->refusal);
}

void run_print(const struct run *run, const char *kind, const char *reason)
{
    struct cpu_time cpu = run->over_ns ? run->cpu_over : cpu_now();
    uint64_t until = run->over_ns ? run->over_ns : now_ns();
    printf("{\"event\":\"%s\",\"reason\":\"%s\",\"clients\":%u,\"connected\":%u,\"complete\":%u,", kind,
           reason ? reason : "", run->count, run->connected, count_complete(run, false));
    tally_print(stdout, &run->shared.tally);
    print_readers(run, false);
    if (run->slow) {
        fputs(",\"slow\":{", stdout);
        tally_print(stdout, &run->shared.slow_tally);
        print_readers(run, true);
        fputs("}", stdout);
    }
    print_faults(&run->shared);
    printf(",\"active_s\":%.6f", seconds_between(run->measured_from_ns, run->shared.tally.last_ns));
    printf(",\"cpu_user_s\":%.6f,\"cpu_system_s\":%.6f,\"wall_s\":%.6f}\n", cpu.user_s - run->cpu_from.user_s,
           cpu.system_s - run->cpu_from.system_s, seconds_between(run->measured_from_ns, until));
}
