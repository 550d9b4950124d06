#!/usr/bin/env bash
# Builds what `make test-image` boots:   tests/image/build.sh OUT_FOLDER [BINARY]
#
#   Debian arm64 packages (cached) ─┐                              ┌─▶ offhook.img          (slots a and b: version 1)
#   the phone, by make cross ───────┼─▶ root tree ─▶ squashfs ─▶ make-image ─▶ good.raucb   (version 2, signed by the keyring's key)
#   buildroot/board/offhook overlay ┘                              ├─▶ broken.raucb         (signed, but its phone never starts)
#                                                                  ├─▶ foreign.raucb        (complete, signed with another key)
#                                                                  └─▶ wifi.squashfs        (an access point and two simulated radios)
#
# Overlay, init, layout, slots and update are the real image's; kernel, C library and busybox are
# Debian's, because Buildroot needs downloads and an hour. What only the test image has is under
# "only here" below. Needs no special rights.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/image board=$root/buildroot/board/offhook
out=$(mkdir -p "$1" && cd "$1" && pwd)
binary=${2:-$root/target-cross/aarch64-unknown-linux-gnu/release/offhook}
[ -x "$binary" ] || { echo "build: no $binary; first: make cross" >&2; exit 1; }
cache=${OFFHOOK_IMAGE_CACHE:-$root/target/image-cache}; mkdir -p "$cache/deb"
exec 8>"$cache/lock"; flock 8

# --- Debian's parts, by exact name; each unpacked once
newest_kernel() { { apt-cache depends linux-image-arm64:arm64 2>/dev/null || true; } | sed -n '0,/^ *Depends: linux-image-/s/^ *Depends: \(linux-image-[^:]*\):arm64$/\1/p'; }
kernel=$(cat "$cache/kernel" 2>/dev/null || newest_kernel)
[ -n "$kernel" ] || { apt-get -o DPkg::Lock::Timeout=600 -qq update; kernel=$(newest_kernel); }
[ -n "$kernel" ] || { echo "build: apt knows no linux-image-arm64:arm64 (dpkg --add-architecture arm64; apt-get update)" >&2; exit 1; }
missing=()
for package in "$kernel" $(grep -v -e '^#' -e '^@' "$here/packages"); do [ -d "$cache/deb/$package" ] || missing+=("$package"); done
if [ ${#missing[@]} -gt 0 ]; then
  echo "build: downloading ${#missing[@]} packages for arm64" >&2
  get() { (cd "$cache/deb" && apt-get -o Acquire::Retries=3 -o APT::Sandbox::User=root -qq download $(for package in "${missing[@]}"; do case $package in *:*) echo "$package" ;; *) echo "$package:arm64" ;; esac; done) >&2); }
  get || { apt-get -o DPkg::Lock::Timeout=600 -qq update; get; }
  for package in "${missing[@]}"; do
    dpkg-deb -x "$cache/deb/${package%:*}"_*.deb "$cache/deb/$package.new"; rm -f "$cache/deb/${package%:*}"_*.deb; mv "$cache/deb/$package.new" "$cache/deb/$package"
  done
  echo "$kernel" >"$cache/kernel"
