#!/usr/bin/env bash
# Fills a disk under the programs: a memory file system of a few hundred kilobytes, in many sizes, so
# that it is full at many moments. Every time the program must end with 1 and one sentence that
# names the file and the reason, what was good must stay good, and once there is room the same
# command must come to the same bits as on a large disk.
#
#   scripts/disk-full.sh [SIZES]     sizes tried of each program (12)
#
# Needs release builds of the commands, and user namespaces or root to mount the file system; where
# they are forbidden, as in some containers, it says so and checks nothing: what remains there are
# the limit on file sizes and the full standard output of TrustCommandTests.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/parts/toy-text.sh
if [[ -z ${DISK_FULL_INSIDE:-} ]]; then
  export BIN=${BIN:-$(swift build -c release --show-bin-path)}
  if ! unshare -Urm sh -c 'mount -t tmpfs none /mnt' 2>/dev/null; then
    echo "disk-full: SKIPPED, no file system can be mounted here without more rights" >&2
    exit 0
  fi
  # The mount is seen by this process and its children only, and goes with them.
  DISK_FULL_INSIDE=1 exec unshare -Urm scripts/disk-full.sh "$@"
fi

sizes=${1:-12}
work=$(mktemp -d)
disk=$work/disk
mkdir "$disk"
trap 'umount "$disk" 2>/dev/null || true; rm -rf "$work"' EXIT

fail() {
  echo "disk-full: FAILED: $*" >&2
  cat "$work/log" >&2
  exit 1
}

mounted() { # mounted KILOBYTES: an empty disk of that size
  umount "$disk" 2>/dev/null || true
  mount -t tmpfs -o "size=${1}k" none "$disk"
}

# Runs a program on the small disk: 0 if it ended well, 1 if it said that the disk is full.
fits() { # fits COMMAND...
  local status=0
  "$@" >"$work/out" 2>"$work/log" || status=$?
  if ((status == 0)); then return 0; fi
  ((status == 1)) || fail "$1 ended with $status"
  local said
  said=$(grep -c 'error: ' "$work/log" || true)
  ((said == 1)) || fail "$1 said $said errors"
  grep -q "error: could not .*$disk.*: No space left on device" "$work/log" ||
    fail "$1 did not name the file and the reason"
  return 1
}

toy_text 4000 3 >"$work/text"
kilobytes() { du -sk --apparent-size "$1" | cut -f1; }
full=0

# ---- tokenizing
tokenize=("$BIN/lm-tokenize" --train "$work/text" --split-valid 0.05 --vocab-size 300
  --model-type bpe --sample-sentences 1000)
"${tokenize[@]}" --output "$work/data" >/dev/null 2>&1
needed=$(kilobytes "$work/data")
for ((i = 0; i < sizes; i++)); do
  mounted $((8 + needed * i / sizes))
  if ! fits "${tokenize[@]}" --output "$disk/data"; then full=$((full + 1)); fi
  if [[ -e $disk/data ]]; then
    diff -r "$work/data" "$disk/data" >"$work/log" || fail "lm-tokenize left a data set in parts"
  fi
  mount -o remount,size=64m "$disk"
  "${tokenize[@]}" --output "$disk/data" --overwrite >/dev/null 2>&1 || fail "with room again"
  diff -r "$work/data" "$disk/data" >"$work/log" || fail "lm-tokenize gave other bytes"
  [[ $(ls -A "$disk") == data ]] || fail "lm-tokenize left $(ls -A "$disk")"
done
echo "disk-full: lm-tokenize met a full disk $full times in $sizes: the same bytes in the end"

# ---- training: the checkpoint before stays good
train=("$BIN/lm-train" --data "$work/data" --layers 2 --width 32 --heads 2 --hidden 64 --steps 60
  --batch-tokens 300 --warmup 10 --log-every 1 --validate-every 20 --validation-sequences 20
  --checkpoint-every 10 --threads 1)
"${train[@]}" --output "$work/reference" >/dev/null 2>&1
needed=$(kilobytes "$work/reference")
full=0
kept=0
for ((i = 0; i < sizes; i++)); do
  mounted $((40 + needed * (i + 1) / sizes))
  if ! fits "${train[@]}" --output "$disk/run"; then full=$((full + 1)); fi
  if compgen -G "$disk/run/step-*" >/dev/null; then
    kept=$((kept + 1))
    "$BIN/lm-eval" --verify "$disk/run" >"$work/log" 2>&1 || fail "a checkpoint is damaged"
  fi
  mount -o remount,size=64m "$disk"
  command=("${train[@]}" --output "$disk/run")
  if [[ -e $disk/run/config.json ]]; then command+=(--resume); fi
  "${command[@]}" >"$work/out" 2>"$work/log" || fail "lm-train with room again"
  for file in model.safetensors optimizer.safetensors config.json; do
    cmp "$work/reference/step-00000060/$file" "$disk/run/step-00000060/$file" ||
      fail "lm-train: $file differs"
  done
done
echo "disk-full: lm-train met a full disk $full times in $sizes, $kept times with checkpoints:" \
  "all good, the same bits in the end"
((full > sizes / 3 && kept > 0)) || fail "the sizes tried say nothing"

# ---- scores
mounted 64
if fits "$BIN/lm-eval" --checkpoint "$work/reference" --text "$work/text" --score "$disk/scores"; then
  fail "lm-eval wrote scores where there is no room"
fi
[[ -z $(ls -A "$disk") ]] || fail "lm-eval left $(ls -A "$disk")"
echo "disk-full: lm-eval --score says so and leaves nothing"
