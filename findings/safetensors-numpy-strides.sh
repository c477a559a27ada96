#!/usr/bin/env bash
set -euo pipefail
# safetensors 0.8.0 for NumPy: save and save_file write the memory of an array that is not contiguous
# (a transposed matrix, every second column) in the order it lies there, under the shape of the view.
# 0.7.0 wrote the values that the array shows, as one expects, and torch users get a refusal. The manual
# does ask for contiguous arrays, but it did so before, when views were saved rightly.
# Nothing is said: a weight exported as W.T is read back with right shape and wrong values, so the
# checkpoint loads, scores badly, and looks like a badly trained model.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 0.7.0 0.8.0; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install -q --no-compile --disable-pip-version-check \
    "safetensors==$version" numpy==2.4.6
done

cd "$work"
cat >views.py <<'PYTHON'
import sys
import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

version = safetensors.__version__
print("safetensors", version, "numpy", np.__version__)
weight = np.arange(6, dtype=np.float32).reshape(2, 3)
views = {"transposed": weight.T, "columns": weight[:, ::2]}
save_file(views, "views.safetensors")
for how, read in {"save_file": load_file("views.safetensors"), "save": load(save(views))}.items():
    for name, expected in views.items():
        print(f"  {how}, {name}: saved {expected.tolist()}, read {read[name].tolist()}")
        if read[name].shape != expected.shape:
            sys.exit(f"no longer so: {name} has another shape")
        if np.array_equal(read[name], expected) != (version == "0.7.0"):
            sys.exit(f"no longer so: {name} is right in {version}, or wrong in 0.7.0 too")

copies = {name: np.ascontiguousarray(view) for name, view in views.items()}
for name, read in load(save(copies)).items():
    if not np.array_equal(read, views[name]):
        sys.exit(f"no longer so: the contiguous copy of {name} is wrong too")
print("  contiguous copies are read as they were saved")
PYTHON
0.7.0/bin/python views.py
0.8.0/bin/python views.py
