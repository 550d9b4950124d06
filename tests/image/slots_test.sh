#!/bin/sh
# The slot library on the host: every way a choice can change, and a power cut at every write of it.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
lib=$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook
. "$lib/layout.sh"; . "$lib/slots.sh"
card=$(mktemp -d); trap 'rm -rf "$card"' EXIT
bad=0
is() { if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "FAIL: $1: '$2', not '$3'"; bad=1; fi; }

slots_text a >"$card/autoboot.txt"; printf 0 >"$card/tryboot"
is "a new card boots a" "$(slots_firmware "$card")" a
is "the two texts have one length" "$(slots_text a | wc -c)" "$(slots_text b | wc -c)"
is "they fit one sector" "$([ "$(slots_text a | wc -c)" -le 512 ] && echo yes)" yes
is "the text is the firmware's" "$(slots_text b | tr '\n' ' ')" "[all] tryboot_a_b=1 boot_partition=3 [tryboot] boot_partition=2 "

slots_arm "$card"
is "armed: the next is b" "$(slots_next "$card")" b
is "the kept one is still a" "$(slots_primary "$card")" a
is "the firmware takes b" "$(slots_firmware "$card")" b
is "once only: the next start takes a again" "$(slots_firmware "$card")" a

slots_arm "$card"; slots_firmware "$card" >/dev/null; slots_keep "$card" b
is "kept: b from now on" "$(slots_firmware "$card")$(slots_firmware "$card")" bb
slots_arm "$card"
is "and a on trial" "$(slots_firmware "$card")$(slots_firmware "$card")" ab
slots_arm "$card"; slots_keep "$card" b
is "keeping takes a trial back" "$(slots_next "$card")" b

# Writing in place: the inode and the length stay, so the file system's own tables are not touched.
before=$(stat -c '%i %s %b' "$card/autoboot.txt"); slots_keep "$card" a
is "rewritten in place" "$(stat -c '%i %s %b' "$card/autoboot.txt")" "$before"

# A damaged card always boots some slot.
rm "$card/autoboot.txt"; is "no autoboot.txt" "$(slots_firmware "$card")" a
printf 'nonsense\000\377' >"$card/autoboot.txt"; is "noise in autoboot.txt" "$(slots_firmware "$card")" a
printf '[all]\ntryboot_a_b=1\nboot_partition=9\n[tryboot]\nboot_partition=3\n' >"$card/autoboot.txt"; is "a partition that is no slot" "$(slots_firmware "$card")" a
slots_text a >"$card/autoboot.txt"; printf 'x' >"$card/tryboot"; is "noise in the flag" "$(slots_firmware "$card")" a
# A board whose firmware has its own flag has no such file: nothing is armed by file, nothing made.
rm "$card/tryboot"; slots_arm "$card"; slots_keep "$card" b
is "no flag file is made" "$(ls "$card")" autoboot.txt

line='console=x root=/dev/mmcblk0p5 rootwait rauc.slot=a quiet'
is "a slot's command line" "$(echo "$line" | slots_cmdline b)" 'console=x root=/dev/mmcblk0p6 rootwait rauc.slot=b quiet'
is "and back" "$(echo "$line" | slots_cmdline b | slots_cmdline a)" "$line"
is "a root at the line's end" "$(echo 'rauc.slot=b root=/dev/vda6' | slots_cmdline a)" 'rauc.slot=a root=/dev/vda5'
exit $bad
