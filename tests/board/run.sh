#!/usr/bin/env bash
# `make test-board`: the unmodified binary in a user-mode Linux kernel with the kernel's own
# gpio-sim and snd-aloop.
#
#   this script ─▶ kernel.sh (find or build the kernel) ─▶ linux rootfstype=hostfs ro ─▶ init.sh ─▶ board_guest (tests/src/bin)
#
# The guest's root is this machine's file system, read only; all it writes goes to its own memory.
# Needs no right of any kind.
# Prints `test … ok` lines as cargo does; exits non-zero if one failed. Arguments name the tests to
# run (parts of names).
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
skip() { echo "SKIPPED: make test-board: $*" >&2; exit 0; }

[ -x /bin/busybox ] || skip "no /bin/busybox (package busybox-static)"
kernel=$(tests/board/kernel.sh) || skip "no user-mode kernel (see above)"
# The whole workspace with every feature: another selection would build everything a second time.
cargo build --quiet --workspace --bins \
  --features offhook-tests/peers,offhook-tests/guest,offhook-tests/image || exit 1
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
data=${OFFHOOK_DATA:-}; [ -n "$data" ] || { [ -d ../shared/data ] && data=$(cd ../shared/data && pwd); }

scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
# The kernel keeps the guest's memory in a file here; /dev/shm is fastest, and /tmp will do.
memory=/dev/shm; [ -w /dev/shm ] && [ "$(df --output=avail -k /dev/shm | tail -1)" -gt 400000 ] || memory=${TMPDIR:-/tmp}
log=$scratch/console
# The guest's sound is in real time: before the machine's other work, where that is allowed and
# another processor is left.
first=
if [ "$(nproc)" -gt 1 ] && chrt -f 1 true 2>/dev/null; then first="chrt -f 1"; elif nice -n -15 true 2>/dev/null; then first="nice -n -15"; fi
TMPDIR=$memory $first timeout --kill-after=5 "${OFFHOOK_GUEST_TIMEOUT:-900}" "$kernel" \
  mem=320M rootfstype=hostfs ro init="$root/tests/board/init.sh" uml_dir="$scratch" con=null con0=fd:0,fd:1 ssl=null quiet \
  OFFHOOK_GUEST="$target/debug/board_guest" OFFHOOK_BIN="$target/debug/offhook" OFFHOOK_ROOT="$root" \
  OFFHOOK_SEED="$(od -An -vtx1 -N64 /dev/urandom | tr -d ' \n')" OFFHOOK_ONLY="$(IFS=,; echo "$*")" ${data:+OFFHOOK_DATA="$data"} </dev/null 2>"$scratch/stderr" | tr -d '\r' | tee "$log"
status=${PIPESTATUS[0]}
if ! grep -q '^guest: exit ' "$log"; then
  echo "FAIL: the guest did not come to its end (status $status); its last words:"; tail -5 "$scratch/stderr"
  echo "test result: FAILED. 0 passed; 1 failed; 0 ignored"; exit 1
fi
grep -q '^guest: exit 0$' "$log"
