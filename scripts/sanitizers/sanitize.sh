#!/usr/bin/env bash
# Runs the whole test suite under a sanitizer; the commands are built and run under it as well.
#
#   scripts/sanitizers/sanitize.sh address|thread [OPTION OF swift test...]
#
# A release build of its own: a debug one takes hours. Left out: how much memory a run
# takes (a sanitizer takes more), and leaks: programs end inside Swift's runtime with values alive.
set -euo pipefail
cd "$(dirname "$0")/../.."
kind=${1:?usage: scripts/sanitizers/sanitize.sh address|thread [OPTION OF swift test...]}
shift
export SANITIZED=$kind ASAN_OPTIONS=detect_leaks=0
export TSAN_OPTIONS="suppressions=$PWD/scripts/sanitizers/tsan-suppressions.txt"
swift test -c release --sanitize="$kind" --scratch-path ".build/$kind" -j 2 "$@"
