#!/usr/bin/env bash
# Reads the machine code of the commands: instructions of AVX-512 may stand in the back end that is
# compiled for them and in what that alone calls (Pairs.c, Pack.c, Tile.c), or a processor without them would end a run by an
# illegal instruction. Functions that several modules have in common are where that could happen: the linker
# keeps one of them for all.
#
#   scripts/check-vectors.sh [PROGRAM]...     those of the release build
#
# Needs objdump and a build whose programs keep their symbols; of a build for another processor than
# x86-64 it says that there is nothing to look at.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ $(uname -m) != x86_64 ]]; then echo "check-vectors: no x86-64 here" && exit 0; fi
objdump=$(command -v objdump || command -v llvm-objdump) || {
  echo "check-vectors: no objdump; install binutils" >&2
  exit 1
}
programs=("$@")
if ((!$#)); then
  bin=${BIN:-$(swift build -c release --show-bin-path)}
  programs=("$bin"/lm-{train,eval,sample,bench})
fi
failed=0
for program in "${programs[@]}"; do
  # A byte 62 begins what only AVX-512 has; instructions on its masks have other bytes and begin with k.
  # Lines without a third field go on with the bytes of the line above.
  found=$("$objdump" -d "$program" | awk -F'\t' '
    /^[0-9a-f]+ <.*>:$/ { name = $0; sub(/^[0-9a-f]+ </, "", name); sub(/>:$/, "", name) }
    $3 != "" && $2 ~ /^62 / || $3 ~ /^k(mov|add|and|not|or|shift|test|unpck|xnor|xor)/ {
      if (name ~ /14WideCPUBackend/) wide++
      else if (name ~ /^cp_((multiply|pack)_pairs.*|multiply_over_sixteen|pack_(across|down))$/) called++
      else others[name]++
    }
    $3 ~ /^(call|j|lea).*<cp_((multiply|pack)_pairs[a-z_]*|multiply_over_sixteen|pack_(across|down))>/ && name !~ /14WideCPUBackend/ { others[name]++ }
    END {
      print wide + 0, called + 0
      for (name in others) print "  " others[name] " in " name
    }')
  name=$(basename "$program")
  read -r wide called < <(head -n 1 <<<"$found")
  others=$(tail -n +2 <<<"$found")
  if [[ -n $others ]]; then
    printf 'check-vectors: FAILED: %s has AVX-512 outside of WideCPUBackend:\n%s\n' "$name" "$others" >&2
    failed=1
  elif ((wide < 1000 || called < 1000)); then
    echo "check-vectors: FAILED: $name has $wide instructions of AVX-512 and $called in what it calls, so it is not what runs there" >&2
    failed=1
  else
    echo "check-vectors: $name: $wide instructions of AVX-512, all in WideCPUBackend, and $called in what it calls"
  fi
done
exit "$failed"
