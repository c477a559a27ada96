#!/usr/bin/env bash
# What processes cost each other, on this host and over a link of a known rate: two network namespaces
# with a host name each and a token bucket between them (root). Two cores that do nothing else are wanted.
#
#   scripts/check-link.sh [FOLDER] [loopback] [link] [steps] [cores]     (all)
#
# DATA is a data folder of lm-tokenize; without it a small one is made, of short sentences, whose steps are
# short too. LIBRARIES are of ompi4, mpich5 (both); MPICH 5 is a wheel, put into FOLDER (/tmp/check-mpi).
# RATES are in Gbit/s (1 10), ROUNDS how often everything is repeated in turn (5).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/parts/toy-text.sh
root=$(mkdir -p "${1:-/tmp/check-mpi}" && cd "${1:-/tmp/check-mpi}" && pwd)
shift || true
[[ $# -gt 0 ]] || set -- loopback link steps cores
bin=$(cd "${BIN:-$(swift build -c release --show-bin-path)}" && pwd)
work=$(mktemp -d)
clean() {
  ip netns del lm-a 2>/dev/null || true
  ip netns del lm-b 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
. scripts/setup.sh openmpi-bin libopenmpi3 iproute2
[[ -d $root/mpich ]] || { python3 -m venv "$root/mpich" && "$root/mpich/bin/pip" install -q mpich==5.0.2; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
libraries=${LIBRARIES:-ompi4 mpich5}
rounds=${ROUNDS:-5}
steps=${STEPS:-40}

data=${DATA:-$work/data}
if [[ -z ${DATA:-} ]]; then
  toy_text 60000 7 >"$work/text"
  "$bin/lm-tokenize" --train "$work/text" --split-valid 0.01 --vocab-size 300 --output "$data" >/dev/null 2>&1
fi

# Stands for ssh: HOST COMMAND...; a host is a namespace, its name that of the address.
cat >"$work/ssh" <<S
#!/bin/bash
while [[ \$1 == -* ]]; do case \$1 in -l | -p | -o) shift ;; esac; shift; done
case \$1 in 10.77.0.1) host=a ;; *) host=b ;; esac
shift
exec ip netns exec lm-\$host unshare -u /bin/bash -c "hostname \$host; cd $work; \$*"
S
chmod +x "$work/ssh"

network() { # network GBIT: two namespaces and the link between them
  ip netns del lm-a 2>/dev/null || true
  ip netns del lm-b 2>/dev/null || true
  ip netns add lm-a
  ip netns add lm-b
  ip link add eth0 netns lm-a type veth peer name eth0 netns lm-b
  local host place=1
  for host in a b; do
    ip -n lm-$host addr add 10.77.0.$((place++))/24 dev eth0
    ip -n lm-$host link set eth0 up
    ip -n lm-$host link set lo up
    ip netns exec lm-$host tc qdisc add dev eth0 root tbf rate "$1gbit" burst "$((128 * $1))kb" latency 10ms
  done
  # UCX knows no device that is not up yet, which it is some time after it has been told to be.
  for host in a b; do
    until ip -n lm-$host link show eth0 | grep -q "state UP"; do sleep 0.1; done
  done
}

over() { # over LIBRARY COMMAND...: two ranks, one in each namespace
  local launch
  case $1 in
    ompi4)
      launch="mpirun.openmpi --mca plm_rsh_agent $work/ssh --mca btl tcp,self --mca pml ob1
        --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24
        --host 10.77.0.1:1,10.77.0.2:1 --bind-to none -n 2"
      ;;
    # Without these UCX goes past the network, as both hosts are one.
    mpich5)
      launch="env UCX_TLS=tcp UCX_NET_DEVICES=eth0 $root/mpich/bin/mpiexec -launcher ssh
        -launcher-exec $work/ssh -hosts 10.77.0.1,10.77.0.2 -iface eth0 -n 2"
      ;;
  esac
  shift
  ip netns exec lm-a unshare -u /bin/bash -c "hostname a; cd $work; exec ${launch//$'\n'/ } $*"
}

here() { # here LIBRARY CORES COMMAND...: two ranks on this host
  case $1 in
    ompi4) mpirun.openmpi --oversubscribe --bind-to "$2" -n 2 "${@:3}" ;;
    mpich5) "$root/mpich/bin/mpiexec" -n 2 "${@:3}" ;;
  esac
}

number() { # number KEY: of a line of JSON on standard input
  sed -nE "s/.*\"$1\" ?: ?([0-9.e+-]+).*/\1/p" | tail -1
}

median() { sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

do_loopback() {
  echo "== exchange between two processes of this host: numbers, best and mean in ms"
  local name numbers all
  for name in $libraries; do
    for numbers in 100000 1000000 5000000 20000000 53000000; do
      all=$(here "$name" core "$bin/lm-bench" exchange --json --shares 2 --threads 1 --calls 12 --numbers $numbers)
      echo "$name $numbers $(number bestMilliseconds <<<"$all") $(number meanMilliseconds <<<"$all")"
    done
  done
}

do_link() {
  echo "== exchange of 53 M numbers over a link: bound, best, mean in ms, mean / bound"
  local rate name all mean
  for rate in ${RATES:-1 10}; do
    network "$rate"
    for name in $libraries; do
      all=$(over "$name" "$bin/lm-bench" exchange --json --shares 2 --threads 1 --calls 6 --numbers 53000000)
      mean=$(number meanMilliseconds <<<"$all")
      awk -v n="$name" -v r="$rate" -v b="$(number bestMilliseconds <<<"$all")" -v m="$mean" \
        'BEGIN { bound = 53e6 * 32 / r / 1e6; printf "%s %s Gbit/s: %.0f %.0f %.0f %.3f\n", n, r, bound, b, m, m / bound }'
    done
  done
}

# Preset and shape are those of RUN_OPTIONS.
train() { # train OPTIONS...: the command
  rm -rf "$work/run"
  # shellcheck disable=SC2206
  train=("$bin/lm-train" --data "$data" --output "$work/run" ${RUN_OPTIONS:---preset news-plain} --steps "$steps"
    --warmup 5 --validate-every 0 --validation-sequences 10 --checkpoint-every 0 --log-every "$steps" "$@")
}

speed() { # tokens a second of the run that has just ended
  grep '"kind":"train"' "$work/run/metrics.jsonl" | number tokensPerSecond
}

do_cores() {
  echo "== two processes of one thread / one process of two, tokens a second, in turn"
  local round name
  for ((round = 0; round < rounds; round++)); do
    train --threads 2
    "${train[@]}" >/dev/null 2>&1
    speed >>"$work/one"
    for name in $libraries; do
      train --threads 1 --gradient-shares 2
      here "$name" core "${train[@]}" >/dev/null 2>&1
      speed >>"$work/two-$name"
    done
  done
  echo "one process: $(tr '\n' ' ' <"$work/one")"
  for name in $libraries; do
    echo "$name: $(tr '\n' ' ' <"$work/two-$name")median of ratios $(paste "$work/two-$name" "$work/one" |
      awk '{ print $1 / $2 }' | median)"
  done
}

# The model of docs/scale.md: the weights travel when nobody computes; so do the gradients of the embedding and
# of the first layer, which the backward pass finishes last; all others beside the backward pass.
do_steps() {
  echo "== a step over a link: seconds without and with it, excess, excess of the model, excess / model"
  local rate name round tokens plan weights layers table
  train --threads 1 --gradient-shares 2 --dry-run
  plan=$("${train[@]}" 2>&1)
  weights=$(sed -nE 's/^parameters +([0-9,]+).*/\1/p' <<<"$plan" | tr -d ,)
  layers=$(sed -nE 's/^model +([0-9,]+) layers?.*/\1/p' <<<"$plan" | tr -d ,)
  table=$(sed -nE 's/^model .* of ([0-9,]+), .* ([0-9,]+) tokens.*/\1 \2/p' <<<"$plan" | tr -d , |
    awk '{ print $1 * $2 }')
  for rate in ${RATES:-1 10}; do
    network "$rate"
    for name in $libraries; do
      : >"$work/near"
      : >"$work/far"
      for ((round = 0; round < rounds; round++)); do
        train --threads 1 --gradient-shares 2
        here "$name" core "${train[@]}" >/dev/null 2>&1
        speed >>"$work/near"
        train --threads 1 --gradient-shares 2
        over "$name" "${train[@]}" >/dev/null 2>&1
        speed >>"$work/far"
      done
      tokens=$(grep '"kind":"train"' "$work/run/metrics.jsonl" | tail -1 | number tokens)
      # 0.946 of the link is left beside the headers of Ethernet, IP and TCP.
      awk -v name="$name" -v rate="$rate" -v near="$(median <"$work/near")" -v far="$(median <"$work/far")" \
        -v tokens="$tokens" -v steps="$steps" -v weights="$weights" -v table="$table" \
        -v layers="$layers" 'BEGIN {
          n = tokens / steps; compute = n / near; step = n / far
          bytes = 0.946 * rate * 1e9 / 8
          beside = 2 * (weights - table) / bytes - 2 / 3 * compute
          first = 2 * (weights - table) / layers / bytes
          excess = 2 * weights / bytes + 2 * table / bytes + (beside > first ? beside : first)
          printf "%s %s Gbit/s: %.4f %.4f %.4f %.4f %.3f\n", name, rate, compute, step, step - compute, excess,
            (step - compute) / excess }'
    done
  done
}

for part in "$@"; do "do_$part"; done
