#!/usr/bin/env bash
# Downloads the One Billion Word benchmark (1.8 GB), verifies it and unpacks it (4.2 GB).
#
#   scripts/fetch-1bw.sh [--output DIR] [--mirror URL | --archive FILE]
#
#   --output DIR     where the benchmark's folder lands (data)
#   --mirror URL     another address of the same archive, or the folder it lies in
#   --archive FILE   an archive that is here already; it stays where it is
#   --keep-archive   keep the downloaded archive beside the unpacked folder
#
# For a mirror that has packed the same files otherwise, or another archive of the same layout:
#
#   --size BYTES     of the archive
#   --sha256 SUM     of the archive
#   --md5sums FILE   sums of unpacked files as md5sum writes them, names inside the folder
#
# A download that was cut short goes on where it stopped. What does not have the size and the sum is
# never unpacked. A second run finds the folder, checks it and does nothing.
set -euo pipefail

folder=1-billion-word-language-modeling-benchmark-r13output
address=http://www.statmt.org/lm-benchmark/$folder.tar.gz
size=1792209805
sha256=01ba60381110baf7f189dfd2b8374de371e8c9a340835793f190bdae9e90a34e
md5sums="8926e543891cf5c4cf7ece2c8e4bc5f4  training-monolingual.tokenized.shuffled/news.en-00001-of-00100
ce1e84fb6d856ced56ba2c551104f6ac  heldout-monolingual.tokenized.shuffled/news.en.heldout-00000-of-00050
ca9f6fb688aaee07abf88b5c8ab1c8f2  heldout-monolingual.tokenized.shuffled/news.en.heldout-00001-of-00050"
# Text shrinks to two fifths; what is unpacked needs at most this many tenths of the archive.
unpacked_tenths=25
training=training-monolingual.tokenized.shuffled
heldout=heldout-monolingual.tokenized.shuffled
# It repeats the fifty shards beside it: whoever reads news.en* would count every sentence twice.
duplicate=$heldout/news.en-00000-of-00100

say() { echo "fetch-1bw: $*" >&2; }
fail() {
  say "error: $*"
  exit 1
}
usage() {
  sed -n '2,18p' "$0" | cut -c3- >&"$1"
  exit $(($1 == 1 ? 0 : 2))
}

output=data mirror= archive= keep= own_size= own_sum=
while (($#)); do
  case $1 in
    --help | -h) usage 1 ;;
    --keep-archive) keep=1 && shift && continue ;;
  esac
  (($# >= 2)) && [[ -n $2 ]] || usage 2
  case $1 in
    --output) output=${2%/} ;;
    --mirror) mirror=$2 ;;
    --archive) archive=$2 ;;
    --size) size=$2 own_size=1 ;;
    --sha256) sha256=${2,,} own_sum=1 ;;
    --md5sums) md5sums=$(<"$2") || fail "could not read $2; give a file that md5sum wrote" ;;
    *) usage 2 ;;
  esac
  shift 2
done
[[ -z $mirror || -z $archive ]] || fail "give --mirror or --archive, not both"
[[ -n $own_size || -z $own_sum ]] || fail "--sha256 means another archive; give its --size as well"
[[ $size =~ ^[1-9][0-9]*$ ]] || fail "--size is \"$size\", expected a number of bytes"
[[ $sha256 =~ ^[0-9a-f]{64}$ ]] || fail "--sha256 is \"$sha256\", expected 64 hexadecimal digits"
case $mirror in
  "") ;;
  *.tar.gz | *.tgz) address=$mirror ;;
  *) address=${mirror%/}/$folder.tar.gz ;;
esac

mkdir -p "$output" 2>/dev/null || fail "could not make the folder $output; choose another --output"
[[ -w $output ]] || fail "may not write into $output; choose another --output"
# Two at once would write into one download.
exec 9<"$output"
flock -n 9 || fail "another fetch-1bw.sh is at work in $output; wait for it"

