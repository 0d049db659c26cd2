/* arena_words: WordCounts, a hash table of C++'s whose nodes and strings lie in a hakmem.Arena.
 *
 *   with hakmem.Arena(limit="64M") as arena:
 *       counts = arena_words.WordCounts(arena)
 *       counts.add("the quick brown fox and the lazy dog")      # without the GIL
 *       assert counts["the"] == 2
 *
 * Built with CMake: `pip install examples/python/pybind11_extension`. Containers allocate and free too often to ask Python
 * each time: a visit enters the arena once, is inside without the GIL, and tells how many blocks it leaves behind. */
#include <hakmem_python.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <new>
#include <pybind11/pybind11.h>
#include <string>
#include <string_view>
#include <unordered_map>

namespace py = pybind11;

/* An arena as containers see it; outside of visits it must not be used. */
struct memory {
    py::object arena;
    hk_arena *handle = nullptr;
    Py_ssize_t blocks = 0; /* of ours, that live there */
};

template <typename T> struct arena_allocator {
    using value_type = T;
    memory *from;

    explicit arena_allocator(memory *from) : from(from) {
    }
    template <typename U> arena_allocator(const arena_allocator<U> &other) : from(other.from) {
    }

    T *allocate(std::size_t count) {
        if (count > SIZE_MAX / sizeof(T))
            throw std::bad_alloc();
        void *block = hakmem_api->hk_arena_alloc(from->handle, count * sizeof(T));
        if (block == nullptr)
            throw std::bad_alloc(); /* Python's MemoryError */
        from->blocks++;
        return static_cast<T *>(block);
    }

    void deallocate(T *block, std::size_t count) {
        hakmem_api->hk_arena_free_sized(from->handle, block, count * sizeof(T));
        from->blocks--;
    }

    template <typename U> bool operator==(const arena_allocator<U> &other) const {
        return from == other.from;
    }
    template <typename U> bool operator!=(const arena_allocator<U> &other) const {
        return from != other.from;
    }
};

/* Begins and ends with the GIL; an exception may end it. */
class visit {
  public:
    explicit visit(memory &memory) : memory_(memory) {
        memory.handle = hakmem_api->arena_enter(memory.arena.ptr());
        if (memory.handle == nullptr)
            throw py::error_already_set();
        blocks_before_ = memory.blocks; /* which nobody else changes from now on */
    }
    ~visit() {
        if (hakmem_api->arena_leave(memory_.arena.ptr(), memory_.blocks - blocks_before_) != 0)
            PyErr_WriteUnraisable(memory_.arena.ptr());
    }
    visit(const visit &) = delete;
    visit &operator=(const visit &) = delete;

  private:
    memory &memory_;
    Py_ssize_t blocks_before_;
};

using word = std::basic_string<char, std::char_traits<char>, arena_allocator<char>>;

struct hash_word {
    std::size_t operator()(const word &word) const {
        return std::hash<std::string_view>()({word.data(), word.size()});
    }
};

using word_map = std::unordered_map<word, std::size_t, hash_word, std::equal_to<word>,
                                    arena_allocator<std::pair<const word, std::size_t>>>;

class word_counts {
  public:
    explicit word_counts(py::object arena) : memory_{std::move(arena)} {
        visit visit(memory_);
        map_ = std::make_unique<word_map>(arena_allocator<word_map::value_type>(&memory_));
    }
    /* Without blocks, the arena may be closed already. */
    ~word_counts() {
        if (memory_.blocks == 0)
            return;
        try {
            visit visit(memory_);
            map_.reset();
        } catch (py::error_already_set &error) {
            (void)map_.release(); /* its blocks go with the arena */
            error.discard_as_unraisable("~WordCounts");
        }
    }
    word_counts(const word_counts &) = delete;
    word_counts &operator=(const word_counts &) = delete;

    /* In another thread, Python code runs meanwhile; what wants this arena waits. */
    void add(std::string_view text) {
        visit visit(memory_);
        py::gil_scoped_release release;
        const char *blanks = " \t\n";
        for (std::size_t from = text.find_first_not_of(blanks); from != text.npos;
             from = text.find_first_not_of(blanks, from)) {
            std::size_t to = std::min(text.find_first_of(blanks, from), text.size());
            ++map_->try_emplace(word(text.substr(from, to - from), arena_allocator<char>(&memory_)), 0).first->second;
            from = to;
        }
    }

    std::size_t count(std::string_view text) {
        visit visit(memory_);
        auto found = map_->find(word(text, arena_allocator<char>(&memory_)));
        return found == map_->end() ? 0 : found->second;
    }

    std::size_t size() {
        visit visit(memory_);
        return map_->size();
    }

  private:
    memory memory_;
    std::unique_ptr<word_map> map_;
};

PYBIND11_MODULE(arena_words, module) {
    if (hakmem_import() != 0)
        throw py::error_already_set();
    py::class_<word_counts>(module, "WordCounts")
        .def(py::init<py::object>(), py::arg("arena"))
        .def("add", &word_counts::add, py::arg("text"), "Counts the words of a text.")
        .def("__getitem__", &word_counts::count)
        .def("__len__", &word_counts::size);
}
