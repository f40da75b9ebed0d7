/* A log-linear histogram of durations: exact to 1 us below 1,024 us, to 0.2 % above. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_BUCKETS 14336

struct histogram {
    uint64_t count;
    uint64_t sum_us;
    uint64_t max_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Buckets below 1,024 hold one microsecond each; above, each power of two is cut in 512. */
static inline unsigned histogram_bucket(uint64_t us)
{
    if (us < 1024)
        return (unsigned)us;
    unsigned power = 63u - (unsigned)__builtin_clzll(us);
    if (power > 35)
        return HISTOGRAM_BUCKETS - 1;
    return 1024 + (power - 10) * 512 + (unsigned)(us >> (power - 9)) - 512;
}

static inline void histogram_add(struct histogram *h, uint64_t us)
{
    h->count++;
    h->sum_us += us;
    if (us > h->max_us)
        h->max_us = us;
    h->buckets[histogram_bucket(us)]++;
}

/* Add every sample of `from` to `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The least value that `fraction` (0 to 1) of the samples do not exceed, in us; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double fraction);

/* Write {"count", "mean", "p50", "p95", "p99", "p999", "max"} in us. */
void histogram_print(FILE *out, const struct histogram *h);

#endif