target=$output/$folder
part=$output/$folder.tar.gz.part
unpacked=$output/.$folder.partial

bytes() { stat -c %s "$1" 2>/dev/null || echo 0; }

# Says in one sentence what is wrong with an unpacked folder, if anything is.
problem_of() { # problem_of FOLDER
  local number name sum found count=0
  for number in {1..99}; do
    printf -v name "$training/news.en-%05d-of-00100" "$number"
    [[ -s $1/$name ]] || { echo "$1/$name is missing or empty"; return; }
  done
  for number in {0..49}; do
    printf -v name "$heldout/news.en.heldout-%05d-of-00050" "$number"
    [[ -s $1/$name ]] || { echo "$1/$name is missing or empty"; return; }
  done
  while read -r sum name; do
    [[ -n $sum ]] || continue
    name=${name#\*}
    [[ -r $1/$name ]] || { echo "$1/$name is missing"; return; }
    found=$(md5sum <"$1/$name" | cut -d' ' -f1)
    [[ $found == "${sum,,}" ]] || { echo "$1/$name has the MD5 $found, expected ${sum,,}"; return; }
    count=$((count + 1))
  done <<<"$md5sums"
}

next() {
  say "$target holds 99 training and 50 held-out files ($(grep -c . <<<"$md5sums" || true) of them" \
    "compared with their MD5); next: lm-tokenize --corpus $target --output DIR"
}

if [[ -e $target ]]; then
  problem=$(problem_of "$target")
  [[ -z $problem ]] || fail "$problem; remove $target and run this again"
  say "it is there already, nothing to do"
  next
  exit 0
fi

# ---- room for what is still to come
have=$(bytes "$part")
room() { df --output=avail -B1 "$output" | tail -n 1 | tr -d ' '; }
needed=$((size * unpacked_tenths / 10))
if [[ -z $archive ]] && ((have < size)); then needed=$((needed + size - have)); fi
if (($(room) < needed)); then
  fail "$output has $(room) bytes free, expected at least $needed;" \
    "make room there or choose another --output"
fi

# What was downloaded goes on only if it can be the beginning of the archive.
forget_unless_prefix() {
  if (($(bytes "$part") >= size)) || [[ $(head -c 2 "$part" | od -An -tx1) != " 1f 8b" ]]; then
    rm -f "$part"
  fi
}

download() {
  command -v curl >/dev/null || fail "curl is missing; install it (apt-get install curl), or" \
    "download $address yourself and give it with --archive"
  local status before headers stalls=0 restarts=0
  local why code length show=(--silent --show-error) shown=/dev/null
  if [[ -t 2 ]]; then show=(--progress-bar) shown=/dev/stderr; fi
  headers=$(mktemp)
  if ((have > 0)); then
    forget_unless_prefix
    have=$(bytes "$part")
  fi
  if ((have > 0)); then
    say "going on with $part at byte $have of $size"
  else
    say "downloading $address to $part, $size bytes"
  fi
  while true; do
    before=$(bytes "$part")
    set +e
    curl "${show[@]}" --fail --location --connect-timeout 30 --speed-limit 1 --speed-time 60 \
      --max-filesize "$size" --continue-at - --dump-header "$headers" --output "$part" "$address" \
      2>&1 >/dev/null | tee "$headers.errors" >"$shown"
    status=${PIPESTATUS[0]}
    set -e
    why=$(grep -o 'curl: .*' "$headers.errors" | tail -n 1 | sed -E 's/^curl: //' || true)
    code=$(sed -nE 's/^HTTP\/[0-9.]+ ([0-9]+).*/\1/p' "$headers" 2>/dev/null | tail -n 1)
    length=$(tr -d '\r' <"$headers" 2>/dev/null | sed -nE 's/^content-length: *([0-9]+)$/\1/Ip' |
      tail -n 1)
    rm -f "$headers" "$headers.errors"
    have=$(bytes "$part")
    case $status in
      0)
        ((have < size)) || return 0
        # A server that names the length has sent everything it has.
        if [[ -n $length ]]; then
          rm -f "$part"
          fail "$address has $have bytes, expected $size; it is another file: choose another" \
            "--mirror"
        fi
        forget_unless_prefix
        if [[ ! -e $part ]]; then
          fail "$address sent $have bytes that are no gzip archive, expected $size bytes;" \
            "choose another --mirror"
        fi ;;
      33) # the server knows no Range: the beginning is of no use
        restarts=$((restarts + 1))
        ((restarts <= 2)) || fail "$address cannot go on at byte $before of $size and stops before" \
          "the end each time; choose another --mirror, which goes on at that byte"
        say "$address cannot go on at byte $before; beginning anew"
        rm -f "$part"
        continue ;;
      23) fail "could not write $part after $have of $size bytes ($why); make room there and run" \
        "this again, it goes on at that byte" ;;
      63)
        forget_unless_prefix
        fail "$address is larger than the expected $size bytes; it is another file: choose" \
          "another --mirror" ;;
      18 | 28 | 52 | 55 | 56 | 92) ;; # cut short
      22)
        if [[ $code == 416 ]]; then
          rm -f "$part"
          fail "$address ends before byte $before, expected $size bytes; it is another file:" \
            "choose another --mirror"
        fi
        fail "$address was answered with HTTP status $code, expected 200; choose another --mirror" ;;
      *) fail "could not reach $address (${why:-curl ended with $status}); look at the network, or" \
        "choose another --mirror, or give an archive with --archive" ;;
    esac
    # Cut short: once more while each try brings something.
    if ((have > before)); then stalls=0; else stalls=$((stalls + 1)); fi
    if ((stalls >= 2)); then
      forget_unless_prefix
      fail "the download of $address stopped at byte $have of $size (${why:-closed});" \
        "run this again, it goes on at that byte"
    fi
    say "cut short at byte $have of $size; going on"
    sleep "${FETCH_PAUSE:-2}"
  done
}

