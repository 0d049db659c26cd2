/* arena: hakmem.Arena as far as it is in C: how it begins, and how blocks are had of it. See native.h. */
#include "native.h"

#include <stddef.h>
#include <string.h>

PyTypeObject *native_arena_type;

static native_arena *as_arena(PyObject *object) {
    return (native_arena *)object;
}

bool native_is_arena(PyObject *object) {
    if (PyObject_TypeCheck(object, native_arena_type))
        return true;
    PyErr_Format(PyExc_TypeError, "an Arena is needed, not %R", object);
    return false;
}

/* ---- life ---- */

static int start_lock(native_arena *arena) {
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error == 0) {
        (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
        error = pthread_mutex_init(&arena->lock, &attributes);
        (void)pthread_mutexattr_destroy(&attributes);
    }
    arena->has_lock = error == 0;
    if (error != 0)
        PyErr_NoMemory();
    return error == 0 ? 0 : -1;
}

/* Sizes have been parsed by hakmem.Arena, which also knows what is right for what is wrong here. */
static int init(PyObject *self, PyObject *arguments, PyObject *keywords) {
    static char *names[] = {"name", "limit", "align", "flags", "reserve", NULL};
    native_arena *arena = as_arena(self);
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    Py_ssize_t limit, alignment, reserve;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "snnIn", names, &config.name, &limit, &alignment,
                                     &config.flags, &reserve))
        return -1;
    if (arena->has_lock) {
        PyErr_SetString(PyExc_RuntimeError, "the arena has been made already");
        return -1;
    }
    config.limit_bytes = (size_t)limit;
    config.reserve_bytes = (size_t)reserve;
    config.flags |= HK_ARENA_ONE_THREAD_AT_A_TIME;
    config.min_alignment = alignment == 8 ? 8 : 16;
    arena->alignment = (size_t)alignment;
    arena->flags = config.flags;
    if (start_lock(arena) != 0)
        return -1;
    hk_status status = hk_arena_create(&config, &arena->handle);
    if (status == HK_OK)
        return 0;
    PyErr_SetString(status == HK_ERR_NO_MEMORY ? PyExc_MemoryError : PyExc_ValueError, hk_status_message(status));
    return -1;
}

/* ---- blocks ---- */

enum { LINE_BYTES = 1024 };

/* Small blocks may all have been written to, and zeroing them here is quicker than by the library's complete way.
 *
 * Blocks of a size that is a multiple of a power of two lie at multiples of it, in ordinary arenas and up to a line.
 * That is how aligned blocks are had by the library's fast path, and zeroed ones of pages that were never touched
 * without touching them. It is not promised, so it is looked at. */
static void *allocate_rounded(const native_arena *arena, size_t size, size_t alignment, bool zeroed) {
    size_t rounded = size != 0 ? (size + alignment - 1) & ~(alignment - 1) : alignment;
    bool zero_here = zeroed && rounded <= NATIVE_SMALL_BYTES;
    void *block =
        zeroed && !zero_here ? hk_arena_calloc(arena->handle, 1, rounded) : hk_arena_alloc(arena->handle, rounded);
    if (((uintptr_t)block & (alignment - 1)) != 0) {
        (void)hk_arena_free(arena->handle, block);
        block = hk_arena_aligned_alloc(arena->handle, alignment, size);
        zero_here = zeroed;
    }
    if (block != NULL && zero_here)
        memset(block, 0, size);
    return block;
}

/* Whether blocks of this size have the alignment by themselves: see hakmem.h on blocks of 8 bytes, and on arenas of
 * 8. */
static bool is_aligned_anyway(const native_arena *arena, size_t size, size_t alignment) {
    return alignment <= 8 || (alignment == 16 && size > 8 && arena->alignment > 8);
}

void *native_allocate(const native_arena *arena, size_t size, size_t alignment, bool zeroed) {
    if (size > (size_t)PY_SSIZE_T_MAX / 2 || is_aligned_anyway(arena, size, alignment))
        return zeroed ? hk_arena_calloc(arena->handle, 1, size) : hk_arena_alloc(arena->handle, size);
    bool is_hardened = (arena->flags & HK_ARENA_HARDENED) != 0;
    if (!is_hardened && alignment <= LINE_BYTES)
        return allocate_rounded(arena, size, alignment, zeroed);
    void *block = hk_arena_aligned_alloc(arena->handle, alignment, size);
    if (block != NULL && zeroed && !is_hardened)
        memset(block, 0, size);
    return block;
}

