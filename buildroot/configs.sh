#!/bin/sh
# configs/offhook_BOARD_defconfig = common.config + board/profiles/BOARD/buildroot.config: what
# boards share is written once.
#   configs.sh [FOLDER]     (default: configs)
set -eu
cd "$(dirname "$0")"
out=${1:-configs}
mkdir -p "$out"
for own in ../board/profiles/*/buildroot.config; do
  board=$(basename "$(dirname "$own")")
  { echo "# Offhook on $board; made by configs.sh, edit common.config or board/profiles/$board/buildroot.config instead."
    sed "s/@BOARD@/$board/g" common.config "$own"; } >"$out/offhook_$(echo "$board" | tr - _)_defconfig"
done
