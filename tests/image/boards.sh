#!/usr/bin/env bash
# What `make image` produces for every board, by the script that Buildroot calls at its end
# (post-image), with stand-ins for kernel, firmware and root: the four files and the update, and
# what a board's firmware finds on the card.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook/layout.sh"
export MTOOLS_SKIP_CHECK=1 PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0 tried=0
fail() { echo "FAIL: $board: $*"; bad=1; }
is() { tried=$((tried + 1)); [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=updates" -keyout "$work/key" -out "$work/certificate" 2>/dev/null
mkdir "$work/tree"; head -c 300000 /dev/urandom >"$work/tree/mark"; mksquashfs "$work/tree" "$work/root.squashfs" -all-root -no-progress -quiet >/dev/null

# What each choice of Buildroot's package rpi-firmware leaves.
firmware='VARIANT_PI start.elf fixup.dat
VARIANT_PI_X start_x.elf fixup_x.dat
VARIANT_PI_CD start_cd.elf fixup_cd.dat
VARIANT_PI4 start4.elf fixup4.dat
VARIANT_PI4_X start4x.elf fixup4x.dat
VARIANT_PI4_CD start4cd.elf fixup4cd.dat'
boot_files=$root/buildroot/board/offhook/boot-files

# What a config.txt makes the firmware load.
board=boot-files
asks() { # WHAT BOARD LINES NAME…: these names are asked for, and with a minus these are not
  local what=$1 for=$2 lines=$3 name; shift 3
  printf '%b' "$lines" >"$work/config.txt"
  "$boot_files" "$work/config.txt" "$for" >"$work/names" || fail "$what: exit code $?"
  for name in "$@"; do is "$what: $name" "$(grep -cxF "${name#-}" "$work/names")" "$(case $name in -*) echo 0 ;; *) echo 1 ;; esac)"; done
}
asks "nothing set" rpi3 '' start.elf fixup.dat kernel8.img cmdline.txt bcm2710-rpi-3-b.dtb
asks "little memory" rpi3 'gpu_mem=16\n' start_cd.elf fixup_cd.dat -start.elf
asks "little memory by size" rpi4 'gpu_mem_1024=16\ngpu_mem=64\n' start4cd.elf fixup4cd.dat start4.elf
asks "enough memory" rpi4 'gpu_mem = 64\n' start4.elf fixup4.dat -start4cd.elf
asks "extended" rpi-zero2w 'gpu_mem=128\nstart_x=1\n' start_x.elf fixup_x.dat -start.elf
asks "named" rpi3 'start_file=mine.elf\nfixup_file=mine.dat\ngpu_mem=16\n' mine.elf mine.dat -start_cd.elf
asks "another model's section" rpi3 '[pi4]\nkernel=other\ngpu_mem=16\n[all]\nkernel=Image\n' Image -other start.elf
asks "its own section" rpi3 '[pi3]\ngpu_mem=16\n[tryboot]\nkernel=trial\n' start_cd.elf trial
asks "trees and overlays" rpi4 'os_prefix=a/\ndevice_tree=my.dtb\ndtoverlay=one,x=1\n#dtoverlay=two\ndtoverlay=\n' a/my.dtb a/overlays/one.dtbo -a/overlays/two.dtbo a/kernel8.img
asks "an initramfs" rpi4 'initramfs init.gz followkernel\n' init.gz

for profile in "$root"/board/profiles/*/buildroot.config; do
  profile=$(dirname "$profile") board=$(basename "$(dirname "$profile/x")")
  out=$work/$board; mkdir -p "$out"
  cp "$work/root.squashfs" "$out/rootfs.squashfs"; echo "kernel of $board" >"$out/Image"
  if [ -f "$profile/config.txt" ]; then
    # What Buildroot's rpi-firmware leaves for this board, by its own choice in buildroot.config.
    mkdir -p "$out/rpi-firmware/overlays"; echo dtbo >"$out/rpi-firmware/overlays/ramoops.dtbo"
    while read -r variant files; do
      ! grep -q "^BR2_PACKAGE_RPI_FIRMWARE_$variant=y" "$profile/buildroot.config" || for name in $files; do echo "$name" >"$out/rpi-firmware/$name"; done
    done <<<"$firmware"
    grep -q BOOTCODE_BIN=y "$profile/buildroot.config" && echo bootcode >"$out/rpi-firmware/bootcode.bin"
    for tree in $(sed -n 's/^BR2_LINUX_KERNEL_INTREE_DTS_NAME="\(.*\)"/\1/p' "$profile/buildroot.config"); do echo dtb >"$out/$(basename "$tree").dtb"; done
  fi
  HOST_DIR=/usr OFFHOOK_IMAGE_VERSION=7.8.9 OFFHOOK_UPDATE_CERTIFICATE=$work/certificate OFFHOOK_UPDATE_KEY=$work/key \
    "$root/buildroot/board/offhook/post-image" "$out" "$board" >"$work/log" 2>&1 || { fail "post-image: $(cat "$work/log")"; continue; }
  image=$out/offhook-$board-7.8.9
  # Names, hashes, map, manifest.
  is "the files" "$(cd "$out" && ls -d offhook-* | tr '\n' ' ')" "offhook-$board-7.8.9.img offhook-$board-7.8.9.img.bmap offhook-$board-7.8.9.img.xz offhook-$board-7.8.9.img.xz.sha256 offhook-$board-7.8.9.manifest.json offhook-$board-7.8.9.raucb "
  (cd "$out" && sha256sum --quiet -c "$image.img.xz.sha256") || fail "the hash is not the file's"
  is "the manifest" "$(python3 -c "import json,sys; m=json.load(open(sys.argv[1])); print(m['board'], m['version'], m['image']['file'], m['image']['bmap'], m['buildroot']['version'])" "$image.manifest.json")" \
    "$board 7.8.9 offhook-$board-7.8.9.img.xz offhook-$board-7.8.9.img.bmap $(sed -n 's/^VERSION=//p' "$root/buildroot/buildroot.lock")"
  is "the update" "$(rauc --keyring "$work/certificate" info --output-format=shell "$image.raucb" 2>/dev/null | sed -n "s/^RAUC_MF_COMPATIBLE=//p" | tr -d "'")" "offhook-$board"
  # The card.
  start() { sfdisk -d "$image.img" | sed -n "s/^[^ ]*img$1 : start= *\([0-9]*\),.*/\1/p"; }
  fat() { echo "$image.img@@$(($(start "$1") * 512))"; }
  text() { mtype -i "$(fat "$1")" "::$2" 2>/dev/null; }
  holds() { mdir -b -i "$(fat "$1")" "::$2" >/dev/null 2>&1 && echo yes; }
  # Other systems show it: by the rules their drivers go by, and without a fault of the file system.
  fat=$root/tests/image/fat.py
  is "p1 for Windows and macOS" "$("$fat" "$image.img" "$(start 1)")" "FAT32 OFFHOOK"
  for part in 2 3; do is "p$part for Windows and macOS" "$("$fat" "$image.img" "$(start $part)")" "FAT16 BOOT"; done
  for part in 1 2 3; do
    dd if="$image.img" of="$work/part" bs=512 skip="$(start $part)" count="$(sfdisk -d "$image.img" | sed -n "s/^[^ ]*img$part :.*size= *\([0-9]*\),.*/\1/p")" status=none
    is "p$part is whole" "$(fsck.fat -n "$work/part" >"$work/log" 2>&1; echo $?)" 0
  done
  for name in offhook.toml README.txt autoboot.txt; do is "p1 $name" "$(holds 1 $name)" yes; done
  is "p1 names slot a" "$(text 1 autoboot.txt | sed -n 3p)" "boot_partition=$(slot_boot a)"
  # Notepad shows lines that end as Windows ends them; ten points say what to do.
  is "README.txt for people" "$(text 1 README.txt | grep -c $'\r$') lines, $(text 1 README.txt | grep -c '^ *[0-9]*[.)] ') points" \
    "$(wc -l <"$root/buildroot/board/offhook/README.txt") lines, 10 points"
  cmp -s <(text 1 offhook.toml) "$root/firmware/config/offhook.example.toml" || fail "offhook.toml is not the explained one"
  for slot in a b; do
    part=$(slot_boot $slot) line=$(text "$(slot_boot $slot)" cmdline.txt)
    is "the kernel in slot $slot" "$(text "$part" Image)" "kernel of $board"
    case $line in *root=/dev/*$(slot_root $slot)\ *rauc.slot=$slot\ *) tried=$((tried + 1)) ;; *) fail "slot $slot boots by: $line" ;; esac
    cmp -s <(dd if="$image.img" bs=512 skip="$(start "$(slot_root $slot)")" count=$(($(stat -c %s "$work/root.squashfs") / 512)) status=none) "$work/root.squashfs" || fail "root $slot is not what was built"
    [ -f "$profile/config.txt" ] || continue
    cmp -s <(text "$part" config.txt) "$profile/config.txt" || fail "slot $slot: config.txt is another"
    # Every overlay the board's config.txt can load is there, ours and the firmware's.
    for overlay in $(sed -n 's/^#* *.*dtoverlay=\([a-z0-9-]*\).*/\1/p' "$profile/config.txt"); do is "slot $slot, overlay $overlay" "$(holds "$part" "overlays/$overlay.dtbo")" yes; done
    text "$part" config.txt >"$work/config.txt"
    while read -r name; do is "slot $slot, what config.txt selects: $name" "$(holds "$part" "$name")" yes; done < <("$boot_files" "$work/config.txt" "$board")
    # Somebody who gives the GPU more memory needs the normal firmware.
    suffix=; [ "$board" != rpi4 ] || suffix=4
    for name in start$suffix.elf fixup$suffix.dat; do is "slot $slot, with gpu_mem=64: $name" "$(holds "$part" $name)" yes; done
  done
  # The choice of the slot is the firmware's own file: without tryboot_a_b it would look for another
  # config.txt (tryboot.txt) instead.
  is "a trial takes the other slot's partition" "$(text 1 autoboot.txt | sed -n 2p)" tryboot_a_b=1
  if [ -f "$profile/config.txt" ]; then
    # The build itself says which file is missing.
    for name in $("$boot_files" "$profile/config.txt" "$board"); do
      case $name in config.txt | cmdline.txt | overlays/offhook-*) continue ;; Image) at=$out/Image ;; *.dtb) at=$out/$name ;; *) at=$out/rpi-firmware/$name ;; esac
      mv "$at" "$at.away"
      HOST_DIR=/usr OFFHOOK_IMAGE_VERSION=7.8.9 OFFHOOK_UPDATE_CERTIFICATE=$work/certificate "$root/buildroot/board/offhook/post-image" "$out" "$board" >"$work/log" 2>&1
      is "without $name: exit code" $? 1
      is "without $name: one line names it" "$(grep -c -- "$name" "$work/log") $(wc -l <"$work/log")" "1 1"
      mv "$at.away" "$at"
    done
  fi
  if [ -f "$profile/config.txt" ]; then is "no flag of a machine without firmware" "$(holds 1 tryboot)" ""; else is "the flag of a trial" "$(text 1 tryboot)" 0; fi
  is "the first stage on p1, where the board wants one" "$(holds 1 bootcode.bin)" "$(grep -q BOOTCODE_BIN=y "$profile/buildroot.config" && echo yes)"
  rm -rf "$out"
