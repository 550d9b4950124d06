#!/usr/bin/env bash
# What becomes of a bundle that is not installed, by the image's own scripts on this machine: refused by what is wrong with it, whatever RAUC
# says and whether it has its D-Bus service or not, and not tried again at the next start. RAUC's check is the real one; its install is played,
# in the sentences of RAUC 1.8 with its service and of RAUC 1.15 without.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
board=$root/buildroot/board/offhook
export PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0 tried=0
fail() { echo "FAIL: $*"; bad=1; }
is() { tried=$((tried + 1)); case $2 in *"$3"*) ;; *) fail "$1: '$2' has no '$3'" ;; esac; }

# Bundles: a good one, one of somebody else's, one for another board, half a one, one whose content is damaged, none at all.
for key in ours theirs; do openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=$key" -keyout "$work/$key.key" -out "$work/$key.pem" 2>/dev/null; done
mkdir -p "$work"/{boot,tree,bundles}; echo kernel >"$work/boot/Image"; echo "root=/dev/vda5 rauc.slot=a" >"$work/boot/cmdline.txt"
head -c 300000 /dev/urandom >"$work/tree/mark"; mksquashfs "$work/tree" "$work/root.squashfs" -quiet -no-progress >/dev/null
bundle() { "$board/assemble" bundle "$work/bundles/$1" "$2" 2 "$work/boot" "$work/root.squashfs" "$work/$3.pem" "$work/$3.key"; }
bundle good virt ours; bundle foreign virt theirs; bundle other rpi3 ours
size=$(stat -c %s "$work/bundles/good")
head -c $((size / 2)) "$work/bundles/good" >"$work/bundles/half"
cp "$work/bundles/good" "$work/bundles/damaged"; printf XXXXXXXX | dd of="$work/bundles/damaged" bs=1 seek=70000 conv=notrunc status=none
tail -c 70000 "$work/bundles/good" | head -c 9000 >"$work/bundles/none"

# The image's scripts, in a folder of this test.
mkdir -p "$work"/{run/notes,data/update,card,lib,bin}
cp "$board"/rootfs-overlay/usr/lib/offhook/* "$work/lib/"; cp "$board/rootfs-overlay/usr/sbin/offhook-slot" "$work/bin/"
sed -i -e "s#/usr/lib/offhook/#$work/lib/#g" -e "s#/run/offhook#$work/run#g" -e "s#/data/update#$work/data/update#g" -e "s#/boot/offhook#$work/card#g" \
  -e "s#/dev/kmsg#$work/kmsg#g" -e "s#^PATH=.*#PATH=$work/bin:\$PATH; export PATH#" -e "s#/usr/sbin/offhook-slot#$work/bin/offhook-slot#g" \
  -e "s#/run/rauc#$work/run/rauc#g" -e "s#/usr/share/offhook#$board/rootfs-overlay/usr/share/offhook#g" "$work"/lib/* "$work/bin/offhook-slot"
printf '#!/bin/sh\necho "$@" >>%s/restarts\n' "$work" >"$work/lib/restart"
cat >"$work/bin/rauc" <<S
#!/bin/sh
echo "\$*" >>$work/calls
case " \$* " in *" install "*) . $work/play ;; esac
exec /usr/bin/rauc "\$@"
S
chmod +x "$work"/bin/* "$work/lib/restart"
export OFFHOOK_KEYRING=$work/ours.pem OFFHOOK_KEEPER_FUNCTIONS=1

# plays KIND REASON CODE: how RAUC's install ends
plays() {
  case $1 in
    service) cat <<P
echo installing; echo '  0% Installing'; echo ' 20% Checking bundle'; [ $3 = 0 ] || { echo '100% Installing failed.'; echo 'LastError: $2'; echo 'Installing \`bundle\` failed' >&2; }; echo idle; exit $3
P
      ;;
    alone) cat <<P
echo "rauc-Message: 12:00:00.000: Active slot bootname: 'a'" >&2; echo started; echo '  0% Installing'; echo 'Checking and mounting bundle...'; [ $3 = 0 ] || { echo '(rauc:7): rauc-WARNING **: 12:00:01.000: $2' >&2; echo '100% Installing failed.'; echo '$2'; }; echo finished; [ $3 = 0 ] || echo 'Installing \`bundle\` failed' >&2; exit $3
P
      ;;
    absent) echo "echo 'Failed to contact rauc service: no such name' >&2; exit 1" ;;
  esac >"$work/play"
}
# start BUNDLE: one start of the phone that finds this bundle; leaves the word for status.txt in \$word and RAUC's calls in \$calls
start() {
  : >"$work/calls"; rm -f "$work"/run/notes/*
  sh -c ". $work/lib/keeper; install '$work/bundles/$1' update.raucb" >"$work/said" 2>&1
  word=$(cat "$work"/run/notes/5-update 2>/dev/null); calls=$(wc -l <"$work/calls")
}
forget() { rm -f "$work"/data/update/* "$work/restarts"; }

for kind in service alone; do
  # Refused by the check: at once, with RAUC's reason, and never looked at again.
  plays $kind 'must not be reached' 0
  while read -r name reason; do
    forget; start "$name"
    is "$kind, $name" "$word" "update: refused: update.raucb: $reason"
    [ ! -e "$work/restarts" ] || fail "$kind, $name: it was installed"
    first=$word; start "$name"
    is "$kind, $name, next start" "$word" "$first"; is "$kind, $name: RAUC's calls at the next start" "$calls" 0
  done <<'R'
foreign signature verification failed
other it is made for offhook-rpi3, and this is offhook-virt
half Invalid bundle format
none Invalid bundle format
R
  # Signed, and its content is damaged: three starts, then refused; not at the fourth.
  forget; plays $kind 'Installation error: Failed updating slot boot.1: Input/output error' 1
  for attempt in 1 2; do start damaged; is "$kind, damaged, start $attempt" "$word" "not installed: update.raucb: Installation error: Failed updating slot boot.1: Input/output error; tried again"; done
  start damaged; is "$kind, damaged, start 3" "$word" "refused: update.raucb: Installation error: Failed updating slot boot.1"
  start damaged; is "$kind, damaged, start 4" "$word" "refused: update.raucb: Installation error"; is "$kind, damaged: RAUC's calls" "$calls" 0
  # Another bundle is not held against.
  plays $kind '' 0; rm -f "$work/restarts"; start good; is "$kind, a good one" "$word" "installed update.raucb; restarts into it"
  is "$kind, a good one: restart" "$(cat "$work/restarts" 2>/dev/null)" --once
done
# RAUC that cannot even begin says nothing about the bundle, however often.
forget; plays absent '' 1
for attempt in 1 2 3 4 5; do start good; done
is "RAUC does not begin" "$word" "not installed: update.raucb: "; is "RAUC does not begin" "$word" "tried again at the next start"
# Nor does a certificate that is not valid before the clock is set.
forget
cat >"$work/bin/rauc" <<S
#!/bin/sh
echo 'signature verification failed: Verify error: certificate is not yet valid' >&2; exit 1
S
for attempt in 1 2; do start good; is "a clock that is not set, start $attempt" "$word" "not checked yet: update.raucb: signature verification failed: Verify error: certificate is not yet valid"; done
echo "$tried things tried with bundles that are not installed"
exit $bad
