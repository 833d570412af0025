/* The Arrow C data interface, as its specification gives it (Apache Arrow: "The Arrow C data interface"), and the
 * shape of one column as the row loop reads it. */
#ifndef COUNTERFOIL_CSV_ARROW_H
#define COUNTERFOIL_CSV_ARROW_H

#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};
struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};
#endif

/* How the value of a cell is found and written. */
enum cell_kind {
    CELL_NULL,
    CELL_BOOL,
    CELL_INT,     /* an integer of any width, maybe shown with a scale */
    CELL_DECIMAL, /* decimal32, 64 and 128 */
    CELL_DAY,     /* days since the epoch, or an instant of which only the date is written */
    CELL_INSTANT,
    CELL_TEXT32,
    CELL_TEXT64,
    CELL_VIEW,
    CELL_ENTRY,    /* a dictionary whose entries are written already: index to text */
    CELL_INDIRECT, /* a dictionary too large for that: index to value to text */
    CELL_FLOAT     /* rendered beforehand, under the GIL, into a CELL_TEXT64 */
};

enum int_width { INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64, INT128 };
enum time_unit { UNIT_S, UNIT_MS, UNIT_US, UNIT_NS, UNIT_DAY };

/* What can be wrong with a value. The module turns each into a sentence that names the column. */
enum fault { FAULT_NONE, FAULT_MEMORY, FAULT_TIME, FAULT_DAMAGED, FAULT_ROW };

/* One rendered dictionary entry: where it lies in the column's `text`. */
struct entry {
    uint32_t start;
    uint32_t size;
};

struct column {
    uint8_t kind;   /* enum cell_kind */
    uint8_t width;  /* enum int_width: of integers, decimals, and dictionary indices */
    uint8_t unit;   /* enum time_unit */
    uint8_t ready;  /* text is CSV-ready: copied as it is */
    uint8_t stride; /* bits from one place of `values` to the next */
    int32_t scale;
    int64_t shift;        /* row 0 of the batch is at this place of the buffers */
    const uint8_t *valid; /* validity bitmap, or NULL when no cell is null */
    const void *values;   /* numbers, bits, offsets, views or indices */
    const char *text;     /* bytes the offsets or entries point into */
    uint64_t text_bytes;  /* how many of them may be read; for views, how many bytes the views themselves take */
    const void **view_buffers;
    const int64_t *view_bytes;
    int64_t view_count;
    const struct entry *entries;
    struct column *inner; /* the dictionary's values, for CELL_INDIRECT */
    uint64_t entry_count; /* how many entries, or values for CELL_INDIRECT */
    int64_t day;          /* the date rendered last, and its text: neighbours share it */
    char day_text[16];
};

/* The bytes made so far. SLACK bytes more lie beyond `capacity`, so stores may overshoot. */
struct output {
    char *data;
    size_t used;
    size_t capacity;
};

struct job {
    struct column *columns;
    int column_count;
    size_t fixed_bytes; /* the most that all cells but text and entries can need in one row, separators included */
    int scattered;      /* 0: rows come one after the other; 1: backwards; 2: anyhow */
    struct output out;
    enum fault fault;
    int fault_column;
    int64_t fault_row;
};

#define SLACK 128
#define FETCH_AHEAD 8 /* rows; measured, and flat from 4 to 32 */
/* How a buffer grows; the sanitised build lets it grow by what is asked and no more. */
#ifndef OUTPUT_BYTES_MIN
#define OUTPUT_BYTES_MIN (64 * 1024)
#define OUTPUT_GROWTH(capacity) ((capacity) + (capacity) / 2)
#endif
#define FIXED_CELL_BYTES 96 /* 39 digits, a sign, a point, up to 38 zeros for a scale; and a separator */

/* Makes room for `more` bytes after what is used. Returns 0, with the old bytes kept, when memory does not allow. */
static inline int grow(struct output *out, size_t more) {
    size_t capacity = OUTPUT_GROWTH(out->capacity);
    if (capacity < out->used + more) capacity = out->used + more;
    if (capacity < OUTPUT_BYTES_MIN) capacity = OUTPUT_BYTES_MIN;
    char *data = realloc(out->data, capacity + SLACK);
    if (!data) return 0;
    out->data = data;
    out->capacity = capacity;
    return 1;
}

static inline int bit_at(const uint8_t *bits, int64_t i) { return (bits[i >> 3] >> (i & 7)) & 1; }

#endif
