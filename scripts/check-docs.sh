#!/usr/bin/env bash
# Makes the documentation of every module with DocC out of the release build; a warning is an error.
#
#   scripts/check-docs.sh [FOLDER]     FOLDER: where MODULE.doccarchive land, to be served or read;
#                                      without it they are only checked
#
# Needs a release build; swift-symbolgraph-extract and docc are parts of Swift.
set -euo pipefail
cd "$(dirname "$0")/.."
# WideCPUBackend is CPUBackend once more.
modules=(Storage Machine Deterministic Communication Tensor Host CPUBackend GPUBackend OracleBackend
  DeviceCheck Backends Roofline LMData Tokenize Model Eval Train Report Bench CommandSupport)
bin=${BIN:-$(swift build -c release --show-bin-path)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
output=${1:-$work/archives}
mkdir -p "$output"

flags=()
for map in Sources/*/module.modulemap "$bin"/*.build/module.modulemap; do
  if [[ -e $map ]]; then flags+=(-Xcc "-fmodule-map-file=$map"); fi
done
for flag in $(pkg-config --cflags openblas libzstd); do flags+=(-Xcc "$flag"); done
target=$(swift -print-target-info | sed -n 's/.*"unversionedTriple": *"\(.*\)".*/\1/p' | head -n 1)
for module in "${modules[@]}"; do
  mkdir "$work/$module"
  swift-symbolgraph-extract -module-name "$module" -target "$target" -I "$bin/Modules" "${flags[@]}" \
    -minimum-access-level package -output-dir "$work/$module"
  # Members of the standard library's types are not ours to document.
  rm -f "$work/$module/"*@*
  [[ -s $work/$module/$module.symbols.json ]] || {
    echo "check-docs: FAILED: no symbols of $module; build with swift build -c release" >&2
    exit 1
  }
  docc convert --fallback-display-name "$module" \
    --fallback-bundle-identifier "billion-word-trainer.$module" \
    --additional-symbol-graph-dir "$work/$module" --output-path "$output/$module.doccarchive" \
    --warnings-as-errors
done
echo "check-docs: ${#modules[@]} modules documented without a warning"
