#!/usr/bin/env bash
set -euo pipefail
# Swift 6.3.1: `@inlinable package` on a member of a type that is only `package` has no effect. In a release
# build the other modules of the package call the function, and a generic one is not even specialised.
# One expects it to be inlined, as it is in a type that is public or `@usableFromInline package`,
# and as an `@inlinable package` function outside any type is; or else a warning, and there is none.
# Three flags for optimisation across modules change nothing. Code that moves into a module of its own becomes
# slower though no line of it changed: here by a tenth, and 30 times where the helper is generic.
# `@usableFromInline` on the type cures it, and the type stays inside the package.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
VERSION=6.3.1
swift --version 2>/dev/null | head -1 | grep -F "$VERSION" || { echo "this is about Swift $VERSION" >&2; exit 1; }
mkdir -p Sources/Mixing Sources/loops
cat >Package.swift <<'SWIFT'
// swift-tools-version: 6.2
import PackageDescription
let package = Package(
  name: "loops",
  targets: [
    .target(name: "Mixing"),
    .executableTarget(name: "loops", dependencies: ["Mixing"]),
  ])
SWIFT
# Every function has a constant of its own, so that the compiler does not merge those that are alike.
{
  echo '@inlinable package func mixFree(_ x: UInt64) -> UInt64 { (x ^ (x >> 31)) &* 11 }'
  constant=11
  for type in 'package enum Plain' '@usableFromInline package enum Usable' 'public enum Public'; do
    constant=$((constant + 2))
    cat <<SWIFT
$type {
  @inlinable package static func mix(_ x: UInt64) -> UInt64 { (x ^ (x >> 30)) &* $constant }
  @inlinable package static func mixAny<T: FixedWidthInteger>(_ x: T) -> T { (x ^ (x >> 29)) &* $constant }
}
SWIFT
  done
} >Sources/Mixing/Mixing.swift
{
  echo 'import Mixing'
  for name in mixFree {Plain,Usable,Public}.{mix,mixAny}; do
    cat <<SWIFT
do {
  var sum = UInt64(CommandLine.arguments.count)
  let time = ContinuousClock().measure { for x in 0..<10_000_000 { sum = $name(sum ^ UInt64(x)) } }
  print("  $name: \(Double(Int(time / .nanoseconds(1_000_000))) / 10) ns a call, result \(sum)")
}
SWIFT
  done
} >Sources/loops/main.swift

for flags in "" -package-cmo -cross-module-optimization "-Xfrontend -enable-cmo-everything"; do
  rm -rf .build
  # shellcheck disable=SC2046,SC2086
  swift build -c release $(printf -- "${flags:+-Xswiftc %s }" $flags) >log 2>&1 || { cat log; exit 1; }
  if grep -E "warning|error" log; then
    echo "no longer so: the compiler says something" >&2
    exit 1
  fi
  called=$(nm --undefined-only .build/release/loops.build/main.swift.o | swift demangle --simplified |
    grep -oE "mixFree|(Plain|Usable|Public)\.mix\w*" | sort | xargs)
  echo "flags ${flags:-none}: the module calls ${called:-nothing}, the rest is inlined"
  if [[ $called != "Plain.mix Plain.mixAny" ]]; then
    echo "no longer so: others are called, or these two are not" >&2
    exit 1
  fi
  [[ -n $flags ]] || .build/release/loops
done
