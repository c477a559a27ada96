#!/usr/bin/env bash
set -euo pipefail
# TensorBoard 2.21.0 with its usual data server 0.7.2: after a point whose step is smaller than one already
# read, the server no longer shows the points read before from that step on, and never again. The Python
# readers (--load_fast=false and EventAccumulator) keep all of them.
# One expects a curve with all points, or at least the same points from all readers.
# Evaluations that end out of order (a slow job for step 250 after that for 500, checkpoints
# scored newest first) thus remove measured perplexities from the screen without a word.
work=$(mktemp -d)
server=
cleanup() {
  if [[ -n $server ]]; then kill "$server" || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
  tensorboard==2.21.0 tensorboard-data-server==0.7.2

cd "$work"
venv/bin/python - <<'PYTHON'
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

writer = EventFileWriter("logs/run")
for second, step in enumerate([100, 200, 300, 400, 500, 250]):
    value = Summary.Value(tag="perplexity", simple_value=float(step))
    writer.add_event(
        Event(wall_time=1_700_000_000 + second, step=step, summary=Summary(value=[value])))
writer.close()
PYTHON
cat >ask.py <<'PYTHON'
import json
import sys
import time
import urllib.request

here = urllib.request.build_opener(urllib.request.ProxyHandler({}))
address = f"http://localhost:{sys.argv[1]}/data/plugin/scalars/scalars?run=run&tag=perplexity"
for _ in range(120):
    try:
        points = json.load(here.open(address, timeout=5))
        print(*[step for _, step, _ in points])
        break
    except OSError:
        time.sleep(1)
else:
    sys.exit("the server did not answer")
PYTHON
shown() { # shown FAST: the steps that the server shows; its answer in `steps`
  local port
  port=$(venv/bin/python -c 'import socket
free = socket.create_server(("localhost", 0))
print(free.getsockname()[1])')
  venv/bin/tensorboard --logdir logs --load_fast="$1" --host localhost --port "$port" >"log-$1" 2>&1 &
  server=$!
  steps=$(venv/bin/python ask.py "$port") || { cat "log-$1" >&2; exit 1; }
  kill "$server"
  wait "$server" || true
  server=
}
venv/bin/pip list --disable-pip-version-check 2>/dev/null | grep tensorboard
echo "written: 100 200 300 400 500 250"
read=$(venv/bin/python - <<'PYTHON'
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

print(*[point.step for point in EventAccumulator("logs/run").Reload().Scalars("perplexity")])
PYTHON
)
echo "EventAccumulator: $read"
shown true && fast=$steps && echo "data server: $fast"
shown false && slow=$steps && echo "load_fast=false: $slow"
if [[ $fast != "100 200 250" || $slow != "100 200 300 400 500 250" || $read != "$slow" ]]; then
  echo "no longer so: the readers show something else than that" >&2
  exit 1
fi
