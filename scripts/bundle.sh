#!/usr/bin/env bash
# Makes a folder, and an archive of it, that runs on an x86-64 machine which has neither Swift nor a
# network: the commands, the libraries that such a machine lacks (Swift's own among them), a small data
# set, and the bits that short runs of every attention must give.
#
#   scripts/bundle.sh [OPTION VALUE]... FOLDER     makes FOLDER and FOLDER.tar.xz
#
# --text FILE         text of the data set, one sentence a line (the King James Bible of Debian's bible-kjv)
# --news FOLDER       shards of lm-tokenize whose sentences a card is timed on and compare-attention.sh trains
#                     on; best with 32,000 tokens, as large models have (those of the text)
# --shard FILE        the benchmark's test shard, as text or .zst; a card is timed on it
# --peer FOLDER       a PyTorch trainer to be timed beside a card's runs: training.py and what it imports.
#                     --record FILE --worker i-flex or i-varlen prepares, prints =READY=, waits for a line, and
#                     adds lines of JSON with "name", "tokens_per_second" and "peak_GB" to the file
# --reference FOLDER  CUDA kernels of hierarchical attention to be timed beside a card's: h_attention.cu with
#                     its headers, and kernels.py that calls them
#
# --static            Swift's libraries are linked into the commands, in a build folder of its own: smaller
#
# Programs and shards of 64 MiB can be carried anywhere; more is said and made all the same.
#
# On the other machine, with a Python that has PyTorch for the comparison with it:
#
#   tar -xf FOLDER.tar.xz && FOLDER/check-wide.sh
#   FOLDER/check-gpu.sh                  on one with an NVIDIA card
#   FOLDER/check-gpu.sh --only compare   there, another ten minutes
#
# Built on Debian 12 it runs where glibc is 2.36 or newer.
set -euo pipefail
cd "$(dirname "$0")/.."

text="" news="" shard="" peer="" reference="" how=()
while (($# > 1)); do
  case $1 in
    --static)
      how=(-Xswiftc -static-stdlib --scratch-path "$PWD/.build/static")
      shift
      ;;
    --text | --news | --shard | --peer | --reference)
      if [[ ! -e $2 ]]; then echo "bundle: $1: there is no $2" >&2 && exit 1; fi
      printf -v "${1#--}" '%s' "$(realpath "$2")"
      shift 2
      ;;
    *) break ;;
  esac
done
if (($# != 1)) || [[ $1 == -* ]]; then
  sed -n '/^#   scripts.bundle/,/^# Built on/p' "$0" | cut -c3-
  exit 2
fi
folder=$1
if [[ -e $folder || -e $folder.tar.xz ]]; then
  echo "bundle: $folder or $folder.tar.xz exists already; remove it or choose another name" >&2
  exit 1
fi

packages=(xz-utils zstd)
if [[ -z $text ]]; then packages+=(bible-kjv); fi
scripts/setup.sh "${packages[@]}" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ -z $text ]]; then
  text=$work/king-james.txt
  bible -f -l0 'gen1:1-rev22:21' | sed -E 's/^[^ ]+ //' >"$text"
fi

# What check-wide.sh and check-gpu.sh call.
commands=(lm-tokenize lm-train lm-eval lm-bench)
for command in "${commands[@]}"; do swift build -c release "${how[@]}" --product "$command" >&2; done
products=$(swift build -c release "${how[@]}" --show-bin-path)

stage=$work/$(basename "$folder")
mkdir -p "$stage/bin" "$stage/lib" "$stage/reference"
for command in "${commands[@]}"; do strip -o "$stage/bin/$command" "$products/$command"; done
# All but the C and C++ runtimes, which are everywhere.
for command in "${commands[@]}"; do ldd "$products/$command"; done | awk '/=> \//{print $3}' | sort -u |
  grep -v -E '/lib(c|m|stdc\+\+|gcc_s|dl|rt|pthread)\.so' | while read -r library; do
  cp -L "$library" "$stage/lib/"
done
cp scripts/check-wide.sh scripts/check-gpu.sh scripts/compare-attention.sh "$stage/"
mkdir -p "$stage/parts"
cp scripts/parts/card-*.sh "$stage/parts/"
# An MPI to start two ranks with, where it can be had.
if python3 -m pip download -q --no-deps --only-binary :all: -d "$work/mpich" mpich==5.0.2 >&2; then
  mkdir -p "$stage/mpi/bin" "$stage/mpi/lib/mpich"
  python3 -m zipfile -e "$work"/mpich/*.whl "$work/mpich/whole"
  mpich=("$work"/mpich/whole/*.data/data)
  cp "${mpich[0]}"/bin/{mpiexec.hydra,hydra_pmi_proxy} "$stage/mpi/bin/"
  cp "${mpich[0]}/lib/libmpi_abi.so.1" "$stage/mpi/lib/"
  cp "${mpich[0]}"/lib/mpich/lib{fabric.so.1,ucp.so.0,uct.so.0,ucs.so.0,ucm.so.0} "$stage/mpi/lib/mpich/"
  chmod +x "$stage"/mpi/bin/*
  strip "$stage"/mpi/bin/* "$stage"/mpi/lib/*.1 "$stage"/mpi/lib/mpich/*
else
  echo "bundle: no wheel of MPICH could be fetched, so two ranks need an MPI of the other machine" >&2
fi
cp scripts/reference/{against_peers,torch_decoder,time_h_attention,compare_attention}.py "$stage/reference/"
if [[ -n $news ]]; then cp -r "$news" "$stage/news"; fi
if [[ $shard == *.zst ]]; then zstd -qdc "$shard" >"$stage/test-shard.txt"; fi
if [[ -n $shard && $shard != *.zst ]]; then cp "$shard" "$stage/test-shard.txt"; fi
if [[ -n $peer ]]; then
  mkdir "$stage/peer"
  cp "$peer"/*.py "$stage/peer/"
fi
if [[ -n $reference ]]; then
  mkdir "$stage/reference/cuda"
  cp "$reference"/*.h "$reference/h_attention.cu" "$reference/kernels.py" "$stage/reference/cuda/"
  # Where there is no compiler here, the other machine's is asked for.
  if command -v nvcc >/dev/null; then
    nvcc -std=c++17 -O3 -gencode=arch=compute_90a,code=sm_90a -shared -Xcompiler -fPIC \
      -o "$stage/reference/cuda/h_attention.so" "$reference/h_attention.cu" >&2
  fi
fi

export LD_LIBRARY_PATH=$stage/lib
head -n 30000 "$text" >"$stage/text.txt"
"$stage/bin/lm-tokenize" --train "$stage/text.txt" --split-valid 0.01 --split-test 0.01 \
  --vocab-size 8000 --output "$stage/data" >&2
"$stage/check-wide.sh" --write-expected >&2
git rev-parse HEAD >"$stage/commit"

mkdir -p "$(dirname "$folder")"
tar -C "$work" --sort=name --owner=0 --group=0 -cf - "$(basename "$folder")" |
  xz --lzma2=preset=9,dict=128MiB >"$folder.tar.xz"
mv "$stage" "$folder"
bytes=$(stat -c %s "$folder.tar.xz")
echo "$folder.tar.xz: $(awk -v b="$bytes" 'BEGIN { printf "%.1f", b / 1048576 }') MiB"
if ((bytes > 64 << 20)); then
  echo "bundle: that is more than 64 MiB; shards and programs: $(du -sm "$folder"/* | tr '\n\t' '  ')" >&2
fi
