#!/usr/bin/env bash
# Tries scripts/fetch-1bw.sh on a small archive of the benchmark's layout, served on loopback:
# interrupted and gone on with, corrupt, of another size, by servers with and without Range.
#
#   scripts/check-fetch.sh
#
# Needs curl and python3, and installs them from Debian where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
for program in curl python3; do
  command -v "$program" >/dev/null || scripts/setup.sh "$program"
done
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$work"' EXIT
export FETCH_PAUSE=0
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

name=1-billion-word-language-modeling-benchmark-r13output
training=training-monolingual.tokenized.shuffled
heldout=heldout-monolingual.tokenized.shuffled
fail() {
  cat "$work/log" >&2 2>/dev/null || true
  echo "check-fetch: FAILED: $*" >&2
  exit 1
}

# ---- an archive of 150 files of one line each, the last of which is the duplicate
mkdir -p "$work/$name/$training" "$work/$name/$heldout"
awk -v folder="$work/$name/" -v training="$training" -v heldout="$heldout" 'BEGIN {
  state = 3
  for (number = 0; number < 150; number++) {
    line = ""
    for (i = 0; i < 1500; i++) {
      state = (state * 1103515245 + 12345) % 2147483648
      line = line sprintf("%c", 97 + int(state / 65536) % 26)
    }
    if (number < 50) file = heldout sprintf("/news.en.heldout-%05d-of-00050", number)
    else file = training sprintf("/news.en-%05d-of-00100", number - 49)
    if (number == 149) file = heldout "/news.en-00000-of-00100"
    print line > (folder file)
    close(folder file)
  }
}'
tar -C "$work" -czf "$work/archive" "$name"
size=$(stat -c %s "$work/archive")
part=$((size * 2 / 5))
(cd "$work/$name" && md5sum "$training/news.en-00001-of-00100" \
  "$heldout/news.en.heldout-00000-of-00050" "$heldout/news.en.heldout-00001-of-00050") >"$work/md5"
other=(--size "$size" --sha256 "$(sha256sum <"$work/archive" | cut -d' ' -f1)" --md5sums "$work/md5")

python3 scripts/reference/archive_server.py "$work/archive" "$work/port" "$work/requests" &
server=$!
for _ in {1..100}; do [[ ! -e $work/port ]] || break; sleep 0.05; done
url=http://127.0.0.1:$(<"$work/port")

count=0
fetch() { # fetch STATUS OUTPUT OPTIONS...: runs it, expects that exit code
  local expected=$1 output=$2 status=0
  shift 2
  : >"$work/requests"
  scripts/fetch-1bw.sh --output "$work/$output" "${other[@]}" "$@" >"$work/log" 2>&1 || status=$?
  [[ $status == "$expected" ]] || fail "$* ended with $status, expected $expected"
  count=$((count + 1))
}
says() { grep -Fq -- "$1" "$work/log" || fail "does not say \"$1\""; }
requests() { # requests LINES: way, first byte and bytes sent of every request
  [[ $(<"$work/requests") == "$1" ]] || fail "expected requests $1, found $(<"$work/requests")"
}
whole() { # whole OUTPUT: everything is there, but the duplicate and what is temporary
  local target=$work/$1/$name
  [[ ! -e $target/$heldout/news.en-00000-of-00100 ]] || fail "the duplicate was unpacked"
  diff -r --exclude news.en-00000-of-00100 "$work/$name" "$target" || fail "other files"
  [[ $(ls -A "$work/$1") == "$name" ]] || fail "leftovers: $(ls -A "$work/$1")"
}
nothing() { [[ -z $(ls -A "$work/$1") ]] || fail "leftovers: $(ls -A "$work/$1")"; }
partial() { # partial OUTPUT BYTES: only the beginning of the archive is kept
  [[ $(ls -A "$work/$1") == "$name.tar.gz.part" ]] || fail "found $(ls -A "$work/$1")"
  cmp -n "$2" "$work/$1/$name.tar.gz.part" "$work/archive" || fail "no beginning of the archive"
  [[ $(stat -c %s "$work/$1/$name.tar.gz.part") == "$2" ]] || fail "expected $2 bytes of it"
}

# Whole, and once more: nothing to do. Something missing is told.
fetch 0 a --mirror "$url/whole"
requests "whole 0 $size"
whole a
fetch 0 a --mirror "$url/none"
says "it is there already"
requests ""
rm "$work/a/$name/$training/news.en-00042-of-00100"
fetch 1 a --mirror "$url/whole"
says "news.en-00042-of-00100 is missing"
fetch 0 kept --keep-archive --mirror "$url/whole/any-name.tar.gz"
cmp "$work/kept/$name.tar.gz" "$work/archive"

# Cut short again and again: every byte is transferred once.
fetch 0 b --mirror "$url/cut"
requests "cut 0 $part
cut $part $part
cut $((2 * part)) $((size - 2 * part))"
whole b

# Cut short by a program that was killed, gone on with by the next run: only the rest.
mkdir "$work/c"
head -c "$part" "$work/archive" >"$work/c/$name.tar.gz.part"
fetch 1 c --mirror http://127.0.0.1:1
says "could not reach http://127.0.0.1:1"
partial c "$part"
fetch 0 c --mirror "$url/whole"
requests "whole $part $((size - part))"
whole c

# No Range: anew from the beginning; a server that never comes to the end is given up.
mkdir "$work/d"
head -c "$part" "$work/archive" >"$work/d/$name.tar.gz.part"
fetch 0 d --mirror "$url/plain"
whole d
fetch 1 e --mirror "$url/plaincut"
says "cannot go on at byte $part of $size"
partial e "$part"
fetch 0 e --mirror "$url/whole"
requests "whole $part $((size - part))"
whole e

# Corrupt: never unpacked, never kept.
fetch 1 f --mirror "$url/flip"
says "has the SHA-256"
says "expected ${other[3]}"
nothing f
mkdir "$work/g"
head -c "$part" /dev/zero >"$work/g/$name.tar.gz.part"
fetch 0 g --mirror "$url/whole"
requests "whole 0 $size"
whole g

# Another size, a web page, nothing.
for way in short long page none; do fetch 1 "$way" --mirror "$url/$way" && nothing "$way"; done
says "HTTP status 404"
fetch 1 short --mirror "$url/short"
says "has $((size - 100)) bytes, expected $size"
fetch 1 long --mirror "$url/long"
says "larger than the expected $size bytes"
mkdir "$work/h"
cat "$work/archive" "$work/archive" >"$work/h/$name.tar.gz.part"
fetch 0 h --mirror "$url/whole"
whole h

# No room, told before anything is downloaded.
mkdir "$work/bin"
printf '#!/bin/sh\necho Avail\necho 1000\n' >"$work/bin/df"
chmod +x "$work/bin/df"
PATH=$work/bin:$PATH fetch 1 i --mirror "$url/whole"
says "has 1000 bytes free, expected at least"
requests ""
nothing i

# Archives that are here already stay, whatever they are.
fetch 0 j --archive "$work/archive"
whole j
head -c "$part" "$work/archive" >"$work/damaged"
fetch 1 k --archive "$work/damaged"
says "$work/damaged has $part bytes, expected $size"
nothing k
[[ -e $work/archive && -e $work/damaged ]] || fail "removed a given archive"
sed -i s/^./0/ "$work/md5"
fetch 1 l --archive "$work/archive"
says "has the MD5"
nothing l
echo "check-fetch: $count runs of scripts/fetch-1bw.sh did what they should"
