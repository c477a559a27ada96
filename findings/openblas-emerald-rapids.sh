#!/usr/bin/env bash
set -euo pipefail
# numpy 1.26.4 (OpenBLAS 0.3.23.dev): on an Intel Xeon of the Emerald Rapids generation (2023; family 6, model 207)
# OpenBLAS takes its kernels for "Prescott", of 2004, with vectors of four floats, though the processor has AVX2 and
# AVX-512. On Sapphire Rapids, the generation before (model 143), the same file takes kernels for AVX2 or AVX-512.
# Nothing is printed. One expects a processor that the table of models lacks to be served by what it can do.
# A matrix product on such a machine, in a container with the versions of 2023, has a fifth of the speed; a share of
# the peak measured by it comes to 500 %. numpy 2.3.5 knows the model; OPENBLAS_CORETYPE=SkylakeX helps the old one.
# Shown with an emulator of processors, QEMU 7.2 or later, which has AVX2 and no AVX-512, so that any x86-64 will do.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset OPENBLAS_CORETYPE
qemu=$(command -v qemu-x86_64-static || command -v qemu-x86_64 || true)
if [[ -z $qemu ]]; then
  mkdir emulator
  (cd emulator && apt-get download qemu-user-static >/dev/null 2>&1 && dpkg -x qemu-user-static*.deb .) || {
    echo "this script needs QEMU's qemu-x86_64, or Debian's apt-get to fetch qemu-user-static" >&2
    exit 1
  }
  qemu=$work/emulator/usr/bin/qemu-x86_64-static
fi
python3 -m venv venv
python=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')
for release in 1.26.4 2.3.5; do
  venv/bin/pip download -q --no-deps --only-binary=:all: --python-version 3.11 --implementation cp \
    --abi cp311 --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 -d wheels "numpy==$release"
  python3 -m zipfile -e wheels/numpy-$release-*.whl "$release"
done
cat >core.py <<'PYTHON'
import ctypes
import glob
import sys

library = ctypes.CDLL(glob.glob(f"{sys.argv[1]}/numpy.libs/lib*openblas*")[0])
for prefix in ("scipy_", ""):
    try:
        core = getattr(library, f"{prefix}openblas_get_corename64_")
    except AttributeError:
        continue
    core.restype = ctypes.c_char_p
    print(core().decode())
    break
PYTHON
"$qemu" --version | head -n 1
kernels() { # kernels RELEASE MODEL: what OpenBLAS takes on an emulated processor
  LD_LIBRARY_PATH=$work/$1/numpy.libs "$qemu" -cpu "max,vendor=GenuineIntel,family=6,model=$2,stepping=2" \
    "$python" core.py "$work/$1" 2>/dev/null
}
failed=0
expect() { # expect RELEASE MODEL WHAT KERNELS
  local found
  found=$(kernels "$1" "$2") || found="nothing: the emulator ended with an error"
  echo "numpy $1 on model $2, $3, with AVX2: kernels for $found"
  if [[ $found != "$4" ]]; then
    echo "no longer so: expected kernels for $4" >&2
    failed=1
  fi
}
expect 1.26.4 143 "Sapphire Rapids" Haswell
expect 1.26.4 207 "Emerald Rapids" Prescott
expect 2.3.5 207 "Emerald Rapids" Haswell
exit "$failed"
