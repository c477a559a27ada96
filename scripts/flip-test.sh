#!/usr/bin/env bash
# Changes one byte, or one digit, of a run folder or a data set at random, and looks at what the
# commands make of it: whatever they print, and the length and the weights of a run that goes on, is
# what it would have been, or the file is named.
#
#   scripts/flip-test.sh [FLIPS] [SEED]     FLIPS of bytes and FLIPS of digits (20); SEED (1)
#
# JOBS sets how many are tried at a time (the processors). Needs release builds of lm-tokenize,
# lm-train, lm-eval and lm-sample.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/parts/toy-text.sh
flips=${1:-20}
seed=${2:-1}
jobs=${JOBS:-$(nproc)}
bin=${BIN:-$(swift build -c release --show-bin-path)}
# Every run flushes its files, which a busy disk makes long.
if [[ -w /dev/shm ]]; then export TMPDIR=/dev/shm; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "flip-test: FAILED: $*; the folder is kept in $work" >&2
  trap - EXIT
  exit 1
}
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$1 did not work"; }; }

# ---- a small data set, and a run that was killed after its checkpoint of step 90
toy_text 1500 7 >"$work/text"
head -n 40 "$work/text" >"$work/few"
printf '%s\n' a the king river city saw blessed followed knew children night of >"$work/words"
quietly "$bin/lm-tokenize" --train "$work/text" --split-valid 0.05 --split-test 0.05 \
  --vocab-size 300 --model-type bpe --vocabulary "$work/words" --output "$work/data"
train=("$bin/lm-train" --data "$work/data" --threads 1)
quietly "${train[@]}" --output "$work/run" --layers 1 --width 16 --heads 2 --hidden 24 --steps 120 \
  --schedule inverseSquareRoot --batch-tokens 14 --rate 0.2 --warmup 4 --log-every 10 \
  --validate-every 60 --validation-sequences 20 --checkpoint-every 30 --keep-last 2 \
  --keep-every 30 --sample-every 60 --spike-deviations 0.01
[[ -s $work/run/incidents.jsonl ]] || fail "the run has no incident to change"
for split in test valid; do
  quietly "$bin/lm-eval" --checkpoint "$work/run" --data "$work/data" --split "$split" --record
done
cp -R "$work/run" "$work/finished"
rm -r "$work/run/step-00000120"
echo step-00000090 >"$work/run/latest"
# What the step that is gone may have been is not what the newest one says.
if [[ $(<"$work/run/best") == step-00000120 ]]; then echo step-00000060 >"$work/run/best"; fi

