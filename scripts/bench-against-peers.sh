#!/usr/bin/env bash
# Prints this trainer's speed beside PyTorch's, both measured here in alternating runs.
#
#   scripts/bench-against-peers.sh [ROUNDS]
#
# PYTHON names an interpreter that has torch; without it PyTorch is installed into a throw-away
# environment (several hundred MB). CLOCK=processor and THREADS=1 (the defaults) hold on a busy
# machine; on an idle one take CLOCK=wall THREADS=2. Compiling (COMPILE=1) needs a C++ compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3}
clock=${CLOCK:-processor}
threads=${THREADS:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q torch numpy
  PYTHON=$work/venv/bin/python
fi
swift build -c release --product lm-bench >&2
bench=$(swift build -c release --show-bin-path)/lm-bench

# Reads one JSON answer and prints pieces a second.
speed='import json, sys
answer = json.load(sys.stdin)
print((answer[0] if isinstance(answer, list) else answer)["piecesPerSecond"])'

compare() {
  local name=$1 peer_flags=$2
  shift 2
  : >"$work/ours" && : >"$work/peer"
  for _ in $(seq "$rounds"); do
    "$bench" train --json --clock "$clock" --threads "$threads" "$@" |
      "$PYTHON" -c "$speed" >>"$work/ours"
    # shellcheck disable=SC2086
    "$PYTHON" scripts/reference/torch_decoder.py --clock "$clock" --threads "$threads" \
      $peer_flags "$@" | "$PYTHON" -c "$speed" >>"$work/peer"
  done
  "$PYTHON" - "$name" "$work/ours" "$work/peer" <<'PY'
import statistics, sys
ours, peer = (statistics.median(float(line) for line in open(path)) for path in sys.argv[2:])
print(f"{sys.argv[1]:<44}{ours:>12,.0f}{peer:>12,.0f}{ours / peer:>8.2f}")
PY
}

small="--layers 4 --width 256 --heads 4 --hidden 704 --vocabulary 8000 --batch 16 --steps 3"
printf '%-44s%12s%12s%8s\n' "$clock clock, $threads threads, pieces/s" here peer ratio
compare "training step, PyTorch eager" "" --steps 2
if [ -n "${COMPILE:-}" ]; then
  compare "training step, torch.compile" "--compile" --steps 2
fi
compare "scoring, PyTorch eager" "" --steps 3 --forward
# shellcheck disable=SC2086
compare "training step of the small model, eager" "" $small

echo
"$bench" attention --attention softmax hierarchical hierarchical:blockSize=64 \
  --lengths 256 1024 8192 --rounds 3 --clock "$clock" --threads "$threads"
"$PYTHON" scripts/reference/torch_attention.py --lengths 256 1024 8192 --rounds 3 \
  --clock "$clock" --threads "$threads"
