#!/bin/busybox sh
# First process of the guest: mounts, then the driver of the test, then off. The root file system is
# the machine's own, read only.
# /proc first and by its full name: until it is there busybox cannot find itself.
/bin/busybox mount -t proc proc /proc
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TERM=dumb
b=/bin/busybox
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/shm
$b mount -t tmpfs tmp /dev/shm
$b mount -t tmpfs tmp /tmp
$b mount -t tmpfs tmp /run
$b mount -t configfs config /sys/kernel/config
$b ifconfig lo 127.0.0.1 up
# A checkout below /tmp is hidden by the guest's own: shown again, read only.
for dir in "$OFFHOOK_ROOT" "${OFFHOOK_GUEST%/*}" "${OFFHOOK_BIN%/*}" "$OFFHOOK_DATA"; do
  [ -z "$dir" ] || [ -e "$dir" ] || { $b mkdir -p "$dir" && $b mount -t hostfs -o "ro,$dir" none "$dir"; }
done
# The kernel's command line names the driver and what it needs (KEY=value words become our
# environment).
"$OFFHOOK_GUEST"
echo "guest: exit $?"
$b poweroff -f
