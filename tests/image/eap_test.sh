#!/bin/sh
# IEEE 802.1X on the host: wpa_supplicant that cannot be started, that ends at once, that dies, that
# is refused; every program it calls is a stand-in here, and time passes by steps of `sleep`. A real
# switch is asked by cable_test.sh.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
SYSTEM=$work
. "$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook/eap.sh"
EAP_PID=$work/pid EAP_LOG=$work/log EAP_PROC=$work/proc
bad=0
is() {
  if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "FAIL: $1: '$2', not '$3'"; bad=1; fi
}

# --- stand-ins
offhook() { echo refresh >>"$work/refreshed"; }
note() { echo "$clock $2" >>"$work/notes"; }
kill() { echo "$clock" >>"$work/asked"; }
wpa_supplicant() {
  echo "$clock" >>"$work/starts"
  case $how in fails) return 255 ;; ends) return 0 ;; esac
  echo 77 >"$work/pid"; mkdir -p "$work/proc/77"; echo wpa_supplicant >"$work/proc/77/comm"
}
wpa_cli() { cat "$work/status" 2>/dev/null; }
# Two seconds pass; `step` says what happens meanwhile, and the last one ends the watch.
sleep() { clock=$((clock + $1)); step; [ $clock -lt $end ]; }
run() {
  rm -rf "$work"/notes "$work"/starts "$work"/refreshed "$work"/asked "$work"/pid "$work"/proc
  clock=0 end=$1; eap_start eth0; watch_eap eth0
}
notes() { cut -d' ' -f2- "$work/notes" 2>/dev/null | tr '\n' '|'; }
numbers() { cat "$work/$1" 2>/dev/null | tr '\n' ' '; }
cannot="IEEE 802.1X cannot be started on eth0; the log says why|"
open() { echo suppPortStatus=Authorized >"$work/status"; }

for how in fails ends; do
  step() { :; }; rm -f "$work/status"
  run 300
  is "one that $how is reported once, after 16 s" "$(cat "$work/notes")" "16 ${cannot%|}"
  is "one that $how is tried less and less often" "$(numbers starts)" \
    "0 2 4 10 24 54 114 174 234 294 "
  is "the person reads it at once" "$(grep -c . "$work/refreshed")" 1
done
how=works
# --- the switch opens: DHCP asks at once, nothing is reported
step() { [ $clock -lt 6 ] || open; }
run 100
is "an open port is no message" "$(notes)" ""
is "DHCP asks once, when it opens" "$(numbers asked)" "6 "
is "it is started once" "$(numbers starts)" "0 "
# --- it dies: started again at the next look, and DHCP asks again
step() { [ $clock != 20 ] || rm -r "$work/proc/77"; }
run 60
is "one that dies is started again" "$(numbers starts)" "0 20 "
is "and DHCP asks again" "$(numbers asked)" "2 22 "
is "which is no message" "$(notes)" ""
# --- another process with its number is not it
step() { [ $clock != 20 ] || echo sh >"$work/proc/77/comm"; }
run 40
is "another process with its number is not it" "$(numbers starts)" "0 20 "
# --- refused, then let through
echo 'EAP state=FAILURE' >"$work/status"
step() { [ $clock -lt 40 ] || open; }
run 60
is "a refusing switch, until it opens" "$(notes)" \
  "the switch refuses the phone (IEEE 802.1X); check [network] eap||"
# --- no answer
echo 'EAP state=IDLE' >"$work/status"
step() { :; }
run 60
is "a silent switch" "$(notes)" "the switch does not let the phone through (IEEE 802.1X); \
check [network] eap, the RADIUS server and its certificate|"
exit $bad
