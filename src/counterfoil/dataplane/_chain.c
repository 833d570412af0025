/* The runs of cards, gathered row by row in a hash table: the fast twin of BlockGatherer in gather.py, which says what a
 * run is. Also the fingerprints of texts, the twin of fingerprint.py. Neither needs the GIL. */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#define ODD 0x9E3779B97F4A7C15u
#define SLOTS_MIN 4096
#define ROWS_AT_ONCE 4096
#define AHEAD 16 /* rows whose slots are fetched before they are looked into: the table is larger than the cache */

/* As RUN in runs.py has it, and one byte more of what would be padding there. */
typedef struct {
    uint64_t card;
    int64_t seq_from, seq_to, opening, closing, place_from, place_to;
    uint8_t shuffled, tangled, used, padding[5];
} Run;

typedef struct {
    PyObject_HEAD
    Run *slots;
    uint64_t mask; /* number of slots - 1, a power of two less one */
    int shift;     /* 64 - the power */
    uint64_t used;
    Run *aside; /* runs that could not be joined to the one in the table */
    uint64_t aside_count, aside_room;
    int descending;
    int busy;
} Table;

/* ---- Fingerprints ------------------------------------------------------------------------------------------------ */

static inline uint64_t fingerprint_of(const uint8_t *text, uint64_t size, const uint8_t *end) {
    uint64_t number = size, word;
    for (; size >= 8; text += 8, size -= 8) {
        memcpy(&word, text, 8);
        number = (number ^ word) * ODD;
        number ^= number >> 32;
    }
    if (size) {
        word = 0;
        if (end - text >= 8) {
            memcpy(&word, text, 8);
            word &= ((uint64_t)1 << (8 * size)) - 1;
        } else {
            memcpy(&word, text, size);
        }
        number = (number ^ word) * ODD;
        number ^= number >> 32;
    }
    return number * ODD;
}

/* Returns 0 when an offset points outside the data. */
static int fingerprint_all(const void *offsets, int wide, const uint8_t *data, uint64_t data_size, uint64_t count,
                           uint64_t *out) {
    const int32_t *narrow32 = (const int32_t *)offsets;
    const int64_t *wide64 = (const int64_t *)offsets;
    for (uint64_t i = 0; i < count; i++) {
        int64_t start = wide ? wide64[i] : narrow32[i], stop = wide ? wide64[i + 1] : narrow32[i + 1];
        if (start < 0 || stop < start || (uint64_t)stop > data_size) return 0;
        out[i] = fingerprint_of(data + start, (uint64_t)(stop - start), data + data_size);
    }
    return 1;
}

static PyObject *fingerprints(PyObject *module, PyObject *args) {
    Py_buffer offsets, data, out;
    Py_ssize_t first, count;
    int wide, sound = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*pny*w*", &offsets, &wide, &first, &data, &out)) return NULL;
    count = out.len / 8;
    Py_ssize_t width = wide ? 8 : 4;
    if (first < 0 || (first + count + 1) * width > offsets.len) {
        PyErr_SetString(PyExc_ValueError, "there are fewer offsets than numbers asked for");
    } else {
        const char *place = (const char *)offsets.buf + first * width;
        Py_BEGIN_ALLOW_THREADS
        sound = fingerprint_all(place, wide, (const uint8_t *)data.buf, (uint64_t)data.len, (uint64_t)count,
                                (uint64_t *)out.buf);
        Py_END_ALLOW_THREADS
        if (!sound) PyErr_SetString(PyExc_ValueError, "a text lies outside its data");
    }
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&data);
    PyBuffer_Release(&out);
    if (!sound) return NULL;
    Py_RETURN_NONE;
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

/* Runs come out in the order of their cards' spread numbers, as merge_runs in runs.py has them. A card's home is where
 * that number begins, so the table has very nearly that order already. */
static inline uint64_t spread_of(uint64_t card) { return card * ODD; }

