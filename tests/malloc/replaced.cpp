// A program that replaces the plain operators alone, as the C++ standard allows ([new.delete.single]): all others end in
// these.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <unistd.h>

#define REQUIRE(condition)                                                                                             \
    ((condition) ? (void)0                                                                                             \
                 : (std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition), _exit(1)))

namespace {
alignas(16) char pool[65536];
std::size_t used;
int live;
bool fail_next;
} // namespace

void *operator new(std::size_t size) {
    if (fail_next) {
        fail_next = false;
        throw std::bad_alloc();
    }
    void *block = pool + used;
    used += (size + 15) & ~std::size_t(15);
    live++;
    return block;
}

void operator delete(void *block) noexcept {
    if (block != nullptr)
        live--;
}

int main() {
    int before = live;
    void *a = ::operator new(10), *b = ::operator new[](10), *c = ::operator new(10, std::nothrow),
         *d = ::operator new[](10, std::nothrow);
    REQUIRE(live == before + 4);
    ::operator delete(a, std::size_t(10));
    ::operator delete[](b, std::size_t(10));
    ::operator delete(c, std::nothrow);
    ::operator delete[](d);
    REQUIRE(live == before);
    fail_next = true;
    void *volatile none = ::operator new[](10, std::nothrow);
    REQUIRE(none == nullptr && live == before);
    void *e = ::operator new[](10);
    ::operator delete[](e, std::nothrow);
    REQUIRE(live == before);
    return 0;
}
