/* scope_reserve: what a scope may hold beyond its limit, so that reaching it is a MemoryError and nothing worse. See
 * memory.h.
 *
 * CPython, and what is built on it, cannot be refused everything everywhere. Refused the small things by which an
 * exception is raised and handled, tracebacks, frames, numbers, it unwinds a with statement for ever (from 3.12 on), or
 * ends the process as it cannot make another MemoryError (before that); an event loop that cannot make a handle forgets
 * its task. What grows is another matter: there a MemoryError is expected. So what does not fit
 * - is refused at once if it is larger than 512 bytes, as the memory of containers, texts and buffers is;
 * - else comes from a second arena, the reserve, up to 64 KiB. Then it is refused as well.
 *
 * A set whose larger table is refused keeps the new entry all the same; each of these makes it fuller, and in a full one
 * the next search never ends. So what can be such a table by its size has a reserve of its own, of 1 MiB: tables for up
 * to 20,000 entries. A larger one has room for thousands that are refused one after the other.
 *
 * After a refusal, and until there is much room again, all requests up to 4 KiB come from the reserve, up to 128 KiB;
 * and beyond that all those that are made while an exception is on its way, as these are soon freed, and the next few
 * after each refusal, in which the exception is made. */
#include "memory.h"

#include "arena.h"

enum {
    SMALL_MAX = 512, /* the largest of CPython's own small blocks */
    HANDLING_MAX = 4096,
    SMALL_LINES = 64,    /* and as many for what handles the exception */
    SET_TABLE_MIN = 512, /* 32 entries; smaller ones are in the set itself */
    SET_TABLES_MAX = 1 << 20,
    LAST_STEPS = 4,
    LAST_MAX = 1024,
    MUCH_ROOM_LINES = 16, /* or half the limit */
};

native_scope native_process;

static bool begin(native_reserve *reserve) {
    hk_arena_config config = HK_ARENA_CONFIG_INIT;
    if (reserve->arena != NULL)
        return true;
    config.name = "reserve";
    config.flags = HK_ARENA_ONE_THREAD_AT_A_TIME;
    if (hk_arena_create(&config, &reserve->handle) != HK_OK)
        return false;
    reserve->arena = hki_arena_find(reserve->handle);
    native_scope_own(reserve->arena, true);
    return true;
}

static void end(native_reserve *reserve) {
    if (reserve->arena == NULL)
        return;
    native_scope_own(reserve->arena, false);
    (void)hk_arena_retire(reserve->handle);
}

static void *allocate_from(native_reserve *reserve, hki_request request, size_t lines) {
    if (!begin(reserve))
        return NULL;
    atomic_store_explicit(&reserve->arena->quota.limit_lines, lines, memory_order_relaxed);
    return hki_alloc(reserve->arena, request);
}

static bool may_be_set_table(size_t size) {
    return size >= SET_TABLE_MIN && size <= SET_TABLES_MAX && (size & (size - 1)) == 0;
}

static void *allocate(native_scope *scope, hki_request request) {
    void *block = NULL;
    if (request.size <= (scope->is_short ? HANDLING_MAX : SMALL_MAX))
        block = allocate_from(&scope->small, request, scope->is_short ? 2 * SMALL_LINES : SMALL_LINES);
    if (block == NULL && may_be_set_table(request.size))
        block = allocate_from(&scope->set_tables, request, SET_TABLES_MAX >> HKI_LINE_SHIFT);
    return block;
}

static bool is_raising(const native_scope *scope) {
    return scope->is_short && _PyThreadState_UncheckedGet() != NULL && PyErr_Occurred() != NULL;
}

static void *allocate_without_bounds(native_scope *scope, hki_request request) {
    bool may = request.size <= HANDLING_MAX && is_raising(scope);
    if (!may && request.size <= LAST_MAX && scope->last_steps > 0) {
        scope->last_steps--;
        may = true;
    }
    return may ? allocate_from(&scope->raising, request, HKI_NO_LIMIT) : NULL;
}

void *native_process_overdraw(hki_request request) {
    if (native_process.arena == NULL) {
        native_process.arena = hki_process_arena();
        native_scopes++;
    }
    return native_scope_overdraw(&native_process, request);
}

void *native_scope_overdraw(native_scope *scope, hki_request request) {
    native_scope_note_refusal(scope, request.size);
    void *block = allocate(scope, request);
    if (block == NULL)
        block = allocate_without_bounds(scope, request);
    if (block != NULL)
        return block;
    scope->last_steps = LAST_STEPS;
    scope->is_short = true;
    scope->refusals++;
    return NULL;
}

void native_scope_recover(native_scope *scope) {
    scope->last_steps = 0;
    size_t limit = atomic_load_explicit(&scope->arena->quota.limit_lines, memory_order_relaxed);
    if (native_scope_room(scope) >= hki_min(limit / 2, MUCH_ROOM_LINES))
        scope->is_short = false;
}

void native_scope_end_reserves(native_scope *scope) {
    end(&scope->small);
    end(&scope->set_tables);
    end(&scope->raising);
}
