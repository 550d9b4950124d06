#!/usr/bin/env bash
# Finds, or builds once, the user-mode kernel of `make test-board` and prints its path; on failure
# says why on stderr.
#
#   $OFFHOOK_UML  →  ../shared/kernels/linux-uml  →  .cache/linux-uml-*  →  built from Debian's linux-source (10 to 20 minutes)
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/board

if [ -n "${OFFHOOK_UML:-}" ]; then
  [ -x "$OFFHOOK_UML" ] || { echo "OFFHOOK_UML=$OFFHOOK_UML is no program" >&2; exit 1; }
  echo "$OFFHOOK_UML"; exit 0
fi
[ ! -x "$root/../shared/kernels/linux-uml" ] || { (cd "$root/../shared/kernels" && echo "$PWD/linux-uml"); exit 0; }
[ "$(uname -m)" = x86_64 ] || { echo "user-mode Linux exists for x86_64 only, this is $(uname -m)" >&2; exit 1; }

# The name carries what went into it: another configuration is another kernel.
stamp=$(cat "$here/kernel.config" "$here/kernel.sh" | sha256sum | cut -c1-12)
cached=$root/.cache/linux-uml-$stamp
[ ! -x "$cached" ] || { echo "$cached"; exit 0; }

"$root/scripts/need" kernel >&2 || { echo "no user-mode kernel, and what building one needs is not installed" >&2; exit 1; }
source=$(ls /usr/src/linux-source-6.*.tar.xz 2>/dev/null | sort -V | tail -1)
[ -n "$source" ] || { echo "no user-mode kernel, and no /usr/src/linux-source-6.*.tar.xz to build one from" >&2; exit 1; }
mkdir -p "$root/.cache"
exec 8>"$root/.cache/linux-uml.lock"; flock 8
[ ! -x "$cached" ] || { echo "$cached"; exit 0; }
echo "building the user-mode kernel from $source: once, 10 to 20 minutes; log in .cache/linux-uml.log" >&2
work=$(mktemp -d "$root/.cache/linux-uml.XXXXXX"); trap 'rm -rf "$work"' EXIT
log=$root/.cache/linux-uml.log
build() {
  tar -C "$work" --strip-components=1 -xf "$source"
  cd "$work"
  # The saved FP state of a processor with AMX is larger than the kernel of 2022 thought.
  sed -i 's/DEFINE_LONGS(HOST_FP_SIZE, [0-9]*)/DEFINE_LONGS(HOST_FP_SIZE, 12288)/' arch/x86/um/user-offsets.c
  # Sound is barred from user mode by this line alone.
  sed -i 's/^if !UML$/if SOUND/' sound/Kconfig
  make O=b ARCH=um KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig
  for option in SND_ALOOP GPIO_SIM GPIO_CDEV_V1 HOSTFS SOFT_WATCHDOG HIGH_RES_TIMERS; do
    grep -q "^CONFIG_$option=y" b/.config || { echo "CONFIG_$option did not survive allnoconfig"; return 1; }
  done
  make O=b ARCH=um -j"$(nproc)" linux
  strip -o "$cached.new" b/linux
}
if ! (set -e; build) >"$log" 2>&1; then echo "the user-mode kernel does not build: see $log: $(tail -1 "$log")" >&2; exit 1; fi
mv "$cached.new" "$cached"
echo "$cached"
