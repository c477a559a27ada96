#!/usr/bin/env bash
set -euo pipefail
# Swift 6.3.1: `Context.gitInformation` of Package.swift gives the commit that is built, for a version string for
# instance. SwiftPM keeps what a manifest evaluated to and looks only at the manifest's text and the environment before
# it takes it again; a new commit changes neither. So a program that is built in a folder where an earlier commit has
# been built says that commit, silently, and only a fresh clone or an edit of Package.swift sets it right. One expects
# the values that a context hands out to be part of what decides. (A build tool plugin with a prebuild command looks
# before every build.)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
VERSION=6.3.1
swift --version 2>/dev/null | head -1 | grep -F "$VERSION" || { echo "this is about Swift $VERSION" >&2; exit 1; }
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
mkdir -p tell/Sources/tell
cd tell
cat >Package.swift <<'SWIFT'
// swift-tools-version: 6.2
import PackageDescription
let commit = Context.gitInformation?.currentCommit ?? "none"
let package = Package(
  name: "tell",
  targets: [.executableTarget(name: "tell", swiftSettings: [.define("COMMIT_\(commit)")])])
SWIFT
commit() {
  git add .
  git commit -q -m change
}
echo .build >.gitignore
git init -q .
echo 'print("")' >Sources/tell/main.swift
commit
first=$(git rev-parse HEAD)
# Compiled conditions are the manifest's doing alone: the source asks which of them is set.
printf '#if COMMIT_%s\nprint("%s")\n#else\nprint("another")\n#endif\n' "$first" "$first" >Sources/tell/main.swift
swift build >log 2>&1 || { cat log; exit 1; }
before=$(.build/debug/tell)
commit
second=$(git rev-parse HEAD)
swift build >log 2>&1 || { cat log; exit 1; }
after=$(.build/debug/tell)
cd ..
git clone -q tell fresh
cd fresh
swift build >log 2>&1 || { cat log; exit 1; }
fresh=$(.build/debug/tell)
echo "at $first the program says $before"
echo "at $second it says $after; built in a fresh clone: $fresh"
if [[ $before != "$first" || $fresh != another ]]; then
  echo "not as described: the manifest does not get the commit" >&2
  exit 1
fi
[[ $after == "$first" ]] || { echo "no longer so: the new commit is seen" >&2; exit 1; }
echo "seen: an incremental build carries the commit of an earlier one"
