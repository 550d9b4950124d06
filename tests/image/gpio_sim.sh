#!/usr/bin/env bash
# The kernel's own simulated GPIO chip for Debian's arm64 kernel, whose configuration leaves it out:   gpio_sim.sh RELEASE CACHE
#
#   linux-source ─▶ gpio-sim.c, irq_sim.c ─┐
#   linux-headers of that very kernel ─────┴─▶ kbuild, cross gcc ─▶ CACHE/gpio-sim-RELEASE.ko, whose path is printed
#
# Sources and headers come from Debian at build time and lie in the cache only. Built once a kernel,
# in seconds.
set -euo pipefail
release=$1 cache=$2
here=$(cd "$(dirname "$0")" && pwd)
# The name carries how it was made: another recipe is another module.
module=$cache/gpio-sim-$release-$(sha256sum <"$here/gpio_sim.sh" | cut -c1-8).ko
[ ! -s "$module" ] || { echo "$module"; exit 0; }
work=$(mktemp -d "$cache/gpio-sim.XXXXXX"); trap 'rm -rf "$work"' EXIT
log=$cache/gpio-sim.log

common=${release%-*}-common series=$(echo "$release" | cut -d. -f1,2)
headers=linux-headers-$release
fetch() { (cd "$work" && apt-get -o Acquire::Retries=3 -o APT::Sandbox::User=root -qq download "$@") >>"$log" 2>&1; }
build() {
  fetch "$headers:arm64" "linux-headers-$common" "linux-kbuild-$series:$(dpkg --print-architecture)" || {
    echo "gpio_sim: Debian has no headers for $release any more; rm -r $cache takes the newest kernel" >&2; return 1; }
  # The sources of the same upload as the kernel.
  fetch "linux-source-$series=$(dpkg-deb -f "$work/${headers}"_*.deb Version)" || { echo "gpio_sim: no linux-source of the kernel's version (see $log)" >&2; return 1; }
  for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work"; rm "$package"; done
  tree=$work/usr/src/$headers
  # Debian's makefiles name each other by where they would be installed.
  sed -i "s#/usr/src/#$work/usr/src/#" "$tree/Makefile"
  mkdir "$work/module"
  tar -xJf "$work/usr/src/linux-source-$series.tar.xz" -C "$work/module" --transform 's#.*/##' \
    "linux-source-$series"/drivers/gpio/{gpio-sim.c,gpiolib.h} "linux-source-$series/kernel/irq/irq_sim.c"
  # The one call a module may not make, and the one that does the same for it.
  sed -i 's/handle_simple_irq(irq_to_desc(\([a-z]*\)))/generic_handle_irq_safe(\1)/' "$work/module/irq_sim.c"
  # Both files are one module, and end in "gpio-sim.ko": the object of the same name goes by
  # another.
  mv "$work/module/gpio-sim.c" "$work/module/chip.c"
  printf 'obj-m := gpio-sim.o\ngpio-sim-y := chip.o irq_sim.o\nccflags-y := -I$(src) -DCONFIG_IRQ_SIM_MODULE=1\n' >"$work/module/Makefile"
  make -C "$tree" M="$work/module" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc modules >>"$log" 2>&1 || { echo "gpio_sim: it does not build; see $log" >&2; return 1; }
  aarch64-linux-gnu-strip -g -o "$module.new" "$work/module/gpio-sim.ko"
  mv "$module.new" "$module"
}
: >"$log"
build
echo "$module"
