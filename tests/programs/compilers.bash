# To be sourced after programs.bash: compiles hakmem's core with $compiler, and $compiler_xx for C++.

# The seed is for names of sections in what -flto writes, which gcc draws at random.
flags=(-D_GNU_SOURCE= "-I$root/include" "-I$root/core" -frandom-seed=hakmem)

# compile FLAG... -- FILE...: one process tree for each file; the objects are what is compared.
compile() {
    local options=() file
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    for file in "${@:2}"; do
        "${on[@]}" "$compiler" "${flags[@]}" "${options[@]}" -c "$root/$file" -o "$(basename "$file").o"
    done
}

# The whole library in one go of the linker, which compiles again what -flto has left to it; the program runs.
link_with_lto() {
    local files=("$root"/core/*.c)
    "${on[@]}" "$compiler" "${flags[@]}" -O2 -flto -c "${files[@]}"
    "${on[@]}" "$compiler" "${flags[@]}" -O2 -flto "$root/examples/arena.c" ./*.o -o arena -pthread
    "${on[@]}" ./arena
}

# Templates without end: many small blocks, and large ones.
write_cxx() {
    local i
    echo '#include <algorithm>'
    printf '#include <%s>\n' functional iostream map memory regex string thread tuple unordered_map vector
    for ((i = 0; i < 60; i++)); do
        echo "struct key_$i { int value; };"
        echo "bool operator<(const key_$i &a, const key_$i &b) { return a.value < b.value; }"
        echo "int use_$i() { std::map<key_$i, std::vector<std::tuple<int, std::string, key_$i>>> map;"
        echo "  for (int n = 0; n < 10; n++) map[key_$i{n * 7 % 5}].emplace_back(n, std::to_string(n), key_$i{n});"
        echo "  int sum = 0; std::for_each(map.begin(), map.end(), [&](auto &pair) { sum += pair.second.size(); });"
        echo "  return sum; }"
    done
    echo 'int main() { std::regex word("[a-z]+(,[0-9]*)?"); int sum = std::regex_match("abc,12", word);'
    for ((i = 0; i < 60; i++)); do
        echo "  sum += use_$i();"
    done
    echo '  std::cout << sum << "\n"; }'
}

compile_cxx() {
    write_cxx >templates.cpp
    "${on[@]}" "$compiler_xx" -O2 -g templates.cpp -o templates -pthread
    "${on[@]}" ./templates
}

# The statistics are those of the driver, the compiler proper and, with gcc, the assembler.
compare_compiler() {
    local processes=$1 file=core/heap.c
    has_hakmem "$processes" "$compiler" "${flags[@]}" -O2 -c "$root/$file" -o heap.o
    if [[ $extent == fast ]]; then
        compare '-O2' compile -O2 -- core/heap.c core/registry.c core/map_units.c core/report.c
    else
        local all
        mapfile -t all < <(printf '%s\n' core/*.c)
        compare '-O2' compile -O2 -- "${all[@]}"
        compare '-O3 -g' compile -O3 -g -- "${all[@]}"
        compare '-flto' link_with_lto
        compare 'C++' compile_cxx
    fi
    finish
}
