#!/usr/bin/env bash
# Prints every stage of this trainer beside what a user could take instead, both measured here in
# turn: PyTorch, spm_encode and zstd.
#
#   scripts/peers/bench-against-peers.sh [--text FILE] [--data DIR] [--rounds N] [--steps N] [--only ROWS]
#
# --text FILE   text for encoding (the King James Bible of Debian's bible-kjv); tokenizers of
#               --vocabulary N tokens (32000; 8000 for the Bible) are trained on it
# --data DIR    shards with a unigram tokenizer for the sentences (made from the text)
# --rounds N    runs of each side, of which the median counts (3)
# --steps N     timed training steps of a run (4)
# --only ROWS   of train,compiled,small,bfloat16,forward,sentences,attention,encode,pipeline,decode,start,memory
# --folder DIR  keeps tokenizers and shards there for the next time
#
# PYTHON names an interpreter that has torch; without it PyTorch is installed into a throw-away
# environment (several hundred MB). CLOCK=wall and THREADS=2 are for an idle machine; on a busy one
# CLOCK=processor THREADS=1 hold better. torch.compile needs a C++ compiler. All rows take about
# half an hour.
set -euo pipefail
cd "$(dirname "$0")/../.."

rounds=3 steps=4 only="" text="" data="" vocabulary="" folder=""
while (($#)); do
  case $1 in
    --rounds | --steps | --only | --text | --data | --vocabulary | --folder)
      if (($# < 2)); then echo "bench-against-peers: $1 needs a value" >&2 && exit 2; fi
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    *) sed -n '2,18p' "$0" | cut -c3- && exit 2 ;;
  esac
done
has() { [[ -z $only || ,$only, == *,$1,* ]]; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$(realpath -m "${folder:-$work/made}")
mkdir -p "$folder"

packages=(sentencepiece zstd)
if [[ -z $text ]]; then packages+=(bible-kjv); fi
scripts/setup.sh "${packages[@]}" >&2
if has train || has compiled || has small || has bfloat16 || has forward || has sentences || has attention; then
  if [[ -z ${PYTHON:-} ]]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install -q torch numpy >&2
    PYTHON=$work/venv/bin/python
  fi
fi
swift build -c release >&2
bin=$(swift build -c release --show-bin-path)

if [[ -z $text ]]; then
  text=$folder/king-james.txt
  bible -f -l0 'gen1:1-rev22:21' | sed -E 's/^[^ ]+ //' >"$text"
  vocabulary=${vocabulary:-8000}
fi
text=$(realpath "$text")
shards() { # shards KIND: tokenizer and shards of the text, once
  if [[ ! -e $folder/$1 ]]; then
    "$bin/lm-tokenize" --train "$text" --split-valid 0.01 --vocab-size "${vocabulary:-32000}" \
      --model-type "$1" --output "$folder/$1" >&2
  fi
}
if [[ -z $data ]]; then
  shards unigram
  data=$folder/unigram
fi
data=$(realpath "$data")
if has encode || has pipeline; then shards bpe; fi

script=$PWD/scripts/reference/against_peers.py
cd "$work"
"${PYTHON:-python3}" "$script" --bench "$bin/lm-bench" --data "$data" --bpe "$folder/bpe" \
  --text "$text" --rounds "$rounds" --steps "$steps" --only "$only" --clock "${CLOCK:-wall}" \
  --threads "${THREADS:-2}"
