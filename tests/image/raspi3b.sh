#!/usr/bin/env bash
# A built image of rpi3, booted in QEMU's `raspi3b` as what was built: kernel, device tree and
# command line from its own boot slot, the card in the SD slot, a key for SSH on it.
#   tests/image/raspi3b.sh OFFHOOK-rpi3-VERSION.img[.xz]
# With the .raucb of the same name beside it, an update to slot b as well. Wall clock: an emulated
# machine boots.
#   BUILT_LIMIT=SECONDS   how long one step may take (default 300)
# What QEMU's Raspberry Pi lacks: firmware (played here: slot, command line, the flag of a trial),
# pull-ups and edges of its GPIO lines (levels are played by lines.py), the HAT's sound card (a USB
# card is the loudspeaker), the radio, and the watchdog, which resets the machine when it is armed.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
image=${1:?which image?}
[ -s "$image" ] || { echo "raspi3b: there is no image $image" >&2; exit 1; }
board=$root/buildroot/board/offhook
lib=$board/rootfs-overlay/usr/lib/offhook
. "$lib/layout.sh"; . "$lib/slots.sh"
export MTOOLS_SKIP_CHECK=1 PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d); qemu= starts=0
trap 'kill $qemu 2>/dev/null; rm -rf "$work"' EXIT
limit=${BUILT_LIMIT:-300} passed=0
ok() { passed=$((passed + 1)); echo "ok: $*"; }
fail() {
  echo "FAIL: $*"; tail -n 40 "$work"/console-* 2>/dev/null
  echo "$passed passed, 1 failed"; exit 1
}

card=$work/card.img
case $image in
  *.xz) xz -dc "$image" >"$card" ;;
  *) cp --sparse=always "$image" "$card" ;;
esac || fail "the image cannot be read"
# The size of an SD card is a power of two.
size=$((1 << 28)); while [ $size -lt "$(stat -c %s "$card")" ]; do size=$((size * 2)); done
truncate -s $size "$card"
start() { sfdisk -d "$card" | sed -n "s/^[^ ]*img$1 : start= *\([0-9]*\),.*/\1/p"; }
p1=$card@@$(($(start 1) * 512))
boot_of() { echo "$card@@$(($(start "$(slot_boot "$1")") * 512))"; }
text() { mtype -i "$p1" "::$1" 2>/dev/null; }
ssh-keygen -q -t ed25519 -N '' -f "$work/key" || fail "no key for SSH"
cat >"$work/offhook.toml" <<T
[phone]
country = "de"
[hardware.watchdog]
fitted = false
[board.audio]
capture = "silence"
playback = "null"
[audio]
speaker_card = "hw:CARD=Audio,DEV=0"
speaker_microphone = "silence"
[system]
ssh_keys = ["$(cut -d' ' -f1,2 "$work/key.pub")"]
T
mcopy -o -i "$p1" "$work/offhook.toml" ::offhook.toml || fail "the card cannot be written"

# --- What the firmware will ask for
for slot in a b; do
  mkdir -p "$work/slot-$slot"
  files=$work/slot-$slot
  mcopy -s -n -i "$(boot_of $slot)" '::*' "$files/" \
    || fail "the boot partition of slot $slot cannot be read"
  missing=$("$board/boot-files" "$files/config.txt" rpi3 "$files" 2>&1) \
    || fail "slot $slot: $missing"
  grep -q "root=/dev/mmcblk0p$(slot_root $slot) .*rauc.slot=$slot" "$files/cmdline.txt" \
    || fail "slot $slot boots $(cat "$files/cmdline.txt")"
  count=$("$board/boot-files" "$files/config.txt" rpi3 | wc -l)
  ok "slot $slot: the $count files that its config.txt selects, and its own root"
done
"$board/boot-files" "$work/slot-a/config.txt" rpi3 | tr '\n' ' '; echo
[ "$(text bootcode.bin | wc -c)" -gt 10000 ] && ok "the first stage is on the first partition" \
  || fail "there is no bootcode.bin"
[ "$(text autoboot.txt)" = "$(slots_text a)" ] && ok "autoboot.txt chooses slot a, and b on trial" \
  || fail "autoboot.txt: $(text autoboot.txt)"

