#!/usr/bin/env bash
# Stops training and tokenizing at random moments, goes on, and compares the end with that of a run
# which nobody disturbed: the same bits of weights, moments and metrics, no lost file, nothing to be
# done by hand. Training is stopped by SIGKILL, SIGHUP, SIGTERM and SIGUSR1 in turn at random, with
# SIGUSR2 before it now and then; in a third of the runs a second lm-train is started in the same
# folder. In a third of all runs messages go to a full disk.
#
#   scripts/crash-test.sh [STOPS] [SEED]     STOPS of each (20); SEED of the moments (1)
#
# Needs release builds of lm-tokenize, lm-train and lm-eval.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/parts/toy-text.sh
kills=${1:-20}
RANDOM=${2:-1}
bin=${BIN:-$(swift build -c release --show-bin-path)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "crash-test: FAILED: $*; the folder is kept in $work" >&2
  trap - EXIT
  exit 1
}

# Runs a command undisturbed and sets `whole` to the ms it took: stops of its kind fall within that,
# on any machine.
measure() { # measure COMMAND...
  local begin
  begin=$(date +%s%N)
  "$@" >/dev/null 2>&1 || fail "$1 ended with $?"
  whole=$((($(date +%s%N) - begin) / 1000000 + 1))
}

moment() { # moment LIMIT: waits for up to LIMIT ms
  sleep "$(printf '%d.%03d' $((RANDOM % $1 / 1000)) $((RANDOM % $1 % 1000)))"
}

# Where messages go this time.
full_disk_is_chosen() { ((RANDOM % 3 == 0)) && [[ -e /dev/full ]]; }

# Starts a program, kills it after up to LIMIT ms, and returns 0 if it was killed, 1 if it ended.
killed() { # killed LIMIT COMMAND...
  local limit=$1 pid status=0 messages=$work/log
  shift
  if full_disk_is_chosen; then messages=/dev/full; fi
  "$@" >"$work/out" 2>"$messages" &
  pid=$!
  moment "$limit"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || status=$?
  if ((status == 137)); then return 0; fi
  if ((status != 0)); then
    cat "$work/log" >&2
    fail "$1 ended with $status"
  fi
  return 1
}

# ---- tokenizing: the output is there whole, or not at all
toy_text 60000 7 >"$work/text"
tokenize=("$bin/lm-tokenize" --train "$work/text" --split-valid 0.01 --vocab-size 300
  --model-type bpe --sample-sentences 2000)
