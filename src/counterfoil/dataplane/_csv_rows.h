/* The row loop, written once and compiled once per instruction set. Before each inclusion `_csv_isa.h` defines:
 *   ISA(name)   the name with the instruction set's suffix
 *   TARGET      the function attribute that allows its instructions
 *   BLOCK       how many bytes `block` holds, at most 32
 *   block, LOAD, STORE, SPECIALS, QUOTES, DOUBLE_QUOTES
 * SPECIALS and QUOTES give a bit for each byte that asks for quotes (quote, comma, CR, LF), or is a quote. */

#define ALL_OF(n) ((uint32_t)((1ULL << (n)) - 1))

/* Copies with every quote doubled, byte by byte: the end of a buffer, and instruction sets without shuffles. */
TARGET static char *ISA(double_bytes)(char *p, const char *s, size_t size) {
    for (size_t i = 0; i < size; i++) {
        *p++ = s[i];
        *p = '"';
        p += s[i] == '"';
    }
    return p;
}

TARGET static char *ISA(put_quoted)(char *p, const char *s, size_t size, size_t readable) {
    size_t i = 0;
    *p++ = '"';
    for (; i < size && readable - i >= BLOCK; i += BLOCK) {
        size_t here = size - i < BLOCK ? size - i : BLOCK;
        block b = LOAD(s + i);
        uint32_t quotes = QUOTES(b) & ALL_OF(here);
        if (!quotes)
            STORE(p, b);
        else
            DOUBLE_QUOTES(p, s + i, here, quotes);
        p += here + (size_t)__builtin_popcount(quotes);
    }
    if (i < size) p = ISA(double_bytes)(p, s + i, size - i);
    *p++ = '"';
    return p;
}

/* A text as a cell. `size` bytes at `s`, of which `readable` >= size may be read; room for 2 * size + 2 + SLACK. */
TARGET static inline char *ISA(put_text)(char *p, const char *s, size_t size, size_t readable) {
    size_t i = 0;
    for (; readable - i >= BLOCK; i += BLOCK) {
        block b = LOAD(s + i);
        uint32_t specials = SPECIALS(b);
        STORE(p + i, b);
        if (size - i <= BLOCK) {
            if (specials & ALL_OF(size - i)) return ISA(put_quoted)(p, s, size, readable);
            return p + size;
        }
        if (specials) return ISA(put_quoted)(p, s, size, readable);
    }
    for (; i < size; i++) {
        if (s[i] == '"' || s[i] == ',' || s[i] == '\n' || s[i] == '\r') return ISA(put_quoted)(p, s, size, readable);
        p[i] = s[i];
    }
    return p + size;
}

/* Bytes as they are, with the same promises. */
TARGET static inline char *ISA(put_ready)(char *p, const char *s, size_t size, size_t readable) {
    size_t i = 0;
    for (; i < size && readable - i >= BLOCK; i += BLOCK) STORE(p + i, LOAD(s + i));
    if (i < size) memcpy(p + i, s + i, size - i);
    return p + size;
}

/* The text at place `at` of a text column. Returns 0 when the column's offsets point outside its bytes. */
TARGET static inline int ISA(find_text)(const struct column *c, int64_t at, const char **s, size_t *size,
                                        size_t *readable) {
    uint64_t start, bytes = c->text_bytes;
    const char *text = c->text;
    if (c->kind == CELL_TEXT32) {
        const int32_t *offsets = (const int32_t *)c->values + at;
        start = (uint64_t)(int64_t)offsets[0];
        *size = (uint32_t)offsets[1] - (uint32_t)offsets[0];
    } else if (c->kind == CELL_TEXT64) {
        const int64_t *offsets = (const int64_t *)c->values + at;
        start = (uint64_t)offsets[0];
        *size = (size_t)((uint64_t)offsets[1] - (uint64_t)offsets[0]);
    } else {
        const char *view = (const char *)c->values + 16 * at;
        int32_t head[4];
        memcpy(head, view, 16);
        *size = (uint32_t)head[0];
        if (*size <= 12) {
            *s = view + 4;
            *readable = (size_t)(c->text_bytes - (16 * (uint64_t)at + 4));
            return 1;
        }
        if ((uint64_t)(int64_t)head[2] >= (uint64_t)c->view_count) return 0;
        text = (const char *)c->view_buffers[head[2]];
        bytes = (uint64_t)c->view_bytes[head[2]];
        start = (uint64_t)(int64_t)head[3];
    }
    if (start > bytes || *size > bytes - start) return 0;
    *s = text + start;
    *readable = (size_t)(bytes - start);
    return 1;
}

