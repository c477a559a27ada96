# The commands in a folder that runs on an x86-64 Linux without Swift, whatever its C library. Sourced.
#
#   FOLDER/bin/NAME       starts FOLDER/libexec/NAME: with this machine's C library where that is as new as
#                         the libraries need, otherwise with the one in FOLDER/libc
#   FOLDER/lib            libraries that such a machine lacks, Swift's own among them
#   FOLDER/libc           loader, C and C++ libraries of the machine that built it
#   FOLDER/libc/needed    the oldest glibc that lib and libexec run on, 2.N

# The newest version of glibc's symbols that any of the files asks for.
needed_glibc() { # needed_glibc FILE...
  # Files that are no programs are passed over.
  { objdump -T "$@" 2>/dev/null || true; } | grep -oE 'GLIBC_[0-9]+\.[0-9]+' | sort -Vu | tail -n 1 | cut -d_ -f2
}

stage_commands() { # stage_commands PRODUCTS FOLDER NAME...
  local products=$1 stage=$2 name library loader needed
  shift 2
  mkdir -p "$stage/bin" "$stage/libexec" "$stage/lib" "$stage/libc"
  for name in "$@"; do
    strip -o "$stage/libexec/$name" "$products/$name"
    patchelf --set-rpath '$ORIGIN/../lib' "$stage/libexec/$name"
  done
  loader=$(patchelf --print-interpreter "$stage/libexec/$1")
  cp -L "$loader" "$stage/libc/"
  for name in "$@"; do ldd "$products/$name"; done | awk '/=> \//{print $3}' | sort -u |
    while read -r library; do
      case ${library##*/} in
        lib[cm].so* | libmvec.so* | libpthread.so* | libdl.so* | librt.so* | libstdc++.so* | libgcc_s.so*)
          cp -L "$library" "$stage/libc/" ;;
        *)
          cp -L "$library" "$stage/lib/"
          strip --strip-unneeded "$stage/lib/${library##*/}"
          patchelf --set-rpath '$ORIGIN' "$stage/lib/${library##*/}" ;;
      esac
    done
  # What libraries of the other machine, such as its MPI, ask for by their names of before glibc 2.34, and
  # what looks up users and hosts.
  library=$(ldd "$products/$1" | awk '$1 == "libc.so.6" { print $3; exit }')
  for name in libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libresolv.so.2 libanl.so.1 \
    libnss_files.so.2 libnss_dns.so.2; do
    cp -L "$(dirname "$library")/$name" "$stage/libc/"
  done
  needed=$(needed_glibc "$stage"/libexec/* "$stage"/lib/*)
  echo "$needed" >"$stage/libc/needed"
  for name in "$@"; do
    sed "s/@NEEDED@/${needed#2.}/" scripts/parts/bundled-command.sh >"$stage/bin/$name"
    chmod 755 "$stage/bin/$name"
  done
}
