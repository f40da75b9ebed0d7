/* The load generator: many WebSocket clients in one thread, of one path or spread evenly over several.

   usage: loadgen --port P --path /ws/events/bench --clients N [options]; see usage() below.

   It prints one JSON line when every client is connected ("ready"), one when every client has caught up
   with events sent after the start ("caught_up"), one for each "report" asked for, and one at the end
   ("done"). Lines on standard input steer it: "expect N" (end when each client has N events; with several
   paths there may be a number for each), "resume" (the slow clients read on), "reset" (forget the
   measurements), "report" (print them), "stop". */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "run.h"
#include "support.h"

#define STDIN_MARK UINT32_MAX
#define EVENTS_AT_ONCE 512
#define COMMAND_BYTES 32768 /* a number for each of the most paths */

static void usage(void)
{
    die("options: --host A --port P --path /p … --clients N [--ramp PER_S] [--expect N] [--timeout S] "
        "[--check-order] [--slow K] [--slow-seconds S] [--linger-ms MS] [--progress FILE]");
}

static uint64_t *map_progress(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(uint64_t)) < 0)
        die("%s: %s", path, strerror(errno));
    void *memory = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        die("%s: %s", path, strerror(errno));
    close(fd);
    return memory;
}

enum option_id { HOST, PORT, PATH, CLIENTS, RAMP, EXPECT, TIMEOUT, ORDER, SLOW, SLOW_S, LINGER, PROGRESS };

static const struct option OPTIONS[] = {
    {"host", required_argument, NULL, HOST},       {"port", required_argument, NULL, PORT},
    {"path", required_argument, NULL, PATH},       {"clients", required_argument, NULL, CLIENTS},
    {"ramp", required_argument, NULL, RAMP},       {"expect", required_argument, NULL, EXPECT},
    {"timeout", required_argument, NULL, TIMEOUT}, {"check-order", no_argument, NULL, ORDER},
    {"slow", required_argument, NULL, SLOW},       {"slow-seconds", required_argument, NULL, SLOW_S},
    {"linger-ms", required_argument, NULL, LINGER}, {"progress", required_argument, NULL, PROGRESS},
    {NULL, 0, NULL, 0},
};

static void add_path(struct shared *shared, const char *path)
{
    if (shared->path_count == MOST_PATHS)
        die("no more than %d paths", MOST_PATHS);
    shared->paths[shared->path_count++] = path;
}

static void take_option(struct run *run, int id, const char *value, const char **host, const char **port,
                        uint64_t *expected)
{
    switch (id) {
    case HOST: *host = value; break;
    case PORT: *port = value; break;
    case PATH: add_path(&run->shared, value); break;
    case CLIENTS: run->count = (uint32_t)parse_number("--clients", value, 1, 60000); break;
    case RAMP: run->ramp_per_s = parse_number("--ramp", value, 0, 1e6); break;
    case EXPECT: *expected = (uint64_t)parse_number("--expect", value, 0, 1e12); break;
    case TIMEOUT: run->timeout_s = parse_number("--timeout", value, 0, 1e6); break;
    case ORDER: run->shared.rules.check_order = true; break;
    case SLOW: run->slow = (uint32_t)parse_number("--slow", value, 0, 60000); break;
    case SLOW_S: run->slow_s = parse_number("--slow-seconds", value, 0, 1e6); break;
    case LINGER: run->linger_ns = (uint64_t)(parse_number("--linger-ms", value, 0, 1e6) * NS_PER_MS); break;
    case PROGRESS: run->progress = map_progress(value); break;
    default: usage();
    }
}

