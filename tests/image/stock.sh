#!/usr/bin/env bash
# What the image is compared with: a stock Debian for arm64 with systemd, udev, DHCP and the same
# phone as a service.
#   tests/image/stock.sh OUT_FOLDER [BINARY]     leaves OUT/stock/{disk.img,Image,initrd,cmdline.txt}
# The packages are unpacked, not configured (their scripts cannot run on another processor), so what
# they would have set up is written here: users, fstab, interfaces, the service. The initramfs is
# the small one of the test image, not Debian's larger own.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$(mkdir -p "$1/stock" && cd "$1/stock" && pwd)
binary=${2:-$root/target-cross/aarch64-unknown-linux-gnu/release/offhook}
cache=${OFFHOOK_IMAGE_CACHE:-$root/target/image-cache}
kernel=$(cat "$cache/kernel") release=${kernel#linux-image-}
exec 8>"$cache/lock"; flock 8

tree=$cache/stock
if [ ! -e "$tree/.done" ]; then
  rm -rf "$tree"; mkdir -p "$tree"/usr/{bin,sbin,lib} "$cache/archives/partial"
  for folder in bin sbin lib; do ln -s "usr/$folder" "$tree/$folder"; done
  : >"$cache/no-packages"
  apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::status="$cache/no-packages" -o Dir::Cache::archives="$cache/archives" \
    -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Retries=3 --no-install-recommends -y --download-only install \
    base-files base-passwd bash coreutils dash debianutils diffutils findutils grep gzip hostname init-system-helpers libc-bin login mount ncurses-base \
    ncurses-bin perl-base sed sysvinit-utils tar util-linux systemd-sysv udev dbus ifupdown isc-dhcp-client kmod procps alsa-utils libopus0 >&2
  for package in "$cache"/archives/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree" --keep-directory-symlink; done
  rm -f "$cache"/archives/*.deb
  cp -al "$cache/deb/$kernel/lib/modules" "$tree/usr/lib/"
  depmod -b "$tree" "$release"
  cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"; cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
  echo 'messagebus:x:100:101::/nonexistent:/usr/sbin/nologin' >>"$tree/etc/passwd"
  printf 'messagebus:x:101:\nrender:x:102:\nkvm:x:103:\nsgx:x:104:\ninput:x:105:\ncrontab:x:106:\n' >>"$tree/etc/group"
  printf '/dev/vda / ext4 errors=remount-ro 0 1\n' >"$tree/etc/fstab"
  echo debian >"$tree/etc/hostname"; : >"$tree/etc/machine-id"
  mkdir -p "$tree/etc/network/interfaces.d"; printf 'auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n' >"$tree/etc/network/interfaces"
  ln -sf /lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"
  mkdir -p "$tree"/etc/systemd/system/{multi-user.target.wants,network-online.target.wants,getty.target.wants}
  ln -sf /lib/systemd/system/networking.service "$tree/etc/systemd/system/multi-user.target.wants/"
  touch "$tree/.done"
fi
# The simulated lines, as the image has them.
sim=$("$root/tests/image/gpio_sim.sh" "$release" "$cache"); cp "$sim" "$tree/usr/lib/offhook-gpio-sim.ko"
install -m 755 "$binary" "$tree/usr/bin/offhook"
mkdir -p "$tree/usr/share/offhook" "$tree/etc/offhook" "$tree/var/lib/offhook"; cp -r "$root/board/profiles" "$tree/usr/share/offhook/"
printf '[phone]\ncountry = "de"\n' >"$tree/etc/offhook/offhook.toml"
cat >"$tree/etc/systemd/system/offhook.service" <<'S'
[Unit]
Description=Offhook
[Service]
ExecStartPre=/bin/sh -c 'modprobe configfs; insmod /usr/lib/offhook-gpio-sim.ko; exec /usr/share/offhook/profiles/virt/lines'
ExecStart=/usr/bin/offhook run --config /etc/offhook/offhook.toml --board virt
RuntimeDirectory=offhook
Restart=always
LimitRTPRIO=99
LimitMEMLOCK=infinity
[Install]
WantedBy=multi-user.target
S
cat >"$tree/usr/bin/test-shell" <<'S'
#!/bin/sh
for name in /sys/class/virtio-ports/*/name; do
  [ "$(cat "$name")" != offhook-test ] || { port=/dev/${name%/name}; port=/dev/${port##*/}; PS1= exec sh 0<>"$port" 1>&0 2>&1; }
done
sleep 2
S
chmod +x "$tree/usr/bin/test-shell"
printf '[Service]\nExecStart=/usr/bin/test-shell\nRestart=always\nRestartSec=1\n[Install]\nWantedBy=multi-user.target\n' >"$tree/etc/systemd/system/test-shell.service"
for unit in offhook test-shell; do ln -sf "/etc/systemd/system/$unit.service" "$tree/etc/systemd/system/multi-user.target.wants/"; done

rm -f "$out/disk.img"; truncate -s 900M "$out/disk.img"
/sbin/mke2fs -q -F -t ext4 -L stock -d "$tree" "$out/disk.img"
cp "$cache/deb/$kernel/boot/vmlinuz-$release" "$out/Image"
cp "$cache/initrd-ext4" "$out/initrd"
echo "console=ttyAMA0 root=/dev/vda rootwait rw quiet net.ifnames=0" >"$out/cmdline.txt"
echo "stock: $(du -sk --exclude=modules "$tree" | cut -f1) kB in files without modules, $(du -sk "$tree" | cut -f1) with"
printf 'stock %s\n' "$(($(du -sk "$tree" | cut -f1) * 1024))" >>"$out/../sizes"
