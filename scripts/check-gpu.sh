#!/usr/bin/env bash
# Tries a bundle on a machine with an NVIDIA card and prints one table, a line with a verdict for every
# claim. Needs no network and no Swift; ends by itself within six minutes, and what it has printed before
# an interruption counts.
#
#   FOLDER/check-gpu.sh [--only PARTS] [--output FILE]
#
# FOLDER        made by scripts/bundle.sh
# --only PARTS  of card,ops,start,golden,bits,audit,scores,faults,speed,ranks
# --output FILE the table once more, written as it grows
#
# DEVICE names the card (cuda); LM_CUDA_LIBRARIES a folder of NVRTC and cuBLASLt, if they are nowhere
# that the program looks. SIZE=tiny takes models that an emulated card can train. The exit code is 1 if
# anything fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
only=card,ops,start,golden,bits,audit,scores,faults,speed,ranks output=/dev/null
while (($#)); do
  case $1 in
    --only | --output)
      if (($# < 2)); then echo "check-gpu: $1 needs a value" >&2 && exit 2; fi
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    *) sed -n '2,17p' "$0" | cut -c3- && exit 2 ;;
  esac
done
has() { [[ ,$only, == *,$1,* ]]; }
bin=${BIN:-$here/bin} data=${DATA:-$here/data} device=${DEVICE:-cuda}
if [[ ! -x $bin/lm-train || ! -d $data ]]; then
  echo "check-gpu: $here is no bundle: bin or data is missing; make one with scripts/bundle.sh" >&2
  exit 1
fi
if [[ -d $here/lib ]]; then export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Compiled kernels of an earlier try would make the first start look warm.
export XDG_CACHE_HOME=$work/cache
failed=0
: >"$output"

row() { # row WHAT FIGURE VERDICT
  printf '%-58s %26s  %s\n' "$1" "$2" "$3" | tee -a "$output"
  if [[ $3 == FAILED* ]]; then failed=1; fi
}
verdict() { if eval "$1"; then echo ok; else echo FAILED; fi; } # verdict COMMAND
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a <= b) }'; }
seconds() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(seconds)" 'BEGIN { printf "%.2f", b - a }'; }
field() { sed -n "s/.*\"$1\" *: *\([-0-9.e+]*\).*/\1/p" | head -n 1; } # field NAME, of JSON that comes in
last_line() { tail -n 1 "$1" | cut -c1-200; }

if [[ ${SIZE:-full} == tiny ]]; then
  model=(--layers 2 --width 16 --heads 2 --hidden 24)
  steps=8 batch=(--batch-tokens 300 --micro-batch-tokens 150) sentences=3
else
  model=(--layers 6 --width 512 --heads 8 --hidden 1408)
  steps=50 batch=(--batch-tokens 4096 --micro-batch-tokens 4096) sentences=50
fi
attentions=(softmax hierarchical yoso:estimate=expectation yoso combiner window:window=16)
train() { # train RUN DEVICE STEPS [OPTION...]: a run with the same seed every time
  local run=$work/$1 on=$2 count=$3
  shift 3
  timeout 200 "$bin/lm-train" --data "$data" --output "$run" --device "$on" "${model[@]}" --steps "$count" \
    "${batch[@]}" --rate 0.001 --warmup 10 --dropout 0.1 --log-every 1 --validate-every 0 \
    --checkpoint-every 0 "$@" >"$run.log" 2>&1
}
weights() { # weights RUN: the sum of its last weights
  cat "$work/$1"/step-*/model.safetensors 2>/dev/null | sha256sum | cut -d' ' -f1
}
nats() { sed -n 's/.*"natsPerToken" *: *\([-0-9.e+]*\).*/\1/p' "$work/$1/metrics.jsonl"; }
differ() { # differ A B: the largest relative difference of the losses
  paste <(nats "$1") <(nats "$2") | awk '
    { d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > most) most = d } END { printf "%.1e", NR ? most : 1 }'
}

# ---- what there is
if has card; then
  "$bin/lm-train" --list-devices >"$work/devices" 2>&1 || true
  found=$(grep -m 1 "^$device " "$work/devices" || true)
  row "card" "$device" "$(verdict '[[ -n $found && $found != *none:* ]]') ${found#* }"
  missing=$(grep '^ ' "$work/devices" || true)
  row "NVRTC and cuBLASLt" "${LM_CUDA_LIBRARIES:-found}" "$(verdict '[[ -z $missing ]]') $missing"
  row "driver" "" \
    "$(nvidia-smi --query-gpu=driver_version,memory.total --format=csv,noheader 2>/dev/null | head -n 1)"
  if ((failed)); then exit 1; fi
fi

# ---- from nothing to the first step, without and with compiled kernels
if has start; then
  for state in cold warm; do
    bar=15
    if [[ $state == warm ]]; then bar=2; fi
    begin=$(seconds)
    if train "start-$state" "$device" 1; then
      took=$(since "$begin")
      row "first step, $state cache (bar $bar s)" "$took s" "$(verdict 'at_most "$took" "$bar"')"
    else
      row "first step, $state cache" "" "FAILED $(last_line "$work/start-$state.log")"
    fi
  done
fi

