#!/usr/bin/env bash
# The script that Buildroot calls when the root tree is complete (post-build), on a made-up build of
# every board: it succeeds with one kernel and one busybox, as a build leaves them, and says in one
# line what is missing.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
board_files=$root/buildroot/board/offhook
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0 tried=0
fail() { echo "FAIL: $board: $*"; bad=1; }
echo certificate >"$work/certificate"

# virt has a cable only, and so no module at all.
has_radio() { [ "$board" != virt ]; }

# built KERNEL_FOLDER: what Buildroot has when it calls post-build
built() {
  rm -rf "$work/build" "$work/target"; mkdir -p "$work/build/$1" "$work/build/busybox-1.37.0" "$work/target/etc/init.d"
  local fragments=("$board_files/linux.fragment" "$root/board/profiles/$board/linux.fragment")
  sed 's/^\(CONFIG_[A-Z0-9_]*\)=n$/# \1 is not set/' "${fragments[@]}" >"$work/build/$1/.config"
  # One kernel module with what it needs, where a module is built at all.
  release=6.18.7-v8 modules=$work/target/lib/modules/6.18.7-v8
  mkdir -p "$work/build/$1/include/config" "$modules/kernel"; echo "$release" >"$work/build/$1/include/config/kernel.release"
  : >"$modules/modules.dep"
  if has_radio; then
    touch "$modules/kernel/"{brcmfmac,brcmutil,cfg80211}.ko
    printf 'kernel/%s\n' 'cfg80211.ko:' 'brcmutil.ko:' 'brcmfmac.ko: kernel/brcmutil.ko kernel/cfg80211.ko' >"$modules/modules.dep"
  fi
  mkdir -p "$work/target/lib/modules/6.18.6-v8"; : >"$work/target/lib/modules/6.18.6-v8/modules.dep"
  cp "$board_files/busybox.fragment" "$work/build/busybox-1.37.0/.config"
  supplicant=$work/build/wpa_supplicant-2.11/wpa_supplicant
  mkdir -p "$supplicant"; echo 'CONFIG_DRIVER_WIRED=y' >"$supplicant/.config"
  if has_radio; then
    echo CONFIG_CFG80211=m >>"$work/build/$1/.config"
    echo CONFIG_DRIVER_NL80211=y >>"$supplicant/.config"
  fi
  : >"$work/target/etc/init.d/S40network"
  mkdir -p "$work/build/offhook-0.1.0/VENDOR/crate-1.2"; echo crate >"$work/build/offhook-0.1.0/VENDOR/crate-1.2/LICENSE-MIT"
}
mkdir -p "$work/licences/busybox-1.37.0"; echo busybox >"$work/licences/busybox-1.37.0/LICENSE"; echo '{}' >"$work/parts"
post_build() {
  BUILD_DIR=$work/build OFFHOOK_IMAGE_VERSION=7.8.9 OFFHOOK_UPDATE_CERTIFICATE=$work/certificate OFFHOOK_LICENCES=$work/licences OFFHOOK_PARTS=$work/parts "$board_files/post-build" "$work/target" "$board" >"$work/said" 2>&1
}
succeeds() { tried=$((tried + 1)); post_build || fail "$1: exit code $?: $(cat "$work/said")"; }
# refuses WHAT TEXT: exit code 1, and one line that has the text
refuses() {
  tried=$((tried + 1))
  post_build; local code=$?
  [ $code = 1 ] || fail "$1: exit code $code, not 1"
  [ "$(wc -l <"$work/said")" = 1 ] || fail "$1: not one line: $(cat "$work/said")"
  grep -q -- "$2" "$work/said" || fail "$1: no '$2' in: $(cat "$work/said")"
}