static inline Run *slot_of(Run *slots, uint64_t mask, int shift, uint64_t card) {
    uint64_t at = spread_of(card) >> shift;
    while (slots[at].used && slots[at].card != card) at = (at + 1) & mask;
    return slots + at;
}

/* Zeroed memory for so many slots. A large table is looked into at random, so it is asked for in huge pages. */
static Run *new_slots(uint64_t count) {
#if defined(MADV_HUGEPAGE)
    size_t size = (size_t)(count * sizeof(Run)), huge = (size_t)1 << 21;
    if (size >= huge) {
        void *memory = NULL;
        if (posix_memalign(&memory, huge, size)) return NULL;
        madvise(memory, size, MADV_HUGEPAGE);
        return (Run *)memset(memory, 0, size);
    }
#endif
    return (Run *)calloc(count, sizeof(Run));
}

/* Makes room for `more` cards at no more than 3/5 full. Returns 0 when there is no memory. */
static int make_room(Table *table, uint64_t more) {
    uint64_t slots = table->mask + 1, wanted = table->slots ? slots : SLOTS_MIN;
    while ((table->used + more) * 5 > wanted * 3) wanted *= 2;
    if (table->slots && wanted == slots) return 1;
    Run *larger = new_slots(wanted);
    if (!larger) return 0;
    int shift = 64 - __builtin_ctzll(wanted);
    for (uint64_t i = 0; table->slots && i < slots; i++)
        if (table->slots[i].used) *slot_of(larger, wanted - 1, shift, table->slots[i].card) = table->slots[i];
    free(table->slots);
    table->slots = larger;
    table->mask = wanted - 1;
    table->shift = shift;
    return 1;
}

static int put_aside(Table *table, const Run *run) {
    if (table->aside_count == table->aside_room) {
        uint64_t room = table->aside_room ? 2 * table->aside_room : 256;
        Run *larger = realloc(table->aside, room * sizeof *larger);
        if (!larger) return 0;
        table->aside = larger;
        table->aside_room = room;
    }
    table->aside[table->aside_count++] = *run;
    return 1;
}

/* Takes in one movement. What follows the card's run in posting order, or what it follows, is joined to it. */
static int take_in(Table *table, uint64_t card, int64_t seq, int64_t before, int64_t after, int64_t place) {
    Run *run = slot_of(table->slots, table->mask, table->shift, card);
    Run one = {card, seq, seq, before, after, place, place, 0, 0, 1, {0}};
    if (!run->used) {
        *run = one;
        table->used++;
    } else if (seq > run->seq_to && run->closing == before) {
        run->shuffled |= (uint8_t)table->descending;
        run->seq_to = seq;
        run->closing = after;
        run->place_to = place;
    } else if (seq < run->seq_from && run->opening == after) {
        run->shuffled |= (uint8_t)!table->descending;
        run->seq_from = seq;
        run->opening = before;
        run->place_from = place;
    } else if (seq >= run->seq_from && seq <= run->seq_to) {
        return put_aside(table, &one); /* the run has gone over it: merging will see that they lie over one another */
    } else {
        if (!put_aside(table, run)) return 0;
        *run = one; /* what comes next is nearer to this one */
    }
    return 1;
}

struct rows {
    const uint64_t *card;
    const int64_t *seq, *amount, *balance;
    int64_t count, place;
    int reverse;
};

static int take_all(Table *table, const struct rows *rows) {
    for (int64_t done = 0; done < rows->count; done += ROWS_AT_ONCE) {
        int64_t end = rows->count - done < ROWS_AT_ONCE ? rows->count : done + ROWS_AT_ONCE;
        if (!make_room(table, (uint64_t)(end - done))) return 0;
        for (int64_t k = done; k < end; k++) {
            int64_t i = rows->reverse ? rows->count - 1 - k : k;
            if (k + AHEAD < end) {
                int64_t ahead = rows->reverse ? i - AHEAD : i + AHEAD;
                __builtin_prefetch(table->slots + (spread_of(rows->card[ahead]) >> table->shift), 1);
            }
            int64_t after = rows->balance[i];
            int64_t before = (int64_t)((uint64_t)after - (uint64_t)rows->amount[i]);
            if (!take_in(table, rows->card[i], rows->seq[i], before, after, rows->place + k)) return 0;
        }
    }
    return 1;
}