fi
release=${kernel#linux-image-}
modules=$cache/deb/$kernel
[ -f "$modules/lib/modules/$release/modules.dep" ] || PATH=$PATH:/sbin:/usr/sbin depmod -b "$modules" "$release"
# One tree to look for programs and libraries in, by links.
if [ ! -d "$cache/all" ] || [ "$cache/all" -ot "$here/packages" ]; then
  rm -rf "$cache/all"; mkdir "$cache/all"
  for package in $(grep -v -e '^#' -e '^@' "$here/packages"); do cp -al "$cache/deb/$package/." "$cache/all/"; done
fi
all=$cache/all

work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
tree=$work/root initrd=$work/initrd

# take_modules FOLDER LIST NAME…: modules with what they need, stripped, and their order of loading
take_modules() {
  local folder=$1 list=$2 name path file; shift 2
  mkdir -p "$folder/lib/modules"
  for name in "$@"; do PATH=$PATH:/sbin:/usr/sbin modprobe -d "$modules" -S "$release" --show-depends "$name" | awk '$1 == "insmod" { print $2 }'; done | awk '!seen[$0]++' | while read -r path; do
    file=$(basename "$path")
    [ -e "$folder/lib/modules/$file" ] || aarch64-linux-gnu-strip -g -o "$folder/lib/modules/$file" "$path"
    ! grep -qsx "$file" "$folder"/etc/offhook/modules* || continue
    echo "$file" >>"$list"
  done
}
# take_program PATH: an arm64 program and the libraries it names, into the tree
take_libraries() {
  local library found
  for library in $(aarch64-linux-gnu-readelf -d "$1" 2>/dev/null | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p'); do
    [ ! -e "$tree/lib/aarch64-linux-gnu/$library" ] || continue
    found=$(find -L "$all/lib" "$all/usr/lib" -name "$library" -type f -print -quit 2>/dev/null || true)
    [ -n "$found" ] || { echo "build: no package has $library, which $1 needs: add its package to tests/image/packages" >&2; exit 1; }
    cp -L "$found" "$tree/lib/aarch64-linux-gnu/$library"
    take_libraries "$found"
  done
}
take_program() { rm -f "$tree/$2"; install -D -m 755 "$1" "$tree/$2"; take_libraries "$1"; }

# --- the root tree
mkdir -p "$tree"/{bin,sbin,dev,proc,sys,run,tmp,data,boot/offhook,root,etc/offhook,usr/bin,usr/sbin,usr/share/offhook,lib/aarch64-linux-gnu,var/lib}
install -m 755 "$all/bin/busybox" "$tree/bin/busybox"
for applet in $(qemu-aarch64-static "$all/bin/busybox" --list); do [ "$applet" = busybox ] || ln -s /bin/busybox "$tree/bin/$applet"; done
ln -s /bin/busybox "$tree/sbin/init"
cp -L "$(find -L "$all/lib" -name ld-linux-aarch64.so.1 -type f | head -1)" "$tree/lib/"
for program in sbin/e2fsck sbin/mke2fs sbin/fsck.fat usr/bin/flock usr/bin/chrt usr/sbin/dropbear usr/bin/rauc usr/bin/dbus-daemon sbin/wpa_supplicant sbin/wpa_cli; do take_program "$all/$program" "$program"; done
take_program "$(find "$all/sbin" "$all/usr/sbin" -name iw -type f | head -1)" usr/sbin/iw
# Debian's busybox has no NTP client; without it the test of the clock reports that.
if ntpd=$("$here/ntpd.sh" "$cache"); then take_program "$ntpd" usr/sbin/ntpd; fi
take_program "$binary" usr/bin/offhook
mkdir -p "$tree/usr/share/alsa"; cp -rL "$all/usr/share/alsa/." "$tree/usr/share/alsa/"; rm -rf "$tree"/usr/share/alsa/{ucm2,topology,speaker-test,sof-ctl}
cp -r "$board/rootfs-overlay/." "$tree/"
cp -r "$root/board/profiles" "$tree/usr/share/offhook/"
echo virt >"$tree/etc/offhook/board"
printf 'root:*:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\noffhook:*:990:990::/:/bin/false\n' >"$tree/etc/passwd"
printf 'root:x:0:\nmessagebus:x:100:\noffhook:x:990:\n' >"$tree/etc/group"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$tree/etc/hosts"
ln -s /run/resolv.conf "$tree/etc/resolv.conf"; ln -s /proc/mounts "$tree/etc/mtab"
ln -s /data/offhook "$tree/var/lib/offhook"; ln -s /run "$tree/var/run"
ln -s /data/ssh "$tree/etc/dropbear"; ln -s /run/root/.ssh "$tree/root/.ssh"

# --- only here: Debian's drivers are modules, and gpio-sim is not among them; RAUC needs its D-Bus
# service; a shell for the test on a virtio port, and a program that presses keys
take_modules "$tree" "$tree/etc/offhook/modules" ext4 vfat nls_cp437 nls_ascii nls_iso8859-1 snd_hda_codec_generic snd_hda_intel configfs i6300esb ramoops virtio_console
# insmod does not read the kernel's command line as a built-in driver does.
sed -i 's/^ramoops.ko$/ramoops.ko mem_address=0x5f000000 mem_size=0x40000 record_size=0x10000 ecc=1/' "$tree/etc/offhook/modules"
sim=$("$here/gpio_sim.sh" "$release" "$cache")
cp "$sim" "$tree/lib/modules/gpio-sim.ko"; echo gpio-sim.ko >>"$tree/etc/offhook/modules"
take_modules "$tree" "$tree/etc/offhook/modules.network" virtio_net 8021q
take_modules "$tree" "$tree/etc/offhook/modules.update" loop dm_verity squashfs
cat >"$tree/usr/lib/offhook/rauc-service" <<'S'
#!/bin/sh
# Debian's RAUC works through its D-Bus service only.
. /usr/lib/offhook/env.sh
mkdir -p /run/dbus
[ -S /run/dbus/system_bus_socket ] || dbus-daemon --config-file=/etc/offhook/dbus.conf --fork || exit 1
[ ! -e /run/offhook/rauc.pid ] || kill "$(cat /run/offhook/rauc.pid)" 2>/dev/null
rauc -c /run/rauc/system.conf service >/run/offhook/rauc.log 2>&1 &
echo $! >/run/offhook/rauc.pid
tries=0; until rauc -c /run/rauc/system.conf status >/dev/null 2>&1; do tries=$((tries + 1)); [ $tries -lt 30 ] || exit 1; sleep 1; done
S
cat >"$tree/etc/offhook/dbus.conf" <<'S'
<busconfig>
  <type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
  <policy context="default"><allow user="root"/><allow own="*"/><allow send_type="method_call"/><allow send_destination="*"/><allow receive_type="signal"/><allow receive_type="method_return"/><allow receive_type="error"/><allow eavesdrop="false"/></policy>
</busconfig>
S
cat >"$tree/usr/lib/offhook/test-shell" <<'S'
#!/bin/sh
for name in /sys/class/virtio-ports/*/name; do
  [ "$(cat "$name")" != offhook-test ] || { port=/dev/${name%/name}; port=/dev/${port##*/}; PS1= exec sh 0<>"$port" 1>&0 2>&1; }
