#!/usr/bin/env bash
# Trains every attention from one preset, budget and list of seeds and compares them: word
# perplexity on sentences and on long documents, and what each costs.
#
#   scripts/compare-attention.sh --sentences DATA --documents DATA [--output FOLDER]
#       [--seeds "1 2 3"] [--steps N] [--document-seeds "1"] [--document-steps N] [--window N]
#       [--lengths "1024 4096 16384"] [--only "NAME ..."] [--threads N]
#       [--parts "sentences documents speed report"] [--device DEVICE] [--model "OPTION ..."]
#       [--limit SECONDS]
#
#   --sentences        shards of lm-tokenize whose lines are unrelated sentences
#   --documents        shards whose lines follow each other, read as one stream
#   --output           runs and results (checkpoints/compare); what is finished is not repeated
#   --steps            optimizer steps of 1,024 tokens on sentences (1000)
#   --document-steps   optimizer steps of 4,096 tokens on documents (250)
#   --window           tokens of a window in training on documents (4096)
#   --lengths          windows in which the test document is scored, and timed lengths
#   --threads          of every training; with 1 two of these scripts share a machine well
#   --only             names of the list below, for a part of the comparison
#   --device           where all of it is trained and scored (cpu). On a card it is 6 layers of 512, two
#                      epochs of the sentences and one seed, unless told otherwise, and sentences alone
#   --model            options of lm-train in place of the model and its steps, such as "--preset compare"
#   --limit            seconds after which no training is begun that might not end within them (600 on a card)
#
# The report, docs/attention.md with two plots, is made of the results that are there. In a folder of
# scripts/bundle.sh it lies beside the results, and the bundle's own programs are taken.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -x $here/bin/lm-train ]]; then
  BIN=${BIN:-$here/bin} report=$here/reference/compare_attention.py is_bundle=yes
  export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
else
  cd "$here/.."
  report=scripts/reference/compare_attention.py is_bundle=
fi

# Name, attention, positions. Segments of Combiner are given for sentences; documents use 64.
variants=(
  "softmax-rotary       softmax                       rotary"
  "softmax-bias         softmax                       relativeBias"
  "softmax-sinusoidal   softmax                       sinusoidal"
  "hierarchical-coarse  hierarchical:query=coarse     relativeBias"
  "hierarchical-fine    hierarchical:query=fine       relativeBias"
  "yoso-expectation     yoso:estimate=expectation     rotary"
  "yoso-sampled         yoso:estimate=sampled         rotary"
  "yoso-hybrid          yoso:estimate=hybrid          rotary"
  "combiner-fixed       combiner:pattern=fixed        sinusoidal"
  "combiner-rowmajor    combiner:pattern=rowmajor     sinusoidal"
  "combiner-logsparse   combiner:pattern=logsparse    sinusoidal"
  "combiner-vertical    combiner:pattern=vertical     sinusoidal"
  "combiner-mixture     combiner:pattern=mixture      sinusoidal"
)

usage() {
  sed -n '2,27p' "$0" | cut -c3-
  exit 2
}
sentences= documents= output=checkpoints/compare seeds= steps= only= threads=$(nproc)
document_steps=250 window=4096 lengths="1024 4096 16384" document_seeds=1
parts= device=cpu model= limit=
while (($#)); do
  (($# >= 2)) || usage
  case $1 in
    --sentences) sentences=$2 ;;
    --documents) documents=$2 ;;
    --output) output=$2 ;;
    --seeds) seeds=$2 ;;
    --steps) steps=$2 ;;
    --document-steps) document_steps=$2 ;;
    --window) window=$2 ;;
    --lengths) lengths=$2 ;;
    --document-seeds) document_seeds=$2 ;;
    --threads) threads=$2 ;;
    --only) only=$2 ;;
    --parts) parts=$2 ;;
    --device) device=$2 ;;
    --model) model=$2 ;;
    --limit) limit=$2 ;;
    *) usage ;;
  esac
  shift 2
done
has() { [[ " $1 " == *" $2 "* ]]; }
if [[ $device == cpu ]]; then
  seeds=${seeds:-1 2 3} steps=${steps:-1000} model=${model:---preset compare} limit=${limit:-0}
  parts=${parts:-sentences documents speed report}
else
  seeds=${seeds:-1} limit=${limit:-600} parts=${parts:-sentences report}
  model=${model:---preset compare --layers 6 --width 512 --heads 8 --hidden 1408 --batch-tokens 32768
    --micro-batch-tokens 32768 --rate 1.5e-3 --warmup 100 --dropout 0.1}
  # What times a card alone is lm-bench attention --device.
  if has "$parts" documents || has "$parts" speed; then
    echo "compare-attention: --device $device goes with --parts sentences and report alone" >&2
    exit 2
  fi
fi
read -r -a model <<<"${model//$'\n'/ }"
if has "$parts" sentences && [[ -z $sentences ]]; then usage; fi
if has "$parts" documents && [[ -z $documents ]]; then usage; fi

if [[ -z ${BIN:-} ]]; then
  for product in lm-train lm-eval lm-bench; do swift build -c release --product "$product"; done
  BIN=$(swift build -c release --show-bin-path)
fi
mkdir -p "$output"
began=$(date +%s) longest=0
if [[ -z $steps ]] && has "$parts" sentences; then
  # Two epochs of steps that are never quite full.
  read -r epoch full < <("$BIN/lm-train" --data "$sentences" --device "$device" "${model[@]}" --steps 1000 --dry-run \
    --json | awk -F'[:,]' '/"tokensPerEpoch"/ { epoch = $2 } /"tokens"/ { all = $2 } END { print epoch + 0, all + 0 }')
  steps=$(awk -v epoch="$epoch" -v all="$full" 'BEGIN { printf "%d", 2 * epoch * 1000 / all + 0.5 }')
