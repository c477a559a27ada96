#!/usr/bin/env bash
# Tries what a person relies on: help with examples, completions, manual pages, installation and
# removal, prompts from a pipe and at a terminal.
#
#   scripts/check-habits.sh
#
# Needs release builds of all commands and python3. Completions are tried in those of bash, zsh and
# fish that are there, manual pages with groff if it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${BIN:-$(swift build -c release --show-bin-path)}
command -v python3 >/dev/null || scripts/setup.sh python3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "check-habits: FAILED: $*" >&2
  exit 1
}
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }
commands="lm-tokenize lm-train lm-eval lm-sample lm-bench"
bash_completes() { # bash_completes LINE WORD: typed up to here, and what may follow
  (
    # As an interactive shell is.
    set +eu
    read -ra COMP_WORDS <<<"$1"
    name=${COMP_WORDS[0]} COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$1 COMP_POINT=${#1}
    COMPREPLY=()
    # shellcheck disable=SC1090
    source "$prefix/share/bash-completion/completions/$name"
    complete=$(complete -p "$name" | sed -E 's/.*-F ([^ ]+).*/\1/')
    "$complete" "$name" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    for word in "${COMPREPLY[@]}"; do [[ ${word% } != "$2" ]] || exit 0; done
    exit 1
  ) || fail "bash does not complete $1 to $2"
}

# ---- installed into an empty folder
prefix=$work/prefix
quietly env BIN="$bin" scripts/install.sh --prefix "$prefix"
for command in $commands; do
  help=$("$prefix/bin/$command" --help)
  grep -q EXAMPLE <<<"$help" || fail "$command --help has no examples"
  grep -q "  $command " <<<"$help" || fail "$command --help has no example of itself"
  page=$prefix/share/man/man1/$command.1
  for part in NAME SYNOPSIS OPTIONS EXAMPLES; do
    grep -q "^\.SH $part" "$page" || fail "$page has no $part"
  done
  # Every option of the help, and of that of every subcommand, is in the page.
  subcommands=$(sed -n '/^SUBCOMMANDS/,$p' <<<"$help" | grep -oE '^  [a-z]+' || true)
  for part in "" $subcommands; do
    # shellcheck disable=SC2086
    text=$("$prefix/bin/$command" $part --help)
    grep -q "^USAGE: $command" <<<"$text" || fail "$command $part --help has no usage"
    for option in $(grep -oE '^  (-., )?--[a-z0-9-]+' <<<"$text" | grep -oE -- '--[a-z0-9-]+'); do
      grep -qF -- "${option//-/\\-}\\fR" "$page" || fail "$page does not tell of $option"
    done
  done
  if command -v groff >/dev/null; then
    warnings=$(groff -Tutf8 -man -ww -z "$page" 2>&1)
    [[ -z $warnings ]] || fail "$page: $warnings"
  fi
  bash_completes "$command --he" --help
  # shellcheck disable=SC2086
  set -- $subcommands
  if (($#)); then
    bash_completes "$command ${1:0:4}" "$1"
    bash_completes "$command $1 --he" --help
  fi
  if command -v zsh >/dev/null; then
    zsh -n "$prefix/share/zsh/site-functions/_$command" || fail "zsh does not read _$command"
  fi
  if command -v fish >/dev/null; then
    file=$prefix/share/fish/vendor_completions.d/$command.fish
    found=$(fish --no-config -c "source $file; complete -C '$command --he'")
    grep -q "^--help" <<<"$found" || fail "fish does not complete $command --he"
    if (($#)); then
      found=$(fish --no-config -c "source $file; complete -C '$command ${1:0:4}'")
      grep -q "^$1" <<<"$found" || fail "fish does not complete $command ${1:0:4}"
    fi
  fi
done
# Those of lm-eval, which are typed most.
for word in perplexity compare score audit verify report export; do
  bash_completes "lm-eval ${word:0:3}" "$word"
done
bash_completes "lm-eval perplexity --che" --checkpoint
bash_completes "lm-eval score --per-t" --per-token
bash_completes "lm-eval score --per-w" --per-word
# Names, and folders.
bash_completes "lm-train --preset quick" quickstart
bash_completes "lm-train --attention hier" hierarchical
bash_completes "lm-train --schedule warm" warmupStableDecay
bash_completes "lm-train --init" --init-from
bash_completes "lm-train --pat" --patience
mkdir -p "$work/folders/one" && touch "$work/folders/other"
bash_completes "lm-train --data $work/folders/o" "$work/folders/one"
bash_completes "lm-train --init-from $work/folders/o" "$work/folders/one"
bash_completes "lm-sample --checkpoint $work/folders/o" "$work/folders/one"
bash_completes "lm-eval perplexity --checkpoint $work/folders/o" "$work/folders/one"
bash_completes "lm-tokenize --output $work/folders/o" "$work/folders/one"
[[ -x $prefix/bin/fetch-1bw && -e $prefix/share/doc/billion-word-trainer/docs/formats.md ]] ||
  fail "the installation lacks fetch-1bw or the documents"
# Another program's command of the same name is neither replaced nor, if it came later, removed.
mkdir -p "$work/theirs/bin"
echo theirs >"$work/theirs/bin/lm-eval"
if BIN=$bin scripts/install.sh --prefix "$work/theirs" >"$work/log" 2>&1; then
  fail "installed over a file of another program"
fi
[[ $(find "$work/theirs" -type f) == "$work/theirs/bin/lm-eval" ]] || fail "half an installation"
cp -R "$prefix" "$work/later"
echo theirs >"$work/later/bin/lm-eval"
quietly scripts/install.sh --uninstall --prefix "$work/later"
[[ $(find "$work/later" -type f) == "$work/later/bin/lm-eval" ]] ||
  fail "removal left $(find "$work/later") of what a later program has"
# A second installation leaves one, and removal leaves what was there before.
echo mine >"$prefix/bin/mine"
quietly env BIN="$bin" scripts/install.sh --prefix "$prefix"
quietly scripts/install.sh --uninstall --prefix "$prefix"
[[ $(cd "$prefix" && find . -type f) == ./bin/mine ]] || fail "removal left $(find "$prefix")"
if scripts/install.sh --uninstall --prefix "$prefix" 2>"$work/log"; then
  fail "removed twice"
fi

# ---- a model that has seen a few words
for line in {1..400}; do
  echo "the king saw $((line % 7)) strangers ."
  echo "a stranger blessed the $((line % 5)) kings — amen ."
done >"$work/text"
quietly "$bin/lm-tokenize" --train "$work/text" --vocab-size 290 --model-type bpe \
  --output "$work/data"
quietly "$bin/lm-train" --data "$work/data" --output "$work/run" --layers 1 --width 32 --heads 2 \
  --hidden 64 --steps 60 --batch-tokens 400 --learning-rate 0.01 --warmup 5

# Every line of a pipe is a prompt, an empty one too; each answer is that of the prompt alone.
sample() { "$bin/lm-sample" --checkpoint "$work/run" --temperature 0.7 "$@" 2>"$work/log"; }
printf 'the king\n\na stranger' | sample >"$work/answers"
{ sample --prompt "the king"; sample --prompt ""; sample --prompt "a stranger"; } >"$work/alone"
cmp "$work/answers" "$work/alone" || fail "prompts of a pipe have other answers"
[[ $(wc -l <"$work/answers") == 3 ]] || fail "three prompts have $(wc -l <"$work/answers") answers"
printf 'the king\nthe king\n' | sample --count 2 >"$work/answers"
[[ $(wc -l <"$work/answers") == 4 ]] || fail "--count counts otherwise"
if printf 'good\n\xff\n' | sample >"$work/answers"; then fail "took a prompt that is not UTF-8"; fi
grep -q "line 2 of the prompts" "$work/log" || fail "does not name the prompt: $(<"$work/log")"

python3 scripts/reference/terminal.py "$bin/lm-sample" "$work/run"
echo "check-habits: help, completions, manual pages, installation and prompts are as they should be"
