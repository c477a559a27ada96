#!/usr/bin/env bash
# Installs the Debian packages that the build needs, if they are missing. Sourced or run.
set -euo pipefail

packages=(libopenblas-dev libsentencepiece-dev libzstd-dev pkg-config)
packages+=("$@")
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
