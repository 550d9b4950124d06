#!/usr/bin/env bash
# A managed cable on the host: a real switch's LLDP-MED (lldpd), a real authenticator (hostapd with its
# own RADIUS), on a pair of virtual interfaces. By scripts/netns: what is done here stays in a network
# of its own.
#   scripts/netns tests/image/cable_test.sh OFFHOOK
# Exit code 77: a program is missing. Wall clock: the programs are real.
set -uo pipefail
offhook=$(realpath "${1:?the phone\'s program}")
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin
for program in lldpd lldpcli hostapd wpa_supplicant wpa_cli openssl; do command -v $program >/dev/null || { echo "cable: $program is missing" >&2; exit 77; }; done
work=$(mktemp -d) started=() bad=0; chmod 755 "$work"
trap 'kill "${started[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
ok() { echo "ok: $*"; }
fail() { echo "FAIL: $*"; bad=1; }
within() { local end=$((SECONDS + $1)) what=$2; shift 2; until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { fail "$what"; return 1; }; sleep 0.1; done; ok "$what"; }
ip link add sw0 type veth peer name ph0 || exit 77
ip link set sw0 up; ip link set ph0 up

# --- LLDP-MED
lldpd -d -I sw0 -M 4 -u "$work/lldpd.sock" -S switch >"$work/lldpd.log" 2>&1 & started+=($!)
switch() { lldpcli -u "$work/lldpd.sock" "$@"; }
within 20 "the switch answers" switch show configuration
switch configure lldp tx-interval 1 >/dev/null
speak() { "$offhook" lldp --interface ph0 --name hall "$work/lldp" >"$work/offhook.log" 2>&1 & phone=$!; started+=("$phone"); }
ended() { ! kill -0 "$phone" 2>/dev/null; }
policy() { switch configure med policy application voice "$@" >"$work/policy.log" 2>&1 || fail "lldpcli: $(cat "$work/policy.log")"; }
speak
within 10 "the switch sees a telephone of class III" eval "switch show neighbors details | grep -q 'Device Type: *Communication Device Endpoint (Class III)'"
neighbours=$(switch show neighbors details)
grep -q 'SysName: *hall' <<<"$neighbours" && ok "its name" || fail "its name: $neighbours"
grep -q 'Capability: *Tel, on' <<<"$neighbours" && ok "its capability" || fail "its capability: $neighbours"
ended && fail "it ends without a policy: $(cat "$work/offhook.log")"
policy tagged vlan 20 priority voice dscp 46
within 20 "it ends when the switch names a VLAN" ended
[ "$(cat "$work/lldp")" = "LLDP_VLAN='20'
LLDP_PRIORITY='5'" ] && ok "VLAN and priority" || fail "the file: $(cat "$work/lldp")"
speak; sleep 3
ended && fail "it ends although the VLAN is the same" || ok "it stays while the VLAN is the same"
policy tagged vlan 30 priority internetwork-control dscp 46
within 20 "it ends when the switch names another VLAN" ended
grep -q "LLDP_VLAN='30'" "$work/lldp" && grep -q "LLDP_PRIORITY='6'" "$work/lldp" && ok "the other VLAN" || fail "the file: $(cat "$work/lldp")"
"$offhook" lldp --interface nowhere0 --name hall "$work/none" >"$work/offhook.log" 2>&1 && fail "it speaks on no interface"
grep -q 'nowhere0: ' "$work/offhook.log" && ok "an interface that is not there is named" || fail "it says: $(cat "$work/offhook.log")"
kill "${started[@]}" 2>/dev/null; wait "${started[@]}" 2>/dev/null; started=()

# --- IEEE 802.1X
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=radius authority" -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=another authority" -keyout "$work/other.key" -out "$work/other.pem" 2>/dev/null
issue() { # NAME USAGE
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
  openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 30 -extfile <(echo "extendedKeyUsage=$2") -out "$work/$1.pem" 2>/dev/null
}
issue radius serverAuth; issue phone clientAuth
# A password with what shells and quotes make difficult.
password='a "b" '\''c'\'' $d}'
printf '"phone-12" PEAP,TTLS\n"phone" TLS\n"phone-12" MSCHAPV2,TTLS-MSCHAPV2 %s [2]\n' "$(printf %s "$password" | od -An -v -tx1 | tr -d ' \n')" >"$work/users"
cat >"$work/hostapd.conf" <<C
interface=sw0
driver=wired
logger_stdout=-1
ieee8021x=1
use_pae_group_addr=1
eap_server=1
eap_user_file=$work/users
ca_cert=$work/ca.pem
server_cert=$work/radius.pem
private_key=$work/radius.key
ctrl_interface=$work/hostapd
C
hostapd "$work/hostapd.conf" >"$work/hostapd.log" 2>&1 & started+=($!)
within 10 "the authenticator runs" grep -q 'AP-ENABLED' "$work/hostapd.log"
mkdir -p "$work/card" "$work/run"
toml() { python3 -c 'import json, sys; print(json.dumps(sys.argv[1]))' "$1"; }
# The scripts of the image, with programs of this machine.
log() { echo "$*" >>"$work/log"; }
note() { echo "$2" >"$work/note"; }
# tried WHAT CONF…: the phone's own settings, as the image applies them; whether the port opens.
tried() {
  local what=$1 wanted=$2; shift 2
  printf '[network]\n%s\n' "$*" >"$work/card/offhook.toml"
  "$offhook" provision --card "$work/card" --emit "$work/system" >"$work/emit.log" 2>&1 || fail "$what: $(cat "$work/emit.log")"
  [ -s "$work/system/eap.conf" ] || { fail "$what: no eap.conf: $(cat "$work/emit.log")"; return; }
  sed -i "s#/run/wpa_supplicant#$work/ctrl#" "$work/system/eap.conf"
  SYSTEM=$work/system; . "$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook/eap.sh"
  EAP_PID=$work/eap.pid EAP_LOG=$work/eap.log
  wpa_cli() { command wpa_cli -p "$work/ctrl" "$@"; }
  rm -f "$work/note"; eap_start ph0 || { fail "$what: wpa_supplicant: $(tail -3 "$work/eap.log")"; return; }
  local end=$((SECONDS + 12)) open=
  while [ $SECONDS -lt $end ]; do if eap_open ph0; then open=1; break; fi; sleep 0.2; done
  [ "$open" = "$wanted" ] && ok "$what" || fail "$what: ${open:+open }$(wpa_cli -i ph0 status | tr '\n' ' ') $(tail -5 "$work/eap.log") $(tail -5 "$work/hostapd.log")"
  why=$(eap_why ph0)
  kill "$(cat "$EAP_PID")" 2>/dev/null; within 5 "$what: wpa_supplicant ends" eval '! eap_alive'
}
# A clock that starts in 1970.
SYSTEM=$work; . "$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook/eap.sh"
touch -d @1700000000 "$work/version"; touch -d @1800000000 "$work/data"
clock=5
date() { case $1 in +%s) echo "$clock" ;; -s) clock=${2#@} ;; esac; }
eap_clock "$work/version" "$work/data" "$work/nowhere"; [ "$clock" = 1800000000 ] && ok "the clock is not before what was written" || fail "the clock is $clock"
clock=1900000000; eap_clock "$work/version" "$work/data"; [ "$clock" = 1900000000 ] && ok "a clock that is later stays" || fail "the clock is $clock"
unset -f date
cp "$work/ca.pem" "$work/other.pem" "$work/phone.pem" "$work/phone.key" "$work/card/"
right="eap_user = \"phone-12\"
eap_password = $(toml "$password")"
tried "PEAP" 1 "eap = \"peap\"
eap_ca = \"ca.pem\"
$right"
tried "TTLS" 1 "eap = \"ttls\"
eap_ca = \"ca.pem\"
$right"
tried "TLS" 1 "eap = \"tls\"
eap_ca = \"ca.pem\"
eap_user = \"phone\"
eap_certificate = \"phone.pem\"
eap_key = \"phone.key\""
tried "a RADIUS server that another authority vouches for is given no password" "" "eap = \"peap\"
eap_ca = \"other.pem\"
$right"
tried "a wrong password" "" "eap = \"peap\"
eap_ca = \"ca.pem\"
eap_user = \"phone-12\"
eap_password = \"wrong\""
case $why in *"IEEE 802.1X"*) ok "a person reads: $why" ;; *) fail "a person reads: $why" ;; esac
rm -f "$work/eap.pid"
case $(eap_why ph0) in *"cannot be started"*) ok "one that does not run is reported" ;; *) fail "one that does not run: $(eap_why ph0)" ;; esac
[ $bad = 0 ] && echo "all as it should be"
exit $bad
