#!/usr/bin/env bash
# The network script of a built image of virt, on a real cable: DHCP options and a provisioning
# server, a switch that names the voice VLAN (lldpd), a switch that asks who is there (hostapd). A
# tap device in a network of its own:
#   scripts/netns tests/image/built_network.sh OFFHOOK-virt-VERSION.img[.xz]
# Exit code 77: a program or a right is missing. Wall clock: an emulated machine boots.
#   BUILT_LIMIT=SECONDS   how long one step may take (default 180)
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
image=${1:?which image?}
[ -s "$image" ] || { echo "built_network: there is no image $image" >&2; exit 1; }
export MTOOLS_SKIP_CHECK=1 PATH=$PATH:/usr/sbin:/sbin
for program in lldpd lldpcli hostapd busybox openssl qemu-system-aarch64; do
  command -v $program >/dev/null || { echo "built_network: $program is missing" >&2; exit 77; }
done
work=$(mktemp -d) started=() qemu=; chmod 755 "$work"
trap 'kill -9 $qemu 2>/dev/null; kill "${started[@]}" 2>/dev/null; wait 2>/dev/null
  rm -rf "$work"' EXIT
limit=${BUILT_LIMIT:-180} passed=0
ok() { passed=$((passed + 1)); echo "ok: $*"; }
fail() {
  echo "FAIL: $*"; tail -20 "$work/console" 2>/dev/null
  echo "$passed passed, 1 failed"; exit 1
}
. "$root/tests/image/guest.sh"
more() { ask 'cat /run/offhook/image; ip addr; dmesg | tail -30'; }

ip tuntap add sw0 mode tap 2>/dev/null \
  || { echo "built_network: no tap device can be made here" >&2; exit 77; }
ip addr add 10.79.0.1/24 dev sw0; ip link set sw0 up
card=$work/card.img
case $image in
  *.xz) xz -dc "$image" >"$card" ;;
  *) cp --sparse=always "$image" "$card" ;;
esac || fail "the image cannot be read"
p1=$card@@$(($(sfdisk -d "$card" | sed -n 's/^[^ ]*img1 : start= *\([0-9]*\),.*/\1/p') * 512))
ssh-keygen -q -t ed25519 -N '' -f "$work/key" || fail "no key for SSH"
key=$(cut -d' ' -f1,2 "$work/key.pub")
put() { mcopy -o -i "$p1" "$1" "::${2:-$(basename "$1")}" || fail "the card cannot be written"; }
# configure LINES: the card's file, with the key for SSH
configure() {
  printf '[system]\nssh_keys = ["%s"]\n[phone]\ncountry = "de"\n%s\n' "$key" "$1" \
    >"$work/offhook.toml"
  put "$work/offhook.toml"
}
power() {
  "$root/tests/image/firmware.sh" "$card" "$work/firmware" >/dev/null \
    || fail "the firmware finds nothing to boot"
  local initrd=(); [ ! -e "$work/firmware/initrd" ] || initrd=(-initrd "$work/firmware/initrd")
  qemu-system-aarch64 -M virt -cpu cortex-a53 -smp 1 -m 512 -display none -nodefaults \
    -accel tcg -no-reboot -serial "file:$work/console" \
    -kernel "$work/firmware/Image" "${initrd[@]}" -append "$(cat "$work/firmware/cmdline.txt")" \
    -drive "if=none,id=card,format=raw,file=$card" -device virtio-blk-device,drive=card \
    -netdev tap,id=net,ifname=sw0,script=no,downscript=no -device virtio-net-device,netdev=net \
    -object "filter-dump,id=record,netdev=net,file=$work/wire" -device i6300esb \
    -audiodev none,id=sound -device intel-hda -device hda-duplex,audiodev=sound,mixer=off \
    >"$work/qemu.log" 2>&1 &
  qemu=$! powered=$SECONDS
}

# --- DHCP with its options, and the server that they name
dhcp() { # INTERFACE NET MORE
  printf '%s\n' "interface $1" "start $2.20" "end $2.20" "lease_file $work/leases-$1" \
    "pidfile $work/pid-$1" "min_lease 60" "opt subnet 255.255.255.0" "opt router $2.1" \
    "opt dns $2.1" "opt lease 3600" "$3" >"$work/udhcpd-$1"
  : >"$work/leases-$1"
  busybox udhcpd -f "$work/udhcpd-$1" >"$work/log-$1" 2>&1 & started+=($!)
}
hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }
url=http://10.79.0.1:8079/{mac}.toml
dhcp sw0 10.79.0 "opt tftp 10.79.0.1
opt 0xa0 $(hex "$url")"
mkdir "$work/served"
printf '[phone]\nname = "By its MAC"\n[network]\nhost_name = "by-mac"\n' \
  >"$work/served/525400123456.toml"