done
sleep 5
S
cat >"$tree/usr/lib/offhook/test-keypress" <<'S'
#!/bin/sh
# Holds a key of the simulated keypad:   test-keypress ROW_LINE COLUMN_LINE SECONDS
# A closed key connects its column to its row: while it is held the column is low whenever the phone drives the row low. The row is read every
# few milliseconds, a fraction of the scan's step, with a priority above the audio thread's, as fast as a real contact. Waiting on an empty
# pipe starts no process. The pull is written every time, because the phone sets its own pull-up when it takes the line.
[ "${4:-}" = now ] || exec chrt -f 90 "$0" "$1" "$2" "$3" now
row=/run/lines/sim_gpio$1/value column=/run/lines/sim_gpio$2/pull
mkfifo /run/keypress.$$; exec 3<>/run/keypress.$$
(sleep "$3"; rm /run/keypress.$$) &
while [ -e /run/keypress.$$ ]; do
  read -r level <"$row"
  if [ "$level" = 0 ]; then echo pull-down >"$column"; else echo pull-up >"$column"; fi
  read -r -t 0.004 nothing <&3
done
echo pull-up >"$column"
S
# At power-up no command can be given: the kernel's command line says which key is held.
cat >"$tree/usr/lib/offhook/test-held" <<'S'
#!/bin/sh
for word in $(cat /proc/cmdline); do
  case $word in offhook.held=*:*) word=${word#*=}; /usr/lib/offhook/test-keypress "${word%:*}" "${word#*:}" 60 & ;; esac
done
S
chmod +x "$tree"/usr/lib/offhook/{rauc-service,test-shell,test-keypress,test-held}
echo '::sysinit:/usr/lib/offhook/test-held' >>"$tree/etc/inittab"
echo '::respawn:/usr/lib/offhook/test-shell' >>"$tree/etc/inittab"

# --- Wi-Fi: an access point for the test of Wi-Fi, on a disk of its own
wifi=$work/wifi; mkdir -p "$wifi"
take_program "$all/usr/sbin/hostapd" usr/sbin/hostapd; mv "$tree/usr/sbin/hostapd" "$wifi/hostapd"
take_modules "$wifi" "$wifi/order" mac80211_hwsim aes_generic ctr ccm cmac
install -m 755 "$here/access_point" "$wifi/access_point"
rm -f "$out/wifi.squashfs"; mksquashfs "$wifi" "$out/wifi.squashfs" -comp zstd -all-root -no-progress -quiet >/dev/null

# --- keys: the image's own, and a foreign one
for who in update foreign; do
  [ -s "$cache/$who.pem" ] || openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/O=offhook test/CN=$who" -keyout "$cache/$who.key" -out "$cache/$who.pem" 2>/dev/null
done
cp "$cache/update.pem" "$tree/etc/offhook/update-keyring.pem"

# --- the boot partition
mkdir -p "$initrd"/{bin,dev,proc,mnt}; install -m 755 "$all/bin/busybox" "$initrd/bin/busybox"
take_modules "$initrd" "$initrd/order" virtio_mmio virtio_pci virtio_blk squashfs
cat >"$initrd/init" <<'S'
#!/bin/busybox sh
# Debian's kernel has its drivers as modules: this loads what the root needs and goes there. A board's kernel mounts root= by itself.
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc
while read -r module; do insmod "/lib/modules/$module"; done </order
for word in $(cat /proc/cmdline); do case $word in root=*) root=${word#root=} ;; esac; done
tries=0; until [ -b "$root" ] || [ $tries -ge 100 ]; do sleep 0.05; tries=$((tries + 1)); done
mount -o ro "$root" /mnt || { echo "no root on $root"; sleep 1; echo b >/proc/sysrq-trigger; }
mount --move /dev /mnt/dev; umount /proc
exec switch_root /mnt /sbin/init
S
chmod +x "$initrd/init"
mkdir "$work/boot"
(cd "$initrd" && find . | cpio -o -H newc --quiet --owner 0:0 | gzip -6) >"$work/boot/initrd"
# The same with ext4, for the stock Debian it is measured beside (tests/image/stock.sh).
cp -r "$initrd" "$work/ext4"; rm "$work/ext4/order"
take_modules "$work/ext4" "$work/ext4/order" virtio_mmio virtio_pci virtio_blk crc32c_generic ext4
(cd "$work/ext4" && find . | cpio -o -H newc --quiet --owner 0:0 | gzip -6) >"$cache/initrd-ext4"
cp "$modules/boot/vmlinuz-$release" "$work/boot/Image"
echo "console=ttyAMA0 root=/dev/vda5 rootwait ro rauc.slot=a quiet panic=5 printk.devkmsg=on mem=496M" >"$work/boot/cmdline.txt"

# --- the first partition, which a person sees
mkdir "$work/card"
printf '[phone]\ncountry = "de"\n' >"$work/card/offhook.toml"
printf 0 >"$work/card/tryboot"

squash() { echo "$1" >"$tree/etc/offhook/version"; rm -f "$work/$1.squashfs"; mksquashfs "$tree" "$work/$1.squashfs" -comp zstd -Xcompression-level 6 -all-root -no-progress -quiet >/dev/null; }
squash 1
"$board/make-image" image "$out/offhook.img" "$work/card" "$work/boot" "$work/1.squashfs"
squash 2
"$board/make-image" bundle "$out/good.raucb" virt 2 "$work/boot" "$work/2.squashfs" "$cache/update.pem" "$cache/update.key"
"$board/make-image" bundle "$out/foreign.raucb" virt 2 "$work/boot" "$work/2.squashfs" "$cache/foreign.pem" "$cache/foreign.key"
# A broken update: complete and signed, but its phone cannot start.
mv "$tree/usr/bin/offhook" "$work/offhook"; printf '#!/bin/sh\nexit 1\n' >"$tree/usr/bin/offhook"; chmod +x "$tree/usr/bin/offhook"
squash 3
"$board/make-image" bundle "$out/broken.raucb" virt 3 "$work/boot" "$work/3.squashfs" "$cache/update.pem" "$cache/update.key"
printf 'root %s\nkernel %s\nbundle %s\n' "$(stat -c %s "$work/1.squashfs")" "$(stat -c %s "$work/boot/Image")" "$(stat -c %s "$out/good.raucb")" >"$out/sizes"
echo "build: $(stat -c %s "$work/1.squashfs") bytes of root, $(stat -c %s "$work/boot/Image") of kernel, $(stat -c %s "$out/good.raucb") of bundle"
