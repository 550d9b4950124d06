#!/usr/bin/env bash
# A provisioning server that answers for _offhook._tcp on its link (DNS-SD), and a phone beside it
# whose card names only an authority. By scripts/netns: what is done here stays in a network of its
# own.
#   scripts/netns tests/image/link_test.sh OFFHOOK
# Exit code 77: something is missing. Wall clock: the programs are real.
set -uo pipefail
offhook=$(realpath "${1:?the phone\'s program}")
for program in python3 openssl; do command -v $program >/dev/null || { echo "link: $program is missing" >&2; exit 77; }; done
work=$(mktemp -d) started=() bad=0
trap 'kill "${started[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
ok() { echo "ok: $*"; }
fail() { echo "FAIL: $*"; bad=1; }
ip link add sw0 type veth peer name ph0 || exit 77
ip addr add 10.9.9.1/24 dev sw0; ip link set sw0 up; ip addr add 10.9.9.2/24 dev ph0; ip link set ph0 up
ip route add 224.0.0.0/4 dev sw0

authority() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.pem" 2>/dev/null; }
authority ours; authority others
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=phones" -keyout "$work/server.key" -out "$work/server.csr" 2>/dev/null
openssl x509 -req -in "$work/server.csr" -CA "$work/ours.pem" -CAkey "$work/ours.key" -CAcreateserial -days 30 -extfile <(echo "subjectAltName=DNS:phones.local") -out "$work/server.pem" 2>/dev/null

# The server: one file for every phone, and answers to mDNS questions (RFC 6762), each record for
# itself, as a small responder gives them.
cat >"$work/server.py" <<'P'
import http.server, socket, ssl, struct, sys, threading
work = sys.argv[1]
class Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b'[phone]\nname = "By the link"\n'
        open(f"{work}/asked", "a").write(self.path + "\n")
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
web = http.server.ThreadingHTTPServer(("10.9.9.1", 8443), Files)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); tls.load_cert_chain(f"{work}/server.pem", f"{work}/server.key")
web.socket = tls.wrap_socket(web.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=web.serve_forever, daemon=True).start()

def name(text): return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"
def read(data, at):
    """A name, perhaps with a pointer to an earlier one (RFC 1035 section 4.1.4), and what follows it."""
    parts = []
    while data[at]:
        if data[at] >= 0xc0:
            rest, _ = read(data, (data[at] & 0x3f) << 8 | data[at + 1])
            return ".".join([*parts, rest]), at + 2
        parts.append(data[at + 1:at + 1 + data[at]].decode()); at += 1 + data[at]
    return ".".join(parts), at + 1
SERVICE, ONE, HOST = "_offhook._tcp.local", "desk phones._offhook._tcp.local", "phones.local"
RECORDS = {
    (SERVICE, 12): name(ONE),
    (ONE, 33): struct.pack(">HHH", 0, 0, 8443) + name(HOST),
    (ONE, 16): bytes([14]) + b"path=/offhook/",
    (HOST, 1): socket.inet_aton("10.9.9.1"),
}
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(("", 5353))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton("10.9.9.1"))
open(f"{work}/ready", "w").close()
while True:
    data, asker = s.recvfrom(9000)
    if len(data) < 12 or data[2] & 0x80: continue
    at, questions = 12, []
    for _ in range(struct.unpack(">H", data[4:6])[0]):
        owner, at = read(data, at)
        questions.append((owner, struct.unpack(">H", data[at:at + 2])[0])); at += 4
    answers = [(owner, kind) for owner, kind in questions if (owner, kind) in RECORDS]
    if not answers: continue
    body = struct.pack(">HHHHHH", 0, 0x8400, 0, len(answers), 0, 0)
    for owner, kind in answers:
        body += name(owner) + struct.pack(">HHIH", kind, 0x8001, 120, len(RECORDS[owner, kind])) + RECORDS[owner, kind]
    s.sendto(body, asker)
P
python3 "$work/server.py" "$work" >"$work/server.log" 2>&1 & started+=($!)
for _ in {1..100}; do [ -e "$work/ready" ] && break; sleep 0.1; done
[ -e "$work/ready" ] || { fail "the server does not start: $(cat "$work/server.log")"; exit 1; }

# phone CA: one run of the phone by a fresh card; its exit code, or nothing after 25 seconds.
phone() {
  rm -rf "$work/card" "$work/state" "$work/run" "$work/asked"; mkdir -p "$work/card" "$work/state" "$work/run" "$work/profiles/box"
  printf 'name = "A box"\n[audio]\ncapture = "silence"\nplayback = "null"\n' >"$work/profiles/box/hardware.toml"
  printf '[control]\nsocket = "%s/run/ctl.sock"\nstate_dir = "%s/state"\n[board]\nprofile_dir = "%s/profiles"\n%s' "$work" "$work" "$work" "$1" >"$work/card/offhook.toml"
  cp "$work/ours.pem" "$work/others.pem" "$work/card/"
  timeout -s TERM 25 "$offhook" run --board box --card "$work/card" >"$work/phone.log" 2>&1
}
phone '[provision]
ca = "ours.pem"
'
code=$?
[ $code = 10 ] && ok "the phone takes the configuration of the link's server" || fail "the phone ends with $code: $(tail -20 "$work/phone.log")"
grep -q "By the link" "$work/state/network.toml" 2>/dev/null && ok "it is kept" || fail "nothing is kept"
grep -qE '^/offhook/[0-9a-f]{12}\.toml$' "$work/asked" 2>/dev/null && ok "it asks for its own file" || fail "it asks for $(cat "$work/asked" 2>/dev/null)"
phone '[provision]
ca = "others.pem"
'
[ ! -e "$work/state/network.toml" ] && [ ! -e "$work/asked" ] && ok "a server that another authority vouches for is asked nothing" || fail "another authority: $(tail -20 "$work/phone.log")"
grep -q 'provisioning server of this network: https://phones.local:8443' "$work/phone.log" && ok "it was found" || fail "it was not found: $(tail -20 "$work/phone.log")"
for settings in '' '[provision]
ca = "ours.pem"
mdns = false
'; do
  phone "$settings"
  [ ! -e "$work/asked" ] && ! grep -q 'provisioning server of this network' "$work/phone.log" && ok "it is not looked for with '$(tr '\n' ' ' <<<"$settings")'" || fail "with '$settings': $(tail -20 "$work/phone.log")"
done
exit $bad
