#!/bin/sh
# The check that fails a build when a line of a kernel or busybox fragment did not reach .config, on
# every fragment there is: whole it passes; missing, off, a module or another value, every line is
# named.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
check=$root/buildroot/board/offhook/check-kconfig
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0 tried=0
wrong() { echo "FAIL: $*"; bad=1; }
for fragment in "$root"/buildroot/board/offhook/*.fragment "$root"/board/profiles/*/linux.fragment; do
  grep '^CONFIG_' "$fragment" >"$work/lines"
  sed 's/^\(CONFIG_[A-Z0-9_]*\)=n$/# \1 is not set/' "$fragment" >"$work/config"
  "$check" "$fragment" "$work/config" whole 2>"$work/said" || wrong "$fragment does not survive as it is: $(cat "$work/said")"
  for spoil in '/^CONFIG_/d' 's/^\(CONFIG_[A-Z0-9_]*\)=.*/# \1 is not set/' 's/^\(CONFIG_.*\)=y$/\1=m/; t; /^CONFIG_/d' 's/^CONFIG_.*/&2/'; do
    sed "$spoil" "$fragment" >"$work/config"
    if "$check" "$fragment" "$work/config" spoilt 2>"$work/said"; then wrong "$fragment: no one missed anything after $spoil"; fi
    # A line that only some kernels have is not missed where it is unknown.
    case $spoil in /^CONFIG_/d) sed -n '/^# Where the kernel has it/{n;p}' "$fragment" >"$work/optional" ;; *) : >"$work/optional" ;; esac
    grep -vxF -f "$work/optional" "$work/lines" >"$work/missed"
    sed 's/^spoilt: was lost: \([^ ]*\) .*/\1/' "$work/said" | cmp -s - "$work/missed" || wrong "$fragment after $spoil: $(cat "$work/said")"
  done
  # What is to be off: unknown is as good; on or a module is not.
  sed -n 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1/p; s/^\(CONFIG_[A-Z0-9_]*\)=n$/\1/p' "$fragment" >"$work/off"
  for value in y m; do
    { grep '^CONFIG_.*=[^n]' "$fragment"; sed "s/$/=$value/" "$work/off"; } >"$work/config"
    "$check" "$fragment" "$work/config" on 2>"$work/said"
    [ "$(grep -c 'was lost' "$work/said")" = "$(wc -l <"$work/off")" ] || wrong "$fragment with $value for what is to be off: $(cat "$work/said")"
  done
  grep '^CONFIG_.*=[^n]' "$fragment" >"$work/config"
  "$check" "$fragment" "$work/config" unknown 2>"$work/said" || wrong "$fragment: unknown does not count as off: $(cat "$work/said")"
  tried=$((tried + $(wc -l <"$work/lines")))
done
# Updates: what RAUC's documentation asks of the kernel for bundles of the format verity, built in
# on every board, and the compression of the bundle's own squashfs.
for option in MD BLK_DEV_DM BLK_DEV_LOOP DM_VERITY SQUASHFS CRYPTO_SHA256 SQUASHFS_ZLIB; do
  grep -qx "CONFIG_$option=y" "$root/buildroot/board/offhook/linux.fragment" || wrong "no board's kernel could open an update: CONFIG_$option=y is not in linux.fragment"
done
# Where wpa_supplicant is, it has what the phone's files for it ask for, or it refuses them whole:
# IEEE 802.1X on the cable everywhere, and on a board with a radio what joins a wireless network.
radios=0
for config in "$root"/buildroot/configs/*_defconfig; do
  grep -q '^BR2_PACKAGE_WPA_SUPPLICANT=y' "$config" || continue
  options="WPA_SUPPLICANT_WIRED WPA_SUPPLICANT_CTRL_IFACE WPA_SUPPLICANT_CLI"
  if grep -q '^BR2_PACKAGE_[A-Z0-9_]*_WIFI=y' "$config"; then
    radios=$((radios + 1))
    options="$options WPA_SUPPLICANT_NL80211 WPA_SUPPLICANT_WPA3 IW"
  fi
  for option in $options; do
    grep -q "^BR2_PACKAGE_$option=y" "$config" || wrong "$(basename "$config"): wpa_supplicant without BR2_PACKAGE_$option"
  done
done
[ $radios -ge 3 ] || wrong "only $radios boards with a radio"
[ $tried -gt 50 ] || wrong "only $tried lines were tried"
echo "$tried lines of fragments tried"
exit $bad