free='import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
port=$(python3 -c "$free")
patience=20
. "$root/tests/image/guest.sh"
once=
# power: the firmware reads autoboot.txt and its flag, takes kernel, tree and command line of that
# slot, and gives the console its name. The watchdog's driver is left out (see above).
power() {
  local primary=a first words
  first=$(text autoboot.txt | sed -n '/^\[all\]/,/^\[tryboot\]/s/^boot_partition=//p')
  [ "$first" != "$(slot_boot b)" ] || primary=b
  slot=$primary; [ -z "$once" ] || slot=$(slot_other "$primary"); once=
  rm -rf "$work/boot"; mkdir "$work/boot"
  mcopy -n -i "$(boot_of $slot)" ::Image ::cmdline.txt ::bcm2710-rpi-3-b.dtb "$work/boot/" \
    || fail "slot $slot has no kernel"
  words=$(sed 's/serial0/ttyAMA0/; s/quiet/loglevel=5/' "$work/boot/cmdline.txt")
  starts=$((starts + 1)) console=$work/console-$starts
  qemu-system-aarch64 -M raspi3b -display none -no-reboot -serial "file:$console" \
    -kernel "$work/boot/Image" -dtb "$work/boot/bcm2710-rpi-3-b.dtb" \
    -append "$words initcall_blacklist=bcm2835_wdt_driver_init $*" \
    -drive "if=sd,format=raw,file=$card" -device usb-net,netdev=net \
    -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$port-:22" \
    "${speaker[@]}" -S -gdb "unix:$work/gdb,server=on,wait=off" >"$work/qemu.log" 2>&1 &
  qemu=$! powered=$SECONDS
  for _ in 1 2 3 4 5 6 7 8 9 10; do [ -S "$work/gdb" ] && break; sleep 1; done
  lines $(printf '%s=1 ' $(seq 0 27)) || fail "the pull-ups: $(cat "$work/qemu.log")"
}
# lines LINE=LEVEL…: what pull-ups and contacts do on a board
lines() { "$root/tests/image/lines.py" "$work/gdb" "$@"; }
# wait_restart: until the kernel restarts the board; `once` is the flag it gives the firmware.
# Without the watchdog the kernel cannot reset this machine, so its last word counts.
wait_restart() {
  local end=$((SECONDS + limit))
  until ended || grep -qa 'reboot: \(Restarting system\|Reboot failed\)' "$console"; do
    [ $SECONDS -lt $end ] || fail "$1 did not come within $limit s"
    sleep 1
  done
  ! grep -qa "Restarting system with command '0 tryboot'" "$console" || once=1
  sleep 1; kill -9 "$qemu" 2>/dev/null; wait "$qemu" 2>/dev/null; qemu=; ok "$1"
}

speaker=(-audiodev "wav,id=sound,out.frequency=48000,path=$work/speaker.wav"
  -device "usb-audio,audiodev=sound")
power
# With two devices QEMU's USB host sometimes answers no control transfer, and the kernel waits.
end=$((SECONDS + 90))
until grep -qa 'offhook' "$console" || [ $SECONDS -ge $end ]; do sleep 1; done
if ! grep -qa 'offhook' "$console" && grep -qa 'failed control transaction' "$console"; then
  echo "QEMU's USB host does not answer: powered again"; cut_power; power
fi
[ "$slot" = a ] || fail "a fresh card starts slot $slot"
wait_for "the kernel starts init" grep -qa 'offhook' "$console"
wait_for "SSH by the key on the card" ask true
wait_for "the phone is idle" says "offhook ctl status" '"state":"idle"'
says "cat /proc/mounts" ' /data ext4 ' && ok "the data partition was formatted and is mounted" \
  || fail "$(ask 'cat /proc/mounts')"
says "cat /proc/mounts" ' / squashfs ro' && ok "the root is the read-only squashfs" \
  || fail "$(ask 'cat /proc/mounts')"
says "cat /etc/offhook/board" '^rpi3$' && ok "it is the image of rpi3" \
  || fail "its board: $(ask 'cat /etc/offhook/board')"
model=$(ask "tr -d '\\0' </proc/device-tree/model")
[[ $model == *'Raspberry Pi 3 Model B'* ]] && ok "$model" || fail "its model: $model"
ask "dmesg" >"$work/dmesg"
! grep -E 'Oops|BUG: |Call trace|Unable to handle' "$work/dmesg" || fail "the kernel complains"
ok "the kernel does not complain"
ask "grep -E 'MemTotal|MemAvailable' /proc/meminfo; cat /proc/uptime"
ask "uname -a; cat /proc/asound/cards"
ask "cat /etc/offhook/modules.network; ls /lib/firmware/brcm | head -3" >"$work/radio"
grep -q 'brcmfmac.ko' "$work/radio" && ok "the radio's modules are listed" \
  || fail "the radio: $(cat "$work/radio")"
