#!/usr/bin/env bash
# Tries a bundle on a machine with many or wide processors and prints one table: the bits of short
# runs of every attention, the share of the product's peak, what wider vectors and more threads are
# worth, and training and scoring beside PyTorch. Ends by itself within about five minutes on sixteen
# cores.
#
#   FOLDER/check-wide.sh [--only PARTS] [--output FILE]
#
# FOLDER        made by scripts/bundle.sh
# --only PARTS  of bits,peak,vectors,threads,peers
# --output FILE the table once more, written as it grows
#
# PYTHON names an interpreter that has PyTorch (python3); without PyTorch the part "peers" is left out,
# and the table says so. The exit code is 1 if a bit differs or a share of the peak cannot be true.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
only=bits,peak,vectors,threads,peers output=/dev/null write_expected=""
while (($#)); do
  case $1 in
    --only | --output)
      if (($# < 2)); then echo "check-wide: $1 needs a value" >&2 && exit 2; fi
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    # For scripts/bundle.sh: what the machine that builds gives is what others must give.
    --write-expected) write_expected=yes && shift ;;
    *) sed -n '2,15p' "$0" | cut -c3- && exit 2 ;;
  esac
done
has() { [[ ,$only, == *,$1,* ]]; }
if [[ ! -x $here/bin/lm-train || ! -d $here/data ]]; then
  echo "check-wide: $here is no bundle: bin or data is missing; make one with scripts/bundle.sh" >&2
  exit 1
fi
export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
PYTHON=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
all=$(nproc)
failed=0
: >"$output"

row() { # row WHAT FIGURE [VERDICT]
  printf '%-62s %16s  %s\n' "$1" "$2" "${3:-}" | tee -a "$output"
}
field() { # field NAME: its number in the JSON that comes in
  sed -n "s/.*\"$1\" *: *\([-0-9.e+]*\).*/\1/p" | head -n 1
}
giga() { awk -v p="$1" 'BEGIN { printf "%.0f GFLOP/s", p / 1e9 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# ---- the same bits as on the machine that built it, for any number of threads
variants=(softmax softmax:relativeBias softmax:bfloat16 hierarchical yoso yoso:estimate=sampled combiner)
trained() { # trained VARIANT THREADS: the sum of the weights after 8 steps
  local attention=${1%:relativeBias} options=()
  attention=${attention%:bfloat16}
  if [[ $1 == *:relativeBias ]]; then options=(--position relativeBias); fi
  # Its bits are those of instructions that many processors lack.
  if [[ $1 == *:bfloat16 ]]; then options=(--precision bfloat16); fi
  rm -rf "$work/run"
  "$here/bin/lm-train" --data "$here/data" --output "$work/run" --preset quickstart --layers 2 \
    --attention "$attention" "${options[@]}" --steps 8 --batch-tokens 2048 --dropout 0.1 \
    --log-every 1 --validate-every 0 --checkpoint-every 0 --threads "$2" >/dev/null 2>"$work/log" || {
    cat "$work/log" >&2
    return 1
  }
  sha256sum <"$work/run/step-00000008/model.safetensors" | cut -d' ' -f1
}
if [[ -n $write_expected ]]; then
  for variant in "${variants[@]}"; do echo "$variant $(trained "$variant" 2)"; done >"$here/expected"
  exit 0
fi

row "machine" "$all processors" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
# Eight lanes everywhere, sixteen where the processor has them.
units=(avx2)
if LM_SIMD=avx512 "$here/bin/lm-bench" --version >/dev/null 2>&1; then units+=(avx512); fi
row "kernels" "" "$("$here/bin/lm-train" --list-devices | sed -n 's/^cpu *this processor, //p')"
row "vectors" "" "$(grep -o -w -E 'avx2|avx512f|avx512_bf16|amx_bf16' /proc/cpuinfo | sort -u | tr '\n' ' ')"
row "commit" "$(head -c 8 "$here/commit")"
# Releases of OpenBLAS before 2024 take the newest Xeons for a processor of 2004.
if [[ -z ${OPENBLAS_CORETYPE:-} ]] && "$here/bin/lm-bench" --version | grep -q '^ruler.* Prescott '; then
  export OPENBLAS_CORETYPE=Haswell
  if ((${#units[@]} > 1)); then export OPENBLAS_CORETYPE=SkylakeX; fi
fi
if has bits; then
  while read -r variant expected; do
    for unit in "${units[@]}"; do
      for threads in 1 3 "$all"; do
        # One number of threads will do for the vectors that are not chosen here.
        if [[ $unit != "${units[-1]}" && $threads != 3 ]]; then continue; fi
        verdict=ok equal=equal
        if [[ $(LM_SIMD=$unit trained "$variant" "$threads") != "$expected" ]]; then
          verdict=FAILED equal=DIFFERENT failed=1
        fi
        row "bits of 8 steps, $variant, $unit, $threads threads" "$equal" "$verdict"
      done
    done
  done <"$here/expected"
fi

# ---- no share of the peak above it by more than noise
if has peak; then
  for threads in 1 "$all"; do
    "$here/bin/lm-bench" product --threads "$threads" --json >"$work/product"
    peak=$(field peakFlopsPerSecond <"$work/product")
    best=$(sed -n 's/.*"flopsPerSecond" *: *\([-0-9.e+]*\).*/\1/p' "$work/product" | sort -g | tail -n 1)
    share=$(ratio "$best" "$peak")
    verdict=ok
    if awk -v s="$share" 'BEGIN { exit !(s > 1.1) }'; then verdict=FAILED failed=1; fi
    row "fastest product of the peak, $threads threads" "$share" "$verdict"
    row "  the peak" "$(giga "$peak")"
  done
  shares=$("$here/bin/lm-train" --data "$here/data" --output "$work/peak" --preset quickstart --steps 30 \
    --log-every 5 --validate-every 0 --checkpoint-every 0 2>&1 | grep -o '[0-9]* % of peak' | cut -d' ' -f1)
  highest=$(sort -n <<<"$shares" | tail -n 1)
  verdict=ok
  if ((${highest:-0} > 110 || ${highest:-0} < 1)); then verdict=FAILED failed=1; fi
  row "highest share of the peak that lm-train printed" "${highest:-none} %" "$verdict"
fi

shapes=("6 x 512:" "4 x 256:--layers 4 --width 256 --heads 4 --hidden 704 --vocabulary 8000 --batch 16")

# ---- what wider vectors are worth, beside the same kernels over narrower ones
if has vectors; then
  for threads in 1 4 "$all"; do
    if ((threads > all)); then continue; fi
    declare -A speeds=()
    note() { # note WHAT UNIT FIGURE SHOWN: a row, with its ratio to the first unit's
      local first=${speeds[$1]:-$3}
      speeds[$1]=$first
      row "$1, $2, $threads threads" "$4" "$(ratio "$3" "$first") x ${units[0]}"
    }
    for unit in "${units[@]}"; do
      export LM_SIMD=$unit
      "$here/bin/lm-bench" product --rounds 1 --vocab-size 0 --threads "$threads" --json >"$work/product"
      ours=$(field ours <"$work/product")
      note "product" "$unit" "$ours" "$(giga "$ours")"
      for shape in "${shapes[@]}"; do
        read -r -a words <<<"${shape#*:}"
        speed=$("$here/bin/lm-bench" train "${words[@]}" --steps 2 --threads "$threads" --json | field tokensPerSecond)
        note "training ${shape%%:*}" "$unit" "$speed" "$(printf '%.0f' "$speed") tokens/s"
      done
      "$here/bin/lm-bench" attention --attention softmax hierarchical yoso combiner --lengths 1024 --rounds 1 \
        --threads "$threads" --json >"$work/attention"
      for kind in softmax hierarchical yoso combiner; do
        took=$(grep -A 99 "\"attention\" *: *\"$kind" "$work/attention" | field trainingMicroseconds)
        note "$kind attention at 1,024" "$unit" "$(ratio 1000 "$took")" "$(printf '%.2f' "$took") us a token"
      done
      unset LM_SIMD
    done
    # Products in bfloat16 on the widest vectors: faster where the processor has instructions for them.
    "$here/bin/lm-bench" product --precision bfloat16 --rounds 1 --vocab-size 0 --threads "$threads" --json \
      >"$work/rounded"
    ours=$(field ours <"$work/rounded")
    note "product" "bfloat16" "$ours" "$(giga "$ours")"
    for shape in "${shapes[@]}"; do
      read -r -a words <<<"${shape#*:}"
      speed=$("$here/bin/lm-bench" train "${words[@]}" --precision bfloat16 --steps 2 --threads "$threads" --json |
        field tokensPerSecond)
      note "training ${shape%%:*}" "bfloat16" "$speed" "$(printf '%.0f' "$speed") tokens/s"
    done
    library=$(sed -n 's/.*"\(OpenBLAS [^"]*\)" *: *\([-0-9.e+]*\).*/\2 \1/p' "$work/product" | head -n 1)
    if [[ -n $library ]]; then row "product, ${library#* }, $threads threads" "$(giga "${library%% *}")"; fi
  done
fi

# ---- what more threads are worth
if has threads; then
  for shape in "${shapes[@]}"; do
    read -r -a words <<<"${shape#*:}"
    first=""
    for threads in 1 2 4 8 16 32 64; do
      if ((threads > all)); then break; fi
      speed=$("$here/bin/lm-bench" train "${words[@]}" --steps 2 --threads "$threads" --json | field tokensPerSecond)
      first=${first:-$speed}
      row "training ${shape%%:*}, $threads threads" "$(printf '%.0f' "$speed") tokens/s" "$(ratio "$speed" "$first") x one"
    done
  done
  first=""
  for threads in 1 "$all"; do
    took=$("$here/bin/lm-bench" attention --attention hierarchical --lengths 65536 --rounds 1 \
      --threads "$threads" --json | field trainingMicroseconds)
    first=${first:-$took}
    row "hierarchical attention at 65,536, $threads threads" "$(printf '%.2f' "$took") us a token" "$(ratio "$first" "$took") x one"
  done
  mkdir "$work/text"
  for number in $(seq 16); do cp "$here/text.txt" "$work/text/$number.txt"; done
  first=""
  for threads in 1 "$all"; do
    began=$(date +%s%N)
    "$here/bin/lm-tokenize" --train "$work/text" --tokenizer "$here/data/tokenizer.model" \
      --output "$work/tokens-$threads" --threads "$threads" >/dev/null 2>&1
    took=$(($(date +%s%N) - began))
    first=${first:-$took}
    row "tokenizing 16 files, $threads threads" "$((took / 1000000)) ms" "$(ratio "$first" "$took") x one"
  done
fi

# ---- PyTorch, in turn with ours
if has peers; then
  if "$PYTHON" -c 'import torch' 2>/dev/null; then
    for threads in 1 4 "$all"; do
      if ((threads > all)); then continue; fi
      (cd "$work" && CUDA_VISIBLE_DEVICES="" OMP_NUM_THREADS=$threads "$PYTHON" "$here/reference/against_peers.py" \
        --bench "$here/bin/lm-bench" --data "$here/data" --bpe "$here/data" --text "$here/text.txt" \
        --only train,compiled,small,bfloat16,forward --rounds 1 --steps $((threads > 1 ? 4 : 1)) \
        --threads "$threads" 2>/dev/null) | tee -a "$output"
    done
  else
    row "PyTorch" "not there" "$PYTHON has no torch: comparison left out"
  fi
fi
if ((failed)); then echo "check-wide: FAILED: see the lines above" | tee -a "$output"; fi
exit "$failed"
