#!/usr/bin/env bash
# Builds the commands and installs them: programs, shell completions, manual pages, documents.
#
#   scripts/install.sh [--prefix DIR]              DIR: /usr/local
#   scripts/install.sh --uninstall [--prefix DIR]  removes what was installed there, nothing else
#
# Set BIN to a folder of release builds to install those.
set -euo pipefail
cd "$(dirname "$0")/.."
commands=(lm-tokenize lm-train lm-eval lm-sample lm-bench)
name=billion-word-trainer

usage() {
  sed -n '2,7p' "$0" | cut -c3- >&2
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

# Files that the list of an earlier installation names, and folders that are empty then.
remove() {
  local file folder
  while read -r file; do
    [[ -n $file && $file != /* && $file != *..* ]] || continue
    rm -f "$prefix/$file"
    folder=$(dirname "$file")
    while [[ $folder != . ]] && rmdir "$prefix/$folder" 2>/dev/null; do
      folder=$(dirname "$folder")
    done
  done <"$list"
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
  "$stage/share/doc/$name/docs" "$stage/share/$name"
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
install -m 644 docs/* "$stage/share/doc/$name/docs/"
install -m 755 scripts/fetch-1bw.sh "$stage/bin/fetch-1bw"

# What an older version had and this one has not goes.
if [[ -e $list ]]; then remove; fi
(cd "$stage" && find . -type f | sed 's|^\./||' | sort; echo "share/$name/installed") \
  >"$work/installed"
mv "$work/installed" "$stage/share/$name/installed"
cp -R "$stage/." "$prefix/"
echo "Installed ${commands[*]} and fetch-1bw into $prefix/bin, manual pages and completions into" \
  "$prefix/share"
case :$PATH: in
  *:"$prefix/bin":*) ;;
  *) echo "$prefix/bin is not on the PATH; add it to use them by name" ;;
esac
