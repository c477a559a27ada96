#!/usr/bin/env bash
# Tries a bundle on a machine with an NVIDIA card and prints one table: a line with a figure, its bar and
# a verdict for every claim. Needs no network and no Swift; ends by itself within six minutes, and what
# it has printed before an interruption counts.
#
#   FOLDER/check-gpu.sh [--only PARTS] [--output FILE] [--logs FOLDER]
#
# FOLDER        made by scripts/bundle.sh
# --only PARTS  of card,start,ops,golden,bits,scores,faults,ranks,speed,shapes,attention,shard; or compare
#               alone, which trains every attention for ten minutes (compare-attention.sh --device)
# --output FILE the table once more, written as it grows
# --logs FOLDER keeps what every command has printed
#
# DEVICE names the card (cuda); LM_CUDA_LIBRARIES a folder of NVRTC and cuBLASLt, if they are nowhere
# that the program looks; PYTHON an interpreter with PyTorch; SECONDS_ALLOWED what all of it may take.
# SIZE=tiny takes models that an emulated card can train, one part after the other. The exit code is 1
# if anything fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
only=card,start,ops,golden,bits,scores,faults,ranks,speed,shapes,attention,shard output=/dev/null logs=""
while (($#)); do
  case $1 in
    --only | --output | --logs)
      if (($# < 2)); then echo "check-gpu: $1 needs a value" >&2 && exit 2; fi
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    *) sed -n '2,19p' "$0" | cut -c3- && exit 2 ;;
  esac
done
has() { [[ ,$only, == *,$1,* ]]; }
bin=${BIN:-$here/bin} data=${DATA:-$here/data} device=${DEVICE:-cuda}
# Sentences of news under a vocabulary as large models have, if the bundle has them.
news=${NEWS:-$here/news}
if [[ ! -d $news ]]; then news=$data; fi
if [[ ! -x $bin/lm-train || ! -d $data ]]; then
  echo "check-gpu: $here is no bundle: bin or data is missing; make one with scripts/bundle.sh" >&2
  exit 1
fi
if [[ -d $here/lib ]]; then export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi
: >"$output"
output=$(realpath "$output")
if has compare; then
  BIN=$bin exec "$here/compare-attention.sh" --device "$device" --sentences "$news" \
    --output "${COMPARE:-compare}" --parts "sentences report"
fi
work=$(mktemp -d)
# Compiled kernels of an earlier try would make the first start look warm.
export XDG_CACHE_HOME=$work/cache
began=$(date +%s)
stop() {
  # Every part has a process group of its own.
  for job in $(jobs -p); do kill -- "-$job" 2>/dev/null || true; done
  if [[ -n $logs ]]; then
    mkdir -p "$logs"
    find "$work" -maxdepth 1 -type f \( -name '*.log' -o -name 'ops-*' -o -name '*.json*' \) -exec cp {} "$logs" \;
  fi
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT TERM
# What can run side by side does, each part with its own process group.
set -m

if [[ ${SIZE:-full} == tiny ]]; then
  allowed=${SECONDS_ALLOWED:-7200} slow=30 together=""
  small=(--layers 2 --width 16 --heads 2 --hidden 24 --batch-tokens 300 --micro-batch-tokens 150)
  large=(--layers 2 --width 16 --heads 2 --hidden 24 --batch-tokens 300 --micro-batch-tokens 300)
  bits=("${small[@]}") steps=8 sentences=1 rounds=1 positions=64 length=32 tiny=(--tiny --cpu)
  presets=() first=("${small[@]}") checks=product
else
  allowed=${SECONDS_ALLOWED:-345} slow=1 together=yes
  small=(--layers 4 --width 192 --heads 4 --hidden 512 --batch-tokens 1024 --micro-batch-tokens 1024)
  bits=(--layers 6 --width 512 --heads 8 --hidden 1408 --batch-tokens 4096 --micro-batch-tokens 2048)
  large=(--layers 6 --width 512 --heads 8 --hidden 1408 --batch-tokens 65536 --micro-batch-tokens 65536)
  steps=200 sentences=50 rounds=7 positions=65536 length=16384 tiny=()
  presets=(h1d-53m h1d-144m) first=(--preset h1d-53m) checks=""
fi

# ---- words of the table and of the commands
row() { # row WHAT FIGURE BAR VERDICT, behind the seconds until now
  printf '%4d %-62s %22s %16s  %s\n' "$(($(date +%s) - began))" "$1" "$2" "$3" "$4" | tee -a "$output"
  if [[ $4 == FAILED* ]]; then touch "$work/failed"; fi
}
verdict() { if eval "$1"; then echo ok; else echo FAILED; fi; } # verdict COMMAND
compares() { awk -v a="$1" -v b="$3" "BEGIN { exit !(a != \"\" && a $2 b) }"; } # compares A <= B
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
field() { sed -n "s/.*\"$1\" *: *\([-0-9.e+]*\).*/\1/p" | head -n 1; } # field NAME, of JSON that comes in
last_line() { tail -n 1 "$1" 2>/dev/null | cut -c1-160; }
within() { # within SECONDS COMMAND...: no longer than that, nor than what is left
  local most=$(($1 * slow)) rest=$((began + allowed - $(date +%s)))
  if ((rest < most)); then most=$rest; fi
  if ((most < 2)); then echo "no time left" >&2 && return 124; fi
  # In the group of its part, which ends with the script.
  timeout --foreground -k 2 "$most" "${@:2}"
}
train() { # train RUN DEVICE STEPS [OPTION...]: a run with the same seed every time
  local run=$work/$1 on=$2 count=$3
  within "${most:-60}" "$bin/lm-train" --data "${from:-$data}" --output "$run" --device "$on" --steps "$count" \
    --rate 0.001 --warmup 10 --log-every 1 --validate-every 0 --checkpoint-every 0 "${@:4}" >"$run.log" 2>&1
}
weights() { cat "$work/$1"/step-*/model.safetensors 2>/dev/null | sha256sum | cut -d' ' -f1; } # weights RUN
nats() { sed -n '/"kind" *: *"train"/s/.*"natsPerToken" *: *\([-0-9.e+]*\).*/\1/p' "$work/$1/metrics.jsonl"; } # nats RUN
differ() { # differ A B COUNT: the largest relative difference of the first losses; 1 if there are none
  paste <(nats "$1" | head -n "$3") <(nats "$2" | head -n "$3") | awk '
    NF == 2 { d = ($1 - $2) / $1; if (d < 0) d = -d; if (d > most) most = d; rows++ }
    END { printf "%.1e", rows ? most : 1 }'
}
rate() { # rate RUN: the middle of the last speeds that a run has printed, in tokens a second
  sed -n 's/.* \([0-9,]*\) tokens\/s.*/\1/p' "$work/$1.log" | tail -n 9 | tr -d , | sort -n |
    awk '{ all[NR] = $1 } END { if (NR) print all[int((NR + 1) / 2)] }'
}
part() { # part FUNCTION [ARGUMENT...]: beside the others, or at once
  if [[ -n $together ]]; then "$@" & else "$@"; fi
}

# ---- what there is
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 /opt/*/bin/python3 /opt/*/*/bin/python3 /usr/local/bin/python3 \
    /usr/bin/python3 "$HOME"/*/bin/python3; do
    if [[ -n $candidate ]] && "$candidate" -c 'import torch' 2>/dev/null; then
      echo "$candidate" && return
    fi
  done
}
python=$(find_python || true)
if has card; then
  "$bin/lm-train" --list-devices >"$work/devices" 2>&1 || true
  found=$(grep -m 1 "^$device " "$work/devices" || true)
  row "card" "$device" "" "$(verdict '[[ -n $found && $found != *none:* ]]') ${found#* }"
  missing=$(grep '^ ' "$work/devices" || true)
  row "NVRTC and cuBLASLt" "${LM_CUDA_LIBRARIES:-found}" "" "$(verdict '[[ -z $missing ]]') $missing"
  row "driver, memory" "$(nvidia-smi --query-gpu=driver_version,memory.total --format=csv,noheader 2>/dev/null |
    head -n 1)" "" ""
  row "Python with PyTorch" "${python:-none}" "" ""
  if [[ -e $work/failed ]]; then exit 1; fi
fi

# shellcheck source=/dev/null
for file in start bits ranks speed; do source "${PARTS:-$here/parts}/card-$file.sh"; done

# In the order of their weight: what a person waits for first, what must be right, what must be fast.
if has start; then start_part; fi
if has speed || has attention; then prepare_peers; fi
if has golden; then part golden_part; fi
if has ops; then for precision in float32 bfloat16; do part ops_part "$precision"; done; fi
if has bits; then
  for attention in softmax hierarchical yoso:estimate=expectation yoso combiner window:window=16; do
    part bits_part "$attention"
  done
  part resume_part
fi
if has scores; then part scores_part; fi
if has faults; then part faults_part; fi
if has ranks; then part ranks_part; fi
for job in $(jobs -p); do
  if [[ " ${peers[*]:-} " != *" $job "* ]]; then wait "$job" || true; fi
done
# Alone on the card.
if has speed; then speed_part; fi
if has shapes; then for preset in "${presets[@]:-}"; do shape_part "$preset"; done; fi
if has attention; then attention_part; fi
if has shard; then shard_part; fi
row "all of it" "$(since "$began") s" "<= $allowed s" "$(verdict 'compares "$(since "$began")" "<=" "$allowed"')"
if [[ -e $work/failed ]]; then exit 1; fi
