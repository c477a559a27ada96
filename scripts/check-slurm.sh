#!/usr/bin/env bash
# Trains under Debian's Slurm, one controller and one node of its own on this machine: srun with every way
# to find each other, signals, and scripts/slurm/train.sbatch through several jobs to the bits of one
# process. Root; changes nothing of a Slurm that is configured here.
#
#   scripts/check-slurm.sh [FOLDER]        FOLDER (/tmp/check-slurm) is kept
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/parts/toy-text.sh
# Slurm opens libpmix.so by its bare name.
. scripts/setup.sh slurmctld slurmd slurm-client munge openmpi-bin libopenmpi3 libpmix-dev libmpich12
root=$(rm -rf "${1:-/tmp/check-slurm}" && mkdir -p "${1:-/tmp/check-slurm}" && cd "${1:-/tmp/check-slurm}" && pwd)
bin=${BIN:-$(swift build -c release --show-bin-path)}
export SLURM_CONF=$root/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mkdir -p "$root"/{spool,state,log}
cat >"$SLURM_CONF" <<S
ClusterName=check
SlurmctldHost=$(hostname)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$root/munge.sock
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool
SlurmctldPidFile=$root/slurmctld.pid
SlurmdPidFile=$root/slurmd.pid
SlurmctldLogFile=$root/log/slurmctld
SlurmdLogFile=$root/log/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2

NodeName=$(hostname) CPUs=$(nproc) RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
S

stop() {
  scancel --user root 2>/dev/null || true
  for daemon in slurmd slurmctld munged; do
    [[ -e $root/$daemon.pid ]] && kill "$(cat "$root/$daemon.pid")" 2>/dev/null || true
  done
}
trap stop EXIT
fail() {
  echo "check-slurm: FAILED: $*" >&2
  exit 1
}

dd if=/dev/urandom of="$root/munge.key" bs=1 count=1024 2>/dev/null
chmod 600 "$root/munge.key"
munged --key-file="$root/munge.key" --socket="$root/munge.sock" --pid-file="$root/munged.pid" \
  --log-file="$root/log/munged" --seed-file="$root/munge.seed" --force
slurmctld -f "$SLURM_CONF"
sleep 3
slurmd -f "$SLURM_CONF"
until sinfo -h -o %T 2>/dev/null | grep -q idle; do sleep 1; done

toy_text 4000 7 >"$root/text"
"$bin/lm-tokenize" --train "$root/text" --split-valid 0.05 --vocab-size 300 --output "$root/data" \
  >/dev/null 2>&1
options=(--layers 2 --width 96 --heads 4 --hidden 256 --batch-tokens 600 --micro-batch-tokens 100
  --checkpoint-every 0 --validate-every 0 --gradient-shares 8 --log-every 5)
weights() { sha256sum <"$1/step-$2/model.safetensors" | cut -c1-16; }
"$bin/lm-train" --data "$root/data" --output "$root/one" --steps 40 "${options[@]}" >/dev/null 2>&1
one=$(weights "$root/one" 00000040)

echo "== srun --mpi=PLUGIN, two processes"
for pair in pmix:libmpi.so.40 pmi2:libmpich.so.12; do
  export LM_MPI_LIBRARY=${pair#*:}
  srun --mpi="${pair%:*}" -n 2 "$bin/lm-train" --data "$root/data" --output "$root/${pair%:*}" --steps 40 \
    "${options[@]}" >"$root/log/${pair%:*}" 2>&1 || { cat "$root/log/${pair%:*}"; fail "$pair"; }
  [[ $(weights "$root/${pair%:*}" 00000040) == "$one" ]] || fail "$pair gave other bits"
  echo "$pair: the bits of one"
done
unset LM_MPI_LIBRARY
srun --mpi=none -n 2 "$bin/lm-train" --data "$root/data" --output "$root/none" --steps 40 \
  "${options[@]}" >"$root/log/none" 2>&1 && fail "srun --mpi=none was not refused"
[[ ! -e $root/none ]] || fail "srun --mpi=none wrote something"
echo "none: refused: $(grep -m1 'error:' "$root/log/none" | cut -c1-100)"

echo "== scancel -s USR1"
export LM_MPI_LIBRARY=libmpi.so.40
srun --mpi=pmix -n 2 -J usr1 "$bin/lm-train" --data "$root/data" --output "$root/usr1" --steps 100000 \
  "${options[@]}" >"$root/log/usr1" 2>&1 &
step=$!
until grep -q '^step ' "$root/log/usr1" 2>/dev/null; do sleep 0.2; done
scancel -s USR1 --name usr1
code=0
wait $step || code=$?
grep -q 'stopped after step' "$root/log/usr1" || fail "USR1 did not save"
echo "USR1: $(grep -o 'stopped after step [0-9,]*' "$root/log/usr1"), exit code of srun $code"

echo "== scripts/slurm/train.sbatch through several jobs"
# Slurm counts time in minutes: every job is told to end earlier.
mkdir -p "$root/bin"
cat >"$root/bin/lm-train" <<S
#!/bin/sh
exec $bin/lm-train --minutes 0.12 "\$@"
S
chmod +x "$root/bin/lm-train"
# So many steps that a job or two are told to end before the last, on a fast machine as on a busy one.
begun=$(date +%s%N)
"$bin/lm-train" --data "$root/data" --output "$root/timed" --steps 200 "${options[@]}" >/dev/null 2>&1
took=$((($(date +%s%N) - begun) / 1000000))
steps=${STEPS:-$((200 * 20000 / took))}
PATH=$root/bin:$PATH sbatch --time 5 --ntasks-per-node 2 --export ALL,DATA="$root/data",RUN="$root/jobs",SLURM_CPUS_PER_TASK=1 \
  --output "$root/log/jobs" scripts/slurm/train.sbatch --steps "$steps" "${options[@]}" >/dev/null
begun=$(date +%s)
until grep -q '^finished' "$root/log/jobs" 2>/dev/null; do
  (($(date +%s) - begun < ${SECONDS_AT_MOST:-600})) || { tail -5 "$root/log/jobs"; squeue; fail "the jobs did not finish"; }
  sleep 2
  # A job that was requeued waits two minutes; not less than it takes the last one to be gone.
  waiting=$(squeue -h -t PD -o %i)
  if [[ -n $waiting ]]; then
    sleep 15
    scontrol update JobId="$waiting" StartTime=now 2>/dev/null || true
  fi
done
"$bin/lm-train" --data "$root/data" --output "$root/long" --steps "$steps" "${options[@]}" >/dev/null 2>&1
last=$(printf '%08d' "$steps")
[[ $(weights "$root/jobs" "$last") == $(weights "$root/long" "$last") ]] || fail "the jobs gave other bits"
stopped=$(grep -c '^stopped after' "$root/log/jobs" || true)
((stopped > 0)) || fail "no job was told to end before the run had: give more STEPS"
echo "$stopped jobs stopped in time, the last one finished; the bits of one"
echo "check-slurm: all as it should be"
