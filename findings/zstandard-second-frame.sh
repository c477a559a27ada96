#!/usr/bin/env bash
set -euo pipefail
# zstandard 0.25.0 (Python): of a file with two frames, ZstdDecompressor.read_to_iter and decompress give the
# first and end as if that were all, while stream_reader, copy_stream and open give both, though
# the manual says of stream_reader that it stops after one frame unless it is told not to.
# One expects what the program zstd does: all frames, always, or an error about bytes that are left over.
# Shards of text are joined with cat and written by several threads (pzstd), one frame each: a loader
# that reads them chunk by chunk trains on the first part of every file and reports no trouble.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check zstandard==0.25.0

cd "$work"
venv/bin/python - <<'PYTHON'
import io
import sys
import zstandard

print("zstandard", zstandard.__version__)
first, second = b"one sentence\n" * 100_000, b"another one\n" * 100_000
with open("shard.zst", "wb") as shard:
    for part in (first, second):
        shard.write(zstandard.compress(part))

def file():
    return open("shard.zst", "rb")

decompressor = zstandard.ZstdDecompressor
copy = io.BytesIO()
decompressor().copy_stream(file(), copy)
found = {
    "open": zstandard.open("shard.zst", "rb").read(),
    "copy_stream": copy.getvalue(),
    "stream_reader": decompressor().stream_reader(file()).read(),
    "read_to_iter": b"".join(decompressor().read_to_iter(file())),
    "decompress": decompressor().decompress(file().read()),
}
for name, text in found.items():
    frames = {first: 1, first + second: 2}.get(text, 0)
    print(f"{name}: {len(text)} of {len(first + second)} bytes, frames: {frames}")
    if frames != (1 if name in ("read_to_iter", "decompress") else 2):
        sys.exit(f"no longer so: {name}")
PYTHON
