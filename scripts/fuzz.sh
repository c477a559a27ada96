#!/usr/bin/env bash
# Fuzzes the readers of everything that comes from outside with libFuzzer, guided by coverage.
#
#   scripts/fuzz.sh [RUNS] [TARGET...]     RUNS of each target (100000); all targets by default
#
# The valid files of Tests/FuzzTargets are the first inputs; what libFuzzer finds is kept in
# .build/fuzz/corpus. No input may make a reader ask for more than 256 MB at once, or stand still.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-100000}
shift || true
targets=("$@")
if ((${#targets[@]} == 0)); then
  targets=(shard safetensors manifest config sums attention prompt text zst-text tokenizer
    vocabulary events)
fi
FUZZ_DRIVER=1 swift build -c release -j 2 --sanitize fuzzer --scratch-path .build/fuzz \
  --product fuzz-driver
driver=$PWD/.build/fuzz/release/fuzz-driver
total=0
for target in "${targets[@]}"; do
  corpus=.build/fuzz/corpus/$target
  mkdir -p "$corpus"
  FUZZ_TARGET=$target FUZZ_SEEDS=$corpus "$driver" -runs="$runs" -seed=1 -max_len=16384 \
    -timeout=20 -malloc_limit_mb=256 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix=".build/fuzz/$target-" "$corpus" 2>.build/fuzz/$target.log || {
    tail -n 30 ".build/fuzz/$target.log" >&2
    echo "fuzz: $target FAILED" >&2
    exit 1
  }
  done_runs=$(sed -n 's/^stat::number_of_executed_units: *//p' ".build/fuzz/$target.log")
  echo "fuzz: $target survived $done_runs inputs"
  total=$((total + done_runs))
done
echo "fuzz: $total inputs in all"
