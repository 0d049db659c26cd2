/* lua_placement: where the code of Lua begins in a program that is linked to it. No code, no data.
 *
 * The speed of Lua's main loop depends on where it lies in its cache line: bench/lua/nbody.lua takes 0.62 s or 0.71 s
 * with Debian 12's liblua5.4.a (AMD EPYC, gcc 12), and without care any other file of the program decides it. This
 * file comes first and the archive second, so that all interpreters that are compared are equally fast, and lie
 * well. */
__asm__(".text\n"
        ".p2align 6\n"
        ".skip 32, 0x90\n");
