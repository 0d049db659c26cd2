/* hakmem_lua built for Lua 5.5, as far as its lua.h stands in lua5.5/: a state gets the seed that Lua makes. */
#include <criterion/criterion.h>
#include <hakmem_lua.h>

enum { SEED = 4711 };
static unsigned given_seed;

unsigned luaL_makeseed(lua_State *L) {
    cr_assert_null(L);
    return SEED;
}

lua_State *lua_newstate_5_5(lua_Alloc allocate, void *user_data, unsigned seed) {
    given_seed = seed;
#undef lua_newstate
    return lua_newstate(allocate, user_data);
}

Test(lua_5_5, a_state_gets_a_seed) {
    lua_State *L = hk_lua_newstate(NULL);
    cr_assert_not_null(L);
    cr_assert_eq(given_seed, SEED);
    cr_assert_eq(hk_arena_of(L), hk_lua_arena(L));
    hk_lua_close(L);
}