/* NULL, and the block as it was, if there is no memory, or if it is none of the arena's: that is reported. */
static void *move_block(const native_arena *arena, void *block, size_t new_size, size_t alignment) {
    if (!hk_arena_owns(arena->handle, block))
        return hk_arena_realloc(arena->handle, block, new_size);
    void *moved = native_allocate(arena, new_size, alignment, false);
    if (moved == NULL)
        return NULL;
    size_t old_size = hk_usable_size(block);
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    (void)hk_arena_free(arena->handle, block);
    return moved;
}

/* The library's realloc keeps an alignment of 16, and in fact that of a rounded size up to a line, as allocate_rounded
 * explains. If it did not and there is no memory to move the block again, it stays where it is: usable, if slower. */
void *native_reallocate(const native_arena *arena, void *block, size_t new_size, size_t alignment) {
    size_t rounded = new_size <= PY_SSIZE_T_MAX / 2 ? (new_size + alignment - 1) & ~(alignment - 1) : new_size;
    if (new_size != 0 && is_aligned_anyway(arena, new_size, alignment))
        return hk_arena_realloc(arena->handle, block, new_size);
    if ((arena->flags & HK_ARENA_HARDENED) != 0 || alignment > LINE_BYTES)
        return move_block(arena, block, new_size, alignment);
    void *resized = hk_arena_realloc(arena->handle, block, rounded != 0 ? rounded : alignment);
    if (((uintptr_t)resized & (alignment - 1)) == 0)
        return resized;
    void *moved = move_block(arena, resized, new_size, alignment);
    return moved != NULL ? moved : resized;
}

PyObject *native_raise_allocation(native_arena *arena, hk_status status, size_t size) {
    hk_statistics figures = {.struct_size = offsetof(hk_statistics, classes)};
    char name[HK_ARENA_NAME_MAX + 1];
    if (status == HK_ERR_INVALID_ARGUMENT)
        return PyErr_Format(PyExc_MemoryError, "no block of hakmem's can have %zu bytes", size);
    if (!native_enter(arena))
        return NULL;
    (void)hk_arena_statistics(arena->handle, &figures);
    (void)snprintf(name, sizeof name, "%s", hk_arena_name(arena->handle));
    native_unlock(arena);
    if (status == HK_ERR_LIMIT && figures.limit_bytes != 0)
        return PyErr_Format(PyExc_MemoryError, "arena '%s': %zu bytes requested, limit %zu bytes, %zu held", name, size,
                            figures.limit_bytes, figures.held_bytes);
    if (status == HK_ERR_LIMIT)
        return PyErr_Format(PyExc_MemoryError, "arena '%s': %zu bytes requested, %zu held; its reserve has no room",
                            name, size, figures.held_bytes);
    return PyErr_Format(PyExc_MemoryError, "arena '%s': %zu bytes requested: %s", name, size,
                        hk_status_message(status));
}

typedef struct request {
    size_t size;
    size_t alignment;
    bool is_readonly;
    bool is_zeroed;
} request;

void *native_allocate_any(native_arena *arena, size_t size, size_t alignment, bool zeroed) {
    void *block;
    if (size < NATIVE_LARGE_BYTES)
        return native_allocate(arena, size, alignment, zeroed);
    native_lock_stays(arena);
    Py_BEGIN_ALLOW_THREADS;
    block = native_allocate(arena, size, alignment, zeroed);
    Py_END_ALLOW_THREADS;
    return block;
}