(cd "$work/served" && exec python3 -m http.server -b 10.79.0.1 8079) >"$work/served.log" 2>&1 &
started+=($!)
configure '[provision]
allow_http = true
[network]
lldp = false'
power; host=10.79.0.20
wait_for "SSH at the address that DHCP gives" ask true
wait_for "the options 66 and 160" says 'cat /run/offhook/dhcp' "option160=$url"
wait_for "option 66" says 'cat /run/offhook/dhcp' '^option66=10.79.0.1$'
says 'cat /etc/resolv.conf' 'nameserver 10.79.0.1' && ok "the name server" \
  || fail "resolv.conf: $(ask 'cat /etc/resolv.conf')"
wait_for "the configuration for its MAC address is in use" says hostname '^by-mac$'
wait_for "the phone says so" \
  says 'offhook ctl refresh >/dev/null; cat /boot/offhook/status.txt' 'From the network: in use'
cut_power

# --- The switch names the VLAN for voice
lldpd -d -I sw0 -M 4 -u "$work/lldpd.sock" -S switch >"$work/lldpd.log" 2>&1 & started+=($!)
switch() { lldpcli -u "$work/lldpd.sock" "$@"; }
until switch show configuration >/dev/null 2>&1; do sleep 0.2; done
switch configure lldp tx-interval 1 >/dev/null
switch configure med policy application voice tagged vlan 20 priority voice dscp 46 >/dev/null \
  || fail "lldpcli refuses the policy"
configure ''
power
# Not every kernel of a host has VLANs: what comes over the wire is looked at.
tagged() { grep -qaP '\xff{6}.{6}\x81\x00\xa0\x14\x08\x00' "$work/wire"; }
wait_for "DHCP asks on the VLAN that the switch names, with priority 5" \
  env LC_ALL=C bash -c "$(declare -f tagged); work=$work; tagged"
wait_for "the switch sees who is there" \
  eval 'switch show neighbors details | tee "$work/neighbours" | grep -q ChassisID'
grep -q 'Device Type: *Communication Device Endpoint (Class III)' "$work/neighbours" \
  && ok "the switch sees a telephone" || fail "$(cat "$work/neighbours")"
switch unconfigure med policy >/dev/null 2>&1; kill "${started[@]: -1}"
cut_power

# --- The switch asks who is there
new_key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${new_key[@]}" -days 30 -subj "/CN=ca" -keyout "$work/ca.key" \
  -out "$work/ca.pem" 2>/dev/null
for name in radius phone; do
  openssl req "${new_key[@]}" -subj "/CN=$name" -keyout "$work/$name.key" \
    -out "$work/$name.csr" 2>/dev/null
  usage=serverAuth; [ $name = radius ] || usage=clientAuth
  openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
    -CAcreateserial -days 30 -extfile <(echo "extendedKeyUsage=$usage") \
    -out "$work/$name.pem" 2>/dev/null
done
printf '"phone-12" PEAP\n"phone" TLS\n"phone-12" MSCHAPV2 "right" [2]\n' >"$work/users"
printf '%s\n' interface=sw0 driver=wired logger_stdout=-1 ieee8021x=1 use_pae_group_addr=1 \
  eap_server=1 "eap_user_file=$work/users" "ca_cert=$work/ca.pem" \
  "server_cert=$work/radius.pem" "private_key=$work/radius.key" \
  "ctrl_interface=$work/hostapd" >"$work/hostapd.conf"
hostapd "$work/hostapd.conf" >"$work/hostapd.log" 2>&1 & started+=($!)
for file in ca.pem phone.pem phone.key; do put "$work/$file"; done
host=10.79.0.20
authorized() { says 'wpa_cli -i eth0 status' '^suppPortStatus=Authorized'; }
eap() { # WHAT LINES
  configure "[network]
lldp = false
eap_ca = \"ca.pem\"
$2"
  power; wait_for "SSH with $1" ask true
}
eap PEAP 'eap = "peap"
eap_user = "phone-12"
eap_password = "right"'
wait_for "the switch lets the phone through by PEAP" authorized
says 'cat /run/offhook/image' '^cable: ' && fail "$(ask 'cat /run/offhook/image')"
ok "nothing is wrong with the cable"
# One that dies is started again.
ask 'kill -9 $(cat /run/offhook/eap.pid)'
wait_for "a wpa_supplicant that dies is started again and let through" authorized
cut_power
eap TLS 'eap = "tls"
eap_user = "phone"
eap_certificate = "phone.pem"
eap_key = "phone.key"'
wait_for "the switch lets the phone through by its certificate" authorized
cut_power
eap "a wrong password" 'eap = "peap"
eap_user = "phone-12"
eap_password = "wrong"'
wait_for "a person reads that the switch refuses the phone" \
  says 'cat /run/offhook/image' '^cable: the switch .*IEEE 802.1X'
authorized && fail "a wrong password opens the port"
says 'offhook ctl status' '"state":"idle"' && ok "the phone works all the same" \
  || fail "the phone: $(ask 'offhook ctl status')"
cut_power
echo "$passed passed, 0 failed"
