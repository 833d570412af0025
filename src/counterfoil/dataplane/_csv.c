/* CSV from Arrow record batches: the fast twin of csv_reference.py, which states the rules. Batches come through the
 * Arrow PyCapsule protocol; the rows are written without the GIL into a buffer that is handed out without a copy. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_csv_arrow.h"
#include "_csv_bind.h"
#include "_csv_isa.h"
#include "_csv_order.h"

struct isa {
    const char *name;
    int (*put_rows)(struct job *, const int64_t *, int);
    int (*put_entries)(struct job *, struct column *, int64_t, struct entry *);
};

static const struct isa ISAS[] = {
#if defined(COUNTERFOIL_CSV_X86)
    {"avx2", put_rows_avx2, put_entries_avx2},
    {"sse2", put_rows_sse2, put_entries_sse2},
#endif
    {"portable", put_rows_portable, put_entries_portable},
};
enum { ISA_COUNT = sizeof ISAS / sizeof ISAS[0] };

#define SPARES_MAX 4
#define ROWS_AT_ONCE 1024
/* A dictionary much longer than the batch is not worth rendering whole. */
#define ENTRIES_ALWAYS 4096
#define ENTRIES_PER_ROW 4

typedef struct {
    PyObject_HEAD
    int count;
    struct spec *specs;
    const struct isa *isa;
    struct workspace *idle;
    struct output spares[SPARES_MAX];
    int spare_count;
} Encoder;

typedef struct {
    PyObject_HEAD
    Encoder *owner;
    struct output out;
} Chunk;

typedef struct {
    PyObject *cell_error;
    PyTypeObject *chunk_type;
} State;

/* One call of encode: what it borrowed, so that one place gives it all back. */
struct call {
    PyObject *schema_capsule, *array_capsule;
    PyObject *selection_schema, *selection_array;
    struct workspace *workspace;
    struct job job;
    struct order order;
    const struct ArrowArray *array;
};



static int runs_here(const struct isa *isa) {
#if defined(COUNTERFOIL_CSV_X86)
    if (strcmp(isa->name, "avx2") == 0) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
               __builtin_cpu_supports("popcnt");
    }
#endif
    (void)isa;
    return 1;
}

/* ---- Chunk: the bytes of one batch ------------------------------------------------------------------------------- */

static void Chunk_dealloc(PyObject *self) {
    Chunk *chunk = (Chunk *)self;
    PyTypeObject *type = Py_TYPE(self);
    Encoder *owner = chunk->owner;
    if (owner && chunk->out.data && owner->spare_count < SPARES_MAX)
        owner->spares[owner->spare_count++] = chunk->out;
    else
        free(chunk->out.data);
    Py_XDECREF((PyObject *)owner);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF((PyObject *)type);
}

static int Chunk_getbuffer(PyObject *self, Py_buffer *view, int flags) {
    Chunk *chunk = (Chunk *)self;
    return PyBuffer_FillInfo(view, self, chunk->out.data ? chunk->out.data : "", (Py_ssize_t)chunk->out.used, 1, flags);
}

static Py_ssize_t Chunk_length(PyObject *self) { return (Py_ssize_t)((Chunk *)self)->out.used; }

static PyType_Slot chunk_slots[] = {
    {Py_tp_doc, "The bytes of one batch, to be read through the buffer protocol; their memory goes back to the encoder."},
    {Py_tp_dealloc, Chunk_dealloc},
    {Py_bf_getbuffer, Chunk_getbuffer},
    {Py_sq_length, Chunk_length},
    {0, NULL},
};
static PyType_Spec chunk_spec = {"counterfoil.dataplane._csv.Chunk", sizeof(Chunk), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, chunk_slots};

/* ---- What a producer hands over ---------------------------------------------------------------------------------- */

static struct ArrowSchema *schema_of(PyObject *capsule) {
    return (struct ArrowSchema *)PyCapsule_GetPointer(capsule, "arrow_schema");
}

/* Calls __arrow_c_array__ and keeps both capsules, which release what they hold when they die. */
static int take_array(PyObject *producer, PyObject **schema, PyObject **array) {
    PyObject *pair = PyObject_CallMethod(producer, "__arrow_c_array__", NULL);
    if (!pair) return 0;
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
        Py_DECREF(pair);
        PyErr_SetString(PyExc_TypeError, "__arrow_c_array__ must give a schema and an array");
        return 0;
    }
    *schema = PyTuple_GetItem(pair, 0);
    *array = PyTuple_GetItem(pair, 1);
    Py_INCREF(*schema);
    Py_INCREF(*array);
    Py_DECREF(pair);
    return PyCapsule_IsValid(*schema, "arrow_schema") && PyCapsule_IsValid(*array, "arrow_array");
}

