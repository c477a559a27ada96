#!/usr/bin/env bash
# Builds the commands and installs them: programs, shell completions, manual pages, documents.
#
#   scripts/install.sh [--prefix DIR]              DIR: /usr/local
#   scripts/install.sh --uninstall [--prefix DIR]  removes what was installed there, nothing else
#
# A file of another program that has one of the names is never replaced or removed.
#
# Set BIN to a folder of release builds to install those.
set -euo pipefail
cd "$(dirname "$0")/.."
commands=(lm-tokenize lm-train lm-eval lm-sample lm-bench)
name=billion-word-trainer

usage() {
  sed -n '2,9p' "$0" | cut -c3- >&2
  exit 2
}
fail() {
  echo "install: error: $*" >&2
  exit 1
}
prefix=/usr/local uninstall=
while (($#)); do
  case $1 in
    --prefix) (($# >= 2)) && [[ -n $2 ]] || usage; prefix=${2%/}; shift 2 ;;
    --uninstall) uninstall=1; shift ;;
    *) usage ;;
  esac
done
[[ $prefix == /* ]] || prefix=$PWD/$prefix
list=$prefix/share/$name/installed

# Whether a file is the one that was installed; lists of before have names and no sums.
is_ours() { # is_ours SUM FILE
  [[ -z $1 || ! -e $prefix/$2 || $(sha256sum <"$prefix/$2" 2>/dev/null) == "$1  -" ]]
}

# Reads the list of an earlier installation: SUM and FILE of each line, SUM empty if there is none.
listed() {
  local sum file
  while read -r sum file; do
    if [[ -z $file ]]; then file=$sum sum=; fi
    file=${file#\*}
    [[ -n $file && $file != /* && $file != *..* ]] || continue
    printf '%s\t%s\n' "${sum:--}" "$file"
  done <"$list"
}

# Files that the list of an earlier installation names, and folders that are empty then.
remove() {
  local sum file folder
  while IFS=$'\t' read -r sum file; do
    if ! is_ours "${sum#-}" "$file"; then
      echo "install: $prefix/$file is left: it is not the file that was installed" >&2
      continue
    fi
    rm -f "$prefix/$file"
    folder=$(dirname "$file")
    while [[ $folder != . ]] && rmdir "$prefix/$folder" 2>/dev/null; do
      folder=$(dirname "$folder")
    done
  done < <(listed)
}
if [[ -n $uninstall ]]; then
  [[ -e $list ]] || fail "$list is not there, so nothing is known to be installed in $prefix; give" \
    "the --prefix of the installation"
  remove
  echo "Removed from $prefix"
  exit 0
fi

mkdir -p "$prefix" 2>/dev/null && [[ -w $prefix ]] ||
  fail "may not write into $prefix; choose another --prefix, for example --prefix ~/.local"
if [[ -z ${BIN:-} ]]; then
  scripts/setup.sh
  for command in "${commands[@]}"; do swift build -c release --product "$command"; done
  BIN=$(swift build -c release --show-bin-path)
fi

# ---- all of it in one folder first, so that nothing is half installed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/stage
mkdir -p "$stage/bin" "$stage/share/man/man1" "$stage/share/bash-completion/completions" \
  "$stage/share/zsh/site-functions" "$stage/share/fish/vendor_completions.d" \
  "$stage/share/doc/$name" "$stage/share/$name"
for command in "${commands[@]}"; do
  program=$BIN/$command
  [[ -x $program ]] || fail "$program is not there; build it with swift build -c release"
  "$program" --generate-completion-script bash \
    >"$stage/share/bash-completion/completions/$command"
  "$program" --generate-completion-script zsh >"$stage/share/zsh/site-functions/_$command"
  "$program" --generate-completion-script fish \
    >"$stage/share/fish/vendor_completions.d/$command.fish"
  "$program" --generate-manual >"$stage/share/man/man1/$command.1"
  install -m 755 "$program" "$stage/bin/$command"
  strip "$stage/bin/$command"
done
install -m 644 README.md CONTRIBUTING.md "$stage/share/doc/$name/"
find docs -type f -exec install -D -m 644 {} "$stage/share/doc/$name/{}" \;
install -m 755 scripts/fetch-1bw.sh "$stage/bin/fetch-1bw"

# Other programs may have a command of the same name: theirs stays.
declare -A ours=()
if [[ -e $list ]]; then
  while IFS=$'\t' read -r sum file; do
    if is_ours "${sum#-}" "$file"; then ours[$file]=1; fi
  done < <(listed)
fi
while read -r file; do
  [[ -z ${ours[$file]:-} ]] && [[ -e $prefix/$file || -L $prefix/$file ]] || continue
  fail "$prefix/$file is there and was not installed by this script; remove it, or choose another" \
    "--prefix, for example --prefix ~/.local/$name"
done < <(cd "$stage" && find . -type f | sed 's|^\./||' | sort)

# What an older version had and this one has not goes.
if [[ -e $list ]]; then remove; fi
(cd "$stage" && find . -type f | sed 's|^\./||' | sort | xargs -d '\n' sha256sum
  echo "share/$name/installed") >"$work/installed"
mv "$work/installed" "$stage/share/$name/installed"
cp -R "$stage/." "$prefix/"
echo "Installed ${commands[*]} and fetch-1bw into $prefix/bin, manual pages and completions into" \
  "$prefix/share"
case :$PATH: in
  *:"$prefix/bin":*) ;;
  *) echo "$prefix/bin is not on the PATH; add it to use them by name" ;;
esac