modules=$(ask 'while read -r m; do
    [ -s /lib/modules/$m ] && insmod /lib/modules/$m 2>/dev/null
  done </etc/offhook/modules.network
  grep -c brcmfmac /proc/modules')
[ "${modules:-0}" -gt 0 ] && ok "the radio's modules load" \
  || fail "the radio's modules do not load: $(ask dmesg | tail -5)"
ask "offhook ctl lift" >"$work/answer" || fail "lift: $(cat "$work/answer")"
wait_for "dial tone after lifting" says "offhook ctl status" '"tone":"dial'
ask "offhook ctl hang-up" >/dev/null
wait_for "idle again" says "offhook ctl status" '"state":"idle"'
# A real sound card: QEMU's, on the USB bus; it has no microphone.
ask "offhook ctl key hands-free; sleep 6; offhook ctl hang-up" >"$work/answer"
tone=$(python3 - "$work/speaker.wav" <<'P'
import array, cmath, statistics, sys
sound = array.array("h", open(sys.argv[1], "rb").read()[44 : 44 + 4 * 48000 * 20])[::2]
parts = [sound[i : i + 2400] for i in range(0, len(sound) - 2400, 2400)]
def pitch(part):
    def at(hz):
        turn = -2j * cmath.pi * hz / 48000
        return abs(sum(x * cmath.exp(turn * n) for n, x in enumerate(part)))
    return max(range(345, 506, 20), key=at)
# A machine that is late leaves gaps: what most pieces say counts.
heard = [pitch(part) for part in parts if max(part) > 500][:40]
print(statistics.mode(heard) if heard else "silence")
P
)
[ "$tone" = 425 ] && ok "dial tone of $tone Hz from the USB card" || fail "the USB card: $tone Hz"
speaker=()
wait_for "idle once more" says "offhook ctl status" '"state":"idle"'
# Without edges the line is read when the phone starts.
hook=$(sed -n '/^\[hook\]/,/^$/s/^line = //p' "$root/board/profiles/rpi3/hardware.toml")
lines "$hook=0" || fail "the hook's line cannot be set"
ask "kill -9 \$(pidof offhook)"
wait_for "dial tone, the hook's line was low when the phone started" \
  says "offhook ctl status" '"tone":"dial'
lines "$hook=1"; ask "kill -9 \$(pidof offhook)"
wait_for "idle, the line was high" says "offhook ctl status" '"state":"idle"'
ask "echo kept >/data/mark; sync" >/dev/null \
  || fail "the data partition cannot be written"
wait_for "the slot is kept after its minute" ask "[ -e /run/offhook/slot-good ]"
ask "offhook ctl refresh; sleep 3; sync" >/dev/null
ask "cat /boot/offhook/status.txt" >"$work/status"
grep -q '^Offhook ' "$work/status" && ok "status.txt" || fail "status.txt: $(cat "$work/status")"
cat "$work/status"

bundle=${image%.xz}; bundle=${bundle%.img}.raucb
if [ ! -s "$bundle" ]; then
  echo "SKIPPED: the update to slot b: there is no $bundle"
else
  ask "sync; reboot" >/dev/null 2>&1; wait_restart "a restart when asked"
  [ -z "$once" ] || fail "a plain restart is a trial"
  mcopy -o -i "$p1" "$bundle" ::update.raucb || fail "the update does not fit on the card"
  printf x >"$work/allow"; mcopy -o -i "$p1" "$work/allow" ::allow-downgrade.txt
  power
  wait_for "SSH again" ask true
  wait_for "what was written before the restart" says "cat /data/mark" kept
  wait_restart "the update is written, and the board restarts"
  [ -n "$once" ] && ok "the kernel gives the firmware the flag of a trial" \
    || fail "the restart is none with the flag: $(grep -a 'reboot:' "$console")"
  power
  [ "$slot" = b ] || fail "the firmware takes slot $slot"
  wait_for "SSH in slot b" ask true
  wait_for "slot b runs" says "cat /run/offhook/image" 'slot: b'
  wait_for "slot b is good" ask "[ -e /run/offhook/slot-good ]"
  wait_for "slot b is the one that starts" \
    says "cat /boot/offhook/autoboot.txt" "boot_partition=$(slot_boot b)"
  wait_for "status says what is new" says "cat /run/offhook/image" '^changes: '
fi
echo "$passed passed, 0 failed"
