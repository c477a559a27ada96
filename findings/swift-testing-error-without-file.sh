#!/usr/bin/env bash
set -euo pipefail
# Swift 6.3.1: if `try` is forgotten inside #expect, the test target does not build, and the one line of
# `swift test` that says "error:" names no file: it starts with "macro expansion #expect:1:32:".
# Only the exit status says that nothing was built.
# One expects FILE:LINE:COLUMN: error:, as for every other mistake; editors and CI look for it.
# The old test program stays, and `swift test --skip-build` runs it without a word: where the output of the first
# goes through a pipe or a filter, tests that no longer compile are green.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
VERSION=6.3.1
swift --version 2>/dev/null | head -1 | grep -F "$VERSION" || { echo "this is about Swift $VERSION" >&2; exit 1; }
mkdir -p Tests/CountTests
cat >Package.swift <<'SWIFT'
// swift-tools-version: 6.2
import PackageDescription
let package = Package(name: "count", targets: [.testTarget(name: "CountTests")])
SWIFT
test_file() {
  cat <<SWIFT >Tests/CountTests/CountTests.swift
import Testing
func count(_ text: String) throws -> Int { text.utf8.count }
@Test func counts() throws { $1 }
SWIFT
}

test_file '#expect(try count("one") == 3)'
swift test >log 2>&1 || { cat log; exit 1; }
found=()
for wrong in 'let n = count("one"); #expect(n == 4)' '#expect(count("one") == 4)'; do
  test_file "$wrong"
  status=0
  swift test >out 2>&1 || status=$?
  echo "$wrong"
  echo "  exit status $status"
  sed -n 's/^\([^ ].*error:.*\)/  \1/p' out | sed "s|$PWD/||" | sort -u
  found+=("$status $(grep -cE '^/.*\.swift:[0-9]+:[0-9]+: error:' out || true)")
  tests=$(swift test --skip-build 2>&1 | tail -1)
  echo "  swift test --skip-build: exit status $?, $tests"
  [[ $tests == *"1 test "*passed* ]] || found+=("tests are not run")
done
if [[ ${found[*]} != "1 1 1 0" ]]; then
  echo "no longer so: ${found[*]}" >&2
  exit 1
fi
