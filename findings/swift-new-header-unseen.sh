#!/usr/bin/env bash
set -euo pipefail
# Swift 6.3.1: a C target without a header of its own name is a module of every header in `include`. A
# header that is added later belongs to it, but where the target has been built once, Swift code does not see the new
# declarations: the compiled module in the cache names the headers it was made of, all of them are as they were, so it
# is taken for fresh. The build fails with "cannot find ... in scope" until the cache is deleted or an old header is
# touched. One expects the folder to be looked at again, as the sources of the target are.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
VERSION=6.3.1
swift --version 2>/dev/null | head -1 | grep -F "$VERSION" || { echo "this is about Swift $VERSION" >&2; exit 1; }
mkdir -p Sources/Shapes/include Sources/draw
cat >Package.swift <<'SWIFT'
// swift-tools-version: 6.2
import PackageDescription
let package = Package(
  name: "draw",
  targets: [.target(name: "Shapes"), .executableTarget(name: "draw", dependencies: ["Shapes"])])
SWIFT
echo 'typedef struct { int width; } Circle;' >Sources/Shapes/include/circle.h
echo '#include "circle.h"' >Sources/Shapes/shapes.c
echo 'import Shapes
print(Circle(width: 3).width)' >Sources/draw/main.swift
swift build >log 2>&1 || { cat log; exit 1; }
sleep 1
echo 'typedef struct { int side; } Square;' >Sources/Shapes/include/square.h
echo 'import Shapes
print(Square(side: 4).side)' >Sources/draw/main.swift
if swift build >log 2>&1; then
  echo "no longer so: the new header is seen" >&2
  exit 1
fi
grep -m 1 "cannot find 'Square' in scope" log || { cat log; exit 1; }
touch Sources/Shapes/include/circle.h
swift build >log 2>&1 || { echo "not cured by touching the old header" >&2; cat log; exit 1; }
echo "seen: a header added to a C module is unknown to Swift until an old one is touched"