TARGET static inline uint64_t ISA(load_unsigned)(const struct column *c, int64_t at, int *negative) {
    int64_t n;
    *negative = 0;
    switch (c->width) {
    case UINT8: return ((const uint8_t *)c->values)[at];
    case UINT16: return ((const uint16_t *)c->values)[at];
    case UINT32: return ((const uint32_t *)c->values)[at];
    case UINT64: return ((const uint64_t *)c->values)[at];
    case INT8: n = ((const int8_t *)c->values)[at]; break;
    case INT16: n = ((const int16_t *)c->values)[at]; break;
    case INT32: n = ((const int32_t *)c->values)[at]; break;
    default: n = ((const int64_t *)c->values)[at];
    }
    *negative = n < 0;
    return n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
}

TARGET static inline char *ISA(put_number)(char *p, const struct column *c, int64_t at) {
    int negative;
    if (c->kind == CELL_DECIMAL) {
        __int128 wide;
        if (c->width == INT128)
            memcpy(&wide, (const char *)c->values + 16 * at, 16);
        else
            wide = c->width == INT64 ? ((const int64_t *)c->values)[at] : ((const int32_t *)c->values)[at];
        return put_decimal(p, wide, c->scale);
    }
    uint64_t magnitude = ISA(load_unsigned)(c, at, &negative);
    return put_integer(p, magnitude, negative, c->scale);
}

/* A date or an instant; NULL when it lies outside years 0001 to 9999. */
TARGET static inline char *ISA(put_moment)(char *p, struct column *c, int64_t at) {
    int fault = 0;
    if (c->unit == UNIT_DAY) {
        int64_t day = ((const int32_t *)c->values)[at];
        return day < DAY_MIN || day > DAY_MAX ? NULL : put_cached_day(p, c, day);
    }
    int64_t ms = instant_ms(((const int64_t *)c->values)[at], c->unit, &fault);
    if (__builtin_expect(fault, 0)) return NULL;
    int64_t day = (ms - MS_MIN) / MS_PER_DAY + DAY_MIN;
    p = put_cached_day(p, c, day);
    return c->kind == CELL_DAY ? p : put_time(p, (uint32_t)(ms - day * MS_PER_DAY));
}

/* Room for `bytes` more at `p`, or NULL is returned; *end is kept in step with the buffer. */
#define ROOM(bytes)                                                          \
    if (__builtin_expect((size_t)(*end - p) < (size_t)(bytes), 0)) {         \
        job->out.used = (size_t)(p - job->out.data);                         \
        if (!grow(&job->out, (bytes))) {                                     \
            job->fault = FAULT_MEMORY;                                       \
            return NULL;                                                     \
        }                                                                    \
        p = job->out.data + job->out.used;                                   \
        *end = job->out.data + job->out.capacity;                            \
    }

/* Makes sure of room for the cells of bounded size in one row. */
TARGET static inline char *ISA(put_nothing)(struct job *job, char *p, const char **end) {
    ROOM(job->fixed_bytes);
    return p;
}

/* The cell of column `c` at place `at` of its buffers, without separator. Room for `fixed_bytes` is there before and
 * after it. NULL when the value cannot be written. */
TARGET static inline char *ISA(put_cell)(struct job *job, struct column *c, int64_t at, char *p, const char **end) {
    int present = !c->valid || bit_at(c->valid, at), negative;
    const char *s;
    size_t size, readable;
    uint64_t index;
again:
    switch (c->kind) {
    case CELL_TEXT32:
    case CELL_TEXT64:
    case CELL_VIEW:
        if (__builtin_expect(!ISA(find_text)(c, at, &s, &size, &readable), 0)) {
            if (!present) return p;
            break;
        }
        size &= 0 - (size_t)present;
        ROOM(2 * size + 2 + job->fixed_bytes);
        if (c->ready) return ISA(put_ready)(p, s, size, readable);
        if (__builtin_expect(present & (size == 0), 0)) {
            memcpy(p, "\"\"", 2);
            return p + 2;
        }
        return ISA(put_text)(p, s, size, readable);
    case CELL_ENTRY:
        if (!present) return p;
        index = ISA(load_unsigned)(c, at, &negative);
        if (__builtin_expect(negative || index >= c->entry_count, 0)) break;
        s = c->text + c->entries[index].start;
        size = c->entries[index].size;
        ROOM(size + job->fixed_bytes);
        return ISA(put_ready)(p, s, size, size + SLACK);
    case CELL_INDIRECT:
        if (!present) return p;
        index = ISA(load_unsigned)(c, at, &negative);
        if (__builtin_expect(negative || index >= c->entry_count, 0)) break;
        c = c->inner;
        at = (int64_t)index + c->shift;
        present = !c->valid || bit_at(c->valid, at);
        goto again;
    case CELL_INT:
    case CELL_DECIMAL: return present ? ISA(put_number)(p, c, at) : p;
    case CELL_DAY:
    case CELL_INSTANT:
        if (!present) return p;
        p = ISA(put_moment)(p, c, at);
        if (!p) job->fault = FAULT_TIME;
        return p;
    case CELL_BOOL:
        if (!present) return p;
        index = (uint64_t)bit_at((const uint8_t *)c->values, at);
        memcpy(p, index ? "true" : "false", 5);
        return p + 5 - index;
    default: return p; /* CELL_NULL */
    }
    job->fault = FAULT_DAMAGED;
    return NULL;
}