done

# The same inputs give the same bytes: in another folder, with files of another time, in another
# order, by a machine in another time zone.
board=reproducible
made() { # FOLDER TIME ORDER TZ
  local out=$1 name; mkdir -p "$out/rpi-firmware/overlays"
  cp "$work/root.squashfs" "$out/rootfs.squashfs"; echo kernel >"$out/Image"
  for name in $(printf '%s\n' overlays/ramoops.dtbo overlays/a.dtbo overlays/b.dtbo start.elf fixup.dat start_cd.elf fixup_cd.dat bootcode.bin | sort "$3"); do echo "$name" >"$out/rpi-firmware/$name"; done
  for name in $("$boot_files" "$root/board/profiles/rpi3/config.txt" rpi3 | grep '\.dtb$'); do echo dtb >"$out/$name"; done
  find "$out" -exec touch -d "$2" {} +
  TZ=$4 SOURCE_DATE_EPOCH=1700000000 HOST_DIR=/usr OFFHOOK_IMAGE_VERSION=7.8.9 OFFHOOK_UPDATE_CERTIFICATE=$work/certificate OFFHOOK_UPDATE_KEY=$work/key \
    "$root/buildroot/board/offhook/post-image" "$out" rpi3 >"$work/log" 2>&1 || fail "post-image: $(cat "$work/log")"
}
made "$work/one" "2024-01-01 10:00:00" -n Europe/Berlin; sleep 2.1; made "$work/somewhere/else" "2031-05-06 23:30:01" -r Asia/Tokyo
for name in img img.bmap img.xz img.xz.sha256 manifest.json; do
  cmp "$work/one/offhook-rpi3-7.8.9.$name" "$work/somewhere/else/offhook-rpi3-7.8.9.$name" >"$work/log" 2>&1 && tried=$((tried + 1)) || fail "the two .$name: $(cat "$work/log")"
done
for made in one somewhere/else; do
  rm -rf "$work/content-${made%/*}"
  rauc --keyring "$work/certificate" extract "$work/$made/offhook-rpi3-7.8.9.raucb" "$work/content-${made%/*}" >"$work/log" 2>&1 || fail "the bundle: $(cat "$work/log")"
done
diff -r "$work/content-one" "$work/content-somewhere" >"$work/log" 2>&1 && tried=$((tried + 1)) || fail "the two bundles: $(cat "$work/log")"
echo "$tried checks of the images of all boards passed or reported"
exit $bad
