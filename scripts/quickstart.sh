#!/usr/bin/env bash
# The main job on real text, from nothing to perplexity and samples: the King James Bible that
# Debian ships (31,102 verses, 4.1 MB). 5 to 10 minutes on two cores, the build included.
#
#   scripts/quickstart.sh [FOLDER]      FOLDER: where the run lands (checkpoints/quickstart)
set -euo pipefail
cd "$(dirname "$0")/.."
run=${1:-checkpoints/quickstart}

step() { printf '\n== %s\n' "$*"; }

step "1. Debian packages"
scripts/setup.sh bible-kjv

step "2. Build"
swift build -c release --product lm-tokenize
swift build -c release --product lm-train
swift build -c release --product lm-eval
swift build -c release --product lm-sample
bin=$(swift build -c release --show-bin-path)

step "3. Text → shards"
mkdir -p "$run"
bible -f -l0 'gen1:1-rev22:21' | sed -E 's/^[^ ]+ //' >"$run/king-james.txt"
"$bin/lm-tokenize" --train "$run/king-james.txt" --split-valid 0.05 --split-test 0.05 \
  --vocab-size 4000 --output "$run/data" --overwrite

step "4. Shards → model"
if [[ -e $run/model/config.json ]]; then
  "$bin/lm-train" --data "$run/data" --output "$run/model" --resume
else
  "$bin/lm-train" --data "$run/data" --output "$run/model" --preset quickstart \
    --sample-every 300
fi

step "5. Perplexity of the test verses"
"$bin/lm-eval" perplexity --checkpoint "$run/model" --data "$run/data" --split test --record

step "6. Samples"
"$bin/lm-sample" --checkpoint "$run/model" --count 3 --temperature 0.8 --seed 1
"$bin/lm-sample" --checkpoint "$run/model" --prompt "And the king said" --count 3 \
  --temperature 0.8 --seed 1

step "7. All of it on one page"
"$bin/lm-eval" report "$run/model"