static PyObject *Table_add(PyObject *self, PyObject *args) {
    Table *table = (Table *)self;
    Py_buffer card, seq, amount, balance;
    int reverse, done = 0;
    long long place;
    if (!PyArg_ParseTuple(args, "y*y*y*y*pL", &card, &seq, &amount, &balance, &reverse, &place)) return NULL;
    if (seq.len != card.len || amount.len != card.len || balance.len != card.len || card.len % 8) {
        PyErr_SetString(PyExc_ValueError, "the columns have different lengths");
    } else if (table->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the table is in use by another thread");
    } else {
        struct rows rows = {card.buf, seq.buf, amount.buf, balance.buf, card.len / 8, place, reverse};
        table->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        done = take_all(table, &rows);
        Py_END_ALLOW_THREADS
        table->busy = 0;
        if (!done) PyErr_NoMemory();
    }
    PyBuffer_Release(&card);
    PyBuffer_Release(&seq);
    PyBuffer_Release(&amount);
    PyBuffer_Release(&balance);
    if (!done) return NULL;
    Py_RETURN_NONE;
}

static void clear(Table *table) {
    free(table->slots);
    free(table->aside);
    table->slots = table->aside = NULL;
    table->mask = table->used = table->aside_count = table->aside_room = 0;
}

/* ---- What comes out ---------------------------------------------------------------------------------------------- */

static inline int is_before(const Run *one, const Run *other) {
    uint64_t first = spread_of(one->card), second = spread_of(other->card);
    return first != second ? first < second : one->seq_from < other->seq_from;
}

static int compared(const void *one, const void *other) {
    return is_before(one, other) ? -1 : is_before(other, one);
}

/* Appends a run where it belongs; what stands behind that place is little. */
static Run *inserted(Run *first, Run *end, const Run *run) {
    Run *at = end;
    for (; at > first && is_before(run, at - 1); at--) *at = at[-1];
    *at = *run;
    return end + 1;
}

/* The table's runs in order, one a card. Those that went over the table's end, for want of room at home, stand at its
 * beginning, before the first empty slot. */
static Run *put_in_order(const Table *table, Run *out) {
    uint64_t empty = 0;
    Run *end = out;
    while (table->slots && table->slots[empty].used) empty++;
    for (int over = 0; over < 2; over++) {
        for (uint64_t i = 0; table->slots && i < (over ? empty : table->mask + 1); i++) {
            const Run *run = table->slots + i;
            int went_over = i < empty && spread_of(run->card) >> table->shift > table->mask / 2;
            if (run->used && went_over == over) end = inserted(out, end, run);
        }
    }
    return end;
}

/* Joins runs that follow one another, out of two ordered lists of `room` records together; marks those that lie over one
 * another. Returns how many there are then. merge_runs in runs.py is the definition. */
static uint64_t join_runs(const Table *table, const Run *held, uint64_t held_count, Run *out) {
    const Run *one = held, *one_end = held + held_count;
    const Run *other = table->aside, *other_end = table->aside + table->aside_count;
    Run before = {0};
    uint64_t count = 0;
    while (one < one_end || other < other_end) {
        int from_held = other == other_end || (one < one_end && !is_before(other, one));
        Run run = from_held ? *one++ : *other++;
        int same = count && run.card == before.card, over = same && run.seq_from <= before.seq_to;
        int64_t earlier = table->descending ? before.place_to : run.place_from;
        int64_t later = table->descending ? run.place_from : before.place_to;
        int back = same && earlier < later, joins = same && !over && run.opening == before.closing;
        before = run;
        run.used = 0;
        run.shuffled |= (uint8_t)back;
        run.tangled |= (uint8_t)over;
        if (!joins) {
            out[count++] = run;
            continue;
        }
        Run *into = out + count - 1;
        into->seq_to = run.seq_to;
        into->closing = run.closing;
        into->place_to = run.place_to;
        into->shuffled |= run.shuffled;
        into->tangled |= run.tangled;
    }
    return count;
}