/* Renders floats while the GIL is held, since Python's shortest form needs it. They become text that is copied. */
static int render_floats(struct column *c, const char *format, int64_t length, struct output *out) {
    size_t head = 8 * ((size_t)length + 1);
    out->used = 0;
    if (out->capacity < head + 32 * (size_t)length && !grow(out, head + 32 * (size_t)length)) return 0;
    int64_t *offsets = (int64_t *)(void *)out->data;
    char *text = out->data + head;
    offsets[0] = 0;
    for (int64_t i = 0; i < length; i++) {
        int64_t at = i + c->shift;
        offsets[i + 1] = offsets[i];
        if (c->valid && !bit_at(c->valid, at)) continue;
        double value = format[0] == 'f' ? (double)((const float *)c->values)[at] : ((const double *)c->values)[at];
        char *digits = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
        if (!digits) return 0;
        size_t size = strlen(digits);
        memcpy(text + offsets[i], digits, size);
        offsets[i + 1] += (int64_t)size;
        PyMem_Free(digits);
    }
    c->kind = CELL_TEXT64;
    c->ready = 1;
    c->shift = 0;
    c->valid = NULL;
    c->values = offsets;
    c->text = text;
    c->text_bytes = (uint64_t)offsets[length];
    return 1;
}

/* Points one column at the batch. For a dictionary, `inner` is pointed at its values and the kind is CELL_INDIRECT. */
static int bind_column(const struct spec *spec, struct workspace *w, int k, const struct ArrowArray *batch) {
    struct column *c = w->columns + k;
    const struct ArrowArray *array = batch->children[spec->child], *values = array;
    int64_t skip = batch->offset, length = batch->length;
    if (spec->value_format) {
        memset(c, 0, sizeof *c);
        values = array->dictionary;
        if (!values || !parse_format(spec->format, c) || !bind_array(c, array, skip, length)) return 0;
        c->kind = CELL_INDIRECT;
        c->inner = w->inner + k;
        c->entry_count = (uint64_t)values->length;
        c = c->inner;
        skip = 0;
        length = values->length;
    }
    if (!describe(spec, c) || !bind_array(c, values, skip, length)) return 0;
    if (c->kind != CELL_FLOAT) return 1;
    const char *format = spec->value_format ? spec->value_format : spec->format;
    return render_floats(c, format, length, w->floats + k);
}

/* ---- Without the GIL --------------------------------------------------------------------------------------------- */

/* Uses a rendered dictionary, the kept one if it is the same; else leaves the column to look each value up. */
static void use_entries(const struct isa *isa, struct column *c, const struct ArrowArray *values, struct rendered *kept,
                        int64_t rows) {
    if (!same_source(kept, values, c->inner)) {
        if (values->length > ENTRIES_ALWAYS + ENTRIES_PER_ROW * rows) return;
        struct job job = {.column_count = 1, .fixed_bytes = FIXED_CELL_BYTES + SLACK, .out = kept->text};
        kept->text.data = NULL;
        forget(kept);
        struct entry *entries = malloc(((size_t)values->length + 1) * sizeof *entries);
        int done = entries && isa->put_entries(&job, c->inner, values->length, entries);
        kept->text = job.out;
        kept->entries = entries;
        if (!done) return; /* a value that cannot be written may belong to no row: the rows will tell */
        kept->source = copy_of_source(values, c->inner, &kept->source_bytes);
        kept->length = values->length;
        kept->nullable = c->inner->valid != NULL;
    }
    c->kind = CELL_ENTRY;
    c->text = kept->text.data;
    c->text_bytes = kept->text.used;
    c->entries = kept->entries;
}

static void run(const Encoder *self, struct call *call) {
    int64_t rows[ROWS_AT_ONCE];
    for (int k = 0; k < self->count; k++) {
        struct column *c = call->workspace->columns + k;
        if (c->kind != CELL_INDIRECT || call->array->length == 0) continue;
        const struct ArrowArray *array = call->array->children[self->specs[k].child];
        use_entries(self->isa, c, array->dictionary, call->workspace->rendered + k, order_rows(&call->order));
    }
    call->job.scattered = call->order.kind != ORDER_ALL ? 2 : call->order.reverse;
    for (;;) {
        int count = next_rows(&call->order, rows, ROWS_AT_ONCE);
        if (count < 0) call->job.fault = FAULT_ROW;
        if (count <= 0 || !self->isa->put_rows(&call->job, rows, count)) return;
    }
}

/* ---- Encoder ----------------------------------------------------------------------------------------------------- */

