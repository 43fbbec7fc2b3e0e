#!/usr/bin/env bash
# Runs every fuzz target, or those that are named, for a fixed number of executions from the inputs that are kept:
#   FUZZ_RUNS=100000 scripts/fuzz.sh [TARGET...]
# The flags are those of cargo-fuzz less the address sanitizer: they need no nightly compiler, and there is no unsafe code.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${FUZZ_RUNS:-100000}
triple=x86_64-unknown-linux-gnu
target=$PWD/fuzz/target

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
coverage+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
coverage+=" -Cllvm-args=-sanitizer-coverage-trace-compares"
CARGO_TARGET_DIR=$target RUSTFLAGS="$coverage -Ccodegen-units=1 -Cdebug-assertions --cfg fuzzing" \
    cargo build --quiet --release --locked --manifest-path fuzz/Cargo.toml --target "$triple" --bins

# The recorded files of hosts are inputs, too.
recorded() {
    case $1 in
    host_files) echo fixtures/host fixtures/memcg fixtures/watchdog fixtures/boots fixtures/gpu ;;
    vm_files) echo fixtures/vm ;;
    mounts_and_drives) echo fixtures/mounts ;;
    network_files) echo fixtures/network ;;
    *) ;;
    esac
}

# The longest input that is accepted, where that is more than 4 KiB (0: as long as what is recorded) and length matters.
longest() {
    case $1 in
    kmsg_record | ledger) echo 16384 ;;
    host_files | gpu_and_memcg | web_config) echo 65536 ;;
    *) echo 0 ;;
    esac
}

if [ $# = 0 ]; then
    for source in fuzz/fuzz_targets/*.rs; do
        set -- "$@" "$(basename "$source" .rs)"
    done
fi
found=$(mktemp --directory)
trap 'rm -rf "$found"' EXIT
for name in "$@"; do
    mkdir -p "$found/$name" "fuzz/artifacts/$name"
    corpora=("$found/$name")
    [ ! -d "fuzz/corpus/$name" ] || corpora+=("fuzz/corpus/$name")
    # shellcheck disable=SC2046
    corpora+=($(recorded "$name"))
    if ! "$target/$triple/release/$name" -runs="$runs" -seed=1 -timeout=60 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
        -max_len="$(longest "$name")" \
        -artifact_prefix="fuzz/artifacts/$name/" "${corpora[@]}" >"$found/said" 2>&1; then
        tail -n 40 "$found/said" >&2
        echo "$name: the input that did it is in fuzz/artifacts/$name" >&2
        exit 1
    fi
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$found/said") executions," \
        "$(find "$found/$name" -type f | wc -l) new inputs"
done