# ---- the archive, whole and as expected
if [[ -z $archive ]]; then
  if ((have != size)); then download; fi
  source=$part
  remedy="it was removed: run this again, or choose another --mirror"
else
  [[ -f $archive ]] || fail "$archive is not a file; give the benchmark's archive, or leave out" \
    "--archive to download it"
  source=$archive
  remedy="download it anew, or give --size and --sha256 if it is meant to be another archive"
fi
reject() {
  if [[ -z $archive ]]; then rm -f "$part"; fi
  fail "$1; $remedy"
}
found=$(bytes "$source")
((found == size)) || reject "$source has $found bytes, expected $size"
say "comparing the SHA-256 of $source"
found=$(sha256sum <"$source" | cut -d' ' -f1)
[[ $found == "$sha256" ]] || reject "$source has the SHA-256 $found, expected $sha256"

# ---- unpacked beside the target, renamed when complete
trap 'rm -rf "$unpacked"' EXIT
rm -rf "$unpacked"
mkdir "$unpacked"
say "unpacking into $target"
tar --extract --gzip --file "$source" --directory "$unpacked" --no-same-owner \
  --exclude "$folder/$duplicate" --exclude "./$folder/$duplicate" 2>"$unpacked/errors" ||
  fail "could not unpack $source: $(tail -n 1 "$unpacked/errors"); make room in $output, or look" \
    "at the archive, and run this again"
problem=$(problem_of "$unpacked/$folder")
[[ -z $problem ]] || fail "the archive $source is not the benchmark's: $problem"
mv --no-target-directory "$unpacked/$folder" "$target"
if [[ -z $archive ]]; then
  if [[ -z $keep ]]; then
    rm -f "$part"
  elif [[ -e ${part%.part} ]]; then
    say "kept the archive as $part: ${part%.part} was there already and is left as it is"
  else
    mv "$part" "${part%.part}"
  fi
fi
next
