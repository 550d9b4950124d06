#!/usr/bin/env bash
# A built image of virt, booted as what was built (make test-image IMAGE=FILE): no initramfs, no
# test shell; a key for SSH is written to its card as a person would.
#   tests/image/built.sh OFFHOOK-virt-VERSION.img[.xz]
# With the .raucb of the same name beside it, an update to the other slot as well; then the network
# (built_network.sh) and power cuts (cuts.py). An image of rpi3 is booted by raspi3b.sh instead. Wall
# clock: an emulated machine boots.
#   BUILT_LIMIT=SECONDS   how long one step may take (default 180)
#   BUILT_CUTS=N          power cuts in writes of history, configuration and update (default 9)
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
image=${1:?which image?}
[ -s "$image" ] || { echo "built: there is no image $image" >&2; exit 1; }
case $(basename "$image") in offhook-rpi3-*) exec "$root/tests/image/raspi3b.sh" "$image" ;; esac
lib=$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook
. "$lib/layout.sh"
export MTOOLS_SKIP_CHECK=1 PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d); qemu=
trap 'kill $qemu "${ears[@]}" 2>/dev/null; rm -rf "$work"' EXIT
limit=${BUILT_LIMIT:-180} passed=0
fail() { echo "FAIL: $*"; [ ! -e "$work/console" ] || tail -30 "$work/console"; echo "$passed passed, 1 failed"; exit 1; }
ok() { passed=$((passed + 1)); echo "ok: $*"; }

card=$work/card.img
case $image in *.xz) xz -dc "$image" >"$card" ;; *) cp --sparse=always "$image" "$card" ;; esac || fail "the image cannot be read"
start() { sfdisk -d "$card" | sed -n "s/^[^ ]*img$1 : start= *\([0-9]*\),.*/\1/p"; }
p1=$card@@$(($(start 1) * 512))
text() { mtype -i "$p1" "::$1" 2>/dev/null; }
ssh-keygen -q -t ed25519 -N '' -f "$work/key" || fail "no key for SSH"
printf '[phone]\ncountry = "de"\n[system]\nssh_keys = ["%s"]\n' "$(cut -d' ' -f1,2 "$work/key.pub")" >"$work/offhook.toml"
mcopy -o -i "$p1" "$work/offhook.toml" ::offhook.toml || fail "the card cannot be written"
version=$(basename "$image" | sed -n 's/^offhook-virt-\(.*\)\.img.*/\1/p')

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sound=none,id=sound ears=()
# power [WORD…]: what its firmware would do, then QEMU; a reset ends it. WORDs join the kernel's
# command line.
power() {
  slot=$("$root/tests/image/firmware.sh" "$card" "$work/firmware") || fail "the firmware finds nothing to boot"
  local initrd=(); [ ! -e "$work/firmware/initrd" ] || initrd=(-initrd "$work/firmware/initrd")
  qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 1 -m 512 -display none -nodefaults -accel tcg -no-reboot -serial "file:$work/console" \
    -kernel "$work/firmware/Image" "${initrd[@]}" -append "$(cat "$work/firmware/cmdline.txt") $*" -drive "if=none,id=card,format=raw,file=$card" \
    -device virtio-blk-device,drive=card -device i6300esb -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" -device virtio-net-device,netdev=net \
    -audiodev "$sound" -device intel-hda -device hda-duplex,audiodev=sound,mixer=off >"$work/qemu.log" 2>&1 &
  qemu=$! powered=$SECONDS
}
. "$root/tests/image/guest.sh"
wait_reset() { local end=$((SECONDS + limit)); until ended; do [ $SECONDS -lt $end ] || fail "$1 did not come within $limit s"; sleep 1; done; qemu=; ok "$1 ($SECONDS s)"; }
# open_ears: a sound server with a null sink as the machine's card; what is played is in $work/ear.
open_ears() {
  local home=$work/pulse end=$((SECONDS + limit)); mkdir -p "$home/run"
  export PULSE_SERVER=unix:$home/native XDG_RUNTIME_DIR=$home/run
  printf 'load-module module-%s\n' "native-protocol-unix auth-anonymous=1 socket=$home/native" "null-sink sink_name=ear rate=48000 channels=1" \
    "null-sink sink_name=mouth rate=48000 channels=1" >"$home/script"
  HOME=$home pulseaudio -n --daemonize=no --exit-idle-time=-1 --use-pid-file=no -F "$home/script" >"$home/log" 2>&1 & ears=($!)
  until [ -S "$home/native" ]; do [ $SECONDS -lt $end ] || fail "no sound server: $(cat "$home/log")"; sleep 0.1; done
  HOME=$home parec --latency-msec=40 --device=ear.monitor --format=s16le --rate=48000 --channels=1 --raw "$work/ear" 2>>"$home/log" & ears+=($!)
  sound=pa,id=sound,server=$PULSE_SERVER,out.name=ear,in.name=mouth.monitor,out.latency=80000,in.latency=80000
}
# heard: whether anything but silence was played; the stand-in's tests ask how loud.
heard() { tr -d '\000' 2>/dev/null <"$work/ear" | head -c 1 | wc -c | grep -qx 1; }

