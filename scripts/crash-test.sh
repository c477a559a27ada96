#!/usr/bin/env bash
# Kills training and tokenizing with SIGKILL at random moments, goes on, and compares the end with
# that of a run which nobody disturbed: the same bits of weights, moments and metrics, no lost file,
# nothing to be done by hand.
#
#   scripts/crash-test.sh [KILLS] [SEED]     KILLS of each (20); SEED of the moments (1)
#
# Needs release builds of lm-tokenize, lm-train and lm-eval.
set -euo pipefail
cd "$(dirname "$0")/.."
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

# Starts a program, kills it after up to LIMIT ms, and returns 0 if it was killed, 1 if it ended.
killed() { # killed LIMIT COMMAND...
  local limit=$1 pid status=0
  shift
  "$@" >"$work/out" 2>"$work/log" &
  pid=$!
  sleep "$(printf '%d.%03d' $((RANDOM % limit / 1000)) $((RANDOM % limit % 1000)))"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || status=$?
  if ((status == 137)); then return 0; fi
  if ((status != 0)); then
    cat "$work/log" >&2
    fail "$1 ended with $status"
  fi
  return 1
}

text() { # text LINES
  awk -v lines="$1" 'BEGIN {
    split("a the king shepherd river city stranger saw blessed followed knew children night of", w, " ")
    state = 7
    for (line = 0; line < lines; line++) {
      text = ""
      state = (state * 1103515245 + 12345) % 2147483648
      count = 2 + int(state / 65536) % 14
      for (i = 0; i < count; i++) {
        state = (state * 1103515245 + 12345) % 2147483648
        text = text (i ? " " : "") w[1 + int(state / 65536) % 14]
      }
      print text
    }
  }'
}

# ---- tokenizing: the output is there whole, or not at all
text 60000 >"$work/text"
tokenize=("$bin/lm-tokenize" --train "$work/text" --split-valid 0.01 --vocab-size 300
  --model-type bpe --sample-sentences 2000)
"${tokenize[@]}" --output "$work/whole" >/dev/null 2>&1
(cd "$work/whole" && sha256sum ./* >"$work/sums")
done_kills=0
rounds=0
while ((done_kills < kills)); do
  if killed 1500 "${tokenize[@]}" --output "$work/parts" --overwrite; then
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

# ---- training: the same bits, however often it was killed
# Not a function: the process that is killed must be the program itself.
train=("$bin/lm-train" --data "$work/whole" --layers 2 --width 32 --heads 2 --hidden 64 --steps 600
  --batch-pieces 300 --dropout 0.1 --rate 0.005 --warmup 10 --log-every 7 --validate-every 50
  --validation-sequences 20 --checkpoint-every 10 --threads 1)
metrics() { sed -E 's/"(piecesPerSecond|peakFraction|trainedSeconds)":[^,}]*,?//g' "$1/metrics.jsonl"; }

done_kills=0
runs=0
while ((done_kills < kills)); do
  runs=$((runs + 1))
  "${train[@]}" --output "$work/reference" --seed $runs >/dev/null 2>&1
  while true; do
    command=("${train[@]}" --output "$work/run" --seed $runs)
    if [[ -e $work/run/config.json ]]; then
      command=("$bin/lm-train" --data "$work/whole" --output "$work/run" --resume --threads 1)
    fi
    if killed 3000 "${command[@]}"; then
      done_kills=$((done_kills + 1))
    else
      break
    fi
  done
  step=step-00000600
  (cd "$work/run/$step" && sha256sum --quiet -c SHA256SUMS) || fail "run $runs: sums"
  for file in model.safetensors optimizer.safetensors config.json tokenizer.model; do
    cmp "$work/reference/$step/$file" "$work/run/$step/$file" || fail "run $runs: $file differs"
  done
  cmp <(metrics "$work/reference") <(metrics "$work/run") || fail "run $runs: metrics differ"
  [[ -z $(find "$work/run" -name '.*partial*' -o -name '.*replaced*') ]] ||
    fail "run $runs: leftovers of killed lm-train"
  "$bin/lm-eval" --verify "$work/run" >/dev/null 2>&1 || fail "run $runs: lm-eval --verify"
  rm -rf "$work/reference" "$work/run"
done
echo "crash-test: lm-train killed $done_kills times in $runs runs: the same bits at the end"
