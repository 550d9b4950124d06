#!/bin/sh
# The radio library on the host: wpa_supplicant that cannot be started, that dies, that joins; every
# program it calls is a stand-in here, and time passes by steps of `sleep`.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
. "$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook/radio.sh"
RADIO_PID=$work/pid RADIO_LOG=$work/log RADIO_PROC=$work/proc SYSTEM=$work
bad=0
is() { if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "FAIL: $1: '$2', not '$3'"; bad=1; fi; }

# --- stand-ins
ip() { :; }
iw() { :; }
log() { echo "$*" >>"$work/logged"; }
offhook() { echo refresh >>"$work/refreshed"; }
note() { echo "$clock $2" >>"$work/notes"; }
wpa_supplicant() {
  echo "$clock" >>"$work/starts"
  [ -e "$work/works" ] || return 1
  echo 77 >"$work/pid"; mkdir -p "$work/proc/77"; echo wpa_supplicant >"$work/proc/77/comm"
}
wpa_cli() { case $3 in status) [ ! -e "$work/joined" ] || echo wpa_state=COMPLETED ;; list_networks) cat "$work/networks" 2>/dev/null ;; esac; }
# Five seconds pass; `step` says what happens meanwhile, and the last one ends the watch.
sleep() { clock=$((clock + $1)); step; [ $clock -lt $end ]; }
run() { rm -f "$work"/notes "$work"/starts "$work"/refreshed "$work"/logged; clock=0 end=$1; watch_radio wlan0; }
notes() { cut -d' ' -f2- "$work/notes" 2>/dev/null | tr '\n' '|'; }

# --- it cannot be started: reported once, tried again with growing pauses
step() { :; }
run 300
is "a radio that cannot be started is reported once" "$(notes)" "the radio wlan0 cannot be started; the log says why|"
is "it is tried again, less and less often" "$(tr '\n' ' ' <"$work/starts")" "5 10 25 60 120 180 240 "
is "the person reads it at once" "$(wc -l <"$work/refreshed")" 1
# --- the driver appears after a minute
step() { [ $clock -lt 60 ] || : >"$work/works"; [ $clock -lt 65 ] || : >"$work/joined"; }
run 75
is "and it joins when the radio is there" "$(notes)" "the radio wlan0 cannot be started; the log says why||"
# --- it dies: started again at the next look
step() { [ $clock != 20 ] || rm -r "$work/proc/77"; }
run 60
is "one that dies is started again" "$(cat "$work/starts")" 20
is "and nothing is left to report" "$(notes)" ""
is "the log says so" "$(cat "$work/logged")" "radio: wpa_supplicant had ended and was started again"
# --- another process with its number is not it
step() { [ $clock != 20 ] || echo sh >"$work/proc/77/comm"; }
run 40
is "another process with its number is not it" "$(cat "$work/starts")" 20
# --- it dies again and again
step() { rm -rf "$work/proc/77"; }
run 300
is "one that dies at once is not started without end" "$(wc -l <"$work/starts")" 7
# --- wrong password, then the right one
rm "$work/joined"; step() { echo '0 net any [TEMP-DISABLED]' >"$work/networks"; [ $clock -lt 40 ] || : >"$work/joined"; }
run 60
is "a refusing network" "$(notes)" "the network is there and refuses the phone; check [wifi] password and security||"
exit $bad