static int bind_call(const Encoder *self, struct call *call, PyObject *batch) {
    if (!take_array(batch, &call->schema_capsule, &call->array_capsule)) return 0;
    const struct ArrowSchema *schema = schema_of(call->schema_capsule);
    call->array = (const struct ArrowArray *)PyCapsule_GetPointer(call->array_capsule, "arrow_array");
    if (!schema || !call->array) return 0;
    if (!schema_fits(self->specs, self->count, schema)) {
        PyErr_SetString(PyExc_ValueError, "the batch is not of the schema this encoder was made for");
        return 0;
    }
    for (int k = 0; k < self->count; k++) {
        if (bind_column(self->specs + k, call->workspace, k, call->array)) continue;
        if (!PyErr_Occurred()) {
            call->job.fault = FAULT_DAMAGED;
            call->job.fault_column = k;
        }
        return 0;
    }
    return 1;
}

static int bind_selection(struct call *call, PyObject *selection, int reverse) {
    call->order = (struct order){.length = call->array->length, .count = call->array->length, .reverse = reverse};
    if (selection == Py_None) return 1;
    if (!take_array(selection, &call->selection_schema, &call->selection_array)) return 0;
    const struct ArrowSchema *schema = schema_of(call->selection_schema);
    const struct ArrowArray *array =
        (const struct ArrowArray *)PyCapsule_GetPointer(call->selection_array, "arrow_array");
    if (!schema || !array) return 0;
    const char *wrong = set_selection(&call->order, schema, array);
    if (wrong) PyErr_SetString(PyExc_ValueError, wrong);
    return !wrong;
}

static void give_back(Encoder *self, struct call *call) {
    if (call->workspace) {
        call->workspace->next = self->idle;
        self->idle = call->workspace;
    }
    if (call->job.out.data) {
        if (self->spare_count < SPARES_MAX)
            self->spares[self->spare_count++] = call->job.out;
        else
            free(call->job.out.data);
    }
    Py_XDECREF(call->schema_capsule);
    Py_XDECREF(call->array_capsule);
    Py_XDECREF(call->selection_schema);
    Py_XDECREF(call->selection_array);
}

static void raise_fault(State *state, const struct job *job) {
    static const char *const codes[] = {"", "", "invalid_time", "damaged", ""};
    if (job->fault == FAULT_MEMORY) {
        PyErr_NoMemory();
    } else if (job->fault == FAULT_ROW) {
        PyErr_SetString(PyExc_IndexError, "the selection names a row the batch does not have");
    } else if (job->fault != FAULT_NONE) {
        PyObject *args = Py_BuildValue("(siL)", codes[job->fault], job->fault_column, (long long)job->fault_row);
        if (args) PyErr_SetObject(state->cell_error, args);
        Py_XDECREF(args);
    }
}

static PyObject *Encoder_encode(PyObject *self_object, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"batch", "reverse", "selection", NULL};
    Encoder *self = (Encoder *)self_object;
    State *state = (State *)PyType_GetModuleState(Py_TYPE(self_object));
    PyObject *batch, *selection = Py_None;
    int reverse = 0;
    if (!state || !PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pO", names, &batch, &reverse, &selection)) return NULL;
    struct call call = {.job = {.column_count = self->count}};
    call.job.fixed_bytes = (size_t)self->count * FIXED_CELL_BYTES + SLACK;
    call.workspace = self->idle;
    if (call.workspace)
        self->idle = call.workspace->next;
    else if (!(call.workspace = new_workspace(self->count)))
        return PyErr_NoMemory();
    call.job.columns = call.workspace->columns;
    PyObject *result = NULL;
    if (bind_call(self, &call, batch) && bind_selection(&call, selection, reverse)) {
        if (self->spare_count) call.job.out = self->spares[--self->spare_count];
        call.job.out.used = 0;
        Py_BEGIN_ALLOW_THREADS
        run(self, &call);
        Py_END_ALLOW_THREADS
        if (call.job.fault == FAULT_NONE) {
            allocfunc allocate = (allocfunc)PyType_GetSlot(state->chunk_type, Py_tp_alloc);
            result = allocate(state->chunk_type, 0);
            if (result) {
                Py_INCREF(self_object);
                ((Chunk *)result)->owner = self;
                ((Chunk *)result)->out = call.job.out;
                call.job.out.data = NULL;
            }
        }
    }
    if (!result && !PyErr_Occurred()) raise_fault(state, &call.job);
    if (!result && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "not an Arrow array");
    give_back(self, &call);
    return result;
}

static void Encoder_dealloc(PyObject *self_object) {
    Encoder *self = (Encoder *)self_object;
    PyTypeObject *type = Py_TYPE(self_object);
    while (self->idle) {
        struct workspace *w = self->idle;
        self->idle = w->next;
        free_workspace(w, self->count);
    }
    for (int i = 0; i < self->spare_count; i++) free(self->spares[i].data);
    free_specs(self->specs);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self_object);
    Py_DECREF((PyObject *)type);
}

