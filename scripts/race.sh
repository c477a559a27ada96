#!/usr/bin/env bash
# A race of recipes on one track: the same text, the same list of words, word perplexity on the same
# validation sentences; processor time (user and system) of the trainer without validation counts, not the
# clock. Results are rows of docs/lab/race-runs.md.
#
#   scripts/race.sh --corpus FOLDER [--track A|B|cost] [--seeds "1 2 3"] [ENTRY...]
#
#   FOLDER    text in the layout of the benchmark (training-monolingual.tokenized.shuffled/ and so on)
#   track A   processor time until validation has 250.0 a word
#   track B   validation after 30 minutes of two threads, 3,600 s of processor time
#   track cost  processor time of a step beside the first entry's: short runs in turn, for an idle machine.
#             Losses do not depend on the load of a machine, times do: where others compute as well,
#             multiply the steps that an entry takes by these
#   ENTRY     names of scripts/race-entries.tsv; none: all of them
#
# From the environment:
#   STEPS     screens at so many steps, with their own whole decay, and none of the bars above: the row has
#             processor time and validation at the end
#   LINES     trains on so many lines only, for screening
#   EVERY     steps between the checkpoints that are validated (200)
#   THREADS   of the trainer (2)
#   ROUNDS    of track cost (5)
#   WORK      folder for data and runs (checkpoints/race); data that is there is used again
#   TABLE     entries in place of scripts/race-entries.tsv
#   BIN       folder of the programs (the release build)
#
# A run is not interrupted: checkpoints on the way are validated when it has ended, the last one first. The time
# until one of them is the run's, by the share of the steps' seconds that metrics.jsonl has.
set -euo pipefail
cd "$(dirname "$0")/.."
corpus="" track=A seeds="1 2 3" entries=()
while (($#)); do
  case $1 in
    --corpus) corpus=${2:?--corpus needs a folder} && shift 2 ;;
    --track) track=${2:?--track needs A or B} && shift 2 ;;
    --seeds) seeds=${2:?--seeds needs numbers} && shift 2 ;;
    --help | -h) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" && exit 0 ;;
    -*) echo "race: $1 is no option; --help names them" >&2 && exit 2 ;;
    *) entries+=("$1") && shift ;;
  esac
done
[[ -d $corpus/training-monolingual.tokenized.shuffled ]] || {
  echo "race: give the text with --corpus FOLDER, in the layout of the benchmark" >&2
  exit 2
}
[[ $track == A || $track == B || $track == cost ]] || {
  echo "race: --track is $track, expected A, B or cost" >&2
  exit 2
}
table=${TABLE:-scripts/race-entries.tsv}
known=$(grep -v '^#' "$table" | cut -f1)
((${#entries[@]})) || mapfile -t entries <<<"$known"
for entry in "${entries[@]}"; do
  grep -qx -- "$entry" <<<"$known" || {
    echo "race: there is no entry $entry; $table has" $known >&2
    exit 2
  }
done
bin=${BIN:-$(swift build -c release --show-bin-path)}
work=${WORK:-checkpoints/race} threads=${THREADS:-2}
mkdir -p "$work"
commit=$(git describe --always --dirty)

# Text → tokens, once for every tokenizer that an entry asks for.
prepare() { # prepare VOCABULARY
  local data=$work/data-$1${LINES:+-$LINES}
  [[ -e $data/manifest.json ]] || {
    local words=$work/words.txt text=(--corpus "$corpus")
    [[ -e $words ]] ||
      "$bin/lm-tokenize" --corpus "$corpus" --write-vocabulary "$words" --min-count 3 >"$work/log" 2>&1
    if [[ -n ${LINES:-} ]]; then
      # zstd ends with a broken pipe where head has enough.
      { find "$corpus/training-monolingual.tokenized.shuffled" -type f | sort | while read -r file; do
        case $file in *.zst) zstd -dcq "$file" ;; *.gz) gzip -dc "$file" ;; *) cat "$file" ;; esac
      done || true; } 2>"$work/log" | head -n "$LINES" >"$work/train-$LINES.txt" || true
      local held
      held=$(find "$corpus/heldout-monolingual.tokenized.shuffled" -name '*heldout-00001-of*')
      text=(--train "$work/train-$LINES.txt" --valid "$held")
    fi
    local kind=(--vocab-size "$1")
    if [[ $1 == words ]]; then kind=(--word-level); fi
    "$bin/lm-tokenize" "${text[@]}" --vocabulary "$words" "${kind[@]}" --output "$data" \
      >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }
  }
  echo "$data"
}

# Processor seconds of a command, which must end well or, where it is stopped, with 138.
timed() { # timed COMMAND...
  local TIMEFORMAT='%U %S' status=0 times
  times=$({ time "$@" >"$work/log" 2>&1 || status=$?; echo "$status" >"$work/status"; } 2>&1)
  status=$(cat "$work/status")
  ((status == 0)) || { cat "$work/log" >&2 && exit "$status"; }
  awk '{ printf "%.1f\n", $1 + $2 }' <<<"$times"
}

