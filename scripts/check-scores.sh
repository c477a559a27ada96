#!/usr/bin/env bash
# Trains a tiny checkpoint of every attention and lets scripts/reference/score.py, which shares no
# code with the trainer, score 50 sentences with each: the nats must agree within 1e-5. Then the surprisal
# of every word of 200 sentences, by scripts/reference/surprisal.py.
#
#   scripts/check-scores.sh
#
# Needs release builds of lm-tokenize, lm-train and lm-eval, and Python with numpy and
# sentencepiece: those of PYTHON if it is set, else those of python3, else of an environment that
# is made in .build. Where none can be had it says so and checks nothing; with CI set, as it is in
# automated runs, that is a failure, for a check that skips itself there would never fail.
# SCORES=skip leaves it out in so many words.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ ${SCORES:-} == skip ]]; then
  echo "check-scores: SKIPPED, as SCORES=skip asks" >&2
  exit 0
fi
bin=${BIN:-$(swift build -c release --show-bin-path)}
packages=(numpy sentencepiece)
environment=$PWD/.build/reference-python

usable() { "$1" -c 'import numpy, sentencepiece' 2>/dev/null; }

if [[ -z ${PYTHON:-} ]]; then
  for PYTHON in python3 "$environment/bin/python" ""; do
    if [[ -n $PYTHON ]] && usable "$PYTHON"; then break; fi
  done
fi
if [[ -z $PYTHON ]]; then
  # Pinned to no release: any reads these formats, and the tokens are those of the file.
  if ! { { python3 -m venv "$environment" || { scripts/setup.sh python3-venv &&
    python3 -m venv "$environment"; }; } &&
    "$environment/bin/pip" install -q --disable-pip-version-check "${packages[@]}"; }; then
    problem="the Python packages ${packages[*]} cannot be had here"
    if [[ -n ${CI:-} ]]; then
      echo "check-scores: FAILED, $problem; set PYTHON to an interpreter that has them," \
        "or SCORES=skip to go without this check" >&2
      exit 1
    fi
    echo "check-scores: SKIPPED, $problem; set PYTHON to an interpreter that has them" >&2
    exit 0
  fi
  PYTHON=$environment/bin/python
fi
usable "$PYTHON" || {
  echo "check-scores: $PYTHON lacks one of the packages ${packages[*]}" >&2
  exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

# A seeded walk over a few words, of 1 to 40 words a line, some lines long enough for every level.
awk 'BEGIN {
  split("a the king shepherd river city stranger saw blessed followed knew children night of", w, " ")
  state = 1
  for (line = 0; line < 600; line++) {
    state = (state * 1103515245 + 12345) % 2147483648
    count = 1 + int(state / 65536) % (line % 10 == 0 ? 40 : 12)
    text = ""
    for (i = 0; i < count; i++) {
      state = (state * 1103515245 + 12345) % 2147483648
      text = text (i ? " " : "") w[1 + int(state / 65536) % 14]
    }
    print text
  }
}' >"$work/text"
# The character that stands for a space in tokens, too, which the packages take for one.
{
  printf '%s\n' 'a ▁ king' 'the▁river ▁' '▁'
  head -n 47 "$work/text"
} >"$work/sentences"
quietly "$bin/lm-tokenize" --train "$work/text" --vocab-size 290 --model-type bpe \
  --output "$work/data"

# Initial weights twenty times as large as a model's: attentions then differ in the second digit.
quietly "$bin/lm-train" --data "$work/data" --output "$work/base" --layers 2 --width 16 --heads 2 \
  --hidden 24 --steps 12 --batch-tokens 400 --rate 0.01 --warmup 2 --threads 1
sed -E 's/("initializer_range" *: *)[0-9.]+/\10.4/' "$work/base/config.json" >"$work/config.json"

# The same words as tokens of their own, one of them unknown.
quietly "$bin/lm-tokenize" --train "$work/text" --write-vocabulary "$work/all-words" --min-count 1
grep -v '^of\b' "$work/all-words" >"$work/words.txt"
quietly "$bin/lm-tokenize" --train "$work/text" --vocabulary "$work/words.txt" --word-level \
  --output "$work/word-data"