/* Asks for what a row soon to be written needs from memory: backwards, or by selection, the processor does not see it
 * coming. First the places in the buffers (fetch_places), some rows later the text those lead to (fetch_text). */
TARGET static inline void ISA(fetch_places)(const struct job *job, int64_t row) {
    for (int k = 0; k < job->column_count; k++) {
        const struct column *c = job->columns + k;
        __builtin_prefetch((const char *)c->values + (((row + c->shift) * c->stride) >> 3));
        if (c->valid) __builtin_prefetch(c->valid + ((row + c->shift) >> 3));
    }
}

TARGET static inline void ISA(fetch_text)(const struct job *job, int64_t row) {
    for (int k = 0; k < job->column_count; k++) {
        const struct column *c = job->columns + k;
        const char *s;
        size_t size, readable;
        if (c->kind < CELL_TEXT32 || c->kind > CELL_VIEW) continue;
        if (!ISA(find_text)(c, row + c->shift, &s, &size, &readable)) continue;
        for (size_t i = 0; i < size; i += 64) __builtin_prefetch(s + i);
        if (size) __builtin_prefetch(s + size - 1);
    }
}

/* Writes the given rows of the batch. Returns 0 when a value could not be written; the job says which. */
TARGET static int ISA(put_rows)(struct job *job, const int64_t *rows, int count) {
    char *p = job->out.data + job->out.used;
    const char *end = job->out.data + job->out.capacity;
    const int columns = job->column_count;
    for (int i = 0; i < count; i++) {
        if (job->scattered) {
            if (job->scattered == 2 && i + 2 * FETCH_AHEAD < count) ISA(fetch_places)(job, rows[i + 2 * FETCH_AHEAD]);
            if (i + FETCH_AHEAD < count) ISA(fetch_text)(job, rows[i + FETCH_AHEAD]);
        }
        p = ISA(put_nothing)(job, p, &end);
        if (!p) return 0;
        const size_t row_start = (size_t)(p - job->out.data);
        for (int k = 0; k < columns; k++) {
            struct column *c = job->columns + k;
            p = ISA(put_cell)(job, c, rows[i] + c->shift, p, &end);
            if (__builtin_expect(!p, 0)) {
                job->fault_column = k;
                job->fault_row = rows[i];
                return 0;
            }
            *p++ = ',';
        }
        /* An empty line is no row to most readers, so a lonely cell is never empty. */
        if (columns == 1 && (size_t)(p - job->out.data) == row_start + 1) {
            memcpy(p - 1, "\"\",", 3);
            p += 2;
        }
        p[-1] = '\n';
    }
    job->out.used = (size_t)(p - job->out.data);
    return 1;
}

/* Writes each entry of a dictionary once, as cells without separators. `entries` has room for `count`. Returns 0 when
 * one could not be written. */
TARGET static int ISA(put_entries)(struct job *job, struct column *values, int64_t count, struct entry *entries) {
    char *p = job->out.data;
    const char *end = job->out.data + job->out.capacity;
    for (int64_t i = 0; i < count; i++) {
        p = ISA(put_nothing)(job, p, &end);
        if (!p) return 0;
        entries[i].start = (uint32_t)(p - job->out.data);
        p = ISA(put_cell)(job, values, i + values->shift, p, &end);
        job->fault_row = i;
        if (!p) return 0;
        size_t used = (size_t)(p - job->out.data);
        entries[i].size = (uint32_t)used - entries[i].start;
        if (used > UINT32_MAX) {
            job->fault = FAULT_MEMORY;
            return 0;
        }
    }
    job->out.used = (size_t)(p - job->out.data);
    return 1;
}

#undef ROOM
#undef ALL_OF
