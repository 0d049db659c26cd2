/* totals: the figures of hk_statistics that are told, by hklua and to Lua scripts. */
#ifndef HAKMEM_LUA_TOTALS_H
#define HAKMEM_LUA_TOTALS_H

/* X(name, meaning): each total's place in hk_statistics, which is also its key in JSON and in Lua's tables, and what it is
 * for people. */
#define HAKMEM_TOTALS(X)                                                                                               \
    X(held_bytes, "bytes held, which is what a limit bounds")                                                          \
    X(peak_held_bytes, "bytes held at most")                                                                           \
    X(limit_bytes, "bytes of the limit; 0: none")                                                                      \
    X(live_blocks, "blocks in use")                                                                                    \
    X(live_bytes, "bytes of these blocks")                                                                             \
    X(large_blocks, "of these, blocks above the size classes")                                                         \
    X(large_bytes, "bytes of these")                                                                                   \
    X(units, "units of 64 KiB of address space")                                                                       \
    X(limit_failures, "requests that the limit refused")                                                               \
    X(system_failures, "requests that the system refused")

#endif
