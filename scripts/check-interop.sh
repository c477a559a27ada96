#!/usr/bin/env bash
# Checks with the real thing what other programs are promised: a softmax run opened by transformers
# (model and tokenizer), a Llama folder of transformers opened here, shards read by numpy, weights by
# safetensors, the tokenizer by sentencepiece.
#
#   scripts/check-interop.sh
#
# Needs release builds of lm-tokenize, lm-train, lm-eval and lm-sample, the program zstd, and Python
# with torch, transformers, sentencepiece, safetensors and numpy: those of PYTHON if it is set, else
# they are installed into .build/interop-python (several GB).
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
bin=${BIN:-$(swift build -c release --show-bin-path)}
environment=$root/.build/interop-python
packages=(torch transformers sentencepiece safetensors numpy)

usable() { "$1" -c 'import numpy, safetensors, sentencepiece, torch, transformers' 2>/dev/null; }
if [[ -z ${PYTHON:-} ]]; then
  PYTHON=$environment/bin/python
  if ! usable "$PYTHON"; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install -q --disable-pip-version-check "${packages[@]}"
  fi
fi
usable "$PYTHON" || {
  echo "check-interop: $PYTHON lacks one of the packages ${packages[*]}" >&2
  exit 1
}
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TRANSFORMERS_NO_ADVISORY_WARNINGS=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "check-interop: FAILED: $*" >&2
  exit 1
}
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
interop() { "$PYTHON" scripts/reference/interop.py "$@"; }

# This repository's own prose: thousands of words, and characters no tokenizer was shown.
cat docs/*.md ./*.md | grep -v '▁' | grep . >"$work/text"
{
  sed -n '1~40p' "$work/text"
  printf '%s\n' '  two  spaces ' 'naïve café — 漢字 😀' 'a <s> b </s> <unk> <0x41>' '----------' 'aaa'
} >"$work/sentences"
prompt="The model"

greedy() { # greedy CHECKPOINT: the text of 40 pieces
  "$bin/lm-sample" --checkpoint "$1" --temperature 0 --max-pieces 40 --prompt "$prompt" \
    >"$work/greedy" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
  interop greedy "$1" "$prompt" "$work/greedy" 40
}
score() { # score CHECKPOINT OPTIONS...
  quietly "$bin/lm-eval" --checkpoint "$1" --text "$work/sentences" --score "$work/scores" \
    --per-piece
  interop scores "$1" "$work/scores" "${@:2}"
}

# ---- our runs, opened there
for kind in unigram bpe; do
  quietly "$bin/lm-tokenize" --train "$work/text" --vocab-size 1000 --model-type "$kind" \
    --output "$work/$kind"
  head=--tied-head
  if [[ $kind == bpe ]]; then head=--no-tied-head; fi
  quietly "$bin/lm-train" --data "$work/$kind" --output "$work/run-$kind" --layers 2 --width 64 \
    --heads 4 --hidden 128 --steps 150 --batch-pieces 512 --rate 0.01 --warmup 10 $head
  step=$work/run-$kind/step-00000150
  score "$step" --tokenizer
  greedy "$step"
done

# ---- their folders, opened here
folder() { # folder NAME OPTIONS...
  interop make "$work/$1" "$work/unigram/tokenizer.model" "${@:2}"
}
folder llama-untied
score "$work/llama-untied"
greedy "$work/llama-untied"
folder llama-tied --tied
score "$work/llama-tied"
greedy "$work/llama-tied"
for type in bfloat16 float16; do
  folder "llama-$type" --type "$type"
  score "$work/llama-$type" --narrow
  greedy "$work/llama-$type"
done
folder llama-grouped --grouped
if "$bin/lm-eval" --checkpoint "$work/llama-grouped" --text "$work/sentences" >"$work/log" 2>&1; then
  fail "grouped-query attention was not refused"
fi
grep -q 'num_key_value_heads is 2, expected 4' "$work/log" || fail "$(<"$work/log")"
echo "interop: llama-grouped: refused: $(tail -n 1 "$work/log" | sed "s|$work/||")"

# ---- shards, read by the lines in the documents
mkdir "$work/reader"
ln -s "$work/unigram" "$work/reader/data"
for document in README.md docs/formats.md; do
  (cd "$work/reader" && "$PYTHON" "$root/scripts/reference/interop.py" snippet "$root/$document")
done
echo "check-interop: all of it holds"