static int choose_isa(Encoder *self, const char *wanted) {
    for (int i = 0; i < ISA_COUNT; i++) {
        if ((wanted && strcmp(wanted, ISAS[i].name) != 0) || !runs_here(ISAS + i)) continue;
        self->isa = ISAS + i;
        return 1;
    }
    PyErr_Format(PyExc_ValueError, "this machine does not run the instruction set %s", wanted ? wanted : "");
    return 0;
}

static PyObject *Encoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"schema", "columns", "instructions", NULL};
    PyObject *schema, *columns;
    const char *instructions = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$z", names, &schema, &columns, &instructions)) return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = allocate(type, 0);
    if (!self) return NULL;
    PyObject *capsule = PyObject_CallMethod(schema, "__arrow_c_schema__", NULL);
    struct ArrowSchema *arrow = capsule ? schema_of(capsule) : NULL;
    Encoder *made = (Encoder *)self;
    if (arrow && choose_isa(made, instructions)) made->count = read_specs(&made->specs, columns, arrow);
    Py_XDECREF(capsule);
    if (made->count) return self;
    Py_DECREF(self);
    return NULL;
}

static PyObject *Encoder_instructions(PyObject *self, void *closure) {
    (void)closure;
    return PyUnicode_FromString(((Encoder *)self)->isa->name);
}

static PyMethodDef encoder_methods[] = {
    {"encode", (PyCFunction)(void (*)(void))Encoder_encode, METH_VARARGS | METH_KEYWORDS,
     "encode(batch, *, reverse=False, selection=None) -> Chunk: the rows of a batch as CSV."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef encoder_getters[] = {
    {"instructions", Encoder_instructions, NULL, "The instruction set its row loop was compiled for.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "Encoder(schema, columns, *, instructions=None): CSV rows for batches of one schema."},
    {Py_tp_new, Encoder_new},
    {Py_tp_dealloc, Encoder_dealloc},
    {Py_tp_methods, encoder_methods},
    {Py_tp_getset, encoder_getters},
    {0, NULL},
};
static PyType_Spec encoder_spec = {"counterfoil.dataplane._csv.Encoder", sizeof(Encoder), 0, Py_TPFLAGS_DEFAULT,
                                   encoder_slots};

/* ---- Module ------------------------------------------------------------------------------------------------------ */

static int add_instruction_sets(PyObject *module) {
    PyObject *names = PyList_New(0);
    for (int i = 0; names && i < ISA_COUNT; i++) {
        if (!runs_here(ISAS + i)) continue;
        PyObject *name = PyUnicode_FromString(ISAS[i].name);
        if (!name || PyList_Append(names, name) < 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    PyObject *tuple = names ? PyList_AsTuple(names) : NULL;
    int added = tuple && PyModule_AddObjectRef(module, "INSTRUCTION_SETS", tuple) == 0;
    Py_XDECREF(names);
    Py_XDECREF(tuple);
    return added;
}

static int module_exec(PyObject *module) {
    State *state = (State *)PyModule_GetState(module);
#if defined(COUNTERFOIL_CSV_X86)
    fill_doubling();
#endif
    state->cell_error = PyErr_NewException("counterfoil.dataplane._csv.CellError", PyExc_ValueError, NULL);
    if (!state->cell_error || PyModule_AddObjectRef(module, "CellError", state->cell_error) < 0) return -1;
    state->chunk_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &chunk_spec, NULL);
    if (!state->chunk_type || PyModule_AddType(module, state->chunk_type) < 0) return -1;
    PyObject *encoder_type = PyType_FromModuleAndSpec(module, &encoder_spec, NULL);
    int added = encoder_type && PyModule_AddType(module, (PyTypeObject *)encoder_type) == 0;
    Py_XDECREF(encoder_type);
    return added && add_instruction_sets(module) ? 0 : -1;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    State *state = (State *)PyModule_GetState(module);
    Py_VISIT(state->cell_error);
    Py_VISIT((PyObject *)state->chunk_type);
    return 0;
}

static int module_clear(PyObject *module) {
    State *state = (State *)PyModule_GetState(module);
    Py_CLEAR(state->cell_error);
    PyObject *chunk_type = (PyObject *)state->chunk_type;
    state->chunk_type = NULL;
    Py_XDECREF(chunk_type);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};
static struct PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "counterfoil.dataplane._csv",
    .m_doc = "CSV from Arrow record batches.",
    .m_size = sizeof(State),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__csv(void) { return PyModuleDef_Init(&module_definition); }
