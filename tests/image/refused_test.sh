#!/usr/bin/env bash
# `offhook update-agent` with bundles that cannot be installed: refused by what is wrong with them,
# whatever RAUC says and whether it has its D-Bus service or not, and not tried again at the next
# start. RAUC's check is the real one; its install is played, in the sentences of RAUC 1.8 with its
# service and of RAUC 1.15 without.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
board=$root/buildroot/board/offhook
export PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0 tried=0
fail() { echo "FAIL: $*"; bad=1; }
is() { tried=$((tried + 1)); case $2 in *"$3"*) ;; *) fail "$1: '$2' has no '$3'" ;; esac; }

# Bundles: a good one, one of somebody else's, one for another board, half a one, one whose content
# is damaged, none at all.
for key in ours theirs; do openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=$key" -keyout "$work/$key.key" -out "$work/$key.pem" 2>/dev/null; done
mkdir -p "$work"/{boot,tree,bundles}; echo kernel >"$work/boot/Image"; echo "root=/dev/vda5 rauc.slot=a" >"$work/boot/cmdline.txt"
head -c 300000 /dev/urandom >"$work/tree/mark"; mksquashfs "$work/tree" "$work/root.squashfs" -quiet -no-progress >/dev/null
bundle() { "$board/make-image" bundle "$work/bundles/$1" "$2" 2 "$work/boot" "$work/root.squashfs" "$work/$3.pem" "$work/$3.key"; }
bundle good virt ours; bundle foreign virt theirs; bundle other rpi3 ours
size=$(stat -c %s "$work/bundles/good")
head -c $((size / 2)) "$work/bundles/good" >"$work/bundles/half"
cp "$work/bundles/good" "$work/bundles/damaged"; printf XXXXXXXX | dd of="$work/bundles/damaged" bs=1 seek=70000 conv=notrunc status=none
tail -c 70000 "$work/bundles/good" | head -c 9000 >"$work/bundles/none"

# The image around the agent: its scripts and its slot tool are played.
agent=${CARGO_TARGET_DIR:-$root/target}/debug/offhook
[ -x "$agent" ] || (cd "$root" && cargo build --quiet --workspace --bins) || exit 1
mkdir -p "$work"/{run,state,card,scripts,bin}; : >"$work/run/slot-good"
printf '#!/bin/sh\n[ -n "$2" ] || exit 0\necho "$1: $2" >%s/word\n' "$work" >"$work/scripts/note"
printf '#!/bin/sh\necho "$@" >>%s/restarts\nkill $PPID\n' "$work" >"$work/scripts/restart"
cat >"$work/bin/offhook-slot" <<S
#!/bin/sh
echo "\$*" >>$work/calls
case \$1 in install) . $work/play ;; esac
S
cat >"$work/bin/rauc" <<S
#!/bin/sh
echo "\$*" >>$work/calls
exec $(command -v rauc) "\$@"
S
chmod +x "$work"/bin/* "$work"/scripts/*

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
# start BUNDLE: one start of the agent with this bundle on the card, until it has said what becomes
# of it ($word); and how often it called RAUC or the slot tool ($calls)
start() {
  cp "$work/bundles/$1" "$work/card/update.raucb"; begin
}
# begin: the same with whatever lies on the card
begin() {
  : >"$work/calls"; rm -f "$work/word"
  PATH=$work/bin:$PATH "$agent" update-agent --card "$work/card" --board virt --slot a --state "$work/state" --run "$work/run" --scripts "$work/scripts" \
    --keyring "${keyring:-$work/ours.pem}" >"$work/said" 2>&1 &
  local pid=$! waited=0
  until grep -qsE '^update: (refused|not installed|not checked|not read|rolled back)' "$work/word" || ! kill -0 $pid 2>/dev/null || [ $waited -ge 600 ]; do sleep 0.1; waited=$((waited + 1)); done
  kill $pid 2>/dev/null; wait $pid 2>/dev/null
  word=$(cat "$work/word" 2>/dev/null); calls=$(wc -l <"$work/calls")
}
forget() { rm -f "$work"/state/* "$work/restarts"; }

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
  is "$kind, a good one: the next start is the other slot's" "$(tail -1 "$work/calls")" arm
  is "$kind, a good one: restart" "$(cat "$work/restarts" 2>/dev/null)" --once
done
# What lies there is no file: nothing waits for it or reads it without end, and a person reads what it is.
plays alone 'must not be reached' 0
while read -r what reason; do
  forget; rm -rf "$work/card/update.raucb"
  case $what in
    fifo) mkfifo "$work/card/update.raucb" ;;
    folder) mkdir "$work/card/update.raucb" ;;
    endless) ln -s /dev/zero "$work/card/update.raucb" ;;
  esac
  begin; is "$what" "$word" "update: not read: update.raucb: $reason"; is "$what: RAUC's calls" "$calls" 0
done <<'R'
fifo this is a FIFO
folder this is a folder
endless this is a device
R
rm -rf "$work/card/update.raucb"
# The key is changed by one update, signed by the old key, whose root has the new keyring: from then on that one decides.
mkdir -p "$work/tree/etc/offhook"; cp "$work/theirs.pem" "$work/tree/etc/offhook/update-keyring.pem"
mksquashfs "$work/tree" "$work/root.squashfs" -noappend -quiet -no-progress >/dev/null; bundle rotation virt ours
plays alone '' 0; forget; start rotation; is "a change of keys" "$word" "installed update.raucb; restarts into it"
unsquashfs -q -n -o 0 -d "$work/inside" "$work/bundles/rotation" root.img >/dev/null 2>&1; unsquashfs -q -n -d "$work/rotated" "$work/inside/root.img" >/dev/null 2>&1
keyring=$work/rotated/etc/offhook/update-keyring.pem; [ -s "$keyring" ] || fail "the update brings no keyring"
forget; start good; is "after it, the old key" "$word" "refused: update.raucb: signature verification failed"
forget; start foreign; is "after it, the new key" "$word" "installed update.raucb; restarts into it"
# Both for a while: whoever missed the one update takes the next, signed by either.
cat "$work/ours.pem" "$work/theirs.pem" >"$work/both.pem"; keyring=$work/both.pem
for name in good foreign; do forget; start $name; is "two keys, $name" "$word" "installed update.raucb; restarts into it"; done
keyring=
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
