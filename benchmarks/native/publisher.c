/* The publisher: posts JSON arrays of stamped events over a few keep-alive connections, in one thread. With
   several paths the posts go to one after the other.

   usage: publisher --port P --path /api/v1/streams/session:bench/events [options]; see usage() below.

   With --rate it keeps to a timetable: a post that is due while every connection waits for an answer is sent
   late, and "lag" says by how much. Without, it sends whenever a connection is free; --window N then keeps it
   at most N events ahead of what the load generator writes to the --progress file. SIGTERM ends it early: it
   waits for the answers under way. One JSON line at the end says what was achieved. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "histogram.h"
#include "post.h"
#include "support.h"

#define TIMER_MARK UINT32_MAX
#define MOST_CONNECTIONS 256
#define MOST_PATHS 1024
#define ANSWERS_WAIT_NS (10 * NS_PER_S) /* how long answers are waited for at the end */
#define WINDOW_POLL_NS (NS_PER_MS / 2)

struct publisher {
    struct sockaddr_in address;
    struct event_shape shape; /* but for its target */
    const char *paths[MOST_PATHS];
    uint64_t acknowledged_by_path[MOST_PATHS];
    unsigned path_count;
    unsigned connections;
    double rate; /* events per second; 0: as fast as answers come */
    double seconds;
    uint64_t events;                  /* how many to send; 0: no limit */
    uint64_t window;                  /* events ahead of the clients; 0: no limit */
    const volatile uint64_t *progress;

    int epoll;
    int timer;
    struct post_connection posts[MOST_CONNECTIONS];
    unsigned usable;
    unsigned in_flight;
    unsigned most_in_flight;
    uint64_t began_ns;
    uint64_t last_answer_ns;
    uint64_t sent;
    uint64_t sent_posts;
    uint64_t acknowledged;
    uint64_t failed_posts;
    uint64_t answered_posts;
    uint64_t last_seq;
    char failure[240]; /* the first answer that was not 2xx */
    struct histogram ack;
    struct histogram lag;
    struct cpu_time cpu_began;
};

static void usage(void)
{
    die("options: --host A --port P --path /p … [--connections N] [--events-per-post N] [--rate EVENTS_PER_S] "
        "[--seconds S] [--events N] [--event-bytes N] [--tag 0..9] [--window N --progress FILE]");
}

static const uint64_t *map_progress(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        die("%s: %s", path, strerror(errno));
    close(fd);
    return memory;
}

enum option_id { HOST, PORT, PATH, POSTS, PER_POST, RATE, SECONDS, EVENTS, BYTES, TAG, WINDOW, PROGRESS };

static const struct option OPTIONS[] = {
    {"host", required_argument, NULL, HOST},
    {"port", required_argument, NULL, PORT},
    {"path", required_argument, NULL, PATH},
    {"connections", required_argument, NULL, POSTS},
    {"events-per-post", required_argument, NULL, PER_POST},
    {"rate", required_argument, NULL, RATE},
    {"seconds", required_argument, NULL, SECONDS},
    {"events", required_argument, NULL, EVENTS},
    {"event-bytes", required_argument, NULL, BYTES},
    {"tag", required_argument, NULL, TAG},
    {"window", required_argument, NULL, WINDOW},
    {"progress", required_argument, NULL, PROGRESS},
    {NULL, 0, NULL, 0},
};

static void add_path(struct publisher *p, const char *path)
{
    if (p->path_count == MOST_PATHS)
        die("no more than %d paths", MOST_PATHS);
    p->paths[p->path_count++] = path;
}

static void take_option(struct publisher *p, int id, const char *value, const char **host, const char **port)
{
    switch (id) {
    case HOST: *host = value; break;
    case PORT: *port = value; break;
    case PATH: add_path(p, value); break;
    case POSTS: p->connections = (unsigned)parse_number("--connections", value, 1, MOST_CONNECTIONS); break;
    case PER_POST: p->shape.count = (unsigned)parse_number("--events-per-post", value, 1, 10000); break;
    case RATE: p->rate = parse_number("--rate", value, 0, 1e8); break;
    case SECONDS: p->seconds = parse_number("--seconds", value, 0, 1e6); break;
    case EVENTS: p->events = (uint64_t)parse_number("--events", value, 0, 1e12); break;
    case BYTES: p->shape.event_bytes = (unsigned)parse_number("--event-bytes", value, 100, 100000); break;
    case TAG: p->shape.tag = (unsigned)parse_number("--tag", value, 0, 9); break;
    case WINDOW: p->window = (uint64_t)parse_number("--window", value, 0, 1e12); break;
    case PROGRESS: p->progress = map_progress(value); break;
    default: usage();
    }
}