sed -E 's/("vocab_size" *: *)[0-9]+/\116/' "$work/config.json" >"$work/word-config.json"
data=$work/data config=$work/config.json

known=$("$bin/lm-train" --list-attentions | grep -v '^ ')
checked=0
check() { # check ATTENTION [OPTION...]
  local attention=$1
  shift
  grep -qx "${attention%%:*}" <<<"$known" || return 0
  checked=$((checked + 1))
  local run=$work/run-$checked
  quietly "$bin/lm-train" --data "$data" --output "$run" --config "$config" \
    --attention "$attention" "$@" --threads 1
  # The tokens are taken from the file: releases of sentencepiece cut some lines otherwise.
  "$bin/lm-eval" --checkpoint "$run" --text "$work/sentences" --score "$work/scores" --per-token --json \
    --hash-seeds 1 >"$work/report" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  "$PYTHON" scripts/reference/score.py "$run" "$work/scores"
  if grep -q '"sampled"' "$work/report"; then
    "$PYTHON" scripts/reference/score.py "$run" "$work/scores" --draw 0 --report "$work/report"
  fi
}

# Words: those of many tokens and of one, white space in a row and at the end, no word at all.
{
  printf '%s\n' 'a ▁ king' '' ' the  river ' 'kingdoms of unknown-children, shepherding' 'naïve	— café'
  sed -n 101,300p "$work/text"
} >"$work/items"
words() { # of the checkpoint that was checked last
  local run=$work/run-$checked
  "$bin/lm-eval" score --checkpoint "$run" --text "$work/items" --output "$work/scores" >"$work/log" 2>&1 &&
    "$bin/lm-eval" score --checkpoint "$run" --text "$work/items" --output "$work/words" --per-word \
      >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  "$PYTHON" scripts/reference/surprisal.py "$run" "$work/scores" "$work/words" --first 205
}

check softmax
words
check softmax --position relativeBias --relative-bias-length 8
check softmax --position sinusoidal --no-tied-head
check softmax --qk-norm --zero-init-residual --softmax-candidates 200
check hierarchical:blockSize=4
check hierarchical:blockSize=4,query=fine
check hierarchical:blockSize=4 --position sinusoidal
check hierarchical:blockSize=4 --qk-norm
check softmax --cutoffs 40,120
check hierarchical:blockSize=4 --cutoffs 30,31,200 --cluster-factor 2 --no-tied-head --bigram-rows 300
data=$work/word-data config=$work/word-config.json
check softmax
check softmax --cutoffs 6,10
words
check softmax --cutoffs 6,10 --no-tied-head
data=$work/data config=$work/config.json
check softmax --bigram-rows 300 --trigram-rows 500 --ngram-rate 0.2
check hierarchical:blockSize=4 --trigram-rows 500
check yoso:estimate=expectation,bits=4
check yoso:estimate=sampled,bits=4,hashes=8
check yoso:estimate=hybrid,bits=4,hashes=8,chunk=8
for pattern in fixed rowmajor logsparse vertical mixture; do
  check combiner:pattern=$pattern,segment=4
done
check combiner:pattern=fixed,segment=4,pooling=mean
check combiner:pattern=rowmajor,segment=4,address=none
check combiner:pattern=rowmajor,segment=4,address=proj
check combiner:pattern=rowmajor,segment=4,address=proj --qk-norm
check window:window=5 --qk-norm
# Heads that share keys, of another width, with biases.
check softmax --kv-heads 1 --head-dim 10 --qkv-bias
check softmax --heads 4 --kv-heads 2 --qk-norm
check hierarchical:blockSize=4 --heads 4 --kv-heads 2 --qkv-bias
check yoso:estimate=hybrid,bits=4,hashes=8,chunk=8 --kv-heads 1 --head-dim 6
check combiner:pattern=rowmajor,segment=4,address=proj --heads 4 --kv-heads 2 --head-dim 6
for kind in $known; do
  case $kind in
    softmax | hierarchical | yoso | combiner | window) ;;
    *) check "$kind" ;;
  esac
done
echo "check-scores: $checked checkpoints, every one scored alike by $PYTHON"
