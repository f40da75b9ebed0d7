/* Finding `"name":` in JSON text, fast enough that searching does not bound the load generator. */
#ifndef BENCH_TOKEN_H
#define BENCH_TOKEN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* What to look for, and the places of two of its bytes that seldom stand so together in our events. */
struct token {
    const char *text;
    size_t length;
    size_t rare_one;
    size_t rare_two;
};

#define SENT_TOKEN ((struct token){"\"sent_ns\":", 10, 5, 7}) /* '_' and 's' */
#define SEQ_TOKEN ((struct token){"\"seq\":", 6, 3, 5})       /* 'q' and ':' */

/* The end of the next occurrence of `t` in [p, end), or NULL. */
static inline const char *after_token(const char *p, const char *end, struct token t)
{
#ifdef __SSE2__
    const __m128i one = _mm_set1_epi8(t.text[t.rare_one]);
    const __m128i two = _mm_set1_epi8(t.text[t.rare_two]);
    while ((size_t)(end - p) >= t.length + 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(p + t.rare_one));
        __m128i b = _mm_loadu_si128((const __m128i *)(p + t.rare_two));
        __m128i both = _mm_and_si128(_mm_cmpeq_epi8(a, one), _mm_cmpeq_epi8(b, two));
        unsigned candidates = (unsigned)_mm_movemask_epi8(both);
        for (; candidates; candidates &= candidates - 1) {
            const char *at = p + __builtin_ctz(candidates);
            if (memcmp(at, t.text, t.length) == 0)
                return at + t.length;
        }
        p += 16;
    }
#endif
    const char *at = memmem(p, (size_t)(end - p), t.text, t.length);
    return at ? at + t.length : NULL;
}

/* The unsigned integer at *p (spaces before it are passed over); *p is moved behind it. */
static inline uint64_t read_digits(const char **p, const char *end)
{
    const char *at = *p;
    uint64_t value = 0;
    while (at < end && *at == ' ')
        at++;
    while (at < end && (unsigned char)(*at - '0') <= 9)
        value = value * 10 + (uint64_t)(*at++ - '0');
    *p = at;
    return value;
}

#endif
