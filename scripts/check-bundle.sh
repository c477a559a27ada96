#!/usr/bin/env bash
# Tries the commands as scripts/bundle.sh packs them, where there is no Swift.
#
#   scripts/check-bundle.sh --quick [FOLDER]   here, with this machine's C library and with the one carried
#   scripts/check-bundle.sh [FOLDER]           in Debian 11, Debian 12 and Ubuntu 24.04 as well: roots made by
#                                              mmdebstrap, a network and root needed, ten minutes
#
# FOLDER is made by scripts/bundle.sh; without it the release builds are staged (BIN: a folder of them).
# Everywhere a text is tokenized, a model trained, scored and sampled from, gzip called, a line edited at a
# terminal, and two processes train under the Open MPI of the root. The figures must be those of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/parts/stage-commands.sh
. scripts/parts/toy-text.sh
quick=
if [[ ${1:-} == --quick ]]; then quick=yes && shift; fi
work=$(mktemp -d)
# Roots have nothing mounted below them that could go with them.
trap 'rm -rf --one-file-system "$work"' EXIT
failed=0
fail() {
  echo "check-bundle: FAILED: $*" >&2
  failed=1
}

packages=(patchelf binutils)
if [[ -z $quick ]]; then packages+=(mmdebstrap); fi
scripts/setup.sh "${packages[@]}" >&2
if (($#)); then
  [[ -x $1/libexec/lm-train ]] || { echo "check-bundle: $1 was not made by scripts/bundle.sh" >&2 && exit 2; }
  cp -R "$1" "$work/bundle"
else
  bin=${BIN:-$(swift build -c release --show-bin-path)}
  stage_commands "$bin" "$work/bundle" lm-tokenize lm-train lm-eval lm-sample lm-bench
fi

# ---- what the files ask for
needed=$(needed_glibc "$work"/bundle/libexec/* "$work"/bundle/lib/*)
[[ $needed == $(<"$work/bundle/libc/needed") ]] || fail "the files need glibc $needed, and libc/needed says otherwise"
carried=$(needed_glibc "$work"/bundle/libc/*)
echo "The files need glibc $needed; the one carried is $carried"
for program in "$work"/bundle/libexec/*; do
  missing=$(LD_LIBRARY_PATH='' "$work/bundle/libc/ld-linux-x86-64.so.2" --library-path \
    "$work/bundle/libc:$work/bundle/lib" --list "$program" | grep -vE "$work/bundle|linux-vdso" || true)
  [[ -z $missing ]] || fail "${program##*/} is not complete: $missing"
done

# ---- what is run everywhere
toy_text 800 7 >"$work/text"
gzip -k "$work/text"
cat >"$work/try.sh" <<'TRY'
# try.sh BUNDLE FOLDER [MPIRUN...]: figures to standard output
set -eu
bin=$1/bin folder=$2
shift 2
mkdir -p "$folder"
cd "$folder"
"$bin/lm-tokenize" --train /tmp/try/text.gz --split-valid 0.05 --split-test 0.05 --vocab-size 300 \
  --model-type bpe --output data >/dev/null 2>&1
train="--data data --layers 1 --width 16 --heads 2 --hidden 24 --steps 20 --batch-tokens 200 --threads 2"
"$bin/lm-train" $train --output run >/dev/null 2>log || { cat log >&2; exit 1; }
sha256sum <run/step-00000020/model.safetensors
"$bin/lm-eval" perplexity --checkpoint run --data data --json | grep word_perplexity
"$bin/lm-sample" --checkpoint run --prompt "the king" --seed 3 2>/dev/null
# Its name in messages is its own, not that of the loader.
"$bin/lm-train" --data /none --output x 2>&1 | sed 's/^\(lm-train: error:\).*/\1/'
"$bin/lm-eval" --checkpiont x 2>&1 | grep -m 1 '^Usage:'
grep -o '"command":"lm-train' run/starts.jsonl
if [ $# -gt 0 ]; then
  "$@" "$bin/lm-train" $train --output ranks --gradient-shares 2 >/dev/null 2>log || { cat log >&2; exit 1; }
  "$bin/lm-train" $train --output alone --gradient-shares 2 >/dev/null 2>&1
  cmp ranks/step-00000020/model.safetensors alone/step-00000020/model.safetensors
  grep -q '"ranks":2' ranks/starts.jsonl && echo "two processes, the bits of one" >&2
fi
TRY
libc() { # libc COMMAND...: the C library that --version tells
  "$@" --version | sed -n 's/^libc *//p'
}
mkdir -p /tmp/try
cp "$work/text.gz" /tmp/try/
for which in host own; do
  LM_LIBC=$which bash "$work/try.sh" "$work/bundle" "$work/$which" >"$work/$which.figures" ||
    fail "it does not run here with LM_LIBC=$which"
  echo "Here, $which: $(LM_LIBC=$which libc "$work/bundle/bin/lm-eval")"
done
cmp "$work/host.figures" "$work/own.figures" || fail "the two C libraries give different figures here"
(($(wc -l <"$work/host.figures") >= 6)) || fail "some command printed nothing"
# The line editor, at a terminal of its own.
LM_LIBC=own timeout 120 python3 scripts/reference/terminal.py "$work/bundle/bin/lm-sample" \
  "$work/own/run" >"$work/log" 2>&1 || fail "prompts at a terminal: $(tail -n 3 "$work/log")"

if [[ -z $quick ]]; then
  root() { # root NAME SUITE OPTIONS...: one system, unpacked, in $work/NAME; the mirror is mmdebstrap's own
    mmdebstrap "${@:3}" --quiet --mode=root --variant=extract \
      --include=dash,bash,coreutils,libc-bin,grep,sed,gzip,diffutils,libstdc++6,libgcc-s1,openmpi-bin \
      "$2" "$work/$1" >&2
    # Unpacked alone: what its maintainer scripts would have done.
    chroot "$work/$1" /sbin/ldconfig
    for name in mpirun orterun; do
      [[ -e $work/$1/usr/bin/$name ]] || ln -s "$name.openmpi" "$work/$1/usr/bin/$name" || true
    done
  }
  root debian-11 bullseye
  root debian-12 bookworm
  # Debian has no keys of Ubuntu; nothing of this root is kept.
  root ubuntu-24.04 noble --components=main,universe \
    --aptopt='Acquire::AllowInsecureRepositories "true"' \
    --aptopt='APT::Get::AllowUnauthenticated "true"'
  for name in debian-11 debian-12 ubuntu-24.04; do
    mkdir -p "$work/$name"/{opt,tmp/try,dev,proc,root,etc}
    cp -R "$work/bundle" "$work/$name/opt/bundle"
    cp "$work/text.gz" "$work/try.sh" "$work/$name/tmp/try/"
    # In a mount namespace of its own, so that nothing stays mounted.
    inside() { unshare -m bash -c 'r=$1; shift; mount --rbind /dev "$r/dev"; mount -t proc proc "$r/proc"
      exec chroot "$r" env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root OMPI_ALLOW_RUN_AS_ROOT=1 \
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "$@"' _ "$work/$name" "$@"; }
    echo "$name: $(inside /opt/bundle/bin/lm-eval --version | sed -n 's/^libc *//p') of" \
      "$(inside getconf GNU_LIBC_VERSION)"
    inside bash /tmp/try/try.sh /opt/bundle /tmp/try/out mpirun.openmpi -n 2 --oversubscribe --mca btl self,vader \
      >"$work/$name.figures" || fail "it does not run in $name"
    cmp "$work/host.figures" "$work/$name.figures" || fail "the figures of $name are others"
  done
fi
if ((failed)); then exit 1; fi
echo "All of it runs, with the same figures"