# ---- what the commands print and leave, each into a file of the folder OUT
# Times of day and of the clock are no figures of the run's past.
resumed() { # resumed PLACE OUT
  # shellcheck disable=SC2015
  "${train[@]:0:1}" --data "$1/data" --threads 1 --output "$1/run" --resume >"$2/resume" \
    2>"$2/resume.said" && status=0 || status=$?
  {
    echo "$status"
    grep -vE '^(machine|memory) ' "$2/resume" || true
    grep -oE 'finished [0-9,]+ steps' "$2/resume.said" || true
    sha256sum <"$1/run/step-00000120/model.safetensors" || true
    sed -E 's/"(tokensPerSecond|peakFraction|trainedSeconds|sum)":[^,}]*,?//g' \
      "$1/run/metrics.jsonl" || true
    cat "$1/run/incidents.jsonl" "$1/run/samples.jsonl" "$1/run/config.json" || true
  } >"$2/resume.figures" 2>/dev/null
}
printed() { # printed NAME OUT COMMAND...
  local status=0 name=$1 out=$2
  shift 2
  "$@" >"$out/$name.figures" 2>"$out/$name.said" </dev/null || status=$?
  echo "status $status" >>"$out/$name.figures"
}
look() { # look PLACE OUT FILE: what can depend on that file
  mkdir -p "$2"
  case $3 in
    data/*)
      printed score "$2" "$bin/lm-eval" --checkpoint "$1/run" --data "$1/data" --json --threads 1
      printed plan "$2" "$bin/lm-train" --data "$1/data" --dry-run
      printed check "$2" "$bin/lm-tokenize" --verify "$1/data" ;;
    *)
      if [[ $3 == run/step-*/* || $3 == run/latest ]]; then
        printed score "$2" "$bin/lm-eval" --checkpoint "$1/run" --text "$work/few" --paper-line \
          --threads 1
        # When and by what command it was computed is not what it is about.
        sed -i 's/; computed by .*//' "$2/score.figures"
        printed sample "$2" "$bin/lm-sample" --checkpoint "$1/run" --threads 1
      else
        printed report "$2" "$bin/lm-eval" --report "$1/run" --output "$2/page"
        cat "$2/page" >>"$2/report.figures" 2>/dev/null || true
      fi
      printed check "$2" "$bin/lm-eval" --verify "$1/run" ;;
  esac
  # Paths are those of the place, memory and peak those of the moment.
  sed -i -E "s#($1|$2)/##g; /^(machine|memory) /d; /^<footer>/d" "$2"/*.figures
  resumed "$1" "$2"
}

reference() { # reference KIND FILE
  mkdir "$work/place"
  cp -R "$work/run" "$work/data" "$work/place"
  look "$work/place" "$work/reference-$1" "$2"
  rm -r "$work/place"
}
reference step run/step-00000090/config.json
reference run run/config.json
reference data data/manifest.json
grep -q '^0$' "$work/reference-run/resume.figures" || fail "the run does not go on"
cmp -s <(sha256sum <"$work/finished/step-00000120/model.safetensors") \
  <(grep -m 1 -- ' -$' "$work/reference-run/resume.figures") || fail "it does not end as it did"

# ---- one flip
mapfile -t files < <(cd "$work" && find run data -type f -size +0 ! -name report.html | sort)
mapfile -t texts < <(cd "$work" && printf '%s\n' "${files[@]}" | grep -E '\.jsonl?$' | xargs grep -lE '[0-9]')

number() { # number LIMIT: into the variable of that name
  number=$(((RANDOM << 15 | RANDOM) % $1))
}
flip() { # flip INDEX byte|digit
  local place=$work/place-$1 out=$work/out-$1 file offset old new name kind
  mkdir "$place"
  cp -R "$work/run" "$work/data" "$place"
  if [[ $2 == byte ]]; then
    number ${#files[@]}
    file=${files[number]}
    number "$(stat -c %s "$place/$file")"
    offset=$number
    old=$(od -An -tu1 -j "$offset" -N 1 "$place/$file")
    number 255
    new=$(((old + 1 + number) % 256))
  else
    number ${#texts[@]}
    file=${texts[number]}
    mapfile -t offsets < <(grep -aobE '[0-9]' "$place/$file" | cut -d: -f1)
    number ${#offsets[@]}
    offset=${offsets[number]}
    old=$(od -An -tu1 -j "$offset" -N 1 "$place/$file")
    number 9
    new=$((48 + (old - 48 + 1 + number) % 10))
  fi
  # shellcheck disable=SC2059
  printf "\\x$(printf %x "$new")" |
    dd of="$place/$file" bs=1 seek="$offset" conv=notrunc status=none
  case $file in # by what is looked at
    data/*) kind=data ;;
    run/step-*/* | run/latest) kind=step ;;
    *) kind=run ;;
  esac
  look "$place" "$out" "$file"
  local what="$file, byte $offset from $((old)) to $new" base folder
  base=$(basename "$file")
  folder=$(basename "$(dirname "$file")")
  for name in "$work/reference-$kind"/*.figures; do
    name=$(basename "$name" .figures)
    if cmp -s "$work/reference-$kind/$name.figures" "$out/$name.figures"; then
      # Whatever else is as it was: to find this is what the sums are for.
      if [[ $name == check ]]; then echo "$what: not found by --verify" >>"$work/silent"; fi
      continue
    fi
    if ! grep -qF -e "$base" -e "$folder/" "$out/$name.said" "$out/$name.figures"; then
      echo "$what: $name has changed without a word" >>"$work/silent"
    fi
  done
  if [[ -e $work/silent ]]; then return; fi
  echo "$kind" >>"$work/tried"
  rm -r "$place" "$out"
}

worker() { # worker NUMBER
  local index
  for ((index = $1; index < 2 * flips; index += jobs)); do
    # The same flip whatever the number of workers.
    RANDOM=$((seed * 7919 + index))
    if ((index % 2)); then flip "$index" digit; else flip "$index" byte; fi
    if [[ -e $work/silent ]]; then return; fi
  done
}
for ((number = 0; number < jobs; number++)); do worker "$number" & done
wait
if [[ -e $work/silent ]]; then
  cat "$work/silent" >&2
  fail "damage was believed"
fi
[[ $(wc -l <"$work/tried") == $((2 * flips)) ]] || fail "not all flips were tried"
echo "flip-test: $flips bytes and $flips digits of $(sort "$work/tried" | uniq -c |
  awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $2, $1 }') changed: each is found, none believed"
