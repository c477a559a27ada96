#!/bin/sh
# Writes OUTPUT/Commit.swift: the commit of the work tree in PACKAGE, whether it has changes, or that neither is
# known (an archive without .git, no git). An unchanged file is left alone, so that nothing is built anew.
#
#   commit.sh PACKAGE OUTPUT
set -eu
commit=unknown
export GIT_OPTIONAL_LOCKS=0
# Not that of a repository around an archive that was unpacked inside of it.
if [ -e "$1/.git" ] && found=$(git -C "$1" rev-parse HEAD 2>/dev/null); then
  commit=$found
  changed=$(git -C "$1" status --porcelain -- Package.swift Sources 2>/dev/null | head -n 1)
  [ -z "$changed" ] || commit=$commit+changes
fi
text="let builtCommit = \"$commit\""
file=$2/Commit.swift
[ -f "$file" ] && [ "$(cat "$file")" = "$text" ] || echo "$text" >"$file"