measure "${tokenize[@]}" --output "$work/whole"
(cd "$work/whole" && sha256sum ./* >"$work/sums")
done_kills=0
rounds=0
while ((done_kills < kills)); do
  if killed "$whole" "${tokenize[@]}" --output "$work/parts" --overwrite; then
    done_kills=$((done_kills + 1))
  fi
  rounds=$((rounds + 1))
  if [[ -e $work/parts ]]; then
    (cd "$work/parts" && sha256sum --quiet -c "$work/sums") || fail "a killed lm-tokenize left damage"
  fi
done
"${tokenize[@]}" --output "$work/parts" --overwrite >/dev/null 2>&1
(cd "$work/parts" && sha256sum --quiet -c "$work/sums") || fail "lm-tokenize gave other bytes"
[[ -z $(find "$work" -maxdepth 1 -name '.*partial*' -o -maxdepth 1 -name '.*replaced*') ]] ||
  fail "leftovers of killed lm-tokenize"
echo "crash-test: lm-tokenize killed $done_kills times in $rounds runs: the same bytes"

# ---- training: the same bits, however often it was stopped
run=$work/run
train=("$bin/lm-train" --data "$work/whole" --layers 2 --width 32 --heads 2 --hidden 64 --steps 600
  --batch-tokens 300 --dropout 0.1 --rate 0.005 --warmup 10 --log-every 7 --validate-every 50
  --validation-sequences 20 --checkpoint-every 10 --threads 1)
resume=("$bin/lm-train" --data "$work/whole" --output "$run" --resume --threads 1)
metrics() { sed -E 's/"(tokensPerSecond|peakFraction|trainedSeconds|sum)":[^,}]*,?//g' "$1/metrics.jsonl"; }
newest() { find "$run" -maxdepth 1 -name 'step-*' -printf '%f\n' 2>/dev/null | sort | tail -n 1; }
holds() { grep -q "\"process\" : $1\\b" "$run/lock" 2>/dev/null; } # holds PROCESS

check_latest() {
  [[ $(cat "$run/latest" 2>/dev/null) == "$(newest)" ]] ||
    fail "latest names $(cat "$run/latest"), the newest is $(newest)"
}

# A second lm-train beside one that holds the folder: refused, unless the first has finished meanwhile.
beside() {
  local status=0 command=("${resume[@]}")
  if ((RANDOM % 2)); then command=("${train[@]}" --output "$run" --seed 77); fi
  "${command[@]}" >"$work/out2" 2>"$work/log2" || status=$?
  if ((status == 1)) && grep -q "$run is in use by lm-train, process $1 " "$work/log2"; then
    refusals=$((refusals + 1))
  else
    must_have_finished=1
  fi
}

# Starts a program that trains in the run folder, lets a signal stop it after up to LIMIT ms, and
# returns 0 if it was stopped, 1 if it ended. Not by a function: the signal must reach the program.
declare -A code=([KILL]=137 [HUP]=129 [TERM]=143 [USR1]=138)
signals=(KILL KILL HUP TERM USR1)
stopped() { # stopped LIMIT COMMAND...
  local limit=$1 pid status=0 messages=$work/log before must_have_finished=0
  local signal=${signals[RANDOM % ${#signals[@]}]}
  shift
  before=$(newest)
  : >"$work/log"
  if full_disk_is_chosen; then messages=/dev/full; fi
  "$@" >"$work/out" 2>"$messages" &
  pid=$!
  moment "$limit"
  if ((RANDOM % 3 == 0)) && holds $pid; then beside $pid; fi
  if ((RANDOM % 4 == 0)) && holds $pid; then
    kill -USR2 "$pid" 2>/dev/null || true
    moment 50
  fi
  kill "-$signal" "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || status=$?
  if ((status != 0 && (status != code[$signal] || must_have_finished))); then
    cat "$work/log" "$work/log2" >&2 2>/dev/null || true
    fail "$1 ended with $status after SIG$signal (second one not refused: $must_have_finished)"
  fi
  [[ ! $(newest) < $before ]] || fail "$before is gone, the newest is $(newest)"
  if ((status != 137)) && [[ -e $run/lock ]] && holds $pid; then fail "the lock has stayed"; fi
  if ((status == 0)) || grep -q 'stopped after step' "$work/log"; then check_latest; fi
  if ((status == 0)); then return 1; fi
  stops[$signal]=$((${stops[$signal]:-0} + 1))
}

declare -A stops=()
refusals=0
done_stops=0
runs=0
while ((done_stops < kills)); do
  runs=$((runs + 1))
  measure "${train[@]}" --output "$work/reference" --seed $runs
  while true; do
    command=("${train[@]}" --output "$run" --seed $runs)
    if [[ -e $run/config.json ]]; then command=("${resume[@]}"); fi
    if stopped "$whole" "${command[@]}"; then
      done_stops=$((done_stops + 1))
    else
      break
    fi
  done
  step=step-00000600
  (cd "$run/$step" && sha256sum --quiet -c SHA256SUMS) || fail "run $runs: sums"
  for file in model.safetensors optimizer.safetensors config.json tokenizer.model; do
    cmp "$work/reference/$step/$file" "$run/$step/$file" || fail "run $runs: $file differs"
  done
  cmp <(metrics "$work/reference") <(metrics "$run") || fail "run $runs: metrics differ"
  check_latest
  [[ -z $(find "$run" -name '.*partial*' -o -name '.*replaced*' -o -name '*lock*') ]] ||
    fail "run $runs: leftovers of stopped lm-train"
  "$bin/lm-eval" --verify "$run" >/dev/null 2>&1 || fail "run $runs: lm-eval --verify"
  rm -rf "$work/reference" "$run"
done
echo "crash-test: lm-train stopped $done_stops times in $runs runs (SIGKILL ${stops[KILL]:-0}," \
  "SIGHUP ${stops[HUP]:-0}, SIGTERM ${stops[TERM]:-0}, SIGUSR1 ${stops[USR1]:-0}), a second one" \
  "refused $refusals times: the same bits at the end"
