/* Integers, decimals, dates and instants as text. Each function writes at `p`, may overshoot by 16 bytes, and returns
 * the end of what counts. */
#ifndef COUNTERFOIL_CSV_NUMBER_H
#define COUNTERFOIL_CSV_NUMBER_H

#include <string.h>

#include "_csv_arrow.h"

#define MS_PER_DAY 86400000LL
#define MS_MIN (-62135596800000LL)  /* 0001-01-01T00:00:00.000Z */
#define MS_MAX (253402300799999LL)  /* 9999-12-31T23:59:59.999Z */
#define DAY_MIN (-719162LL)
#define DAY_MAX (2932896LL)

static const char PAIRS[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657"
    "585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static const uint64_t POW10[20] = {
    1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
    10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL,
    10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL, 10000000000000000000ULL};

static inline char *put_pair(char *p, uint32_t n) {
    memcpy(p, PAIRS + 2 * n, 2);
    return p + 2;
}

/* Eight digits of a number below 10^8, the first digit in the lowest byte, each byte 0..9. */
static inline uint64_t digits8(uint64_t n) {
    uint64_t halves = (n / 10000) | ((n % 10000) << 32);
    uint64_t hundreds = ((halves * 10486ULL) >> 20) & 0x0000007f0000007fULL;
    uint64_t pairs = hundreds | ((halves - 100 * hundreds) << 16);
    uint64_t tens = ((pairs * 103ULL) >> 10) & 0x000f000f000f000fULL;
    return tens | ((pairs - 10 * tens) << 8);
}

static inline void store_digits(char *p, uint64_t digits) {
    digits |= 0x3030303030303030ULL;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    digits = __builtin_bswap64(digits);
#endif
    memcpy(p, &digits, 8);
}

static inline char *put_padded8(char *p, uint64_t n) {
    store_digits(p, digits8(n));
    return p + 8;
}

/* A number below 10^8 without leading zeros: the zeros are shifted out, so no branch depends on the length. */
static inline char *put_below_1e8(char *p, uint64_t n) {
    uint64_t digits = digits8(n);
    int zeros = __builtin_ctzll(digits | (1ULL << 56)) & ~7;
    store_digits(p, digits >> zeros);
    return p + 8 - (zeros >> 3);
}

static inline char *put_unsigned(char *p, uint64_t n) {
    if (__builtin_expect(n < 100000000ULL, 1)) return put_below_1e8(p, n);
    if (n < 10000000000000000ULL) {
        p = put_below_1e8(p, n / 100000000ULL);
        return put_padded8(p, n % 100000000ULL);
    }
    p = put_below_1e8(p, n / 10000000000000000ULL);
    n %= 10000000000000000ULL;
    p = put_padded8(p, n / 100000000ULL);
    return put_padded8(p, n % 100000000ULL);
}

/* `n` below 10^scale as exactly `scale` digits (1..18). */
static inline char *put_fraction(char *p, uint64_t n, int scale) {
    if (__builtin_expect(scale <= 8, 1)) {
        store_digits(p, digits8(n) >> (8 * (8 - scale)));
        return p + scale;
    }
    for (int i = scale - 1; i >= 0; i--) {
        p[i] = (char)('0' + n % 10);
        n /= 10;
    }
    return p + scale;
}

static inline char *put_integer(char *p, uint64_t magnitude, int negative, int scale) {
    *p = '-';
    p += negative;
    if (scale == 0) return put_unsigned(p, magnitude);
    if (scale == 2) {
        p = put_unsigned(p, magnitude / 100);
        *p++ = '.';
        return put_pair(p, (uint32_t)(magnitude % 100));
    }
    p = put_unsigned(p, magnitude / POW10[scale]);
    *p++ = '.';
    return put_fraction(p, magnitude % POW10[scale], scale);
}

/* A decimal's digits with the point `scale` places from the right; a negative scale appends zeros. */
static inline char *put_decimal(char *p, __int128 value, int scale) {
    unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    char digits[40];
    int count = 0;
    do {
        digits[39 - count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    const char *first = digits + 40 - count;
    if (value < 0) *p++ = '-';
    if (scale <= 0) {
        memcpy(p, first, (size_t)count);
        p += count;
        int zeros = value == 0 ? 0 : -scale;
        memset(p, '0', (size_t)zeros);
        return p + zeros;
    }
    int whole = count - scale;
    if (whole <= 0) {
        memcpy(p, "0.", 2);
        memset(p + 2, '0', (size_t)-whole);
        memcpy(p + 2 - whole, first, (size_t)count);
        return p + 2 + scale;
    }
    memcpy(p, first, (size_t)whole);
    p[whole] = '.';
    memcpy(p + whole + 1, first + whole, (size_t)scale);
    return p + count + 1;
}

/* Days since 1970-01-01 as YYYY-MM-DD, by the civil calendar with years that begin in March. */
static inline char *put_day(char *p, int64_t day) {
    uint64_t z = (uint64_t)(day + 719468);
    uint64_t era = z / 146097, of_era = z % 146097;
    uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted = (5 * of_year + 2) / 153;
    uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    uint64_t year = year_of_era + era * 400 + (month <= 2);
    p = put_pair(p, (uint32_t)(year / 100));
    p = put_pair(p, (uint32_t)(year % 100));
    *p++ = '-';
    p = put_pair(p, (uint32_t)month);
    *p++ = '-';
    return put_pair(p, (uint32_t)(of_year - (153 * shifted + 2) / 5 + 1));
}

static inline int64_t floor_div(int64_t n, int64_t by) {
    int64_t q = n / by;
    return q - (n % by < 0);
}

/* An instant of the given unit in milliseconds, floored. *fault is set when it lies outside years 0001 to 9999. */
static inline int64_t instant_ms(int64_t value, int unit, int *fault) {
    int64_t ms;
    switch (unit) {
    case UNIT_S:
        if (value < MS_MIN / 1000 || value > MS_MAX / 1000) {
            *fault = 1;
            return 0;
        }
        ms = value * 1000;
        break;
    case UNIT_US: ms = floor_div(value, 1000); break;
    case UNIT_NS: ms = floor_div(value, 1000000); break;
    default: ms = value;
    }
    *fault = ms < MS_MIN || ms > MS_MAX;
    return ms;
}

static inline char *put_cached_day(char *p, struct column *c, int64_t day) {
    if (day != c->day) {
        put_day(c->day_text, day);
        c->day = day;
    }
    memcpy(p, c->day_text, 16);
    return p + 10;
}

/* `of_day`: milliseconds since midnight. Writes THH:MM:SS.mmmZ. */
static inline char *put_time(char *p, uint32_t of_day) {
    uint32_t seconds = of_day / 1000, ms = of_day % 1000;
    uint32_t minutes = seconds / 60;
    *p++ = 'T';
    p = put_pair(p, minutes / 60);
    *p++ = ':';
    p = put_pair(p, minutes % 60);
    *p++ = ':';
    p = put_pair(p, seconds % 60);
    *p++ = '.';
    *p++ = (char)('0' + ms / 100);
    p = put_pair(p, ms % 100);
    *p++ = 'Z';
    return p;
}

#endif
