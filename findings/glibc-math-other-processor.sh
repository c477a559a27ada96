#!/usr/bin/env bash
set -euo pipefail
# glibc 2.36, x86-64: sin, cos, log, exp and others take one path on a processor with FMA and another on one
# without, and the last bit of the result differs now and then. random.gauss of Python 3.11 calls them, so
# the same seed gives other numbers; random.random and sqrt are the same everywhere.
# One expects the same container, program and seed to give the same bits on every x86-64 machine.
# Emulators and virtual machines may lack FMA: a digest, a checksum or a log of float64 figures that was recorded
# on one does not hold on the other. Rounded to float32, the numbers agree. GLIBC_TUNABLES shows the other path.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ $(uname -m) != x86_64 ]] || ! grep -qw fma /proc/cpuinfo; then
  echo "this script needs an x86-64 processor with FMA" >&2
  exit 1
fi
cd "$work"
cat >draw.py <<'PYTHON'
import array
import math
import random
import sys

points = random.Random(1)
draws = random.Random(2)
calls = {
    "sqrt": lambda: math.sqrt(points.uniform(0, 30)),
    "sin": lambda: math.sin(points.uniform(0, 30)),
    "log": lambda: math.log(points.uniform(0, 30)),
    "exp": lambda: math.exp(points.uniform(0, 30)),
    "random.random": draws.random,
    "random.gauss": lambda: draws.gauss(0, 1),
}
for name, call in calls.items():
    with open(f"{sys.argv[1]}.{name}", "wb") as file:
        array.array("d", (call() for _ in range(100_000))).tofile(file)
PYTHON
cat >compare.py <<'PYTHON'
import array
import platform
import sys

def read(name, kind="d"):
    with open(name, "rb") as file:
        return array.array(kind, array.array("d", file.read()))

print(*platform.libc_ver(), "python", platform.python_version())
for name in ("sqrt", "sin", "log", "exp", "random.random", "random.gauss"):
    if read(f"fma.{name}") != read(f"again.{name}"):
        sys.exit(f"no longer so: {name} differs between two runs with FMA")
    differ, rounded = (
        sum(map(lambda a, b: a != b, read(f"fma.{name}", kind), read(f"other.{name}", kind))) for kind in "df"
    )
    print(f"{name}: of 100000 numbers {differ} differ without FMA, {rounded} of them rounded to float32")
    if (differ > 0) == (name in ("sqrt", "random.random")) or rounded:
        sys.exit(f"no longer so: {name}")
PYTHON
python3 draw.py fma
python3 draw.py again
GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA,-AVX2 python3 draw.py other
python3 compare.py