power
[ "$slot" = a ] || fail "a fresh card starts slot $slot"
wait_for "SSH by the key on the card" ask true
wait_for "the phone is idle" says "offhook ctl status" '"state":"idle"'
wait_for "the data partition was formatted and is mounted" says "cat /proc/mounts" ' /data ext4 '
says "cat /proc/mounts" '/dev/root / squashfs ro\|/dev/vda5 / squashfs ro' && ok "the root is the read-only squashfs of slot a" || fail "the root: $(ask 'cat /proc/mounts')"
says "cat /proc/mounts" ' /boot/offhook vfat ro' && ok "p1 is read-only" || fail "p1: $(ask 'cat /proc/mounts')"
[ -z "$version" ] || { [ "$(ask cat /etc/offhook/version)" = "$version" ] && ok "its version is $version" || fail "its version is $(ask cat /etc/offhook/version)"; }
says "offhook --version" . && ok "the phone says its version" || fail "the phone says no version"
says "ls /usr/share/licenses/busybox-* /usr/share/licenses/linux-* /usr/share/licenses/crates" '^LICENSE\|^COPYING' && ok "licence texts" || fail "no licence texts"
ask "cat /usr/share/offhook/parts.spdx.json" >"$work/parts"
parts=$(python3 -c 'import json, sys; about = json.load(open(sys.argv[1])); assert about["spdxVersion"] == "SPDX-2.3", about["spdxVersion"]; print(len(about["packages"]))' "$work/parts") \
  && [ "${parts:-0}" -gt 150 ] && ok "the list of parts (SPDX) has $parts" || fail "the list of parts has ${parts:-nothing}"
ask "echo kept >/data/mark && sync" && ok "the data partition is written" || fail "the data partition cannot be written"
# A device with a missing driver would show here.
ask "dmesg" >"$work/dmesg"; grep -E 'Oops|BUG: |Call trace|Unable to handle' "$work/dmesg" && fail "the kernel complains"; ok "the kernel does not complain"
ask "ps" >"$work/ps"; grep -q 'offhook run' "$work/ps" && ok "init runs the phone" || fail "init does not run the phone: $(cat "$work/ps")"
# The phone has a user of its own, its broker and nothing else of it is root.
phone_user='for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = offhook ] && tr "\0" " " <$p/cmdline | grep -q "offhook run" && grep ^Uid: $p/status; done; true'
says "$phone_user" '990.990.990.990' && ok "the phone is not root" || fail "the phone's user: $(ask "$phone_user")"
# Unpacked here: the image's own tar opens nothing that is compressed.
if ask 'offhook ctl bundle /tmp/bundle.tar.gz >/dev/null && cat /tmp/bundle.tar.gz; rm -f /tmp/bundle.tar.gz' \
  2>/dev/null | tar -xzO offhook-support/kernel.txt | grep -q 'Linux version'; then
  ok "the support bundle has the kernel's log"
