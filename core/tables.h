/* tables: each list that would else be written twice. Everything else is generated from these. No state. */
#ifndef HKI_TABLES_H
#define HKI_TABLES_H

/* X(constant, message): status codes in the order of their values. */
#define HKI_STATUSES(X)                                                                                                \
    X(HK_OK, "success")                                                                                                \
    X(HK_ERR_NO_MEMORY, "the operating system refused memory")                                                         \
    X(HK_ERR_LIMIT, "the arena's limit or reserve is reached")                                                         \
    X(HK_ERR_INVALID_ARGUMENT, "invalid argument")                                                                     \
    X(HK_ERR_BAD_ARENA, "not a live arena")                                                                            \
    X(HK_ERR_FOREIGN_POINTER, "pointer to memory that hakmem does not manage")                                         \
    X(HK_ERR_INTERIOR_POINTER, "pointer into a block, not to its start")                                               \
    X(HK_ERR_DOUBLE_FREE, "the block is free already")                                                                 \
    X(HK_ERR_WRONG_ARENA, "the block belongs to another arena")                                                        \
    X(HK_ERR_SIZE_MISMATCH, "the block has another size")                                                              \
    X(HK_ERR_BUSY, "another thread is inside, or there are arenas below")                                              \
    X(HK_ERR_UNSUPPORTED, "not supported here")                                                                        \
    X(HK_ERR_CORRUPT, "the allocator's books do not agree")                                                            \
    X(HK_ERR_OVERFLOW, "bytes behind the block were overwritten")                                                      \
    X(HK_ERR_WRITE_AFTER_FREE, "the block was written to after it was freed")                                          \
    X(HK_ERR_CALLBACK, "a function that the caller gave has failed")

/* X(variable, environment variable, default, largest value): the options that are whole numbers from 0 up. */
#define HKI_NUMBER_OPTIONS(X) X(hki_purge_delay_ms, "HAKMEM_PURGE_DELAY_MS", 10, 3600000)

/* X(variable, environment variable): the options that are sizes in bytes, with K, M, G or T behind them or not; at
 * least a line, at most a terabyte; 0: not given. */
#define HKI_SIZE_OPTIONS(X) X(hki_process_limit_bytes, "HAKMEM_LIMIT")

/* X(policy, word): the values of HAKMEM_ON_ERROR. */
#define HKI_POLICIES(X)                                                                                                \
    X(HK_ON_ERROR_ABORT, "abort")                                                                                      \
    X(HK_ON_ERROR_REPORT, "report")                                                                                    \
    X(HK_ON_ERROR_IGNORE, "ignore")

/* X(figure, meaning): the totals of hk_statistics. */
#define HKI_STATISTICS(X)                                                                                              \
    X(held_bytes, "bytes held, which is what a limit bounds")                                                          \
    X(peak_held_bytes, "bytes held at most")                                                                           \
    X(children_bytes, "of the bytes held, those of arenas below")                                                      \
    X(limit_bytes, "bytes of the limit; 0: none")                                                                      \
    X(live_blocks, "blocks in use")                                                                                    \
    X(live_bytes, "bytes of these blocks")                                                                             \
    X(large_blocks, "of these, blocks above the size classes")                                                         \
    X(large_bytes, "bytes of these")                                                                                   \
    X(units, "units of 64 KiB of address space")                                                                       \
    X(heaps, "heaps, of threads that live or have ended")                                                              \
    X(limit_failures, "requests that the limit refused")                                                               \
    X(system_failures, "requests that the system refused")

/* The size classes: BOTH(size, previous, previous16, few_lines, exact_lines), and ONLY8(size, previous, few_lines,
 * exact_lines) for those that only arenas of alignment 8 use. `previous` is the class below; `previous16` the class
 * below among those of BOTH. `few_lines` is the shortest run that wastes at most an eighth behind its last block,
 * `exact_lines` the shortest that wastes nothing. */
