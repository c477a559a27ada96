#!/usr/bin/env bash
# Compares our declarations of libcuda, NVRTC, cuBLASLt and NCCL with NVIDIA's headers: every signature,
# every number, the layout of every structure.
#
#   scripts/peers/check-cuda-headers.sh FOLDER...    FOLDERs hold cuda.h, nvrtc.h and cublasLt.h, and
#                                                    nccl.h if that is to be compared: of a toolkit, or
#                                                    nvidia/*/include of the PyPI packages
#                                                    nvidia-cuda-runtime, nvidia-cuda-nvrtc,
#                                                    nvidia-cublas and nvidia-nccl-cu13
set -euo pipefail
cd "$(dirname "$0")/../.."
if (($# == 0)); then
  sed -n '2,9p' "$0" | cut -c3-
  exit 2
fi
includes=()
for folder in "$@"; do includes+=(-isystem "$folder"); done
ours=Sources/CCUDA/include/ccuda.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A header that only C++ needs.
mkdir "$work/nv" && touch "$work/nv/target"
includes+=(-I"$work")

# Signatures: the tables are declared with the toolkit's types and compared with its functions.
cat >"$work/signatures.c" <<'C'
#include <cuda.h>
#include <nvrtc.h>
#include <cublasLt.h>
#define CCUDA_ONLY_FUNCTIONS
#include "ccuda.h"
#define SAME(name, symbol, result, parameters)                                                 \
  _Static_assert(__builtin_types_compatible_p(result(*) parameters, __typeof__(&name)), #name);
#define TEXT(x) #x
#define NAME(x) TEXT(x)
#define SYMBOL(name, symbol, result, parameters) \
  _Static_assert(sizeof(NAME(name)) == sizeof(#symbol) && __builtin_strcmp(NAME(name), #symbol) == 0, #symbol);
CCUDA_DRIVER(SAME) CCUDA_NVRTC(SAME) CCUDA_CUBLASLT(SAME)
CCUDA_DRIVER(SYMBOL)
C
clang -std=gnu11 -Wall -Werror -Wno-unused -ISources/CCUDA/include "${includes[@]}" -fsyntax-only \
  "$work/signatures.c"

# Numbers and layouts: one program with our header, one with theirs, one output. An older toolkit has
# fewer errors.
names=$(sed -n '/#ifndef CCUDA_ONLY/,/^#endif/p' "$ours" |
  grep -oE '\b(CUDA_(SUCCESS|ERROR|R)|CU|NVRTC|CUBLAS|CUBLASLT)_[A-Za-z0-9_]+ = ' | sed 's/ = //')
known=()
for name in $names; do
  if grep -qrw "$name" "$@"; then known+=("$name"); else echo "check-cuda-headers: $name is newer"; fi
done
print() { # print INCLUDES TF32
  printf '%s\n' '#include <stdio.h>' "$1" 'int main(void) {'
  for name in "${known[@]}"; do echo "printf(\"$name %lld\\n\", (long long)$name);"; done
  echo "printf(\"TF32 %lld\\n\", (long long)$2);"
  for type in CUdevice CUdeviceptr CUresult CUdevice_attribute nvrtcResult cublasStatus_t cudaDataType \
    cublasComputeType_t cublasLtMatmulAlgo_t cublasLtMatmulHeuristicResult_t; do
    echo "printf(\"$type %zu\\n\", sizeof($type));"
  done
  for field in algo workspaceSize state wavesCount reserved; do
    echo "printf(\"$field %zu\\n\", __builtin_offsetof(cublasLtMatmulHeuristicResult_t, $field));"
  done
  echo 'return 0; }'
}
print '#include "ccuda.h"' CCUDA_INPUT_TF32 >"$work/ours.c"
print $'#include <cuda.h>\n#include <nvrtc.h>\n#include <cublasLt.h>' \
  CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32 >"$work/theirs.c"
for side in ours theirs; do
  clang -std=gnu11 -w -ISources/CCUDA/include "${includes[@]}" "$work/$side.c" -o "$work/$side"
  "$work/$side" >"$work/$side.txt"
done
diff "$work/ours.txt" "$work/theirs.txt"
echo "check-cuda-headers: $(wc -l <"$work/ours.txt") numbers and $(grep -cE '^ +F\(' "$ours")" \
  "functions are those of CUDA $(grep -shoE 'define CUDA_VERSION [0-9]+' "${@/%//cuda.h}" | grep -oE '[0-9]+')"

# NCCL, where there is one.
header=
for folder in "$@"; do if [[ -f $folder/nccl.h ]]; then header=$folder/nccl.h; fi; done
if [[ -z $header ]]; then
  echo "check-cuda-headers: no nccl.h, so NCCL is not compared"
  exit 0
fi
cat >"$work/nccl.c" <<'C'
#include <cuda.h>
#include <nvrtc.h>
#include <cublasLt.h>
#include <nccl.h>
#define CCUDA_ONLY_FUNCTIONS
#include "cnccl.h"
#define SAME(name, symbol, result, parameters)                                                 \
  _Static_assert(__builtin_types_compatible_p(result(*) parameters, __typeof__(&name)), #name);
CCUDA_NCCL(SAME)
C
clang -std=gnu11 -Wall -Werror -Wno-unused -ISources/CCUDA/include "${includes[@]}" -fsyntax-only \
  "$work/nccl.c"
names=$(grep -oE '^  nccl[A-Za-z0-9]+ = ' Sources/CCUDA/include/cnccl.h | sed 's/ = //')
print() { # print INCLUDE
  printf '%s\n' '#include <stdio.h>' "$1" 'int main(void) {'
  for name in $names; do echo "printf(\"$name %lld\\n\", (long long)$name);"; done
  for type in ncclUniqueId ncclResult_t ncclDataType_t ncclComm_t; do
    echo "printf(\"$type %zu\\n\", sizeof($type));"
  done
  echo 'return 0; }'
}
print '#include "cnccl.h"' >"$work/ours.c"
print '#include <nccl.h>' >"$work/theirs.c"
for side in ours theirs; do
  clang -std=gnu11 -w -ISources/CCUDA/include "${includes[@]}" "$work/$side.c" -o "$work/$side"
  "$work/$side" >"$work/$side.txt"
done
diff "$work/ours.txt" "$work/theirs.txt"
echo "check-cuda-headers: $(wc -l <"$work/ours.txt") numbers and" \
  "$(grep -cE '^ +F\(' Sources/CCUDA/include/cnccl.h) functions are those of NCCL" \
  "$(sed -n 's/^#define NCCL_VERSION_CODE \([0-9]*\).*/\1/p' "$header")"
