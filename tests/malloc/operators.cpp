// Every operator new and delete: where the memory comes from, what is thrown, whose operators count.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <unistd.h>
#include <vector>

#include "hakmem.h"

#define REQUIRE(condition)                                                                                             \
    ((condition) ? (void)0                                                                                             \
                 : (std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition), _exit(1)))

namespace {

constexpr std::size_t too_large = std::size_t(1) << 45;
void *volatile escaped;

template <typename T> T *kept(T *block) {
    escaped = block;
    return static_cast<T *>(const_cast<void *>(escaped));
}

bool is_on_hakmem(const void *block, std::size_t alignment = 16) {
    hk_pointer_info info{};
    info.struct_size = sizeof info;
    return reinterpret_cast<std::uintptr_t>(block) % alignment == 0 && hk_classify(block, &info) == HK_OK &&
           info.state == HK_BLOCK_LIVE && info.arena == hk_arena_default();
}

std::size_t live_blocks() {
    hk_statistics now{};
    now.struct_size = offsetof(hk_statistics, classes);
    REQUIRE(hk_arena_statistics(hk_arena_default(), &now) == HK_OK);
    return now.live_blocks;
}

void pairs(std::size_t size) {
    void *block = ::operator new(size);
    REQUIRE(is_on_hakmem(block));
    ::operator delete(block);
    block = ::operator new(size);
    ::operator delete(block, size);
    block = ::operator new[](size);
    REQUIRE(is_on_hakmem(block));
    ::operator delete[](block);
    block = ::operator new[](size);
    ::operator delete[](block, size);
    block = ::operator new(size, std::nothrow);
    REQUIRE(is_on_hakmem(block));
    ::operator delete(block, std::nothrow);
    block = ::operator new[](size, std::nothrow);
    REQUIRE(is_on_hakmem(block));
    ::operator delete[](block, std::nothrow);
}

void aligned_pairs(std::size_t size, std::size_t alignment) {
    std::align_val_t align{alignment};
    void *block = ::operator new(size, align);
    REQUIRE(is_on_hakmem(block, alignment));
    ::operator delete(block, align);
    block = ::operator new(size, align);
    ::operator delete(block, size, align);
    block = ::operator new[](size, align);
    REQUIRE(is_on_hakmem(block, alignment));
    ::operator delete[](block, align);
    block = ::operator new[](size, align);
    ::operator delete[](block, size, align);
    block = ::operator new(size, align, std::nothrow);
    REQUIRE(is_on_hakmem(block, alignment));
    ::operator delete(block, align, std::nothrow);
    block = ::operator new[](size, align, std::nothrow);
    REQUIRE(is_on_hakmem(block, alignment));
    ::operator delete[](block, align, std::nothrow);
}

template <typename Call> bool throws_bad_alloc(Call call) {
    try {
        kept(call());
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

volatile std::size_t huge = too_large;
int handler_calls;

void count_and_give_up() {
    if (++handler_calls == 3)
        std::set_new_handler(nullptr);
}

void no_memory() {
    std::align_val_t align{64};
    REQUIRE(throws_bad_alloc([] { return ::operator new(huge); }));
    REQUIRE(throws_bad_alloc([] { return ::operator new[](huge); }));
    REQUIRE(throws_bad_alloc([&] { return ::operator new(huge, align); }));
    REQUIRE(throws_bad_alloc([&] { return ::operator new[](huge, align); }));
    REQUIRE(throws_bad_alloc([] { return static_cast<void *>(new std::string(std::string().max_size() / 2, 'x')); }));
    REQUIRE(kept(::operator new(huge, std::nothrow)) == nullptr);
    REQUIRE(kept(::operator new[](huge, std::nothrow)) == nullptr);
    REQUIRE(kept(::operator new(huge, align, std::nothrow)) == nullptr);
    REQUIRE(kept(::operator new[](huge, align, std::nothrow)) == nullptr);
}

void new_handler_is_called() {
    std::set_new_handler(count_and_give_up);
    REQUIRE(throws_bad_alloc([] { return ::operator new(huge); }) && handler_calls == 3);
    handler_calls = 0;
    std::set_new_handler(count_and_give_up);
    REQUIRE(kept(::operator new(huge, std::nothrow)) == nullptr && handler_calls == 3);
    std::set_new_handler([] { throw std::bad_alloc(); });
    REQUIRE(kept(::operator new(huge, std::nothrow)) == nullptr);
    std::set_new_handler(nullptr);
}

int misuses;

void wrong_size_is_told() {
    hk_set_error_handler([](const hk_error_info *info, void *) { misuses += info->status == HK_ERR_SIZE_MISMATCH; },
                         nullptr);
    void *block = kept(::operator new(100));
    ::operator delete(block, std::size_t(500));
    REQUIRE(misuses == 1 && is_on_hakmem(block));
    ::operator delete(block, std::size_t(100));
    REQUIRE(misuses == 1);
    hk_set_error_handler(nullptr, nullptr);
}

} // namespace

int main() {
    pairs(1);
    kept(::operator new(0)); // the first of all leaves what the C++ library keeps
    std::size_t before = live_blocks();
    for (std::size_t size = 0; size < 100000; size = size * 2 + 1) {
        pairs(size);
        for (std::size_t alignment = 16; alignment <= 8192; alignment *= 2)
            aligned_pairs(size, alignment);
    }
    for (int i = 0; i < 100; i++) {
        std::vector<std::string> words;
        for (int j = 0; j < 1000; j++)
            words.push_back(std::string(std::size_t(j), 'w'));
    }
    REQUIRE(live_blocks() == before);
    no_memory();
    new_handler_is_called();
    wrong_size_is_told();
    REQUIRE(hk_arena_check(hk_arena_default()) == HK_OK);
    return 0;
}
