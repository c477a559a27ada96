#!/usr/bin/env bash
# Brings NVIDIA's libraries for a card into .cuda of this project; called by scripts/setup.sh.
#
#   scripts/parts/cuda-libraries.sh --cuda            NVRTC and cuBLASLt: some 450 MB to fetch, 700 MB on disk
#   scripts/parts/cuda-libraries.sh --cuda-compiler   NVRTC alone: some 60 MB, and 150 MB
#   scripts/parts/cuda-libraries.sh --nccl            NCCL: some 200 to 300 MB, and 350 MB
#
# The wheels of PyPI are opened as the archives that they are; no Python package is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$PWD/.cuda

fail() {
  echo "setup: error: $*" >&2
  exit 1
}
case ${1:-} in
  --cuda) parts=(nvrtc cublas) ;;
  --cuda-compiler) parts=(nvrtc) ;;
  --nccl) parts=(nccl) ;;
  *) sed -n '2,8p' "$0" | cut -c3- >&2; exit 2 ;;
esac
command -v python3 >/dev/null || fail "python3 is not on the PATH; install it, or fetch the wheels by hand"
python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip; install python3-pip first"

# A driver serves libraries of its own version and of older ones: 580 and later CUDA 13, 525 CUDA 12.
driver=$(sed -n 's/^NVRM version:.* \([0-9]\{3,\}\)\.[0-9.]*.*/\1/p' /proc/driver/nvidia/version 2>/dev/null || true)
major=${CUDA_MAJOR:-}
if [[ -z $major ]]; then
  if [[ -n $driver ]] && ((driver < 525)); then
    fail "the driver is $driver, expected 525 or newer; install a newer one"
  elif [[ -n $driver ]] && ((driver < 580)); then
    major=12
  else
    major=13
  fi
fi
# The oldest of a major version runs with every driver of it.
case $major in
  13) nvrtc=nvidia-cuda-nvrtc==13.0.88 cublas=nvidia-cublas==13.0.2.14 nccl=nvidia-nccl-cu13==2.27.7 ;;
  12) nvrtc=nvidia-cuda-nvrtc-cu12==12.4.127 cublas=nvidia-cublas-cu12==12.4.5.8 nccl=nvidia-nccl-cu12==2.21.5 ;;
  *) fail "CUDA_MAJOR is $major, expected 12 or 13" ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/cuda.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$target"
for part in "${parts[@]}"; do
  wanted=${!part}
  if [[ $(cat "$target/$part.version" 2>/dev/null) == "$wanted" ]]; then continue; fi
  echo "Fetching $wanted"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$wanted" || fail "$wanted could not be fetched from PyPI"
  python3 - "$work" "$target" "$part" <<'PYTHON'
import glob, os, sys, zipfile

work, target, part = sys.argv[1:]
wanted = {"nvrtc": "libnvrtc", "cublas": "libcublasLt.so", "nccl": "libnccl.so"}[part]
for wheel in glob.glob(work + "/*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            file = os.path.basename(name)
            if "/lib/" in name and file.startswith(wanted) and ".alt." not in file:
                # Whole under its name, or not there.
                partial = f"{target}/.{file}.partial"
                with archive.open(name) as source, open(partial, "wb") as copy:
                    while block := source.read(1 << 24):
                        copy.write(block)
                os.chmod(partial, 0o755)
                os.replace(partial, f"{target}/{file}")
    os.remove(wheel)
PYTHON
  echo "$wanted" >"$target/$part.version"
done
echo "NVIDIA's libraries are in $target: $(cd "$target" && ls lib* | tr '\n' ' ')"
