#!/usr/bin/env bash
# Makes a folder, and an archive of it, that runs on an x86-64 machine which has neither Swift nor a
# network: the commands, the libraries that such a machine lacks (Swift's own among them), a small data
# set, and the bits that short runs of every attention must give.
#
#   scripts/bundle.sh [OPTION VALUE]... FOLDER     makes FOLDER and FOLDER.tar.xz
#   scripts/bundle.sh --commands FOLDER            the commands alone, with completions and manual pages
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
# --static            Swift's libraries are linked into the commands, in a build folder of its own
#
# Programs and shards of 64 MiB can be carried anywhere; more is said and made all the same.
#
# On the other machine, with a Python that has PyTorch for the comparison with it:
#
#   tar -xf FOLDER.tar.xz && FOLDER/check-wide.sh
#   FOLDER/check-gpu.sh                  on one with an NVIDIA card
#   FOLDER/check-gpu.sh --only compare   there, another ten minutes
#
# FOLDER/bin has the commands. They run with the C library of the machine where that is new enough for all that
# is carried (2.35, built on Debian 12), otherwise with the one they carry: on any x86-64 Linux with AVX2.
# scripts/check-bundle.sh tries it in roots of other systems.
#
# BIN names a folder of release builds to take.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/parts/stage-commands.sh

text="" news="" shard="" peer="" reference="" how=() alone=""
while (($# > 1)); do
  case $1 in
    --commands) alone=yes && shift ;;
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
  sed -n '/^#   scripts.bundle/,/^# BIN/p' "$0" | cut -c3-
  exit 2
fi
folder=$1
if [[ -e $folder || -e $folder.tar.xz ]]; then
  echo "bundle: $folder or $folder.tar.xz exists already; remove it or choose another name" >&2
  exit 1
fi

packages=(xz-utils zstd patchelf binutils)
if [[ -z $text$alone ]]; then packages+=(bible-kjv); fi
scripts/setup.sh "${packages[@]}" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ -z $text$alone ]]; then
  text=$work/king-james.txt
  bible -f -l0 'gen1:1-rev22:21' | sed -E 's/^[^ ]+ //' >"$text"
fi

commands=(lm-tokenize lm-train lm-eval lm-sample lm-bench)
products=${BIN:-}
if [[ -z $products ]]; then
  for command in "${commands[@]}"; do swift build -c release "${how[@]}" --product "$command" >&2; done
  products=$(swift build -c release "${how[@]}" --show-bin-path)
fi

pack() { # pack: the archive of the stage, then the stage itself in its place
  mkdir -p "$(dirname "$folder")"
  git rev-parse HEAD >"$stage/commit"
  tar -C "$work" --sort=name --owner=0 --group=0 -cf - "$(basename "$folder")" |
    xz -T0 --lzma2=preset=9,dict=128MiB >"$folder.tar.xz"
  mv "$stage" "$folder"
  bytes=$(stat -c %s "$folder.tar.xz")
  echo "$folder.tar.xz: $(awk -v b="$bytes" 'BEGIN { printf "%.1f", b / 1048576 }') MiB," \
    "$(du -sm "$folder" | cut -f1) MiB unpacked; its libraries run on glibc $(cat "$folder/libc/needed")" \
    "and newer, and with the C library that it carries on any older one"
}

stage=$work/$(basename "$folder")
mkdir -p "$stage"
if [[ -n $alone ]]; then
  # As they are installed, without the list by which install.sh would know them.
  BIN=$products scripts/install.sh --prefix "$stage" >&2
  rm -r "$stage/share/billion-word-trainer"
fi
stage_commands "$products" "$stage" "${commands[@]}"
if [[ -n $alone ]]; then
  pack
  exit 0
fi
mkdir -p "$stage/reference"
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
pack
if ((bytes > 64 << 20)); then
  echo "bundle: that is more than 64 MiB; shards and programs: $(du -sm "$folder"/* | tr '\n\t' '  ')" >&2
fi
