#!/usr/bin/env bash
# cargo, rustc and LLVM build a small crate with a library, a macro of its own and tests, offline: the program must be
# equal to the byte, and its tests pass.
# usage: cargo.sh HAKMEM_RUN [fast|full]      full: the crate is ten times as large
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

# write_module NUMBER: generic code, so that there is much to instantiate.
write_module() {
    cat <<RUST
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Token$1 { Number(i64), Word(String), List(Vec<Token$1>) }

pub fn parse<I: Iterator<Item = char> + Clone>(text: I) -> Vec<Token$1> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for letter in text.chain(std::iter::once(' ')) {
        match letter {
            'a'..='z' | '0'..='9' => word.push(letter),
            _ if !word.is_empty() => {
                let done = std::mem::take(&mut word);
                tokens.push(done.parse().map(Token$1::Number).unwrap_or(Token$1::Word(done)));
            }
            _ => tokens.push(Token$1::List(Vec::new())),
        }
    }
    tokens
}

pub fn count<T: Ord + Clone + Debug + std::hash::Hash>(all: &[T]) -> BTreeMap<T, usize> {
    let mut seen: HashMap<T, usize> = HashMap::new();
    all.iter().for_each(|one| *seen.entry(one.clone()).or_insert(0) += $1);
    seen.into_iter().filter(|(_, n)| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts() { assert_eq!(super::count(&super::parse("a 1 a".chars())).len(), 2); }
}
RUST
}

write_crate() {
    local i
    mkdir -p src
    cat >Cargo.toml <<'TOML'
[package]
name = "small"
version = "1.0.0"
edition = "2021"

[profile.release]
debug = 1
TOML
    {
        echo '#[macro_export] macro_rules! use_all { ($($module:ident),*) => { $( println!("{:?}",'
        echo '    small::$module::count(&small::$module::parse("abc 12 abc  34 x".chars()))); )* } }'
        for ((i = 1; i <= $1; i++)); do
            echo "pub mod module$i;"
            write_module "$i" >"src/module$i.rs"
        done
    } >src/lib.rs
    {
        echo 'fn main() {'
        echo "    small::use_all!($(seq -s, -f 'module%g' 1 "$1"));"
        echo '    let work = |n: u64| (0..1000).map(|i| vec![i; 50].len() as u64 * n).sum::<u64>();'
        echo '    let threads: Vec<_> = (0..4).map(|n| std::thread::spawn(move || work(n))).collect();'
        echo '    println!("{:?}", threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>());'
        echo '}'
    } >src/main.rs
}

work() {
    write_crate "$1"
    "${on[@]}" cargo build --quiet --offline --release --jobs 2
    cp target/release/small target/release/libsmall.rlib .
    "${on[@]}" ./small
    # How long the tests took stands at the end of a line.
    "${on[@]}" cargo test --quiet --offline --jobs 2 2>&1 | sed 's/; finished in .*//'
    # Finger prints hold times.
    rm -rf target
}

has_hakmem 1 rustc --version --verbose
if [[ $extent == fast ]]; then
    compare '3 modules' work 3
else
    compare '30 modules' work 30
fi
finish