static PyObject *allocate_buffer(native_arena *arena, const request *request) {
    native_misuse misuse;
    native_buffer *buffer = native_buffer_new(arena);
    if (buffer == NULL)
        return NULL;
    if (!native_enter(arena)) {
        Py_DECREF(buffer);
        return NULL;
    }
    misuse.status = HK_OK;
    native_misuse_here = &misuse;
    void *block = native_allocate_any(arena, request->size, request->alignment, request->is_zeroed);
    native_misuse_here = NULL;
    if (block != NULL)
        native_buffer_fill(buffer, block, request->size);
    native_unlock(arena);
    buffer->is_readonly = request->is_readonly;
    if (block != NULL && (misuse.status == HK_OK || native_surface(&misuse) == 0))
        return (PyObject *)buffer;
    Py_DECREF(buffer);
    return block != NULL ? NULL : native_raise_allocation(arena, hk_last_status(), request->size);
}

PyObject *native_arena_buffer(native_arena *arena, size_t size) {
    request request = {.size = size, .alignment = arena->alignment, .is_zeroed = true};
    return allocate_buffer(arena, &request);
}

/* A size that is no integer is parsed by Python code, which also says what is wrong with it. */
static bool parse_size(PyObject *object, size_t *size) {
    Py_ssize_t number = -1;
    if (PyLong_CheckExact(object)) {
        number = PyLong_AsSsize_t(object);
        if (number >= 0) {
            *size = (size_t)number;
            return true;
        }
        PyErr_Clear();
    }
    PyObject *sizes = PyImport_ImportModule("hakmem._sizes");
    PyObject *parsed = sizes == NULL ? NULL : PyObject_CallMethod(sizes, "parse_size", "O", object);
    if (parsed != NULL)
        number = PyLong_AsSsize_t(parsed);
    Py_XDECREF(sizes);
    Py_XDECREF(parsed);
    *size = (size_t)number;
    return number >= 0;
}

static bool parse_option(PyObject *name, PyObject *value, request *request) {
    if (PyUnicode_CompareWithASCIIString(name, "align") == 0) {
        Py_ssize_t alignment = PyLong_AsSsize_t(value);
        if (alignment == -1 && PyErr_Occurred() != NULL && !PyErr_ExceptionMatches(PyExc_OverflowError))
            return false;
        PyErr_Clear();
        request->alignment = (size_t)alignment;
        if (alignment > 0 && alignment <= 256 << 20 && (alignment & (alignment - 1)) == 0)
            return true;
        PyErr_Format(PyExc_ValueError, "align is %R; it can be a power of two from 1 to 268435456", value);
        return false;
    }
    bool is_readonly = PyUnicode_CompareWithASCIIString(name, "readonly") == 0;
    if (!is_readonly && PyUnicode_CompareWithASCIIString(name, "zeroed") != 0) {
        PyErr_Format(PyExc_TypeError, "alloc() knows no argument %R; there are size, align, readonly and zeroed", name);
        return false;
    }
    int truth = PyObject_IsTrue(value);
    *(is_readonly ? &request->is_readonly : &request->is_zeroed) = truth == 1;
    return truth >= 0;
}

static PyObject *alloc(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *names) {
    request request = {.alignment = as_arena(self)->alignment, .is_zeroed = true};
    Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    PyObject *size = count == 1 ? arguments[0] : NULL;
    if (count > 1)
        return PyErr_Format(PyExc_TypeError,
                            "alloc() takes the size, and align, readonly and zeroed by name; "
                            "%zd arguments were given without a name",
                            count);
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        PyObject *value = arguments[count + i];
        if (size == NULL && PyUnicode_CompareWithASCIIString(name, "size") == 0)
            size = value;
        else if (!parse_option(name, value, &request))
            return NULL;
    }
    if (size == NULL)
        return PyErr_Format(PyExc_TypeError, "alloc() needs a size");
    if (!parse_size(size, &request.size))
        return NULL;
    return allocate_buffer(as_arena(self), &request);
}

/* ---- walk ---- */

typedef struct block_list {
    size_t count; /* blocks seen; only the first `room` are kept */
    size_t room;
    struct {
        const void *block;
        size_t size_bytes;
    } * blocks;
} block_list;

static bool list_block(const void *block, size_t size_bytes, void *user_data) {
    block_list *list = user_data;
    if (list->count < list->room) {
        list->blocks[list->count].block = block;
        list->blocks[list->count].size_bytes = size_bytes;
    }
    list->count++;
    return true;
}

