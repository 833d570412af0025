/* The row loop for each instruction set: AVX2 and SSE2 on x86-64, and eight bytes in a plain word elsewhere. */
#ifndef COUNTERFOIL_CSV_ISA_H
#define COUNTERFOIL_CSV_ISA_H

#include <string.h>

#include "_csv_arrow.h"
#include "_csv_number.h"

/* A word at a time. The high bit of each byte of `zero_bytes` is set where the byte of `w` is zero. */
#define ONES 0x0101010101010101ULL
static inline uint64_t zero_bytes(uint64_t w) {
    const uint64_t low = 0x7f * ONES;
    return ~(((w & low) + low) | w | low);
}
static inline uint32_t word_mask(uint64_t high_bits) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    high_bits = __builtin_bswap64(high_bits);
#endif
    return (uint32_t)(((high_bits >> 7) * 0x0102040810204080ULL) >> 56);
}
static inline uint64_t word_load(const char *s) {
    uint64_t w;
    memcpy(&w, s, 8);
    return w;
}
static inline uint32_t word_specials(uint64_t w) {
    return word_mask(zero_bytes(w ^ ('"' * ONES)) | zero_bytes(w ^ (',' * ONES)) | zero_bytes(w ^ ('\n' * ONES)) |
                     zero_bytes(w ^ ('\r' * ONES)));
}

#define ISA(name) name##_portable
#define TARGET
#define BLOCK 8
#define block uint64_t
#define LOAD(s) word_load(s)
#define STORE(p, b)               \
    do {                          \
        uint64_t stored = (b);    \
        memcpy((p), &stored, 8);  \
    } while (0)
#define SPECIALS(b) word_specials(b)
#define QUOTES(b) word_mask(zero_bytes((b) ^ ('"' * ONES)))
#define DOUBLE_QUOTES(p, s, size, quotes) (void)double_bytes_portable((p), (s), (size))
#include "_csv_rows.h"
#undef ISA
#undef TARGET
#undef BLOCK
#undef block
#undef LOAD
#undef STORE
#undef SPECIALS
#undef QUOTES
#undef DOUBLE_QUOTES

#if defined(__x86_64__)
#define COUNTERFOIL_CSV_X86 1
#include <immintrin.h>

static inline __m128i sse2_specials(__m128i b) {
    __m128i quote_or_comma =
        _mm_or_si128(_mm_cmpeq_epi8(b, _mm_set1_epi8('"')), _mm_cmpeq_epi8(b, _mm_set1_epi8(',')));
    __m128i line_end = _mm_or_si128(_mm_cmpeq_epi8(b, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(b, _mm_set1_epi8('\r')));
    return _mm_or_si128(quote_or_comma, line_end);
}

#define ISA(name) name##_sse2
#define TARGET
#define BLOCK 16
#define block __m128i
#define LOAD(s) _mm_loadu_si128((const __m128i *)(const void *)(s))
#define STORE(p, b) _mm_storeu_si128((__m128i *)(void *)(p), (b))
#define SPECIALS(b) (uint32_t) _mm_movemask_epi8(sse2_specials(b))
#define QUOTES(b) (uint32_t) _mm_movemask_epi8(_mm_cmpeq_epi8((b), _mm_set1_epi8('"')))
#define DOUBLE_QUOTES(p, s, size, quotes) (void)double_bytes_sse2((p), (s), (size))
#include "_csv_rows.h"
#undef ISA
#undef TARGET
#undef BLOCK
#undef block
#undef LOAD
#undef STORE
#undef SPECIALS
#undef QUOTES
#undef DOUBLE_QUOTES

#define AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))

/* For each set of quotes among eight bytes, the shuffle that doubles them. Filled once, when the module loads. */
static uint8_t DOUBLING[256][16];

static void fill_doubling(void) {
    for (int quotes = 0; quotes < 256; quotes++) {
        int to = 0;
        for (int from = 0; from < 8; from++) {
            DOUBLING[quotes][to++] = (uint8_t)from;
            if (quotes >> from & 1) DOUBLING[quotes][to++] = (uint8_t)from;
        }
        while (to < 16) DOUBLING[quotes][to++] = 0x80;
    }
}

/* The four bytes that ask for quotes differ in their low halves, so one shuffle picks for each byte the one special
 * byte it could be; bytes above 0x7f pick zero. */
AVX2 static inline uint32_t avx2_specials(__m256i b) {
    const __m256i could_be =
        _mm256_setr_epi8(-1, -1, '"', -1, -1, -1, -1, -1, -1, -1, '\n', -1, ',', '\r', -1, -1, -1, -1, '"', -1, -1, -1,
                         -1, -1, -1, -1, '\n', -1, ',', '\r', -1, -1);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(could_be, b), b));
}

AVX2 static inline void avx2_double(char *p, const char *s, uint32_t quotes) {
    for (int i = 0; i < 4; i++) {
        uint32_t here = quotes >> (8 * i) & 0xff;
        __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)(s + 8 * i));
        __m128i shuffle = _mm_loadu_si128((const __m128i *)(const void *)DOUBLING[here]);
        _mm_storeu_si128((__m128i *)(void *)p, _mm_shuffle_epi8(bytes, shuffle));
        p += 8 + __builtin_popcount(here);
    }
}

#define ISA(name) name##_avx2
#define TARGET AVX2
#define BLOCK 32
#define block __m256i
#define LOAD(s) _mm256_loadu_si256((const __m256i *)(const void *)(s))
#define STORE(p, b) _mm256_storeu_si256((__m256i *)(void *)(p), (b))
#define SPECIALS(b) avx2_specials(b)
#define QUOTES(b) (uint32_t) _mm256_movemask_epi8(_mm256_cmpeq_epi8((b), _mm256_set1_epi8('"')))
#define DOUBLE_QUOTES(p, s, size, quotes) avx2_double((p), (s), (quotes))
#include "_csv_rows.h"
#undef ISA
#undef TARGET
#undef BLOCK
#undef block
#undef LOAD
#undef STORE
#undef SPECIALS
#undef QUOTES
#undef DOUBLE_QUOTES
#endif

#endif
