#!/usr/bin/env bash
# Runs the five commands of docs/fine-tuning.md as they stand there, on texts of a few kilobytes under the
# names of the page, and looks at what they say.
#
#   scripts/check-fine-tuning.sh
#
# Needs release builds of lm-tokenize, lm-train and lm-eval.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-$(swift build -c release --show-bin-path)}
page=$PWD/docs/fine-tuning.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "check-fine-tuning: FAILED: $*" >&2
  cat "$work/log" >&2 || true
  exit 1
}
# The first block of commands of the page.
mapfile -t lines < <(awk '/^    lm-/ { found = 1; print substr($0, 5); next } found { exit }' "$page")
[[ ${#lines[@]} == 5 ]] || fail "the page has ${#lines[@]} lines of commands, expected 5"

bin=$(cd "$bin" && pwd)
PATH=$bin:$PATH
cd "$work"
sentences() { # sentences A B C: lines of a grammar of these words
  for line in {1..600}; do
    echo "the $1 saw $((line % 7)) $2 near the $3 , and the $2 saw the $((line % 5)) $1 ."
  done
}
sentences king strangers river >bible.txt
sentences tailor buttons street >paragraphs.txt
{
  lm-tokenize --train bible.txt --split-valid 0.1 --split-test 0.1 --model-type bpe --vocab-size 300 \
    --output data/bible
  lm-train --data data/bible --output checkpoints/bible --layers 1 --width 32 --heads 2 --hidden 64 \
    --steps 60 --batch-tokens 400 --rate 0.01 --warmup 5 --validate-every 20
} >log 2>&1 || fail "the first model"
number=0
for line in "${lines[@]}"; do
  number=$((number + 1))
  bash -c "$line" >"said.$number" 2>log || fail "$line"
done
# The figures before and after, of both texts: better on the new one.
figure() { # figure FILE CHECKPOINT: its word perplexity
  awk -v checkpoint="$2" '$1 ~ checkpoint { print $2; exit }' "$1" | tr -d ,
}
before=$(figure said.3 checkpoints/bible)
after=$(figure said.3 checkpoints/tess)
awk -v a="$after" -v b="$before" 'BEGIN { exit !(a > 1 && a < b) }' ||
  fail "the new text has $after after and $before before"
old=$(figure said.4 checkpoints/tess)
awk -v a="$old" 'BEGIN { exit !(a > 1) }' || fail "the old text is not scored"

grep -q "trained from checkpoint .*/checkpoints/bible/step-" said.5 || fail "the line names no origin: $(<said.5)"
echo "check-fine-tuning: five commands, $before before and $after after on the new text"
