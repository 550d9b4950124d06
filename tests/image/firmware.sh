#!/bin/bash
# Does what a board's firmware does, for QEMU's `virt`, which has no firmware that knows slots:   firmware.sh IMAGE OUT_FOLDER
#
#   p1 autoboot.txt, tryboot ─▶ slots.sh (the same code the phone runs) ─▶ slot ─▶ OUT/{Image,initrd,cmdline} from that slot's boot partition
#
# Prints the slot. The flag `tryboot` is cleared on the card before anything is booted, as the
# Raspberry Pi's firmware clears its register.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
lib=$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook
. "$lib/layout.sh"; . "$lib/slots.sh"
image=$1 out=$2
export MTOOLS_SKIP_CHECK=1
start() { sfdisk -d "$image" | sed -n "s/^[^ ]*[^0-9]$1 : start= *\([0-9]*\),.*/\1/p"; }
card=$image@@$(($(start 1) * 512))
mkdir -p "$out/card"; rm -f "$out/card/"*
mcopy -n -i "$card" ::autoboot.txt ::tryboot "$out/card/" 2>/dev/null || true
was=$(cat "$out/card/tryboot" 2>/dev/null || true)
slot=$(slots_firmware "$out/card")
if [ "$was" != "$(cat "$out/card/tryboot" 2>/dev/null || true)" ]; then mcopy -o -i "$card" "$out/card/tryboot" ::tryboot; fi
rm -f "$out/Image" "$out/initrd" "$out/cmdline.txt"
boot=$image@@$(($(start "$(slot_boot "$slot")") * 512))
mcopy -n -i "$boot" ::Image ::cmdline.txt "$out/"
# A built image has no initramfs.
mcopy -n -i "$boot" ::initrd "$out/" 2>/dev/null || true
echo "$slot"
