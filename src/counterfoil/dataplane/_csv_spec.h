/* What an encoder is told of its columns, and what Arrow's format strings mean for them. */
#ifndef COUNTERFOIL_CSV_SPEC_H
#define COUNTERFOIL_CSV_SPEC_H

#include <Python.h>
#include <stdio.h>
#include <string.h>

#include "_csv_arrow.h"

/* One column of the file, as the encoder was told of it. `format` and `value_format` are Arrow format strings; the
 * second is set for dictionaries only. */
struct spec {
    int64_t child;
    char *format;
    char *value_format;
    int32_t scale;
    uint8_t date_only;
    uint8_t ready;
};

static int parse_decimal_format(const char *format, struct column *c) {
    int precision, scale, bits = 128, end = 0;
    if (sscanf(format, "d:%d,%d%n", &precision, &scale, &end) != 2) return 0;
    if (format[end] == ',' && sscanf(format + end, ",%d", &bits) != 1) return 0;
    if (bits != 32 && bits != 64 && bits != 128) return 0;
    if (scale < -38 || scale > 38) return 0;
    c->kind = CELL_DECIMAL;
    c->width = bits == 32 ? INT32 : bits == 64 ? INT64 : INT128;
    c->scale = scale;
    return 1;
}

static int parse_time_format(const char *format, struct column *c) {
    c->kind = CELL_DAY;
    c->unit = UNIT_DAY;
    if (strcmp(format, "tdD") == 0) return 1;
    c->unit = UNIT_MS;
    if (strcmp(format, "tdm") == 0) return 1;
    if (strncmp(format, "ts", 2) != 0 || format[2] == '\0' || format[3] != ':') return 0;
    const char *units = "smun", *unit = strchr(units, format[2]);
    if (!unit) return 0;
    c->kind = CELL_INSTANT;
    c->unit = (uint8_t)(unit - units);
    return 1;
}

/* Reads an Arrow format string into the column's kind. Returns 0 for a type that no cell holds. */
static int parse_format(const char *format, struct column *c) {
    static const char ints[] = "cCsSiIlL"; /* in the order of enum int_width */
    if (format[0] == 'd') return parse_decimal_format(format, c);
    if (format[0] == 't') return parse_time_format(format, c);
    if (strcmp(format, "vu") == 0) {
        c->kind = CELL_VIEW;
        return 1;
    }
    if (format[0] == '\0' || format[1] != '\0') return 0;
    const char *width = strchr(ints, format[0]);
    if (width) {
        c->kind = CELL_INT;
        c->width = (uint8_t)(width - ints);
        return 1;
    }
    switch (format[0]) {
    case 'n': c->kind = CELL_NULL; return 1;
    case 'b': c->kind = CELL_BOOL; return 1;
    case 'u': c->kind = CELL_TEXT32; return 1;
    case 'U': c->kind = CELL_TEXT64; return 1;
    case 'f':
    case 'g': c->kind = CELL_FLOAT; return 1;
    default: return 0;
    }
}

/* The kind of a spec's cells, or 0: refused. For dictionaries this is the kind of the values. */
static int describe(const struct spec *spec, struct column *c) {
    memset(c, 0, sizeof *c);
    c->day = INT64_MIN;
    if (!parse_format(spec->value_format ? spec->value_format : spec->format, c)) return 0;
    if (c->kind == CELL_INT) c->scale = spec->scale;
    if (c->kind == CELL_INSTANT && spec->date_only) c->kind = CELL_DAY;
    c->ready = spec->ready;
    return 1;
}

static int same_text(const char *a, const char *b) { return (!a && !b) || (a && b && strcmp(a, b) == 0); }

/* Whether a batch's schema has the columns this encoder was made for. The formats decide how memory is read. */
static int schema_fits(const struct spec *specs, int count, const struct ArrowSchema *schema) {
    if (strcmp(schema->format, "+s") != 0) return 0;
    for (int i = 0; i < count; i++) {
        const struct spec *spec = specs + i;
        if (spec->child >= schema->n_children) return 0;
        const struct ArrowSchema *child = schema->children[spec->child];
        if (!same_text(child->format, spec->format)) return 0;
        if (!same_text(child->dictionary ? child->dictionary->format : NULL, spec->value_format)) return 0;
    }
    return 1;
}

static char *copy_text(const char *text) {
    char *copy = malloc(strlen(text) + 1);
    return copy ? strcpy(copy, text) : NULL;
}

/* Reads one (child, scale, date_only, csv_ready) and looks up what the schema says of that child. */
static int read_spec(struct spec *spec, PyObject *item, const struct ArrowSchema *schema) {
    int date_only, ready, scale;
    long long child;
    if (!PyTuple_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a column must be a tuple (child, scale, date_only, csv_ready)");
        return 0;
    }
    if (!PyArg_ParseTuple(item, "Lipp", &child, &scale, &date_only, &ready)) return 0;
    if (child < 0 || child >= schema->n_children || scale < 0 || scale > 18) {
        PyErr_SetString(PyExc_ValueError, "no such column, or a scale that is not in 0..18");
        return 0;
    }
    const struct ArrowSchema *field = schema->children[child];
    spec->child = child;
    spec->scale = scale;
    spec->date_only = (uint8_t)date_only;
    spec->ready = (uint8_t)ready;
    spec->format = copy_text(field->format);
    if (field->dictionary) spec->value_format = copy_text(field->dictionary->format);
    if (!spec->format || (field->dictionary && !spec->value_format)) {
        PyErr_NoMemory();
        return 0;
    }
    struct column c;
    int known = describe(spec, &c) && !(field->dictionary && field->dictionary->dictionary);
    if (!known) PyErr_Format(PyExc_TypeError, "column %lld has an Arrow type that no cell holds: %s", child, field->format);
    return known;
}

/* Reads all columns of a file into `*specs`, to be freed by free_specs even when this fails. Returns how many, or 0. */
static int read_specs(struct spec **specs, PyObject *columns, const struct ArrowSchema *schema) {
    Py_ssize_t count = PySequence_Size(columns);
    if (count < 0) return 0;
    if (count == 0 || count > 65536 || strcmp(schema->format, "+s") != 0) {
        PyErr_SetString(PyExc_ValueError, "a file needs a schema and 1 to 65536 columns");
        return 0;
    }
    *specs = calloc((size_t)count + 1, sizeof **specs); /* one more: free_specs stops at a spec without format */
    if (!*specs) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(columns, i);
        int read = item && read_spec(*specs + i, item, schema);
        Py_XDECREF(item);
        if (!read) return 0;
    }
    return (int)count;
}

static void free_specs(struct spec *specs) {
    for (struct spec *spec = specs; spec && spec->format; spec++) {
        free(spec->format);
        free(spec->value_format);
    }
    free(specs);
}

#endif
