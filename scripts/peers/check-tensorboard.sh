#!/usr/bin/env bash
# Trains a tiny run, stops it, takes it up again, and lets the real tensorboard package read what
# was written: every scalar must be that of metrics.jsonl, every step be there once, and a file that
# was cut anywhere keep its good beginning.
#
#   scripts/peers/check-tensorboard.sh [RUN]     RUN: read this run instead of a tiny one
#
# Needs release builds of lm-tokenize and lm-train, and Python with tensorboard: that of PYTHON if it
# is set, else python3, else of an environment that is made in .build. Where it cannot be had it says
# so and checks nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=$PWD/.build/tensorboard-python

usable() { "$1" -c 'from tensorboard.backend.event_processing import event_accumulator' 2>/dev/null; }

if [[ -z ${PYTHON:-} ]]; then
  for PYTHON in python3 "$environment/bin/python" ""; do
    if [[ -n $PYTHON ]] && usable "$PYTHON"; then break; fi
  done
fi
if [[ -z $PYTHON ]]; then
  if ! { { python3 -m venv "$environment" || { scripts/setup.sh python3-venv &&
    python3 -m venv "$environment"; }; } &&
    "$environment/bin/pip" install -q --disable-pip-version-check tensorboard; }; then
    echo "check-tensorboard: SKIPPED, the Python package tensorboard cannot be had here;" \
      "set PYTHON to an interpreter that has it" >&2
    exit 0
  fi
  PYTHON=$environment/bin/python
fi
usable "$PYTHON" || {
  echo "check-tensorboard: $PYTHON lacks the package tensorboard" >&2
  exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if (($# > 0)); then
  run=$1
else
  bin=${BIN:-$(swift build -c release --show-bin-path)}
  run=$work/run
  awk 'BEGIN { for (i = 0; i < 2000; i++) print "the king saw the river " i % 37 " times ." }' \
    >"$work/text"
  quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
  quietly "$bin/lm-tokenize" --train "$work/text" --split-valid 0.1 --vocab-size 290 \
    --model-type bpe --output "$work/data"
  train=("$bin/lm-train" --data "$work/data" --output "$run")
  "${train[@]}" --layers 1 --width 16 --heads 2 --hidden 32 --steps 600 --batch-tokens 100 \
    --log-every 5 --validate-every 100 --checkpoint-every 50 --validation-sequences 20 \
    >"$work/log" 2>&1 &
  pid=$!
  # Killed in the middle of it, so that there are events past the last checkpoint.
  until compgen -G "$run/step-*" >/dev/null; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  sleep 0.1
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  quietly "${train[@]}" --resume
fi

"$PYTHON" - "$run" "$work" <<'PYTHON'
import glob, json, os, shutil, struct, sys

from tensorboard.backend.event_processing import event_accumulator

run, work = sys.argv[1], sys.argv[2]
(file,) = glob.glob(os.path.join(run, "*tfevents*"))


def read(folder):
    accumulator = event_accumulator.EventAccumulator(folder, size_guidance={"scalars": 0})
    accumulator.Reload()
    return {
        tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
        for tag in accumulator.Tags()["scalars"]
    }


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


names = {
    "natsPerToken": "nats_per_token", "wordPerplexity": "word_perplexity",
    "learningRate": "learning_rate", "gradientNorm": "gradient_norm",
    "tokensPerSecond": "tokens_per_second", "peakFraction": "peak_fraction",
    "trainedSeconds": "trained_seconds", "tokens": "tokens", "skippedSteps": "skipped_steps",
}
expected = {}
for line in open(os.path.join(run, "metrics.jsonl")):
    entry = json.loads(line)
    for key, name in names.items():
        if key in entry:
            tag = f"{entry['kind']}/{name}"
            expected.setdefault(tag, []).append((entry["step"], single(entry[key])))

found = read(run)
assert found.keys() == expected.keys(), (sorted(found), sorted(expected))
for tag, points in expected.items():
    steps = [step for step, _ in points]
    assert steps == sorted(set(steps)), f"{tag}: a step of metrics.jsonl is there twice"
    assert found[tag] == points, f"{tag}: {found[tag][:3]} ... instead of {points[:3]} ..."

# Cut off anywhere, what is read is a beginning of the whole.
data = open(file, "rb").read()
cuts = sorted({len(data) * part // 23 for part in range(1, 23)} | {len(data) - 1})
for cut in cuts:
    folder = os.path.join(work, f"cut-{cut}")
    os.mkdir(folder)
    with open(os.path.join(folder, os.path.basename(file)), "wb") as output:
        output.write(data[:cut])
    for tag, points in read(folder).items():
        assert points == expected[tag][: len(points)], f"{tag} after a cut at {cut}"
    shutil.rmtree(folder)
points = sum(len(points) for points in found.values())
print(f"check-tensorboard: {len(found)} scalars with {points} points read as they were written, "
      f"{len(cuts)} cut files read up to their cut")
PYTHON
