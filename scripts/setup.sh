#!/usr/bin/env bash
# Installs what is missing of what the build and the programs need. Sourced or run.
#
#   scripts/setup.sh [mpi] [PACKAGE...]
#                                      Debian's packages for the build, and those named; mpi is Open MPI,
#                                      with which tests start two real processes
#   scripts/setup.sh --cuda            what a card needs beside NVIDIA's driver: NVRTC and cuBLASLt from
#                                      PyPI, into .cuda of this project; nothing else is touched
#   scripts/setup.sh --cuda-compiler   NVRTC alone, which compiles kernels without a card
#   scripts/setup.sh --nccl            NCCL, by which several cards exchange, from PyPI, into .cuda
#
# CUDA_MAJOR=12 or 13 chooses the version for another machine's driver; without it, that of this
# machine's driver, or 13 if there is none.
set -euo pipefail

if [[ ${1:-} == --cuda* || ${1:-} == --nccl ]]; then
  exec "$(dirname "${BASH_SOURCE[0]}")/parts/cuda-libraries.sh" "$@"
fi

packages=(libopenblas-dev libsentencepiece-dev libzstd-dev pkg-config)
for package in "$@"; do
  case $package in
    mpi) packages+=(openmpi-bin libopenmpi3) ;;
    *) packages+=("$package") ;;
  esac
done
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
    missing+=("$package")
done
if ((${#missing[@]})); then
  echo "Installing ${missing[*]}"
  as_root=()
  if [[ $(id -u) != 0 ]]; then as_root=(sudo); fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
fi
command -v swift >/dev/null || {
  echo "setup: swift is not on the PATH; install Swift 6.3 from swift.org first" >&2
  exit 1
}
