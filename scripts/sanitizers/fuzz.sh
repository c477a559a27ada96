#!/usr/bin/env bash
# Fuzzes the readers of everything that comes from outside with libFuzzer, guided by coverage, under
# the address sanitizer.
#
#   scripts/sanitizers/fuzz.sh [RUNS] [TARGET...]     RUNS of each target (100000); all targets by default
#
# FUZZ_SEED names what is drawn (1); FUZZ_SECONDS ends a target sooner; FUZZ_TIMEOUT is
# the longest that one input may take in seconds (60; more on a busy machine); FUZZ_BUILD=skip takes
# the driver that is there; FUZZ_SANITIZERS=fuzzer leaves the address sanitizer out, and with it the
# limits on single allocations.
#
# The valid files of Tests/FuzzTargets are the first inputs; what libFuzzer finds is kept in
# .build/fuzz/corpus. Inputs have at most 16 KiB. None may make a reader ask for more than 16 MiB at
# once, which is a thousand times the file (the window of a zstd file: 130 MiB), or stand still.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=${1:-100000}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
  targets=(shard safetensors index manifest config sums attention prompt text zst-text tokenizer
    vocabulary events log hugging-face arpa)
fi
sanitizers=${FUZZ_SANITIZERS:-fuzzer,address}
flags=()
for sanitizer in ${sanitizers//,/ }; do flags+=(--sanitize "$sanitizer"); done
if [[ ${FUZZ_BUILD:-} != skip ]]; then
  # Of several --sanitize the Swift compiler heeds the last one only; one flag names them all.
  FUZZ_DRIVER=1 swift build -c release -j 2 "${flags[@]}" -Xswiftc "-sanitize=$sanitizers" \
    --scratch-path .build/fuzz --product fuzz-driver
fi
driver=$PWD/.build/fuzz/release/fuzz-driver
# A trap is reported by libFuzzer; the backtrace of Swift would read memory that is not its own.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=detect_leaks=0:${ASAN_OPTIONS:-}
total=0
for target in "${targets[@]}"; do
  corpus=.build/fuzz/corpus/$target
  mkdir -p "$corpus"
  limit=16
  if [[ $target == zst-text ]]; then limit=130; fi
  FUZZ_TARGET=$target FUZZ_SEEDS=$corpus "$driver" -runs="$runs" -seed="${FUZZ_SEED:-1}" \
    -max_len=16384 -max_total_time="${FUZZ_SECONDS:-0}" -timeout="${FUZZ_TIMEOUT:-60}" \
    -malloc_limit_mb=$limit -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix=".build/fuzz/$target-" "$corpus" 2>.build/fuzz/$target.log || {
    tail -n 30 ".build/fuzz/$target.log" >&2
    echo "fuzz: $target FAILED" >&2
    exit 1
  }
  counters=$(sed -n 's/.*Loaded .*(\([0-9]*\) inline 8-bit counters).*/\1/p' .build/fuzz/$target.log)
  ((counters > 2000)) || {
    echo "fuzz: $target FAILED: $counters counters of coverage, the readers have none" >&2
    exit 1
  }
  done_runs=$(sed -n 's/^stat::number_of_executed_units: *//p' ".build/fuzz/$target.log")
  covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' .build/fuzz/$target.log | tail -n 1)
  echo "fuzz: $target survived $done_runs inputs, $covered places of the code reached"
  total=$((total + done_runs))
done
echo "fuzz: $total inputs in all"