static PyObject *Table_take(PyObject *self, PyObject *unused) {
    Table *table = (Table *)self;
    (void)unused;
    if (table->busy) {
        PyErr_SetString(PyExc_RuntimeError, "the table is in use by another thread");
        return NULL;
    }
    uint64_t room = table->used + table->aside_count, count = 0;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(room * sizeof(Run)));
    if (!bytes) return NULL;
    Run *out = (Run *)(void *)PyBytes_AsString(bytes), *held = out;
    if (table->aside_count) held = malloc((size_t)((table->used + 1) * sizeof(Run)));
    if (held) {
        table->busy = 1;
        Py_BEGIN_ALLOW_THREADS
        uint64_t held_count = (uint64_t)(put_in_order(table, held) - held);
        if (table->aside_count) qsort(table->aside, (size_t)table->aside_count, sizeof(Run), compared);
        count = join_runs(table, held, held_count, out);
        Py_END_ALLOW_THREADS
        table->busy = 0;
    }
    if (held && held != out) free(held);
    if (!held) {
        Py_DECREF(bytes);
        return PyErr_NoMemory();
    }
    clear(table);
    if (count < room) {
        PyObject *all = bytes;
        bytes = PyBytes_FromStringAndSize(PyBytes_AsString(all), (Py_ssize_t)(count * sizeof(Run)));
        Py_DECREF(all);
    }
    return bytes;
}

static Py_ssize_t Table_length(PyObject *self) {
    return (Py_ssize_t)(((Table *)self)->used + ((Table *)self)->aside_count);
}

static PyObject *Table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"descending", NULL};
    int descending;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "p", names, &descending)) return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Table *table = (Table *)allocate(type, 0);
    if (table) table->descending = descending;
    return (PyObject *)table;
}

static void Table_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    clear((Table *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF((PyObject *)type);
}

static PyMethodDef table_methods[] = {
    {"add", Table_add, METH_VARARGS, "add(card, seq, amount, balance, reverse, place): take in rows, see _chain.pyi."},
    {"take", Table_take, METH_NOARGS, "take() -> bytes: the runs gathered, merged, and an empty table."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot table_slots[] = {
    {Py_tp_doc, "Runs of cards, gathered row by row."},
    {Py_tp_new, Table_new},
    {Py_tp_dealloc, Table_dealloc},
    {Py_tp_methods, table_methods},
    {Py_sq_length, Table_length},
    {0, NULL},
};
static PyType_Spec table_spec = {"counterfoil.dataplane._chain.Table", sizeof(Table), 0, Py_TPFLAGS_DEFAULT, table_slots};

/* ---- The module -------------------------------------------------------------------------------------------------- */

static int fill_module(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &table_spec, NULL);
    if (!type) return -1;
    int failed = PyModule_AddObjectRef(module, "Table", type);
    Py_DECREF(type);
    return failed;
}

static PyMethodDef module_methods[] = {
    {"fingerprints", fingerprints, METH_VARARGS,
     "fingerprints(offsets, wide, first, data, out): the number of each text, see _chain.pyi."},
    {NULL, NULL, 0, NULL},
};
static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill_module}, {0, NULL}};
static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_chain", "Runs of cards and fingerprints of texts, in C.", 0, module_methods, module_slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__chain(void) { return PyModuleDef_Init(&module_definition); }