for board in virt rpi3 rpi4 rpi-zero2w; do
  for kernel in linux-6.18.7 linux-custom; do
    built $kernel; succeeds "one kernel, $kernel"
    [ "$(cat "$work/target/etc/offhook/board" "$work/target/etc/offhook/version")" = "$board"$'\n'7.8.9 ] || fail "board and version are not written"
    radio=; ! has_radio || radio="$release/kernel/cfg80211.ko $release/kernel/brcmutil.ko $release/kernel/brcmfmac.ko "
    [ "$(tr '\n' ' ' <"$work/target/etc/offhook/modules.network")" = "$radio" ] || fail "the modules of the network: $(cat "$work/target/etc/offhook/modules.network")"
    changes=$(cat "$work/target/etc/offhook/changes" 2>/dev/null)
    [ "${#changes}" -gt 100 ] && [ "${#changes}" -le 700 ] || fail "what is new is not in the image: '$changes'"
    for text in LICENSE-MIT busybox-1.37.0/LICENSE crates/crate-1.2/LICENSE-MIT; do [ -s "$work/target/usr/share/licenses/$text" ] || fail "no licence text $text"; done
    [ "$(cat "$work/target/usr/share/offhook/parts.spdx.json")" = '{}' ] || fail "the list of parts is not in the image"
    [ -z "$(ls "$work/target/etc/init.d")" ] || fail "Buildroot's own start scripts are still there"
  done
  cmp -s "$work/certificate" "$work/target/etc/offhook/update-keyring.pem" || fail "the keyring is not who signs"
  # A change of keys: accepted from now on is another than who signs this one.
  echo new >"$work/keyring"; OFFHOOK_UPDATE_KEYRING=$work/keyring succeeds "a new keyring"
  cmp -s "$work/keyring" "$work/target/etc/offhook/update-keyring.pem" || fail "the new keyring is not in the image"
  OFFHOOK_UPDATE_KEYRING=/nowhere refuses "no keyring" "no certificates of accepted updates"
  # A kernel of an earlier build beside it does not count.
  built linux-6.18.7; mkdir "$work/build/linux-6.18.6"; echo '# nothing' >"$work/build/linux-6.18.6/.config"
  touch -d '1 hour ago' "$work/build/linux-6.18.6/.config"; succeeds "an older kernel beside"
  built linux-6.18.7; sed -i '/CONFIG_SND_USB_AUDIO=y/d' "$work/build/linux-6.18.7/.config"; refuses "a lost line" CONFIG_SND_USB_AUDIO
  built linux-6.18.7; rm -r "$work/build/linux-6.18.7"; refuses "no kernel" "no kernel was configured"
  built linux-6.18.7; rm -r "$work/build/busybox-1.37.0"; refuses "no busybox" "no busybox was configured"
  built linux-6.18.7; rm -r "$work/build/wpa_supplicant-2.11"; refuses "no wpa_supplicant" "no wpa_supplicant was configured"
  built linux-6.18.7; echo CONFIG_DRIVER_NL80211=y >>"$supplicant/.config"
  sed -i '/CONFIG_CFG80211/d' "$work/build/linux-6.18.7/.config"; echo '# CONFIG_CFG80211 is not set' >>"$work/build/linux-6.18.7/.config"
  refuses "wpa_supplicant with a driver that the kernel lacks" "wpa_supplicant has the driver nl80211"
  built linux-6.18.7; rm -r "$work/target"; refuses "no root tree" "no root tree"
  # Linux's own kernel where the vendor's cannot be had: its drivers are asked for, the vendor's are not; everything else is.
  export OFFHOOK_MORE_FRAGMENTS=$root/buildroot/debian/rpi/linux.fragment
  linuxs_own() { built linux-6.18.9; sed -i '/CONFIG_MMC_BCM2835/d; /CONFIG_USB_DWCOTG/d' "$work/build/linux-6.18.9/.config"; grep '^CONFIG' "$OFFHOOK_MORE_FRAGMENTS" >>"$work/build/linux-6.18.9/.config"; }
  linuxs_own; succeeds "Linux's own kernel"
  linuxs_own; sed -i '/CONFIG_MMC_BCM2835=y/d' "$work/build/linux-6.18.9/.config"; refuses "Linux's own kernel without its driver" "CONFIG_MMC_BCM2835=y"
  linuxs_own; sed -i '/CONFIG_SND_USB_AUDIO=y/d' "$work/build/linux-6.18.9/.config"; refuses "Linux's own kernel, a lost line" CONFIG_SND_USB_AUDIO
  unset OFFHOOK_MORE_FRAGMENTS
  if [ -n "$radio" ]; then
    built linux-custom
    for name in brcmfmac brcmutil cfg80211; do mv "$modules/kernel/$name.ko" "$modules/kernel/$name.ko.xz"; done
    # What depmod makes of modules that it cannot read: their names, or nothing.
    sed -i 's/\.ko/.ko.xz/g' "$modules/modules.dep"; refuses "compressed modules" "brcmfmac.ko.xz is compressed"
    : >"$modules/modules.dep"; refuses "compressed modules that depmod left out" "brcmfmac.ko.xz is compressed"
    built linux-custom; : >"$modules/modules.dep"; refuses "no module" "its driver brcmfmac is not in"
    built linux-custom; rm "$modules/modules.dep"; refuses "no list of modules" "its driver brcmfmac is not in"
    built linux-custom; rm "$modules/kernel/cfg80211.ko"; refuses "a module it needs" "cfg80211.ko, which brcmfmac needs"
    built linux-custom; rm "$work/build/linux-custom/include/config/kernel.release"; refuses "a kernel that was not built" "was not built"
    built linux-custom; echo kernel/brcmfmac.ko >"$modules/modules.builtin"; : >"$modules/modules.dep"; succeeds "a driver that is built in"
  fi
  mv "$work/licences" "$work/away"; built linux-6.18.7; refuses "no licence texts" "no licence texts"; mv "$work/away" "$work/licences"
  mv "$work/certificate" "$work/away"; built linux-6.18.7; refuses "no certificate" "no certificate for updates"; mv "$work/away" "$work/certificate"
done
board=none; built linux-6.18.7 2>/dev/null; refuses "an unknown board" "no board profile"

# The same kind of mistake elsewhere: under `set -e -o pipefail` a command that finds nothing ends
# the script without a message, so what looks for something into a variable says what happens when
# there is nothing.
board=scripts
while read -r script; do
  tried=$((tried + 1))
  grep -nE '^[^#]*[a-z_]+=\$\((ls|grep|find|apt-cache)[ "]' "$script" | grep -v '||' >"$work/lines" && fail "$script looks for something and does not say what is done when there is nothing: $(cat "$work/lines")"
done < <(grep -lE '^set -[a-z]*e[a-z]*o? ?pipefail' "$root"/buildroot/*.sh "$board_files"/* "$root"/scripts/* "$root"/tests/image/*.sh 2>/dev/null)
echo "$tried things tried with post-build"
exit $bad
