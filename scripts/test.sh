#!/usr/bin/env bash
# Checks the format, builds everything in release mode and runs every test, then fetching
# the benchmark, the independent scorer and a few kills.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh zstd
# Tests compile the kernels of a card with NVIDIA's own compiler where it can be had.
scripts/setup.sh --cuda-compiler || echo "test: no NVRTC, so kernels are compiled for this processor alone"
swift format lint --strict --recursive Package.swift Sources Tests
# Built once, commands included: the end-to-end tests drive the programs that a user runs.
swift build -c release --build-tests --explicit-target-dependency-import-check error
swift test -c release --skip-build
bin=$(swift build -c release --show-bin-path)
# Work, memory and speed: what noise cannot break. Then that every check can fail.
"$bin/lm-bench" check
"$bin/lm-bench" check --faults >/dev/null
# No instruction that some processor of those it runs on lacks.
BIN=$bin scripts/check-vectors.sh
# The benchmark's archive in small, from a server that is cut short, corrupt or without Range.
scripts/check-fetch.sh
# The figures once more, by a program that shares no code with this one.
BIN=$bin scripts/check-scores.sh
BIN=$bin scripts/check-docs.sh
# The commands that a page promises, as they stand on it.
BIN=$bin scripts/check-fine-tuning.sh
# What a person relies on: help, completions, manual pages, installation, prompts at a terminal.
BIN=$bin scripts/check-habits.sh
# The commands as they are packed for machines without Swift, with either C library.
BIN=$bin scripts/check-bundle.sh --quick
# A few random moments of the two hundred.
BIN=$bin scripts/crash-test.sh 3
# A few of a thousand changed bytes and digits: found by their sums, believed by nobody.
BIN=$bin scripts/flip-test.sh 20
# Small disks that are full at many moments.
BIN=$bin scripts/disk-full.sh