static void read_options(struct publisher *p, int argc, char **argv)
{
    char header[64];
    const char *host = "127.0.0.1";
    const char *port = NULL;
    int id;
    while ((id = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
        take_option(p, id, optarg, &host, &port);
    if (optind < argc || !port || !p->path_count || (p->window && !p->progress))
        usage();
    if (!p->seconds && !p->events)
        die("one of --seconds and --events is needed");
    p->address = parse_address(host, port);
    snprintf(header, sizeof header, "%s:%s", host, port);
    p->shape.host = strdup(header);
}

static void watch(struct publisher *p, unsigned index, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = index};
    if (epoll_ctl(p->epoll, operation, p->posts[index].fd, &event) < 0)
        die("epoll: %s", strerror(errno));
}

/* Connections are opened one after another before the clock starts. */
static void open_connections(struct publisher *p)
{
    for (unsigned i = 0; i < p->connections; i++) {
        struct post_connection *post = &p->posts[i];
        struct epoll_event event;
        post->fd = begin_connect(&p->address);
        if (post->fd < 0)
            die("cannot connect: %s", strerror(errno));
        watch(p, i, EPOLL_CTL_ADD, EPOLLOUT);
        if (epoll_wait(p->epoll, &event, 1, 10000) != 1 || connect_error(post->fd))
            die("cannot connect");
        watch(p, i, EPOLL_CTL_MOD, EPOLLIN);
        post->connected = true;
        p->usable++;
    }
}

/* With a rate and a duration the number of events is known beforehand, whatever the timing. */
static void settle_amount(struct publisher *p)
{
    if (p->rate > 0 && p->seconds > 0 && !p->events)
        p->events = (uint64_t)(p->rate * p->seconds);
}

static bool finished_sending(const struct publisher *p, uint64_t now)
{
    if (stop_requested() || !p->usable || (p->events && p->sent >= p->events))
        return true;
    return p->seconds > 0 && p->rate <= 0 && now - p->began_ns >= (uint64_t)(p->seconds * NS_PER_S);
}

/* When the next post is due. */
static uint64_t due_ns(const struct publisher *p)
{
    return p->began_ns + (p->rate > 0 ? (uint64_t)((double)p->sent / p->rate * NS_PER_S) : 0);
}

static bool window_open(const struct publisher *p)
{
    return !p->window || p->sent < *p->progress + p->window;
}

static struct post_connection *free_connection(struct publisher *p)
{
    if (p->in_flight == p->usable)
        return NULL;
    for (unsigned i = 0; i < p->connections; i++)
        if (p->posts[i].connected && !p->posts[i].in_flight)
            return &p->posts[i];
    return NULL;
}

static void lose(struct publisher *p, struct post_connection *post, const char *why)
{
    if (!p->failure[0])
        snprintf(p->failure, sizeof p->failure, "%s", why);
    if (post->in_flight) {
        p->in_flight--;
        p->failed_posts++;
    }
    close(post->fd);
    post->connected = post->in_flight = false;
    p->usable--;
}

static void write_post(struct publisher *p, struct post_connection *post)
{
    if (!post_write(post)) {
        lose(p, post, "connection lost while writing");
        return;
    }
    bool stalled = !post_written(post);
    if (stalled != post->stalled)
        watch(p, (unsigned)(post - p->posts), EPOLL_CTL_MOD, stalled ? EPOLLIN | EPOLLOUT : EPOLLIN);
    post->stalled = stalled;
}

/* The last post may hold fewer events, so that the amount is exact. */
static void send_post(struct publisher *p, struct post_connection *post, uint64_t now)
{
    struct event_shape shape = p->shape;
    if (p->events && p->events - p->sent < shape.count)
        shape.count = (unsigned)(p->events - p->sent);
    post->path = (unsigned)(p->sent_posts++ % p->path_count);
    shape.target = p->paths[post->path];
    if (p->rate > 0)
        histogram_add(&p->lag, (now - due_ns(p)) / 1000);
    post_prepare(post, &shape);
    p->sent += shape.count;
    if (++p->in_flight > p->most_in_flight)
        p->most_in_flight = p->in_flight;
    write_post(p, post);
}

static void arm_timer(struct publisher *p, uint64_t at_ns)
{
    struct itimerspec when = {0};
    when.it_value.tv_sec = (time_t)(at_ns / NS_PER_S);
    when.it_value.tv_nsec = (long)(at_ns % NS_PER_S);
    timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void send_due(struct publisher *p)
{
    struct post_connection *post;
    uint64_t now;
    while (!finished_sending(p, now = now_ns()) && (post = free_connection(p))) {
        if (due_ns(p) > now) {
            arm_timer(p, due_ns(p));
            return;
        }
        if (!window_open(p)) {
            arm_timer(p, now + WINDOW_POLL_NS);
            return;
        }
        send_post(p, post, now);
    }
}

static void take_answer(struct publisher *p, struct post_connection *post)
{
    struct answer answer = post_read(post);
    if (answer.status == 0)
        return;
    if (answer.status < 0) {
        lose(p, post, "connection lost, or an answer without Content-Length");
        return;
    }
    p->last_answer_ns = now_ns();
    p->in_flight--;
    post->in_flight = false;
    p->answered_posts++;
    histogram_add(&p->ack, (p->last_answer_ns - post->sent_ns) / 1000);
    if (answer.status / 100 != 2) {
        p->failed_posts++;
        if (!p->failure[0])
            snprintf(p->failure, sizeof p->failure, "%d %s", answer.status, answer.body);
        return;
    }
    const char *seq = strstr(answer.body, "\"last_seq\":");
    uint64_t last = seq ? strtoull(seq + 11, NULL, 10) : 0;
    p->last_seq = last > p->last_seq ? last : p->last_seq;
    p->acknowledged += post->events;
    p->acknowledged_by_path[post->path] += post->events;
}

static void take_event(struct publisher *p, const struct epoll_event *event)
{
    if (event->data.u32 == TIMER_MARK) {
        uint64_t expirations;
        ssize_t got = read(p->timer, &expirations, sizeof expirations);
        (void)got;
        return;
    }
    struct post_connection *post = &p->posts[event->data.u32];
    if (post->connected && event->events & EPOLLOUT)
        write_post(p, post);
    if (post->connected && event->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        take_answer(p, post);
}

static void publish(struct publisher *p)
{
    struct epoll_event events[MOST_CONNECTIONS];
    uint64_t finished_ns = 0;
    p->began_ns = p->last_answer_ns = now_ns();
    p->cpu_began = cpu_now();
    for (;;) {
        send_due(p);
        uint64_t now = now_ns();
        if (!finished_ns && finished_sending(p, now))
            finished_ns = now;
        if (finished_ns && (!p->in_flight || now - finished_ns > ANSWERS_WAIT_NS))
            return;
        int ready = epoll_wait(p->epoll, events, MOST_CONNECTIONS, 50);
        for (int i = 0; i < ready; i++)
            take_event(p, &events[i]);
    }
}

static void print(const struct publisher *p)
{
    struct cpu_time cpu = cpu_now();
    double seconds = (double)(p->last_answer_ns - p->began_ns) / NS_PER_S;
    printf("{\"event\":\"done\",\"sent\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"posts\":%" PRIu64
           ",\"failed_posts\":%" PRIu64 ",\"unanswered\":%u,\"seconds\":%.6f,\"per_s\":%.1f"
           ",\"target_per_s\":%.1f",
           p->sent, p->acknowledged, p->answered_posts, p->failed_posts, p->in_flight, seconds,
           seconds > 0 ? (double)p->acknowledged / seconds : 0.0, p->rate);
    printf(",\"last_seq\":%" PRIu64 ",\"most_in_flight\":%u,\"ack\":", p->last_seq, p->most_in_flight);
    histogram_print(stdout, &p->ack);
    fputs(",\"lag\":", stdout);
    histogram_print(stdout, &p->lag);
    fputs(",\"acknowledged_by_path\":[", stdout);
    for (unsigned path = 0; path < p->path_count; path++)
        printf("%s%" PRIu64, path ? "," : "", p->acknowledged_by_path[path]);
    fputs("],\"failure\":", stdout);
    print_json_string(stdout, p->failure);
    printf(",\"cpu_user_s\":%.6f,\"cpu_system_s\":%.6f,\"wall_s\":%.6f}\n", cpu.user_s - p->cpu_began.user_s,
           cpu.system_s - p->cpu_began.system_s, (double)(now_ns() - p->began_ns) / NS_PER_S);
}

int main(int argc, char **argv)
{
    static struct publisher p;
    struct epoll_event timer = {.events = EPOLLIN, .data.u32 = TIMER_MARK};
    p.connections = 1;
    p.shape.count = 1;
    p.shape.event_bytes = 500;
    read_options(&p, argc, argv);
    watch_signals();
    raise_file_limit();
    p.epoll = epoll_create1(EPOLL_CLOEXEC);
    p.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (p.epoll < 0 || p.timer < 0)
        die("cannot start");
    open_connections(&p);
    if (epoll_ctl(p.epoll, EPOLL_CTL_ADD, p.timer, &timer) < 0)
        die("epoll: %s", strerror(errno));
    settle_amount(&p);
    publish(&p);
    print(&p);
    return 0;
}