else
  fail "no log of the kernel in the bundle"
fi
ask "awk '/MemTotal|MemAvailable/ { print }' /proc/meminfo"
wait_for "the slot is kept" says "cat /run/offhook/image" 'slot: a'
wait_for "the phone says that the slot is good" ask "[ -e /run/offhook/slot-good ]"
ask "kill -9 \$(pidof offhook)"; wait_for "after a crash the phone is idle again" says "offhook ctl status" '"state":"idle"'
ask "sync; reboot" || true; wait_reset "a reset when asked"
text status.txt | grep -q . && ok "status.txt is on the card" || fail "there is no status.txt"

# The handset is off hook from the start; then the power goes.
open_ears; power offhook.lifted; began=$(date +%s%N)
until heard; do
  [ $(($(date +%s%N) - began)) -lt $((limit * 1000000000)) ] || fail "no dial tone within $limit s"
  if ended; then fail "the machine ended before the dial tone: $(cat "$work/qemu.log")"; fi
  sleep 0.1
done
took=$((($(date +%s%N) - began) / 1000000)); ok "dial tone $((took / 1000)).$((took / 100 % 10)) s after power"
cut_power; kill "${ears[@]}"; ears=() sound=none,id=sound

bundle=${image%.xz}; bundle=${bundle%.img}.raucb
if [ ! -s "$bundle" ]; then
  echo "SKIPPED: the update to the other slot: there is no $bundle"
else
  mcopy -o -i "$p1" "$bundle" ::update.raucb || fail "the update does not fit on the card"
  printf x >"$work/allow"; mcopy -o -i "$p1" "$work/allow" ::allow-downgrade.txt
  # The power goes while the update is written, some times: slot a starts again, until b is written
  # whole and on trial.
  written=
  for ((cut = 1; cut <= 3; cut++)); do
    power
    if [ "$slot" = b ]; then written=1; break; fi
    tenths=$((RANDOM % 250 + 50))
    for ((left = tenths; left > 0; left--)); do
      if ended; then qemu=; written=1; break 2; fi
      sleep 0.1
    done
    cut_power; ok "power cut $cut, $((tenths / 10)).$((tenths % 10)) s after power ($SECONDS s)"
  done
  if [ -z "$written" ]; then
    power
    if [ "$slot" = a ]; then
      wait_for "SSH again" ask true
      wait_for "what was written before the reset" says "cat /data/mark" kept
      wait_reset "the update is written, and the machine restarts"
    fi
  fi
  [ -n "$qemu" ] || power
  [ "$slot" = b ] && ok "the trial of slot b" || fail "the firmware takes slot $slot"
  wait_for "SSH in slot b" ask true
  wait_for "slot b runs" says "cat /run/offhook/image" 'slot: b'
  wait_for "what was written before the first reset" says "cat /data/mark" kept
  wait_for "slot b is good" ask "[ -e /run/offhook/slot-good ]"
  wait_for "slot b is the one that starts" says "cat /boot/offhook/autoboot.txt" "boot_partition=$(slot_boot b)"
  wait_for "status.txt says what is new" says "offhook ctl refresh; cat /boot/offhook/status.txt" '^ *changes: '
  cut_power
fi
echo "$passed passed, 0 failed"
bad=0
"$root/scripts/netns" "$root/tests/image/built_network.sh" "$image"
case $? in 0) ;; 77) echo "SKIPPED: the network of the image" ;; *) bad=1 ;; esac
"$root/tests/image/cuts.py" "$image" "${BUILT_CUTS:-9}" || bad=1
exit $bad
