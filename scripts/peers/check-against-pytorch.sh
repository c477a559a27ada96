#!/usr/bin/env bash
# Compares a checkpoint with PyTorch: logits, gradients, 50 AdamW steps, nats of 200 sentences.
#
#   scripts/peers/check-against-pytorch.sh CHECKPOINT DATA
#
# CHECKPOINT: a run folder or one step; DATA: the folder of shards it was trained on. PyTorch is
# installed into a throw-away environment (several GB) unless PYTHON names one that has torch,
# transformers, sentencepiece and safetensors.
set -euo pipefail
cd "$(dirname "$0")/../.."
if (($# != 2)); then
  sed -n '2,8p' "$0" | cut -c3-
  exit 2
fi
checkpoint=$1
data=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ -z ${PYTHON:-} ]]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install -q torch transformers sentencepiece safetensors numpy
  PYTHON=$work/venv/bin/python
fi

# The newest good one of a run, once for all that read it.
checkpoint=$(PYTHONPATH=scripts/reference "$PYTHON" -c \
  'import score, sys; print(score.checkpoint_folder(sys.argv[1]))' "$checkpoint")
swift build -c release --product lm-bench
swift build -c release --product lm-eval
bin=$(swift build -c release --show-bin-path)
"$bin/lm-bench" twin --checkpoint "$checkpoint" --data "$data" --output "$work/twin.safetensors"
"$bin/lm-eval" score --checkpoint "$checkpoint" --data "$data" --split test \
  --per-token --output "$work/scores.tsv"
head -n 201 "$work/scores.tsv" >"$work/first.tsv"
"$PYTHON" scripts/reference/torch_twin.py "$checkpoint" "$work/twin.safetensors" "$work/first.tsv"
