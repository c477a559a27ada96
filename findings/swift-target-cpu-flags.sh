#!/usr/bin/env bash
set -euo pipefail
# SwiftPM 6.3.1: flags for the processor that one target is given (-Xcc -mavx2) hold for other targets too, or
# not even for that one. Both keep a weak copy of every generic of the standard library that they specialise
# alike, here `[Float].sorted()`, and the linker takes the copy of the module whose name comes first.
# One expects the setting of a target to decide about its own code, all of it and no other.
# A program whose kernels alone are built for AVX2, behind a look at the processor, may meet AVX2 before that look
# and die of it on an older machine; and if its modules are renamed, kernels silently lose their instructions.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ $(uname -m) != x86_64 ]]; then
  echo "this script needs an x86-64 machine" >&2
  exit 1
fi
VERSION=6.3.1
swift --version 2>/dev/null | head -1 | grep -F "$VERSION" || { echo "this is about Swift $VERSION" >&2; exit 1; }

# AVX instructions in the specialised `sorted` of an object file or a program.
avx() {
  objdump -d --no-show-raw-insn "$1" | swift demangle --simplified |
    awk '/^[0-9a-f]+ </ { inside = /specialized Sequence.sorted/ } inside && $2 ~ /^v/ { n++ } END { print n + 0 }'
}

for names in "Fast Plain" "Vector Plain"; do
  read -r fast plain <<<"$names"
  mkdir -p "$work/$fast/Sources/"{"$fast","$plain",program}
  cd "$work/$fast"
  cat >Package.swift <<SWIFT
// swift-tools-version: 6.2
import PackageDescription
let package = Package(
  name: "program",
  targets: [
    .target(name: "$fast", swiftSettings: [.unsafeFlags(["-Xcc", "-mavx2"])]),
    .target(name: "$plain"),
    .executableTarget(name: "program", dependencies: ["$fast", "$plain"]),
  ])
SWIFT
  for module in "$fast" "$plain"; do
    echo "public func median$module(_ x: [Float]) -> Float { x.sorted()[x.count / 2] }" \
      >"Sources/$module/Median.swift"
  done
  cat >Sources/program/main.swift <<SWIFT
import $fast
import $plain
let values = CommandLine.arguments.map { Float(\$0.count) }
print(values.count > 1 ? median$fast(values) : median$plain(values))
SWIFT
  swift build -c release >log 2>&1 || { cat log; exit 1; }
  counts="$(avx ".build/release/$fast.build/Median.swift.o") $(avx ".build/release/$plain.build/Median.swift.o")"
  counts+=" $(avx .build/release/program)"
  echo "AVX instructions in sorted, of $fast (-mavx2), of $plain, of the program of both: $counts"
  read -r own other linked <<<"$counts"
  first=$(printf '%s\n' "$fast" "$plain" | sort | head -1)
  expected=$([[ $first == "$fast" ]] && echo "$own" || echo 0)
  if ((own == 0 || other != 0 || linked != expected)); then
    echo "no longer so: each module sorts with code of its own" >&2
    exit 1
  fi
done