/* Pairs of address and size. Making them may collect garbage and so free blocks: the walk is over by then. */
static PyObject *walk(PyObject *self, PyObject *unused) {
    native_arena *arena = as_arena(self);
    hk_statistics figures = {.struct_size = offsetof(hk_statistics, classes)};
    (void)unused;
    if (!native_enter(arena))
        return NULL;
    (void)hk_arena_statistics(arena->handle, &figures);
    block_list list = {.room = figures.live_blocks, .blocks = calloc(figures.live_blocks + 1, sizeof *list.blocks)};
    if (list.blocks != NULL)
        (void)hk_arena_walk(arena->handle, list_block, &list);
    native_unlock(arena);
    if (list.blocks == NULL)
        return PyErr_NoMemory();
    PyObject *pairs = PyList_New(0);
    for (size_t i = 0; pairs != NULL && i < list.count && i < list.room; i++) {
        PyObject *pair = Py_BuildValue("Nn", PyLong_FromVoidPtr((void *)(uintptr_t)list.blocks[i].block),
                                       (Py_ssize_t)list.blocks[i].size_bytes);
        if (pair == NULL || PyList_Append(pairs, pair) != 0)
            Py_CLEAR(pairs);
        Py_XDECREF(pair);
    }
    free(list.blocks);
    return pairs;
}

/* ---- for calls through CFFI, which lets go of the GIL ---- */

static PyObject *enter(PyObject *self, PyObject *unused) {
    (void)unused;
    if (!native_enter(as_arena(self)))
        return NULL;
    native_lock_stays(as_arena(self));
    return PyLong_FromVoidPtr(as_arena(self)->handle);
}

static PyObject *leave(PyObject *self, PyObject *unused) {
    (void)unused;
    native_unlock(as_arena(self));
    Py_RETURN_NONE;
}

/* ---- what it tells ---- */

static PyObject *get_closed(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(as_arena(self)->handle == NULL);
}

static PyObject *get_align(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(as_arena(self)->alignment);
}

static PyObject *get_flags(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLong(as_arena(self)->flags);
}

static PyObject *get_exports(PyObject *self, void *unused) {
    (void)unused;
    const native_arena *arena = as_arena(self);
    return PyLong_FromSize_t(arena->exports + arena->arrays + arena->extension_blocks);
}

PyTypeObject *native_make_arena_type(void) {
    static PyMethodDef methods[] = {
        {"alloc", (PyCFunction)(void (*)(void))alloc, METH_FASTCALL | METH_KEYWORDS,
         "alloc(size, *, align=None, readonly=False, zeroed=True): a new Buffer of that many bytes."},
        {"close", native_arena_close, METH_NOARGS,
         "End the arena and its buffers; BufferError while there are views of these. Again: nothing happens."},
        {"reset", native_arena_reset, METH_NOARGS,
         "End all buffers at once, keep the arena; BufferError while there are views of buffers."},
        {"checkpoint", native_arena_checkpoint, METH_NOARGS, "Remember what the arena holds, for rollback()."},
        {"rollback", native_arena_rollback, METH_NOARGS, "Bring back what the arena held at the last checkpoint()."},
        {"_walk", walk, METH_NOARGS, NULL},
        {"_enter", enter, METH_NOARGS, NULL},
        {"_leave", leave, METH_NOARGS, NULL},
        {NULL, NULL, 0, NULL},
    };
    static PyGetSetDef properties[] = {
        {"closed", get_closed, NULL, "Whether the arena is closed.", NULL},
        {"align", get_align, NULL, "The alignment of its buffers.", NULL},
        {"exports", get_exports, NULL,
         "How many views of buffers, NumPy arrays and blocks of extension modules use the arena's memory.", NULL},
        {"_flags", get_flags, NULL, NULL, NULL},
        {NULL, NULL, NULL, NULL, NULL},
    };
    static PyType_Slot slots[] = {
        {Py_tp_new, PyType_GenericNew}, {Py_tp_init, init},         {Py_tp_dealloc, native_arena_dealloc},
        {Py_tp_methods, methods},       {Py_tp_getset, properties}, {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "hakmem._native.ArenaBase",
        .basicsize = sizeof(native_arena),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromSpec(&spec);
}