fi

# Whether there is time for one more training.
is_in_time() {
  ((limit == 0)) || (($(date +%s) - began + longest < limit))
}

# attention NAME KIND SEGMENT: the attention as lm-train takes it.
attention() {
  if [[ $1 == combiner* && $1 != *logsparse ]]; then echo "$2,segment=$3"; else echo "$2"; fi
}

# Runs one training, unless it is finished.   train FOLDER DATA OPTIONS...
train() {
  local folder=$1 data=$2 resume=()
  shift 2
  if [[ -e $folder/finished ]]; then return; fi
  if ! is_in_time; then
    echo "== $folder is left out: $limit s would not be enough"
    return
  fi
  echo "== $folder"
  local start
  start=$(date +%s)
  mkdir -p "$(dirname "$folder")"
  # A run that was cut short goes on; one that never saved a checkpoint begins anew.
  if compgen -G "$folder/step-*" >/dev/null; then resume=(--resume); else rm -rf "$folder"; fi
  "$BIN/lm-train" --data "$data" --output "$folder" "${model[@]}" --threads "$threads" \
    --device "$device" "${resume[@]}" "$@" >"$folder.log" 2>&1 ||
    { tail -n 5 "$folder.log"; return 1; }
  start=$(($(date +%s) - start))
  longest=$((start > longest ? start : longest))
  rm -rf "$folder"/step-*/optimizer.safetensors
  touch "$folder/finished"
}

# Scores the test split, unless that is done.   score RESULT FOLDER DATA OPTIONS...
score() {
  local result=$1 folder=$2 data=$3
  shift 3
  if [[ -e $result || ! -e $folder/finished ]]; then return; fi
  "$BIN/lm-eval" --checkpoint "$folder" --data "$data" --split test --json --threads "$threads" \
    --device "$device" "$@" >"$result.part" 2>>"$folder.log" || { tail -n 5 "$folder.log"; return 1; }
  mv "$result.part" "$result"
  echo "   word perplexity $(sed -n 's/.*"word_perplexity" *: *\([0-9.]*\).*/\1/p' "$result" | head -n 1)," \
    "$(($(date +%s) - began)) s since the beginning"
}

each() { # each COMMAND...: calls it with name, attention and positions of every chosen variant
  local name kind position
  for variant in "${variants[@]}"; do
    read -r name kind position <<<"$variant"
    if [[ -z $only ]] || has "$only" "$name"; then "$@" "$name" "$kind" "$position"; fi
  done
}

sentences_of() { # SEED NAME KIND POSITIONS
  local folder=$output/sentences/$2/seed-$1
  train "$folder" "$sentences" --attention "$(attention "$2" "$3" 16)" --position "$4" \
    --seed "$1" --steps "$steps"
  score "$folder/result.json" "$folder" "$sentences"
}
documents_of() { # SEED NAME KIND POSITIONS
  local folder=$output/documents/$2/seed-$1 length
  train "$folder" "$documents" --attention "$(attention "$2" "$3" 64)" --position "$4" \
    --seed "$1" --steps "$document_steps" --batch-tokens 4096 --stream-length "$window" \
    --warmup 20 --validation-sequences $((65536 / window)) --validate-every 25 --log-every 5
  for length in $lengths; do
    score "$folder/result-$length.json" "$folder" "$documents" --context stream \
      --length "$length"
  done
}
if has "$parts" sentences; then
  for seed in $seeds; do each sentences_of "$seed"; done
fi
if has "$parts" documents; then
  for seed in $document_seeds; do each documents_of "$seed"; done
fi

if has "$parts" speed; then
  echo "== speed"
  chosen=() short=() names=()
  list() {
    chosen+=("$(attention "$1" "$2" 64)")
    short+=("$(attention "$1" "$2" 16)")
    names+=("$1")
  }
  # Softmax takes the same time with any positions: the report has one row of it.
  list_one() { case $1 in softmax-bias | softmax-sinusoidal) ;; *) list "$@" ;; esac; }
  each list_one
  printf "%s\n" "${names[@]}" >"$output/names.txt"
  bench() { # RESULT COMMAND...: the result appears once it is whole
    "$BIN/lm-bench" "${@:2}" --json >"$output/$1.part"
    mv "$output/$1.part" "$output/$1.json"
  }
  shape=(--layers 4 --width 128 --heads 2 --hidden 344 --vocabulary 4000)
  bench train-32 train "${shape[@]}" --length 32 --batch 32 --attention "${short[@]}"
  bench forward-32 train "${shape[@]}" --length 32 --batch 32 --forward --attention "${short[@]}"
  for length in $lengths; do
    one=("${shape[@]}" --length "$length" --batch 1 --steps 3 --attention "${chosen[@]}")
    bench "train-$length" train "${one[@]}"
    bench "forward-$length" train "${one[@]}" --forward
  done
  bench attention attention --attention "${chosen[@]}" --rounds 3 \
    --lengths 256 512 1024 2048 4096 8192 16384
  # shellcheck disable=SC2086
  bench decode attention --attention "${chosen[@]}" --heads 2 --rounds 1 --decode --lengths $lengths
fi

if has "$parts" report; then
  if [[ -n $is_bundle ]]; then python3 "$report" "$output" "$output"; else python3 "$report" "$output" docs; fi
fi
