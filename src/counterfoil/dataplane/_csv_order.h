/* Which rows are written, and in which order: all, chosen by index, or chosen by mask; forwards or backwards. */
#ifndef COUNTERFOIL_CSV_ORDER_H
#define COUNTERFOIL_CSV_ORDER_H

#include <string.h>

#include "_csv_arrow.h"

enum order_kind { ORDER_ALL, ORDER_INDEX32, ORDER_INDEX64, ORDER_MASK };

struct order {
    enum order_kind kind;
    int reverse;
    int64_t length; /* rows of the batch */
    int64_t count;  /* rows, indices or mask bits to go through */
    int64_t done;   /* how many of them are behind us */
    const void *values;
    const uint8_t *valid;
    int64_t shift;
};

static inline int64_t order_rows(const struct order *order) { return order->count; }

/* Takes a selection: int32 or int64 row numbers, or a boolean for each row of which null counts as false. Returns what
 * is wrong with it, or NULL. */
static const char *set_selection(struct order *order, const struct ArrowSchema *schema, const struct ArrowArray *array) {
    if (schema->dictionary || array->offset < 0) return "a selection must be plain int32, int64 or boolean";
    if (strcmp(schema->format, "i") == 0)
        order->kind = ORDER_INDEX32;
    else if (strcmp(schema->format, "l") == 0)
        order->kind = ORDER_INDEX64;
    else if (strcmp(schema->format, "b") == 0)
        order->kind = ORDER_MASK;
    else
        return "a selection must be int32 or int64 row numbers, or a boolean mask";
    if (order->kind == ORDER_MASK && array->length != order->length)
        return "a mask must have one value for each row of the batch";
    order->count = array->length;
    order->shift = array->offset;
    if (array->length == 0) return NULL;
    if (array->n_buffers != 2 || !array->buffers[1]) return "a selection must have its values";
    order->values = array->buffers[1];
    order->valid = array->null_count == 0 ? NULL : (const uint8_t *)array->buffers[0];
    if (order->kind == ORDER_MASK || !order->valid) return NULL;
    for (int64_t i = 0; i < array->length; i++)
        if (!bit_at(order->valid, array->offset + i)) return "a row number in a selection is null";
    return NULL;
}

static int next_of_mask(struct order *order, int64_t *rows, int room) {
    const uint8_t *bits = (const uint8_t *)order->values;
    int count = 0;
    while (order->done < order->count && count < room) {
        int64_t row = order->reverse ? order->count - 1 - order->done : order->done;
        int64_t at = row + order->shift;
        unsigned byte = bits[at >> 3] & (order->valid ? order->valid[at >> 3] : 0xffu);
        if (!byte) { /* on to the next byte, wherever in this one we are */
            order->done += order->reverse ? (at & 7) + 1 : 8 - (at & 7);
            continue;
        }
        rows[count] = row;
        count += (int)(byte >> (at & 7) & 1);
        order->done++;
    }
    return count;
}

/* The next rows to write, at most `room`; 0 when there are no more, -1 when the batch has no such row. */
static int next_rows(struct order *order, int64_t *rows, int room) {
    if (order->kind == ORDER_MASK) return next_of_mask(order, rows, room);
    int64_t left = order->count - order->done;
    int count = left < room ? (int)left : room;
    for (int i = 0; i < count; i++) {
        int64_t place = order->done + i;
        rows[i] = order->reverse ? order->count - 1 - place : place;
    }
    order->done += count;
    if (order->kind == ORDER_ALL) return count;
    for (int i = 0; i < count; i++) {
        int64_t at = rows[i] + order->shift;
        rows[i] = order->kind == ORDER_INDEX32 ? ((const int32_t *)order->values)[at]
                                               : ((const int64_t *)order->values)[at];
        if (rows[i] < 0 || rows[i] >= order->length) return -1;
    }
    return count;
}

#endif
