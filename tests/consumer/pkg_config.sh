#!/usr/bin/env bash
# Compiles the consumer with what pkg-config says of an installed cairn, and runs it.
#   pkg_config.sh COMPILER SOURCE PREFIX LIBDIR OUTPUT_DIR
set -euo pipefail
compiler=$1 source=$2 prefix=$3 libdir=$4 out=$5
export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig

read -ra cflags <<<"$(pkg-config --cflags cairn)"
read -ra libs <<<"$(pkg-config --libs cairn)"
# All of a static library, so that a dependency that cairn.pc forgot shows.
whole=()
archive=$prefix/$libdir/libcairn.a
[ ! -e "$archive" ] || whole=(-Wl,--whole-archive "$archive" -Wl,--no-whole-archive)

mkdir -p "$out"
"$compiler" -std=c++20 "${cflags[@]}" "$source" -o "$out/consumer" "${whole[@]}" "${libs[@]}"
LD_LIBRARY_PATH=$prefix/$libdir "$out/consumer"
