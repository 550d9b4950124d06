#!/usr/bin/env bash
# Busybox's NTP client, which Debian's busybox lacks and the image's has:   ntpd.sh CACHE
#
#   Debian's busybox source ─▶ one applet, cross gcc, static ─▶ CACHE/ntpd-VERSION, whose path is printed
#
# The source comes from Debian's mirror by a list of our own: the machine's apt needs no source
# lists. Built once, in seconds.
set -euo pipefail
cache=$1
here=$(cd "$(dirname "$0")" && pwd)
made=$cache/ntpd-$(sha256sum <"$here/ntpd.sh" | cut -c1-8)
[ ! -s "$made" ] || { echo "$made"; exit 0; }
work=$(mktemp -d "$cache/ntpd.XXXXXX"); trap 'rm -rf "$work"' EXIT
log=$cache/ntpd.log; : >"$log"
mkdir -p "$work"/{parts,lists/partial}
# Mirror and release of whatever this machine's packages come from.
mirror=$(apt-cache policy busybox-static 2>/dev/null | awk '$2 ~ /^http/ && !found { print $2, $3; found = 1 }' || true)
read -r url suite <<<"${mirror%%/main*}"
[ -n "$url" ] || { echo "ntpd: apt knows no mirror that has busybox-static" >&2; exit 1; }
printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$url" "$suite" >"$work/parts/source.list"
apt_get() {
  apt-get -o Acquire::Retries=3 -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" -o Dir::State::lists="$work/lists" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -qq "$@" >>"$log" 2>&1
}
if ! apt_get update || ! (cd "$work" && apt_get --download-only source busybox); then echo "ntpd: no source of busybox at $url (see $log)" >&2; exit 1; fi
tar -xjf "$work"/busybox_*.orig.tar.bz2 -C "$work"
for tree in "$work"/busybox-*/; do :; done
[ -f "$tree/Makefile" ] || { echo "ntpd: the source of busybox has no folder busybox-VERSION (see $log)" >&2; exit 1; }
make -C "$tree" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- allnoconfig >>"$log" 2>&1
for option in NTPD LONG_OPTS STATIC FEATURE_IPV6 FEATURE_PREFER_IPV4_ADDRESS LFS; do sed -i "s/^# CONFIG_$option is not set/CONFIG_$option=y/" "$tree/.config"; done
{ yes '' || true; } | make -C "$tree" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- oldconfig >>"$log" 2>&1
make -C "$tree" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- -j2 busybox >>"$log" 2>&1 || { echo "ntpd: it does not build; see $log" >&2; exit 1; }
install -m 755 "$tree/busybox" "$made.new"
mv "$made.new" "$made"
echo "$made"
