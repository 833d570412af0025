/* From the arrays a producer hands over to columns the row loop can read. */
#ifndef COUNTERFOIL_CSV_BIND_H
#define COUNTERFOIL_CSV_BIND_H

#include <string.h>

#include "_csv_arrow.h"
#include "_csv_spec.h"

/* A dictionary that was rendered, with a copy of the buffers it was rendered from, to know it when it comes again. */
struct rendered {
    uint8_t *source;
    size_t source_bytes;
    int64_t length;
    int nullable;
    struct output text;
    struct entry *entries;
};

/* What one call needs beside its output; kept by the encoder between calls, and never shared by two at once. */
struct workspace {
    struct workspace *next;
    struct column *columns;
    struct column *inner;
    struct rendered *rendered;
    struct output *floats; /* of float columns, rendered for one batch: offsets, then digits */
};

static int buffers_of(uint8_t kind) {
    switch (kind) {
    case CELL_NULL: return 0;
    case CELL_TEXT32:
    case CELL_TEXT64:
    case CELL_VIEW: return 3; /* views: at least */
    default: return 2;
    }
}

static uint8_t stride_of(const struct column *c) {
    switch (c->kind) {
    case CELL_BOOL: return 1;
    case CELL_TEXT32: return 32;
    case CELL_VIEW: return 128;
    case CELL_INT:
    case CELL_DECIMAL: return c->width == INT128 ? 128 : (uint8_t)(8 << (c->width >> 1));
    case CELL_DAY: return c->unit == UNIT_DAY ? 32 : 64;
    default: return 64;
    }
}

/* How many text bytes the offsets of the whole array can reach; 0 returned when that is no number of bytes. */
static int measure_text(struct column *c, int64_t end) {
    int64_t bytes = 0;
    if (end > 0) bytes = c->kind == CELL_TEXT32 ? ((const int32_t *)c->values)[end] : ((const int64_t *)c->values)[end];
    c->text_bytes = (uint64_t)bytes;
    return bytes >= 0;
}

/* Points a described column at an array's buffers. `skip` rows of it precede the batch's first, `length` follow.
 * Returns 0 when the array cannot be what its format says. */
static int bind_array(struct column *c, const struct ArrowArray *array, int64_t skip, int64_t length) {
    if (array->offset < 0 || array->length < skip + length || array->n_buffers < buffers_of(c->kind)) return 0;
    c->shift = array->offset + skip;
    c->stride = stride_of(c);
    c->valid = NULL;
    if (c->kind == CELL_NULL || length == 0) return 1;
    if (array->null_count != 0) c->valid = (const uint8_t *)array->buffers[0];
    c->values = array->buffers[1];
    if (!c->values) return 0;
    int64_t end = array->offset + array->length;
    if (c->kind == CELL_TEXT32 || c->kind == CELL_TEXT64) {
        c->text = (const char *)array->buffers[2];
        return measure_text(c, end) && (c->text || c->text_bytes == 0);
    }
    if (c->kind == CELL_VIEW) {
        c->view_count = array->n_buffers - 3;
        c->view_buffers = array->buffers + 2;
        c->view_bytes = (const int64_t *)array->buffers[array->n_buffers - 1];
        c->text_bytes = 16 * (uint64_t)end;
    }
    return 1;
}

/* The buffers a text dictionary is made of, copied into one piece: how long it is, its validity, its offsets, its text.
 * Only text that starts at its buffers' start is looked at; *bytes is 0 for others. */
static uint8_t *copy_of_source(const struct ArrowArray *values, const struct column *c, size_t *bytes) {
    *bytes = 0;
    if ((c->kind != CELL_TEXT32 && c->kind != CELL_TEXT64) || values->offset != 0 || values->length == 0) return NULL;
    size_t width = c->kind == CELL_TEXT32 ? 4 : 8;
    size_t valid = c->valid ? ((size_t)values->length + 7) / 8 : 0;
    size_t offsets = width * ((size_t)values->length + 1);
    uint8_t *copy = malloc(valid + offsets + (size_t)c->text_bytes);
    if (!copy) return NULL;
    if (valid) memcpy(copy, c->valid, valid);
    memcpy(copy + valid, c->values, offsets);
    if (c->text_bytes) memcpy(copy + valid + offsets, c->text, (size_t)c->text_bytes);
    *bytes = valid + offsets + (size_t)c->text_bytes;
    return copy;
}

static int same_source(const struct rendered *kept, const struct ArrowArray *values, const struct column *c) {
    if (!kept->source || kept->length != values->length || kept->nullable != (c->valid != NULL)) return 0;
    if ((c->kind != CELL_TEXT32 && c->kind != CELL_TEXT64) || values->offset != 0) return 0;
    size_t width = c->kind == CELL_TEXT32 ? 4 : 8;
    size_t valid = c->valid ? ((size_t)values->length + 7) / 8 : 0;
    size_t offsets = width * ((size_t)values->length + 1);
    if (kept->source_bytes != valid + offsets + (size_t)c->text_bytes) return 0;
    if (valid && memcmp(kept->source, c->valid, valid) != 0) return 0;
    if (memcmp(kept->source + valid, c->values, offsets) != 0) return 0;
    return !c->text_bytes || memcmp(kept->source + valid + offsets, c->text, (size_t)c->text_bytes) == 0;
}

static void forget(struct rendered *kept) {
    free(kept->source);
    free(kept->text.data);
    free(kept->entries);
    memset(kept, 0, sizeof *kept);
}

static void free_workspace(struct workspace *w, int columns) {
    if (!w) return;
    for (int i = 0; i < columns; i++) {
        if (w->rendered) forget(w->rendered + i);
        if (w->floats) free(w->floats[i].data);
    }
    free(w->columns);
    free(w->inner);
    free(w->rendered);
    free(w->floats);
    free(w);
}

static struct workspace *new_workspace(int columns) {
    struct workspace *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    size_t n = columns ? (size_t)columns : 1;
    w->columns = calloc(n, sizeof *w->columns);
    w->inner = calloc(n, sizeof *w->inner);
    w->rendered = calloc(n, sizeof *w->rendered);
    w->floats = calloc(n, sizeof *w->floats);
    if (w->columns && w->inner && w->rendered && w->floats) return w;
    free_workspace(w, columns);
    return NULL;
}

#endif
