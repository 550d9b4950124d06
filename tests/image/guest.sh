# shellcheck shell=bash
# What the scripts that boot a built image do with the machine in QEMU; sourced, never run:
#   built.sh, built_network.sh, raspi3b.sh
# They set $work, $limit (seconds a step may take), $qemu (the machine's process), $powered
# ($SECONDS when it was switched on), and where SSH answers: $port of this machine, or $host.

# ask COMMAND: what a command inside prints
ask() {
  ssh -q -i "$work/key" -p "${port:-22}" -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o ConnectTimeout="${patience:-10}" \
    "root@${host:-127.0.0.1}" "$@" </dev/null
}
says() { ask "$1" | grep -q -- "$2"; }
ended() { ! kill -0 "$qemu" 2>/dev/null; }
cut_power() { kill -9 "$qemu"; wait "$qemu" 2>/dev/null; qemu=; }
# more: what else is printed of a step that did not come
more() { :; }
# wait_for WHAT COMMAND…: until the command ends with 0
wait_for() {
  local what=$1 end=$((SECONDS + limit)); shift
  until "$@" >"$work/answer" 2>&1; do
    [ $SECONDS -lt $end ] \
      || fail "$what did not come within $limit s: $(cat "$work/answer"; more 2>&1)"
    if ended; then
      wait "$qemu"
      fail "$what did not come, the machine ended with $?: $(cat "$work/qemu.log")"
    fi
    sleep 1
  done
  ok "$what ($((SECONDS - powered)) s after power)"
}