#define HKI_SIZE_CLASSES(BOTH, ONLY8)                                                                                  \
    BOTH(8, 0, 0, 1, 1)                                                                                                \
    BOTH(16, 8, 8, 1, 1)                                                                                               \
    ONLY8(24, 16, 1, 3)                                                                                                \
    BOTH(32, 24, 16, 1, 1)                                                                                             \
    ONLY8(40, 32, 1, 5)                                                                                                \
    BOTH(48, 40, 32, 1, 3)                                                                                             \
    ONLY8(56, 48, 1, 7)                                                                                                \
    BOTH(64, 56, 48, 1, 1)                                                                                             \
    ONLY8(72, 64, 1, 9)                                                                                                \
    BOTH(80, 72, 64, 1, 5)                                                                                             \
    ONLY8(88, 80, 1, 11)                                                                                               \
    BOTH(96, 88, 80, 1, 3)                                                                                             \
    ONLY8(104, 96, 1, 13)                                                                                              \
    BOTH(112, 104, 96, 1, 7)                                                                                           \
    ONLY8(120, 112, 1, 15)                                                                                             \
    BOTH(128, 120, 112, 1, 1)                                                                                          \
    BOTH(144, 128, 128, 1, 9)                                                                                          \
    BOTH(160, 144, 144, 1, 5)                                                                                          \
    BOTH(176, 160, 160, 2, 11)                                                                                         \
    BOTH(192, 176, 176, 1, 3)                                                                                          \
    BOTH(208, 192, 192, 2, 13)                                                                                         \
    BOTH(224, 208, 208, 1, 7)                                                                                          \
    BOTH(240, 224, 224, 1, 15)                                                                                         \
    BOTH(256, 240, 240, 1, 1)                                                                                          \
    BOTH(288, 256, 256, 2, 9)                                                                                          \
    BOTH(320, 288, 288, 1, 5)                                                                                          \
    BOTH(352, 320, 320, 3, 11)                                                                                         \
    BOTH(384, 352, 352, 2, 3)                                                                                          \
    BOTH(416, 384, 384, 3, 13)                                                                                         \
    BOTH(448, 416, 416, 1, 7)                                                                                          \
    BOTH(480, 448, 448, 1, 15)                                                                                         \
    BOTH(512, 480, 480, 1, 1)                                                                                          \
    BOTH(576, 512, 512, 3, 9)                                                                                          \
    BOTH(640, 576, 576, 2, 5)                                                                                          \
    BOTH(704, 640, 640, 3, 11)                                                                                         \
    BOTH(768, 704, 704, 3, 3)                                                                                          \
    BOTH(832, 768, 768, 5, 13)                                                                                         \
    BOTH(896, 832, 832, 1, 7)                                                                                          \
    BOTH(960, 896, 896, 1, 15)                                                                                         \
    BOTH(1024, 960, 960, 1, 1)                                                                                         \
    BOTH(1152, 1024, 1024, 5, 9)                                                                                       \
    BOTH(1280, 1152, 1152, 4, 5)                                                                                       \
    BOTH(1408, 1280, 1280, 3, 11)                                                                                      \
    BOTH(1536, 1408, 1408, 3, 3)                                                                                       \
    BOTH(1664, 1536, 1536, 5, 13)                                                                                      \
    BOTH(1792, 1664, 1664, 2, 7)                                                                                       \
    BOTH(1920, 1792, 1792, 2, 15)                                                                                      \
    BOTH(2048, 1920, 1920, 2, 2)                                                                                       \
    BOTH(2304, 2048, 2048, 5, 9)                                                                                       \
    BOTH(2560, 2304, 2304, 5, 5)                                                                                       \
    BOTH(2816, 2560, 2560, 3, 11)                                                                                      \
    BOTH(3072, 2816, 2816, 3, 3)                                                                                       \
    BOTH(3328, 3072, 3072, 7, 13)                                                                                      \
    BOTH(3584, 3328, 3328, 4, 7)                                                                                       \
    BOTH(3840, 3584, 3584, 4, 15)                                                                                      \
    BOTH(4096, 3840, 3840, 4, 4)                                                                                       \
    BOTH(4608, 4096, 4096, 5, 9)                                                                                       \
    BOTH(5120, 4608, 4608, 5, 5)                                                                                       \
    BOTH(5632, 5120, 5120, 6, 11)                                                                                      \
    BOTH(6144, 5632, 5632, 6, 6)                                                                                       \
    BOTH(6656, 6144, 6144, 7, 13)                                                                                      \
    BOTH(7168, 6656, 6656, 7, 7)                                                                                       \
    BOTH(7680, 7168, 7168, 8, 15)                                                                                      \
    BOTH(8192, 7680, 7680, 8, 8)                                                                                       \
    BOTH(9216, 8192, 8192, 9, 9)                                                                                       \
    BOTH(10240, 9216, 9216, 10, 10)                                                                                    \
    BOTH(11264, 10240, 10240, 11, 11)                                                                                  \
    BOTH(12288, 11264, 11264, 12, 12)                                                                                  \
    BOTH(13312, 12288, 12288, 13, 13)                                                                                  \
    BOTH(14336, 13312, 13312, 14, 14)                                                                                  \
    BOTH(15360, 14336, 14336, 15, 15)                                                                                  \
    BOTH(16384, 15360, 15360, 16, 16)

#endif