# ---- every operation beside its definition in Float64, and the promises bit for bit
if has ops; then
  if timeout 150 "$bin/lm-bench" device --device "$device" >"$work/ops" 2>&1; then
    row "operations, attentions and promises" "$(grep -c '^holds' "$work/ops")" "ok"
  else
    row "operations, attentions and promises" "$(grep -c '^FAILS' "$work/ops" || true) fail" \
      "FAILED $(last_line "$work/ops")"
    grep '^FAILS' "$work/ops" | head -n 20 | tee -a "$output"
  fi
fi

# ---- a run beside the processor's
if has golden; then
  if train golden-cpu cpu "$steps" && train golden-card "$device" "$steps"; then
    far=$(differ golden-cpu golden-card)
    row "losses of $steps steps, card against processor (1e-4)" "$far" "$(verdict 'at_most "$far" 1e-4')"
  else
    row "losses, card against processor" "" "FAILED $(last_line "$work/golden-card.log")"
  fi
fi

# ---- the same bits: again, interrupted, and a checkpoint that changes the device
if has bits; then
  for attention in "${attentions[@]}"; do
    if train bits-a "$device" 6 --attention "$attention" &&
      train bits-b "$device" 6 --attention "$attention"; then
      row "6 steps twice, $attention" "" "$(verdict '[[ $(weights bits-a) == $(weights bits-b) ]]')"
    else
      row "6 steps twice, $attention" "" "FAILED $(last_line "$work/bits-a.log")"
    fi
    rm -rf "$work"/bits-[ab]
  done
  half=$((1 + RANDOM % 4))
  # All of it is warm-up, so that a shorter run is the beginning of a longer one.
  if train whole "$device" 6 --warmup 1000 && train parts "$device" "$half" --warmup 1000 &&
    timeout 60 "$bin/lm-train" --data "$data" --output "$work/parts" --device "$device" --resume \
      --steps 6 >"$work/parts.log" 2>&1; then
    last=$(sha256sum <"$work/parts/step-00000006/model.safetensors" | cut -d' ' -f1)
    row "resumed at step $half" "" "$(verdict '[[ $(weights whole) == "$last" ]]')"
  else
    row "resumed at step $half" "" "FAILED $(last_line "$work/parts.log")"
  fi
fi

# ---- nothing is seen of what comes later; decoding is the full pass
if has audit; then
  for attention in "${attentions[@]}"; do
    if train audit "$device" 2 --attention "$attention" &&
      timeout 60 "$bin/lm-eval" audit --checkpoint "$work/audit" --data "$data" --sentences "$sentences" \
        --device "$device" >"$work/audit.log" 2>&1; then
      row "audit of $attention" "" "ok"
    else
      row "audit of $attention" "" "FAILED $(last_line "$work/audit.log")"
    fi
    rm -rf "$work/audit"
  done
fi

# ---- scores: as the processor's, whatever the batch
if has scores; then
  score() { # score DEVICE [OPTION...]
    local on=$1
    shift
    timeout 100 "$bin/lm-eval" perplexity --checkpoint "$work/scored" --data "$data" --split test \
      --device "$on" --json "$@" 2>"$work/scores.log" | field nats
  }
  if train scored "$device" "$steps"; then
    card=$(score "$device" || true) few=$(score "$device" --batch-tokens 700 || true) cpu=$(score cpu || true)
    far=$(awk -v a="$card" -v b="$cpu" 'BEGIN { d = (a - b) / b; printf "%.1e", d < 0 ? -d : d }')
    row "nats of the test shard, card against processor (1e-6)" "$far" "$(verdict 'at_most "$far" 1e-6')"
    row "nats with other micro-batches" "$card" "$(verdict '[[ -n $card && $card == "$few" ]]')"
  else
    row "scores" "" "FAILED $(last_line "$work/scored.log")"
  fi
fi

# ---- what a person reads when it goes wrong
if has faults; then
  train full "$device" 1 --batch-tokens 60000000 --micro-batch-tokens 60000000 && code=0 || code=$?
  row "a card that is too small" "exit code $code" "$(verdict '((code == 1))') $(last_line "$work/full.log")"
  train none "cuda:99" 1 && code=0 || code=$?
  row "a card that is not there" "exit code $code" "$(verdict '((code == 1))') $(last_line "$work/none.log")"
fi

# ---- speed
if has speed && [[ ${SIZE:-full} != tiny ]]; then
  for attention in softmax hierarchical; do
    if train "speed-$attention" "$device" 40 --attention "$attention" --batch-tokens 65536 \
      --micro-batch-tokens 65536 --dropout 0; then
      rate=$(sed -n 's/.* \([0-9,]*\) tokens\/s.*/\1/p' "$work/speed-$attention.log" | tail -n 10 |
        tr -d , | sort -n | sed -n 5p)
      row "training, 6 x 512, 65,536 tokens a step, $attention" "$rate tokens/s" "measured"
    else
      row "training, 6 x 512, $attention" "" "FAILED $(last_line "$work/speed-$attention.log")"
    fi
    rm -rf "$work/speed-$attention"
  done
fi

# ---- several ranks
if has ranks; then
  # shellcheck source=/dev/null
  source "${PARTS:-$here/parts}/card-ranks.sh"
  ranks_part
fi
exit "$failed"
