#!/bin/sh
# Starts the program of this name in ../libexec with this machine's C library, if that is glibc 2.@NEEDED@ or
# newer, otherwise with the one in ../libc. LM_LIBC=own or host decides it in place of the version.
self=$(readlink -f "$0") || exit 1
here=${self%/bin/*} name=${self##*/}
libc=${LM_LIBC:-}
if [ -z "$libc" ]; then
  libc=own
  # Loaders before glibc 2.33 do not say their version.
  version=$(/lib64/ld-linux-x86-64.so.2 --version 2>/dev/null)
  version=${version#*release version }
  case $version in
    2.[0-9]*)
      minor=${version#2.}
      if [ "${minor%%[!0-9]*}" -ge @NEEDED@ ]; then
        # Some have no C++ library.
        for folder in /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /usr/lib64 /lib64 /usr/lib; do
          if [ -e "$folder/libstdc++.so.6" ]; then libc=host; fi
        done
      fi ;;
  esac
fi
if [ "$libc" = host ]; then exec "$here/libexec/$name" "$@"; fi
exec "$here/libc/ld-linux-x86-64.so.2" --library-path "$here/libc:$here/lib" \
  --argv0 "$here/libexec/$name" "$here/libexec/$name" "$@"
