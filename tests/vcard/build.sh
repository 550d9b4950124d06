#!/bin/sh
# Builds the virtual sound card into a directory: build.sh DIR. Does nothing if it is newer than its
# source.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
lib=$out/libasound_module_pcm_vcard.so
mkdir -p "$out"
if [ -e "$lib" ] && [ "$lib" -nt "$here/vcard.c" ]; then exit 0; fi
# A temporary name and a rename: two tests may build at once.
tmp=$lib.$$
${CC:-cc} -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-address-of-packed-member -shared -fPIC -DPIC -o "$tmp" "$here/vcard.c" -lasound -lm
mv "$tmp" "$lib"