# Word perplexity of a checkpoint on all validation sentences.
validate() { # validate CHECKPOINT DATA
  "$bin/lm-eval" perplexity --checkpoint "$1" --data "$2" --split valid --threads "$threads" --json \
    2>"$work/log" | sed -nE 's/.*"word_perplexity" *: *([0-9.]+).*/\1/p' | head -n 1 | xargs printf '%.2f'
}

# Processor seconds until a step, of all that a run took.
until_step() { # until_step RUN STEP SECONDS
  grep '"kind":"train"' "$1/metrics.jsonl" |
    sed -nE 's/.*"step":([0-9]+),.*"trainedSeconds":([0-9.e+]+).*/\1 \2/p' |
    awk -v step="$2" -v all="$3" '
      $1 <= step { reached = $2 } { last = $2 } END { printf "%.1f\n", all * reached / last }'
}

row() { # row ENTRY SEED STEPS SECONDS PERPLEXITY
  local what="track $track"
  [[ -z ${STEPS:-} ]] || what="screen, $STEPS steps${LINES:+ of $LINES lines}"
  printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$what" "$2" "$3" "$4" "$5" "$commit" |
    tee -a docs/lab/race-runs.md
}

# A table of costs: middle of the rounds, each beside the first entry of its round.
if [[ $track == cost ]]; then
  steps=${STEPS:-100} rounds=${ROUNDS:-5}
  : >"$work/costs"
  for ((round = 1; round <= rounds; round++)); do
    first=""
    for entry in "${entries[@]}"; do
      IFS=$'\t' read -r _ vocabulary _ _ options < <(grep -P "^$entry\t" "$table")
      data=$(prepare "$vocabulary")
      rm -rf "$work/run-cost"
      # Candidates cost less than all tokens, which the last steps have: their share is the run's.
      # shellcheck disable=SC2086
      seconds=$(timed "$bin/lm-train" --data "$data" --output "$work/run-cost" --preset news-plain \
        --validate-every 0 --validation-sequences 1 --checkpoint-every 0 $options --steps "$steps" \
        --seed 1 --threads "$threads")
      first=${first:-$seconds}
      echo "$entry $seconds $(awk "BEGIN { print $seconds / $first }")" | tee -a "$work/costs" >&2
    done
  done
  printf '\n| entry | steps | processor s | beside %s, middle of %s rounds (least, most) | commit |\n' \
    "${entries[0]}" "$rounds"
  echo "|---|---|---|---|---|"
  for entry in "${entries[@]}"; do
    middle() { awk -v e="$entry" -v f="$1" '$1 == e { print $f }' "$work/costs" | sort -g; }
    pick() { sed -n "$(((rounds + 1) / 2))p"; }
    printf '| %s | %s | %s | %.3f (%.3f, %.3f) | %s |\n' "$entry" "$steps" "$(middle 2 | pick)" \
      "$(middle 3 | pick)" "$(middle 3 | head -n 1)" "$(middle 3 | tail -n 1)" "$commit"
  done
  exit 0
fi

for seed in $seeds; do
  # Entries take turns, so that a machine that grows slower is slower for all.
  for entry in "${entries[@]}"; do
    IFS=$'\t' read -r _ vocabulary stepsA stepsB options < <(grep -P "^$entry\t" "$table")
    data=$(prepare "$vocabulary")
    run=$work/run-$entry-$seed-$track${STEPS:+-$STEPS}
    rm -rf "$run"
    steps=${STEPS:-$([[ $track == A ]] && echo "$stepsA" || echo "$stepsB")}
    every=$([[ -n ${STEPS:-} ]] && echo 0 || echo "${EVERY:-200}")
    # shellcheck disable=SC2086
    seconds=$(timed "$bin/lm-train" --data "$data" --output "$run" --preset news-plain --log-every 10 \
      --validate-every 0 --validation-sequences 1 --checkpoint-every "$every" --keep-every "$every" \
      $options --steps "$steps" --seed "$seed" --threads "$threads")
    # Validation falls with the rate: from the last checkpoint back, until one does not hold the bar.
    best="" last=""
    for folder in $(printf '%s\n' "$run"/step-* | sort -r); do
      step=$((10#${folder##*step-}))
      reached=$(until_step "$run" "$step" "$seconds")
      if [[ $track == B && -z ${STEPS:-} ]] && awk "BEGIN { exit !($reached > 3600) }"; then continue; fi
      perplexity=$(validate "$folder" "$data")
      echo "race: $entry, seed $seed, step $step: $perplexity a word after $reached s" >&2
      last=${last:-$step $reached $perplexity}
      [[ $track == A && -z ${STEPS:-} ]] || break
      if awk "BEGIN { exit !($perplexity <= 250.0) }"; then best="$step $reached $perplexity"; else break; fi
    done
    [[ $track == A && -z ${STEPS:-} ]] || best=$last
    # shellcheck disable=SC2086
    set -- ${best:-$last (not reached)}
    row "$entry" "$seed" "$1" "$2" "${*:3}"
  done
done
