#!/usr/bin/env bash
# Rehearses a newcomer's first hour: a clean Debian 12 made by debootstrap in a folder, Swift from this
# machine read-only, a fresh clone of HEAD, and both commands of the README inside it.
#
#   scripts/rehearsal.sh ROOT [OPTION...]      ROOT: a folder that is not there yet, or one that
#                                              --keep has left (then what it installed is there)
#
#   --mirror URL      Debian mirror (the first of this machine's own package sources)
#   --bind DIR        read-only in the root at the same place; again for more, for example the
#                     folder from which git reads the Swift packages on a machine without network
#   --env NAME=VALUE  set inside, again for more
#   --only COMMANDS   instead of both commands, for example "scripts/test.sh"
#   --keep            leaves ROOT behind, mounts excepted
#
# Settings by which git here reads one address from another place (url.*.insteadOf) hold inside too.
# Needs root and the package debootstrap. Takes about a quarter of an hour on two idle cores.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  sed -n '2,16p' "$0" | cut -c3- >&2
  exit 2
}
fail() {
  echo "rehearsal: error: $*" >&2
  exit 1
}
(($# >= 1)) && [[ $1 != -* ]] || usage
root=$1
shift
mirror= binds=() environment=() keep=
only="scripts/quickstart.sh scripts/test.sh"
while (($#)); do
  case $1 in
    --keep) keep=1 && shift && continue ;;
  esac
  (($# >= 2)) || usage
  case $1 in
    --mirror) mirror=$2 ;;
    --bind) binds+=("$(realpath "$2")") ;;
    --env) environment+=("$2") ;;
    --only) only=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[[ ! -e $root || -e $root/etc/debian_version ]] ||
  fail "$root is there and no Debian root; give a folder that is not there"
[[ $(id -u) == 0 ]] || fail "mounting and chroot need root; run it with sudo"
for program in debootstrap swift git; do
  command -v "$program" >/dev/null || fail "$program is missing; install it first"
done
if [[ -z $mirror ]]; then
  # One line a source, or a field of a paragraph; the archive itself, not that of security updates.
  mirror=$({
    sed -nE 's/^deb +(\[[^]]*\] +)?([a-z]+:[^ ]+) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list
    sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/*.sources
  } 2>/dev/null | grep -vE 'security|mirror\+' | head -n 1) || true
  [[ -n $mirror ]] || fail "this machine's package sources name no Debian mirror; give one with --mirror URL"
fi
swift=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
binds+=("$swift")

commit=$(git rev-parse HEAD)
mkdir -p "$root"
root=$(realpath "$root")
mounted=()
clean() {
  local index
  for ((index = ${#mounted[@]} - 1; index >= 0; index--)); do
    umount --lazy "${mounted[index]}" || true
  done
  # Never removed with a mount inside: what is mounted is this machine's own.
  if [[ -z $keep ]] && ! grep -qF " $root/" /proc/mounts; then rm -rf --one-file-system "$root"; fi
}
trap clean EXIT
step() { printf '\n=== rehearsal: %s\n' "$*"; }

if [[ -e $root/etc/debian_version ]]; then
  step "the Debian of an earlier rehearsal in $root"
  rm -rf "$root/root/trainer" "$root/etc/gitconfig"
else
  step "a clean Debian 12 in $root"
  debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; fail "debootstrap failed; see $root.log, or give another --mirror"; }
  rm -f "$root.log"
fi
bind() { # bind DIR: this folder inside, read-only
  mkdir -p "$root$1"
  mount --bind "$1" "$root$1"
  mounted+=("$root$1")
  mount -o remount,bind,ro "$root$1"
}
mount -t proc proc "$root/proc" && mounted+=("$root/proc")
mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev" && mounted+=("$root/dev")
cp /etc/resolv.conf "$root/etc/resolv.conf"

step "a clone of ${commit:0:7}"
git clone --quiet --no-hardlinks . "$root/root/trainer"
git -C "$root/root/trainer" checkout --quiet --detach "$commit"
{
  git config --get-regexp '^url\..*\.insteadof$' || true
} | while read -r key value; do git config --file "$root/etc/gitconfig" --add "$key" "$value"; done
# The folders belong to somebody else inside.
git config --file "$root/etc/gitconfig" --add safe.directory '*'

inside() { # inside COMMAND...
  chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM=dumb \
    PATH="$swift/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    ${environment[@]+"${environment[@]}"} "$@"
}
step "what Swift itself asks Debian for"
inside apt-get update -qq
inside env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  binutils ca-certificates git libc6-dev libcurl4 libedit2 libgcc-12-dev libncurses6 libpython3.11 \
  libsqlite3-0 libstdc++-12-dev libxml2 libz3-4 tzdata zlib1g-dev >/dev/null
# Afterwards, so that a bound folder is not in the way of a package.
for folder in "${binds[@]}"; do bind "$folder"; done
inside swift --version 2>&1 | head -n 1

for command in $only; do
  step "$command"
  began=$SECONDS
  inside bash -c "cd /root/trainer && $command" ||
    fail "$command failed in a clean Debian 12; run again with --keep and look into $root"
  step "$command passed in $(((SECONDS - began) / 60)) min $(((SECONDS - began) % 60)) s"
done
