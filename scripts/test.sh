#!/usr/bin/env bash
# Checks the format, builds everything in release mode and runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh zstd
swift format lint --strict --recursive Package.swift Sources Tests
# The commands are built first: the end-to-end test drives the programs a user runs.
swift build -c release --explicit-target-dependency-import-check error
swift test -c release
