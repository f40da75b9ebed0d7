#include "histogram.h"

#include <inttypes.h>

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->sum_us += from->sum_us;
    if (from->max_us > into->max_us)
        into->max_us = from->max_us;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

/* The largest value that falls into a bucket. */
static uint64_t bucket_top(unsigned bucket)
{
    if (bucket < 1024)
        return bucket;
    unsigned power = 10 + (bucket - 1024) / 512;
    uint64_t step = (bucket - 1024) % 512 + 512;
    return ((step + 1) << (power - 9)) - 1;
}

uint64_t histogram_quantile(const struct histogram *h, double fraction)
{
    uint64_t wanted = (uint64_t)(fraction * (double)h->count + 0.999999);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted && seen > 0) {
            uint64_t top = bucket_top(i);
            return top < h->max_us ? top : h->max_us;
        }
    }
    return h->max_us;
}

void histogram_print(FILE *out, const struct histogram *h)
{
    double mean = h->count ? (double)h->sum_us / (double)h->count : 0;
    fprintf(out,
            "{\"count\":%" PRIu64 ",\"mean\":%.1f,\"p50\":%" PRIu64 ",\"p95\":%" PRIu64 ",\"p99\":%" PRIu64
            ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
            h->count, mean, histogram_quantile(h, 0.5), histogram_quantile(h, 0.95),
            histogram_quantile(h, 0.99), histogram_quantile(h, 0.999), h->max_us);
}
