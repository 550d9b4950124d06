#!/usr/bin/env bash
# scripts/pack and scripts/flash, on files in place of a card, with /sys and /proc of our own; and
# on a loop device where one is to be had.
set -uo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d); loop=
trap '[ -z "$loop" ] || losetup -d "$loop"; rm -rf "$work"' EXIT
bad=0
fail() { echo "FAIL: $*"; bad=1; }
# expect CODE WORDS COMMAND…
expect() {
  local code=$1 words=$2 said; shift 2
  said=$("$@" 2>&1); local got=$?
  [ $got = "$code" ] || fail "exit code $got, not $code: $* ($said)"
  grep -q -- "$words" <<<"$said" || fail "no word of '$words': $said"
}
# A card of 64 MiB called sdz, whole and idle.
machine() {
  rm -rf "$work/root"; mkdir -p "$work/root/proc" "$work/root/dev" "$work/root/sys/class/block/sdz/holders" "$work/root/sys/class/block/sdz1/holders"
  : >"$work/root/proc/mounts"; : >"$work/root/proc/swaps"
  echo 1 >"$work/root/sys/class/block/sdz/removable"; echo 0 >"$work/root/sys/class/block/sdz/ro"
  echo $((64 << 11)) >"$work/root/sys/class/block/sdz/size"; echo 1 >"$work/root/sys/class/block/sdz1/partition"
  rm -f "$work/sdz"; head -c $((64 << 20)) /dev/urandom >"$work/sdz"
}
flash() { scripts/flash --root "$work/root" --yes "$work/${1:-sdz}" "${2:-$work/offhook-test-1.img}"; }

# An image of 16 MiB, mostly empty, packed.
truncate -s 16M "$work/offhook-test-1.img"
for at in 0 5 9 3000; do head -c 5000 /dev/urandom | dd of="$work/offhook-test-1.img" bs=4096 seek=$at conv=notrunc status=none; done
expect 0 "to be written" scripts/pack "$work/offhook-test-1.img" test 1
(cd "$work" && sha256sum --quiet -c offhook-test-1.img.xz.sha256) || fail "the hash is not the file's"
grep -q '"sha256"' "$work/offhook-test-1.manifest.json" || fail "no manifest"
sources() { python3 -c 'import json, sys; sources = json.load(open(sys.argv[1]))["sources"]; print(sources["kind"], *(part["version"] for part in sources.get("archives", [])))' "$work/offhook-test-1.manifest.json"; }
[ "$(sources)" = buildroot ] || fail "the manifest's sources: $(sources)"
echo '{"kind": "debian", "archives": [{"name": "linux", "package": "linux", "version": "6.18.9-1~bpo13+1"}]}' >"$work/sources.json"
OFFHOOK_SOURCES=$work/sources.json expect 0 "to be written" scripts/pack "$work/offhook-test-1.img" test 1
[ "$(sources)" = "debian 6.18.9-1~bpo13+1" ] || fail "the manifest's sources: $(sources)"
[ "$(grep -c '<Range' "$work/offhook-test-1.img.bmap")" = 4 ] || fail "the block map has not 4 runs"
sum=$(sed -n 's/.*<BmapFileChecksum> \([0-9a-f]*\) .*/\1/p' "$work/offhook-test-1.img.bmap")
[ "$(sed "s/$sum/$(printf '0%.0s' {1..64})/" "$work/offhook-test-1.img.bmap" | sha256sum | cut -d' ' -f1)" = "$sum" ] || fail "the map's own hash is wrong"

machine
expect 0 "written and verified" flash
cmp -n 5000 "$work/sdz" "$work/offhook-test-1.img" || fail "the card does not begin as the image"
cmp -i $((3000 * 4096)) -n 5000 "$work/sdz" "$work/offhook-test-1.img" || fail "the card does not go on as the image"
machine; expect 0 "written and verified" flash sdz "$work/offhook-test-1.img.xz"
cmp -i $((9 * 4096)) -n 5000 "$work/sdz" "$work/offhook-test-1.img" || fail "unpacked on the way, the card is not the image"
mv "$work/offhook-test-1.img.bmap" "$work/bmap"; machine; expect 0 "written and verified" flash
cmp -n $((16 << 20)) "$work/sdz" "$work/offhook-test-1.img" || fail "without a map the card is not the image"
mv "$work/bmap" "$work/offhook-test-1.img.bmap"

# Refused, and nothing written.
untouched() { [ "$(sha256sum <"$work/sdz")" = "$before" ] || fail "$1: the card was written"; }
refused() { before=$(sha256sum <"$work/sdz"); expect 1 "$1" flash "${@:2}"; untouched "$1"; }
machine; echo 0 >"$work/root/sys/class/block/sdz/removable"; refused "fixed disk"
machine; echo "/dev/sdz1 /media/card vfat rw 0 0" >"$work/root/proc/mounts"; refused "mounted on /media/card"
machine; echo "/dev/sdz1 partition 1 0 -2" >"$work/root/proc/swaps"; refused "used as swap"
machine; mkdir "$work/root/sys/class/block/sdz1/holders/dm-0"; refused "held by dm-0"
machine; echo 1 >"$work/root/sys/class/block/sdz/ro"; refused "write-protected"
machine; echo 1000 >"$work/root/sys/class/block/sdz/size"; refused "take a larger card"
machine; cp "$work/sdz" "$work/sdz1"; refused "is a partition" sdz1; rm "$work/sdz1"
machine; refused "not there" sdz "$work/other.img"
machine; refused "not there" sdy
machine; before=$(sha256sum <"$work/sdz"); expect 1 "not confirmed" scripts/flash --root "$work/root" "$work/sdz" "$work/offhook-test-1.img" </dev/null; untouched "not confirmed"
# A card that does not keep what was written: its map says so.
machine; sed -i '0,/chksum="./s//chksum="0/; 0,/chksum="0./s//chksum="01/' "$work/offhook-test-1.img.bmap"
expect 1 "does not hold what was written" flash

# The true kernel, where it gives a loop device.
if [ "$(id -u)" = 0 ] && truncate -s 32M "$work/disk" && loop=$(losetup -f --show "$work/disk" 2>/dev/null); then
  rm "$work/offhook-test-1.img.bmap"
  expect 1 "fixed disk" scripts/flash --yes "$loop" "$work/offhook-test-1.img"
  expect 0 "written and verified" scripts/flash --yes --loop "$loop" "$work/offhook-test-1.img"
  cmp -n $((16 << 20)) "$work/disk" "$work/offhook-test-1.img" || fail "the loop device is not the image"
else
  loop=; echo "SKIPPED: flash to a loop device: this machine gives none" >&2
fi
[ $bad = 0 ] && echo "flash: all as it should be"
exit $bad