static void read_options(struct run *run, int argc, char **argv)
{
    char host_header[64];
    const char *host = "127.0.0.1";
    const char *port = NULL;
    uint64_t expected = 0;
    int id;
    while ((id = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
        take_option(run, id, optarg, &host, &port, &expected);
    if (optind < argc || !port || !run->shared.path_count || !run->count || run->slow > run->count)
        usage();
    run_expect(run, &expected, 1);
    run->shared.address = parse_address(host, port);
    snprintf(host_header, sizeof host_header, "%s:%s", host, port);
    run->shared.host = strdup(host_header);
}

static void watch(struct run *run, uint32_t index, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = index};
    if (epoll_ctl(run->epoll, operation, run->clients[index].fd, &event) < 0)
        die("epoll: %s", strerror(errno));
}

/* Begin as many connections as the ramp allows by now; without a ramp, all. */
static void begin_due(struct run *run)
{
    double due = run->count;
    if (run->ramp_per_s > 0)
        due = (double)(now_ns() - run->shared.rules.began_ns) / NS_PER_S * run->ramp_per_s + 1;
    while (run->begun < run->count && run->begun < due) {
        uint32_t index = run->begun++;
        struct client *client = &run->clients[index];
        client->path = index % run->shared.path_count;
        client->slow = client->resting = index < run->slow;
        client_begin(client, &run->shared);
        if (client->state == CLIENT_CONNECTING)
            watch(run, index, EPOLL_CTL_ADD, EPOLLOUT);
        run_changed(run, client, CLIENT_NEW);
    }
}

static void step(struct run *run, uint32_t index)
{
    struct client *client = &run->clients[index];
    enum client_state before = client->state;
    struct reader reader = client->reader;
    if (before == CLIENT_CLOSED)
        return;
    if (before == CLIENT_CONNECTING)
        client_writable(client, &run->shared);
    else
        client_readable(client, &run->shared);
    if (client->state != before)
        run_changed(run, client, before);
    if (client->state == CLIENT_UPGRADING && before == CLIENT_CONNECTING)
        watch(run, index, EPOLL_CTL_MOD, EPOLLIN);
    if (client->state == CLIENT_OPEN && client->resting)
        watch(run, index, EPOLL_CTL_DEL, 0);
    run_received(run, client, &reader);
}

static void resume_slow(struct run *run)
{
    for (uint32_t index = 0; index < run->slow; index++) {
        struct client *client = &run->clients[index];
        bool rested = client->resting && client->state == CLIENT_OPEN;
        client->resting = false;
        if (rested)
            watch(run, index, EPOLL_CTL_ADD, EPOLLIN);
    }
    run->slow_s = 0;
}

static void read_expected(struct run *run, const char *numbers)
{
    uint64_t expected[MOST_PATHS];
    unsigned count = 0;
    char *end;
    for (; *numbers && count < MOST_PATHS; numbers = end) {
        expected[count++] = strtoull(numbers, &end, 10);
        if (end == numbers)
            die("expect: \"%s\" is no number", numbers);
    }
    run_expect(run, expected, count);
}

static void obey(struct run *run, char *line)
{
    if (strncmp(line, "expect ", 7) == 0)
        read_expected(run, line + 7);
    else if (strcmp(line, "resume") == 0)
        resume_slow(run);
    else if (strcmp(line, "reset") == 0)
        run_reset(run);
    else if (strcmp(line, "report") == 0)
        run_print(run, "report", NULL);
    else if (strcmp(line, "stop") == 0)
        run->stopped = true;
    else if (*line)
        die("unknown command \"%s\"", line);
}

/* Commands are short and written a line at a time, so one read holds whole lines. End of input stops. */
static void read_commands(struct run *run)
{
    char text[COMMAND_BYTES];
    char *rest = NULL;
    ssize_t got = read(STDIN_FILENO, text, sizeof text - 1);
    if (got <= 0) {
        run->stopped = true;
        return;
    }
    text[got] = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        obey(run, line);
}

/* A file or /dev/null as standard input cannot be polled: then there are no commands. */
static void watch_commands(struct run *run)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = STDIN_MARK};
    if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0 && errno != EPERM && errno != EBADF)
        die("epoll: %s", strerror(errno));
}

static void turn(struct run *run)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    begin_due(run);
    int ready = epoll_wait(run->epoll, events, EVENTS_AT_ONCE, run->begun < run->count ? 1 : 20);
    for (int i = 0; i < ready; i++) {
        if (events[i].data.u32 == STDIN_MARK)
            read_commands(run);
        else
            step(run, events[i].data.u32);
    }
    if (run->slow_s > 0 && run->ready_ns && now_ns() - run->ready_ns > (uint64_t)(run->slow_s * NS_PER_S))
        resume_slow(run);
}

int main(int argc, char **argv)
{
    static struct run run;
    run.linger_ns = 200 * NS_PER_MS;
    run.timeout_s = 60;
    read_options(&run, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    watch_signals();
    raise_file_limit();
    run.clients = calloc(run.count, sizeof *run.clients);
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!run.clients || run.epoll < 0)
        die("cannot start");
    watch_commands(&run);
    run.shared.rules.began_ns = run.measured_from_ns = now_ns();
    run.cpu_from = cpu_now();
    const char *reason = NULL;
    while (!(reason = run_over(&run)))
        turn(&run);
    run_print(&run, "done", reason);
    return 0;
}
