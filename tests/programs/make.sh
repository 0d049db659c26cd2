#!/usr/bin/env bash
# Thousands of short processes: a configure-like script of bash that asks about headers, functions and sizes, with sed,
# awk, sort and the compiler, in pipes and subshells; and make, two jobs at a time, whose result has to be equal.
# usage: make.sh HAKMEM_RUN [fast|full]      in the project's root; full: more questions, and all of core/
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

write_configure() {
    cat >configure <<'CONFIGURE'
#!/usr/bin/env bash
# usage: configure QUESTIONS-FILE; writes config.h
declare -A cache=()
compiles() {
    printf '%s\n' "$1" >conftest.c && gcc -fsyntax-only -Werror=implicit-function-declaration conftest.c 2>/dev/null
}
define() {
    local word
    word=$(echo "HAVE_$1" | tr 'a-z/.' 'A-Z__' | sed 's/[^A-Z0-9_]/_/g')
    cache[$word]=$2
    eval "answer_$word=\$2"
}
while read -r kind what header; do
    case $kind in
        header) source="#include <$what>" ;;
        function) source="#include <$header>"$'\n'"void *ask = (void *)$what;" ;;
        size) source="#include <$header>"$'\n'"char ask[sizeof($what) == 8 ? 1 : -1];" ;;
    esac
    if (compiles "$source"); then define "$what" 1; else define "$what" 0; fi
done <"$1"
for word in "${!cache[@]}"; do
    indirect=answer_$word
    printf '#define %s %d\n' "$word" "${!indirect}"
done | sort | awk '{ print; sum += $3 } END { print "/* " sum " */" }' >config.h
# Words without a compiler: what configure scripts spend most of their processes on.
for ((i = 0; i < ${2}; i++)); do
    first=$(echo "abc,def,$i" | cut -d, -f3)
    second=$(expr "x$first" : 'x\(.*\)' || true)
    third=$(cat <<END | sed -e 's/@value@/'"$second"'/' -e '/^$/d' | tr -d '\n'
value=@value@
END
)
    echo "$third"
done >words
CONFIGURE
    chmod +x configure
}

write_questions() {
    local word
    for word in stdio.h stdlib.h unistd.h threads.h sys/epoll.h sys/event.h windows.h nowhere.h; do
        echo "header $word"
    done
    for word in malloc reallocarray aligned_alloc arc4random strlcpy qsort no_such_function; do
        echo "function $word stdlib.h"
    done
    for word in long int 'size_t' 'void*' off_t; do
        echo "size $word sys/types.h"
    done
}

configure() {
    write_configure
    write_questions >questions
    "${on[@]}" bash ./configure questions "$1"
}

# A makefile that makes makefiles: one for each object, by a make of its own.
build() {
    cat >Makefile <<MAKEFILE
objects := \$(patsubst $root/core/%.c,%.o,$*)
all: summary
%.o: $root/core/%.c
	@gcc -O1 -D_GNU_SOURCE= -I$root/include -I$root/core -c \$< -o \$@
library.a: \$(objects)
	@ar rcD \$@ \$(sort \$^)
summary: library.a
	@nm library.a | sort | uniq -c | sort -rn >\$@
	@\$(MAKE) --no-print-directory count
count:
	@wc -l <summary
MAKEFILE
    "${on[@]}" make --jobs=2
}

has_hakmem 2 bash -c 'for i in 1 2; do (: | cat); done'
compiled=("$root"/core/{options,report,size_class}.c)
questions=100
if [[ $extent == full ]]; then
    compiled=("$root"/core/*.c)
    questions=3000
fi
compare 'configure' configure "$questions"
compare 'make --jobs=2' build "${compiled[@]}"
finish
