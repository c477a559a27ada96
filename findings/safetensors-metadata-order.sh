#!/usr/bin/env bash
set -euo pipefail
# safetensors 0.8.0: the same tensors and the same metadata, saved by two processes, are two different
# files, because the keys of __metadata__ are written in the order of a randomly seeded hash table.
# One expects equal bytes: the tensors are sorted, and a file with one key (the "format" that
# transformers writes) hides it. With two keys or more a checksum of the file cannot prove
# that a run was repeated, and stores that share equal files keep every copy.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6

cat >"$work/save.py" <<'PYTHON'
import sys
import numpy as np
from safetensors.numpy import save_file

keys = int(sys.argv[1])
metadata = {f"key{i}": str(i) for i in range(keys)}
save_file({"weight": np.zeros(4, np.float32)}, sys.argv[2], metadata=metadata)
PYTHON
cd "$work"
venv/bin/python -c 'import safetensors; print("safetensors", safetensors.__version__)'
different() { # different KEYS: how many different files four processes write
  for i in {1..4}; do venv/bin/python save.py "$1" "$1-$i.safetensors"; done
  sha256sum "$1"-*.safetensors | cut -d' ' -f1 | sort -u | wc -l
}
one=$(different 1)
many=$(different 12)
echo "four processes wrote $one different files with 1 key of metadata, $many with 12 keys"
head -c 90 12-1.safetensors | tail -c 82; echo
head -c 90 12-2.safetensors | tail -c 82; echo
if ((one != 1 || many < 2)); then
  echo "no longer so: metadata has an order" >&2
  exit 1
fi
