/* Small helpers that the load generator and the publisher share: clock, CPU time, sockets, errors. */
#ifndef BENCH_SUPPORT_H
#define BENCH_SUPPORT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NS_PER_S 1000000000ULL
#define NS_PER_MS 1000000ULL

struct cpu_time {
    double user_s;
    double system_s;
};

/* Nanoseconds of CLOCK_MONOTONIC: the same clock in every process of the machine. */
uint64_t now_ns(void);

/* CPU time that this process has used so far. */
struct cpu_time cpu_now(void);

/* Print "program: message" to stderr and exit with status 2. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Like malloc and realloc, but never return NULL. */
void *must_allocate(void *old, size_t bytes);

/* Parse a whole argument as a number of the given range, or die naming the option. */
double parse_number(const char *option, const char *text, double least, double most);

/* Allow as many open files as the hard limit does. */
void raise_file_limit(void);

/* An IPv4 address in digits (or "localhost") and a port. */
struct sockaddr_in parse_address(const char *host, const char *port);

/* Begin a non-blocking TCP connection with Nagle off; -1 and errno when it cannot begin. */
int begin_connect(const struct sockaddr_in *address);

/* The error of a connection that has become writable: 0 when it is established. */
int connect_error(int fd);

/* True once SIGTERM or SIGINT has arrived (after watch_signals). */
void watch_signals(void);
bool stop_requested(void);

/* Write `text` as a JSON string, quotes included. */
void print_json_string(FILE *out, const char *text);

#endif
