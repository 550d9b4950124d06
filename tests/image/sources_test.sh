#!/usr/bin/env bash
# scripts/image-sources with a made-up tree, made-up Debian and PyPI (no network): what it takes, what it changes in the copy of the tree, what
# it refuses, and that it goes on where it stopped; and that the real table holds together with the boards and the lock.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0 tried=0
fail() { echo "FAIL: $*"; bad=1; }
is() { tried=$((tried + 1)); case $2 in *"$3"*) ;; *) fail "$1: '$2' has no '$3'" ;; esac; }
isnt() { tried=$((tried + 1)); case $2 in *"$3"*) fail "$1: '$2' has '$3'" ;; esac; }
hash() { sha256sum "$1" | cut -d' ' -f1; }
sources() { "$root/scripts/image-sources" "$@" 2>&1; }

# --- Debian: source packages in $work/debian, an index of their hashes, and apt's two programs
mkdir -p "$work/debian" "$work/bin" "$work/pypi"
archive() { # NAME.tar.KIND FILE…: an archive with one top folder, always the same bytes
  local name=$1 folder=$work/make/top file; shift
  rm -rf "$work/make"; mkdir -p "$folder"
  for file in "$@"; do mkdir -p "$(dirname "$folder/$file")"; echo "text of $file" >"$folder/$file"; done
  tar -C "$work/make" --sort=name --mtime=@0 --owner=0 --group=0 -caf "$work/debian/$name" top
}
index() { # PACKAGE VERSION ARCHIVE
  printf 'Package: %s\nVersion: %s\nChecksums-Sha256:\n %s 1 %s\n %s 1 %s_1.debian.tar.xz\n\n' "$1" "$2" "$(hash "$work/debian/$3")" "$3" 00 "$1" >>"$work/index"
}
cat >"$work/bin/apt-cache" <<'S'
#!/bin/sh
for last; do :; done
awk -v RS= -v want="Package: $last" 'index($0, want "\n") == 1 { print $0 "\n" }' "$WORK/index"
S
cat >"$work/bin/apt-get" <<'S'
#!/bin/sh
echo "$*" >>"$WORK/calls"
for last; do :; done
case "$*" in
  *indextargets*) echo "file:/nowhere Debian Debian" ;;
  *update*) ;;
  *source*) file=$(awk -v RS= -v p="Package: ${last%%=*}" -v v="Version: ${last#*=}" 'index($0, p "\n") == 1 && index($0, v "\n")' "$WORK/index" | awk '$2 == 1 && !/debian.tar/ { print $3 }')
            cp "$WORK/debian/$file" . 2>/dev/null || { echo "E: Failed to fetch some archives." >&2; exit 100; } ;;
  *print-uris*) echo "'file:/nowhere/$last.deb' ${last}_1_all.deb 1" ;;
  *download*) cp "$WORK/debian/$last.deb" "${last}_1_all.deb" ;;
esac
S
# pip download … -d FOLDER NAME==VERSION
cat >"$work/bin/pip" <<'S'
#!/bin/sh
echo "pip $*" >>"$WORK/calls"
while [ $# -gt 2 ]; do [ "$1" != -d ] || folder=$2; shift; done
cp "$WORK/pypi/"* "$folder/"
S
chmod +x "$work"/bin/*
printf '#!/bin/sh\necho "stand-in"\n' >"$work/bin/offhook-machine-tool"; chmod +x "$work/bin/offhook-machine-tool"
export WORK=$work PATH=$work/bin:$PATH DEBIAN_MIRROR=file:/nowhere PIP=$work/bin/pip

# --- Buildroot: a tree of five packages
package() { # NAME UPPER VERSION KIND ARCHIVE SHA256
  mkdir -p "$work/tree/package/$1"
  printf '%s_VERSION = %s\n%s_SITE = https://example.invalid\n\n$(eval $(%s))\n' "$2" "$3" "$2" "$4" >"$work/tree/package/$1/$1.mk"
  printf '# From the project\nsha256  %s  %s\nsha256  11  LICENSE\n' "$6" "$5" >"$work/tree/package/$1/$1.hash"
}
. "$root/buildroot/buildroot.lock"
mkdir -p "$work/tree"; echo "export BR2_VERSION := $VERSION" >"$work/tree/Makefile"
archive same_1.0.orig.tar.xz configure file; index same 1.0-2 same_1.0.orig.tar.xz
package same SAME 1.0 autotools-package same-1.0.tar.xz "$(hash "$work/debian/same_1.0.orig.tar.xz")"
# Two neighbours: 2.0 was built before, 2.2 is nearer but was not; 1.0 is out of bounds.
archive near_2.0.orig.tar.gz configure.ac file; index near 1:2.0+dfsg-1 near_2.0.orig.tar.gz
archive near_2.2.orig.tar.gz configure.ac file; index near 1:2.2-1 near_2.2.orig.tar.gz
package near NEAR 2.1 autotools-package near-2.1.tar.xz 22
printf -- '--- a/file\n+++ b/file\n@@ -1 +1 @@\n-text of file\n+changed\n' >"$work/tree/package/near/0001-fits.patch"
printf -- '--- a/file\n+++ b/file\n@@ -1 +1 @@\n-another text\n+changed\n' >"$work/tree/package/near/0002-of-another-version.patch"
package python-thing PYTHON_THING 3.0 host-python-package thing-3.0.tar.gz 33
archive thing-3.0.tar.gz setup.py; mv "$work/debian/thing-3.0.tar.gz" "$work/pypi/"
package tool TOOL 4.0 host-autotools-package tool-4.0.tar.gz 44
archive tar_5.0.orig.tar.xz configure file; index tar 5.0-1 tar_5.0.orig.tar.xz
package tar TAR 5.0 autotools-package tar-5.0.cpio.gz 55
# A project's repository, of which one folder is what it releases.
archive repo_7.0.orig.tar.gz README repo/configure.ac repo/COPYING; index repo 7.0-1 repo_7.0.orig.tar.gz
package repo REPO 7.0 host-autotools-package repo-7.0.tar.xz 77
# The second archive of a package, a neighbour like the first.
archive near-data_2.0.orig.tar.gz file; index near-data 2.0-1 near-data_2.0.orig.tar.gz
cat >"$work/table.toml" <<T
buildroot = "$VERSION"
[[source]]
name = "same"
archive = "same-1.0.tar.xz"
version = "1.0"
debian = "same"
[[source]]
name = "near"
archive = "near-2.1.tar.xz"
version = "2.1"
debian = "near"
tried = "2.0"
from = "1.5"
below = "3"
[[source]]
name = "python-thing"
archive = "thing-3.0.tar.gz"
version = "3.0"
pypi = "thing"
[[source]]
name = "tool"
archive = "tool-4.0.tar.gz"
version = "4.0"
machine = ["tool=offhook-machine-tool"]
[[source]]
name = "tar"
archive = "tar-5.0.cpio.gz"
version = "5.0"
debian = "tar"
[[source]]
name = "repo"
archive = "repo-7.0.tar.xz"
version = "7.0"
debian = "repo"
inside = "repo"
[[source]]
name = "near"
archive = "near-data-2.1.tar.gz"
version = "2.1"
debian = "near-data"
tried = "2.0"
from = "1.5"
below = "3"
[[source]]
name = "elsewhere"
archive = "elsewhere-6.0.tar.gz"
version = "6.0"
debian = "elsewhere"
only = ["rpi4"]
T
fetch() { sources fetch virt "$work/tree" "$work/out" "$work/table.toml"; }
copy=$work/out/debian/tree-virt/package

said=$(fetch) || fail "it ends with $?: $said"
is "the very archive" "$said" "1 of 7: same 1.0: the very archive"
is "a neighbour" "$said" "2 of 7: near 2.1: 2.0 for 2.1"
is "a machine's program" "$said" "tool: this machine's own"
cmp -s "$work/out/downloads/same/same-1.0.tar.xz" "$work/debian/same_1.0.orig.tar.xz" || fail "the very archive is another"
cmp -s "$work/tree/package/same/same.hash" "$copy/same/same.hash" || fail "the hash of the very archive was changed"
is "the version in the copy" "$(cat "$copy/near/near.mk")" "NEAR_VERSION = 2.0"
is "the hash in the copy" "$(cat "$copy/near/near.hash")" "$(hash "$work/out/downloads/near/near-2.0.tar.xz")  near-2.0.tar.xz"
is "the hash of its second archive beside it" "$(cat "$copy/near/near.hash")" "$(hash "$work/out/downloads/near/near-data-2.0.tar.gz")  near-data-2.0.tar.gz"
isnt "the wanted hash is gone" "$(cat "$copy/near/near.hash")" "near-2.1"
isnt "hashes of another version's licences are gone" "$(cat "$copy/near/near.hash")" LICENSE
xz -dc "$work/out/downloads/near/near-2.0.tar.xz" | tar t | grep -q top/file || fail "it is not packed as its name says"
is "no configure: it is made" "$(cat "$copy/near/near.mk")" "NEAR_AUTORECONF = YES"
isnt "a configure that is there" "$(cat "$copy/same/same.mk")" AUTORECONF
is "a patch that applies stays" "$(ls "$copy/near")" 0001-fits.patch
isnt "a patch of another version is dropped" "$(ls "$copy/near")" 0002
is "the original tree" "$(cat "$work/tree/package/near/near.mk")$(ls "$work/tree/package/near")" "NEAR_VERSION = 2.1"
is "the original tree's patches" "$(ls "$work/tree/package/near")" 0002
is "a machine's program in the tree" "$(cat "$copy/tool/tool.mk")" "ln -sf $work/bin/offhook-machine-tool \$(HOST_DIR)/bin/tool"
is "a machine's program has no archive" "$(cat "$copy/tool/tool.mk")" "HOST_TOOL_SOURCE ="
is "tar as cpio" "$(gzip -dc "$work/out/downloads/tar/tar-5.0.cpio.gz" | cpio -t --quiet 2>/dev/null)" tar-5.0/file
listed=$(xz -dc "$work/out/downloads/repo/repo-7.0.tar.xz" | tar t)
is "the folder that is released" "$listed" repo/configure.ac
isnt "what lies beside it" "$listed" README
is "its configure is made" "$(cat "$copy/repo/repo.mk")" "HOST_REPO_AUTORECONF = YES"
[ -s "$work/out/downloads/python-thing/thing-3.0.tar.gz" ] || fail "PyPI's archive is not there"
report=$(cat "$work/out/debian/sources-virt.json")
is "the report: version" "$report" '"version": "1:2.0+dfsg-1"'
is "the report: hash" "$report" "$(hash "$work/debian/near_2.0.orig.tar.gz")"
is "the report: what was done" "$report" "patch dropped: 0002-of-another-version.patch"
is "the report: PyPI" "$report" '"from": "pypi"'
is "the report: how many are the very ones" "$report" '"same": 1'

# A Raspberry Pi's firmware and the rules of radio: packages that nothing else is needed for, with their own licence texts.
deb() { # PACKAGE FILE…
  local package=$1 file; shift; rm -rf "$work/deb"; mkdir -p "$work/deb/DEBIAN"
  printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.invalid>\nDescription: x\n' "$package" >"$work/deb/DEBIAN/control"
  for file in "$@"; do mkdir -p "$(dirname "$work/deb/$file")"; echo "text of $file" >"$work/deb/$file"; done
  dpkg-deb --build "$work/deb" "$work/debian/$package.deb" >/dev/null || fail "$package.deb cannot be made"
}
dressed() { # FUNCTION ARCHIVE
  PYTHONDONTWRITEBYTECODE=1 python3 -c '
import sys
sys.path.insert(0, sys.argv[1])
import apt, dress
try: print(getattr(dress, sys.argv[3])(sys.argv[2], apt.Apt(sys.argv[2] + "/apt"), sys.argv[2] + "/" + sys.argv[4]))
except apt.Missing as missing: print(missing)' "$root/buildroot/debian" "$work/out" "$@" 2>&1
}
boot=usr/lib/raspi-firmware
deb raspi-firmware usr/share/doc/raspi-firmware/copyright $boot/start.elf $boot/start_cd.elf $boot/fixup.dat $boot/fixup_cd.dat $boot/bootcode.bin
said=$(dressed boot_firmware rpi-firmware-1.tar.gz)
is "the firmware's version" "$said" "'raspi-firmware': {'version': '1'"
listed=$(tar tf "$work/out/rpi-firmware-1.tar.gz")
for file in boot/start_cd.elf boot/fixup.dat boot/bootcode.bin boot/overlays/ramoops.dtbo boot/overlays/overlay_map.dtb; do is "the firmware's files" "$listed" "rpi-firmware-1/$file"; done
is "the firmware's licence" "$(tar xOf "$work/out/rpi-firmware-1.tar.gz" rpi-firmware-1/boot/LICENCE.broadcom)" "text of usr/share/doc/raspi-firmware/copyright"
deb firmware-brcm80211 usr/share/doc/firmware-brcm80211/copyright usr/lib/firmware/brcm/a.bin usr/lib/firmware/cypress/b.bin
said=$(dressed wifi_firmware wifi-1.tar.gz)
is "the radio's firmware" "$(tar tf "$work/out/wifi-1.tar.gz")" "wifi-1/firmware/brcm/a.bin"
is "the licence of the radio's firmware" "$(tar xOf "$work/out/wifi-1.tar.gz" wifi-1/LICENSE)" "text of usr/share/doc/firmware-brcm80211/copyright"
deb wireless-regdb usr/share/doc/wireless-regdb/copyright usr/lib/firmware/regulatory.db-upstream usr/lib/firmware/regulatory.db.p7s-upstream usr/lib/firmware/regulatory.db-debian
said=$(dressed regulatory regdb-1.tar.xz)
is "the rules of radio" "$(tar xOf "$work/out/regdb-1.tar.xz" regdb-1/regulatory.db)" "text of usr/lib/firmware/regulatory.db-upstream"
is "their signature" "$(tar tf "$work/out/regdb-1.tar.xz")" "regdb-1/regulatory.db.p7s"
deb wireless-regdb usr/lib/firmware/regulatory.db-upstream usr/lib/firmware/regulatory.db.p7s-upstream
is "firmware without a licence" "$(dressed regulatory regdb-2.tar.xz)" "wireless-regdb has no copyright file"
# An archive put together here has another licence text than the one of the project, whose hash would end the list of licences.
package dressed DRESSED 1.0 generic-package dressed-1.0.tar.xz 88
printf 'buildroot = "%s"\n[[source]]\nname = "dressed"\narchive = "dressed-1.0.tar.xz"\nversion = "1.0"\ndressed = "regulatory"\n' "$VERSION" >"$work/dressed.toml"
deb wireless-regdb usr/share/doc/wireless-regdb/copyright usr/lib/firmware/regulatory.db-upstream usr/lib/firmware/regulatory.db.p7s-upstream
said=$(sources fetch virt "$work/tree" "$work/out-dressed" "$work/dressed.toml")
is "put together" "$said" "dressed 1.0: put together from Debian's packages"
is "put together once" "$(sources fetch virt "$work/tree" "$work/out-dressed" "$work/dressed.toml")" "(was there)"
sed -i 's/"recipe": "[0-9a-f]*"/"recipe": "another"/' "$work/out-dressed/debian/state.json"
isnt "put together in another way" "$(sources fetch virt "$work/tree" "$work/out-dressed" "$work/dressed.toml")" "(was there)"
isnt "the hash of another licence text" "$(cat "$work/out-dressed/debian/tree-virt/package/dressed/dressed.hash")" LICENSE
rm -r "$work/tree/package/dressed"

# Library paths of the target without Buildroot's own patchelf.
if command -v patchelf >/dev/null && command -v cc >/dev/null; then
  mkdir -p "$work/target/usr/lib" "$work/target/usr/bin"
  echo 'int main(void) { return 0; }' >"$work/main.c"
  # shellcheck disable=SC2016
  for path in /nowhere/host/lib:/usr/lib '$ORIGIN/../lib' /nowhere/host/lib; do
    cc -o "$work/target/usr/bin/program" -Wl,-rpath,"$path" "$work/main.c"
    TARGET_DIR=$work/target PATCHELF=patchelf "$root/buildroot/debian/fix-rpath" target || fail "fix-rpath ends with $?"
    is "the library paths of $path" "[$(patchelf --print-rpath "$work/target/usr/bin/program")]" "[$(sed 's#/nowhere/host/lib:*##' <<<"$path")]"
  done
else echo "SKIPPED: library paths of the target: no patchelf or no compiler"; fi

# Again: nothing is fetched, the copy is the same.
rm "$work/calls"; before=$(cd "$work/out/debian/tree-virt" && find . -type f | sort | xargs sha256sum | sha256sum)
said=$(fetch) || fail "the second time: $said"
is "the second time" "$said" "near 2.1: 2.0 for 2.1 (was there)"
[ ! -e "$work/calls" ] || fail "the second time it asks: $(cat "$work/calls")"
[ "$before" = "$(cd "$work/out/debian/tree-virt" && find . -type f | sort | xargs sha256sum | sha256sum)" ] || fail "the second time the tree is another"; tried=$((tried + 2))
# One archive was damaged: only that one is fetched again.
echo x >>"$work/out/downloads/same/same-1.0.tar.xz"; echo x >>"$work/out/debian/apt/sources/same_1.0.orig.tar.xz"
said=$(fetch) || fail "after damage: $said"
is "after damage" "$(cat "$work/calls")" "same=1.0-2"
isnt "after damage, the others" "$(cat "$work/calls")" near=
cmp -s "$work/out/downloads/same/same-1.0.tar.xz" "$work/debian/same_1.0.orig.tar.xz" || fail "the damaged archive is still there"

refused() { local what=$1 text=$2 said; rm -rf "$work/out/downloads" "$work/out/debian"; if said=$(fetch); then fail "$what: it goes on: $said"; fi; is "$what" "$said" "$text"; echo "$said" >"$work/said"; }
# What was downloaded is not what the signed index names.
cp "$work/debian/near_2.0.orig.tar.gz" "$work/kept"; echo forged >>"$work/debian/near_2.0.orig.tar.gz"
refused "a wrong hash" "Debian's signed index says"
is "it names the file" "$(cat "$work/said")" near_2.0.orig.tar.gz
[ ! -e "$work/out/debian/apt/sources/near_2.0.orig.tar.gz" ] && [ ! -e "$work/out/downloads/near/near-2.0.tar.xz" ] || fail "the forged archive was kept"
is "the others are kept" "$(cat "$work/said")" "7 of 7: near 2.1"
mv "$work/kept" "$work/debian/near_2.0.orig.tar.gz"
rm "$work/calls"; said=$(fetch) || fail "after the right one is there: $said"
isnt "it goes on where it stopped" "$(cat "$work/calls")" same=
# The version that was built is gone: the nearest one within bounds.
rm "$work/debian/near_2.0.orig.tar.gz"; rm -rf "$work/out"
said=$(fetch) || fail "without 2.0: $said"
is "the nearest within bounds" "$said" "near 2.1: 2.2 for 2.1"
sed -i 's/^below = .*/below = "2.1"/' "$work/table.toml"
refused "nothing within bounds" "near 2.1 is wanted, 1.5 to 2.1 would do, and Debian's near has 2.2, 2.0"
is "what to do" "$(cat "$work/said")" "Put near-2.1.tar.xz into the downloads yourself"
is "how many" "$(cat "$work/said")" "1 of 7 are missing"
# Put there by hand: taken when it is the very one, otherwise not.
cp "$work/debian/near_2.2.orig.tar.gz" "$work/own"; sed -i "s/^sha256  22 /sha256  $(hash "$work/own") /" "$work/tree/package/near/near.hash"
mkdir -p "$work/out/downloads/near"; cp "$work/own" "$work/out/downloads/near/near-2.1.tar.xz"
said=$(fetch) || fail "by hand: $said"
is "by hand" "$said" "near 2.1: the very archive"
sed -i 's/^below = .*/below = "3"/; s/offhook-machine-tool/offhook-no-such-tool/' "$work/table.toml"
refused "a program that is not there" "this machine has no offhook-no-such-tool"
sed -i 's/offhook-no-such-tool/offhook-machine-tool/; s/^buildroot = .*/buildroot = "2020.01"/' "$work/table.toml"
refused "a table for another tree" "the table of sources is for Buildroot 2020.01, the tree is $VERSION"

# What Buildroot names and no one has is said before it builds.
mkdir -p "$work/out/downloads/same"; : >"$work/out/downloads/same/same-1.0.tar.xz"
printf '{"host-same": {"dl_dir": "same", "downloads": [{"source": "same-1.0.tar.xz"}]}, "new": {"dl_dir": "new", "downloads": [{"source": "new-7.tar.xz"}]}, "offhook": {"downloads": [{"source": "offhook.tar.gz"}]}}' >"$work/info.json"
if said=$(sources complete "$work/info.json" "$work/out"); then fail "complete, although new-7.tar.xz is missing"; fi
is "what is missing" "$said" "new wants new-7.tar.xz, and buildroot/debian/sources.toml has no line for it"
[ "$(wc -l <<<"$said")" = 1 ] || fail "more than what is missing: $said"
sed -i 's/new-7/same-1.0/; s/"dl_dir": "new"/"dl_dir": "same"/' "$work/info.json"
said=$(sources complete "$work/info.json" "$work/out") || fail "not complete: $said"

# The kernel's version in .config is the one that is there.
mkdir -p "$work/out/debian"; echo '{"archives": [{"name": "linux", "made_for": "6.18.9"}]}' | tee "$work/out/debian/sources-virt.json" >"$work/out/debian/sources-rpi3.json"
printf 'BR2_LINUX_KERNEL_CUSTOM_VERSION=y\nBR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE="6.18.7"\nBR2_LINUX_KERNEL_VERSION="6.18.7"\n' >"$work/config"
said=$(sources config virt "$work/config" "$work/out") || fail "config: $said"
is "the kernel of virt" "$(cat "$work/config")" 'CUSTOM_VERSION_VALUE="6.18.9"'

# A Raspberry Pi: Linux's own kernel with our configuration, and device trees under the names that the firmware looks for.
for profile in "$root"/board/profiles/*/; do
  board=$(basename "$profile"); [ -f "$profile/config.txt" ] || continue
  grep '^BR2_LINUX' "$profile/buildroot.config" >"$work/config"; cp "$work/out/debian/sources-virt.json" "$work/out/debian/sources-$board.json"
  said=$(sources config "$board" "$work/config" "$work/out") || fail "config of $board: $said"
  config=$(cat "$work/config")
  is "$board: the kernel" "$config" 'CUSTOM_VERSION_VALUE="6.18.9"'
  isnt "$board: the vendor's kernel" "$config" 21b410140c47
  isnt "$board: the vendor's configuration" "$config" DEFCONFIG
  for path in $(sed -n 's/^BR2_LINUX_KERNEL_CUSTOM_\(CONFIG_FILE\|DTS_PATH\)="\(.*\)"/\2/p' "$work/config"); do [ -s "$path" ] || fail "$board: there is no $path"; tried=$((tried + 1)); done
  # Every tree that the firmware asks for is made.
  for name in $("$root/buildroot/board/offhook/boot-files" "$profile/config.txt" "$board" | grep '\.dtb$'); do is "$board: $name" "$config" "${name%.dtb}"; done
done

# The real table.
python3 - "$root" <<'P' || fail "the table (above)"
import glob, os, re, sys, tomllib
root = sys.argv[1]
sys.path.insert(0, f"{root}/buildroot/debian")
sys.dont_write_bytecode = True
import apt, dress
table = tomllib.load(open(f"{root}/buildroot/debian/sources.toml", "rb"))
lock = dict(line.split("=", 1) for line in open(f"{root}/buildroot/buildroot.lock").read().splitlines() if "=" in line and line[0] != "#")
boards = sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(f"{root}/board/profiles/*/buildroot.config"))
bad = []
if table["buildroot"] != lock["VERSION"]: bad.append(f"the table is for {table['buildroot']}, the lock for {lock['VERSION']}")
for entry in table["source"]:
    name = entry["name"]
    if sum(kind in entry for kind in ("debian", "pypi", "machine", "dressed")) != 1: bad.append(f"{name}: one kind of source")
    if entry["version"] not in entry["archive"] and "instead" not in entry: bad.append(f"{name}: {entry['archive']} is not {entry['version']}")
    if "dressed" in entry and not callable(getattr(dress, entry["dressed"], None)): bad.append(f"{name}: nothing makes {entry['dressed']}")
    if ("from" in entry) != ("below" in entry) or "tried" in entry and "from" not in entry: bad.append(f"{name}: bounds")
    elif "from" in entry and not all(apt.order(entry["from"]) <= apt.order(entry[key]) < apt.order(entry["below"]) for key in ("tried", "version") if key in entry and not (name == "autoconf-archive" and key == "version")): bad.append(f"{name}: tried or wanted is out of bounds")
    for board in entry.get("only", []):
        if board not in boards: bad.append(f"{name}: no board {board}")
for board in boards:
    config = open(f"{root}/board/profiles/{board}/buildroot.config").read()
    mine = [entry for entry in table["source"] if board in entry.get("only", [board])]
    archives = [entry["archive"] for entry in mine]
    if len(set(archives)) != len(archives): bad.append(f"{board}: an archive twice")
    kernel = [entry for entry in mine if entry["name"] == "linux"]
    version = re.search(r'CUSTOM_VERSION_VALUE="(.*)"', config) or re.search(r"/linux-(\w+)\.tar", config)
    if len(kernel) != 1 or version[1] not in kernel[0]["archive"]: bad.append(f"{board}: its kernel {version[1]} has no line")
    for symbol, name in (("RPI_FIRMWARE", "rpi-firmware"), ("BRCMFMAC_SDIO_FIRMWARE_RPI", "brcmfmac_sdio-firmware-rpi"), ("WPA_SUPPLICANT", "wpa_supplicant"), ("IW", "iw"), ("WIRELESS_REGDB", "wireless-regdb")):
        if (f"BR2_PACKAGE_{symbol}=y" in config) != any(entry["name"] == name for entry in mine): bad.append(f"{board}: {name}")
for text, right in (("1:1.3.dfsg+really1.3.2-3", "1.3.2"), ("2.41.5-0+deb13u1", "2.41.5"), ("1:4.5.2+20251210-1", "4.5.2"), ("6.18.9-1~bpo13+1", "6.18.9"), ("20250419+deb13u1", "20250419"), ("1.96.0+dfsg1-1~deb13u1", "1.96.0"), ("2:2.11-5", "2.11")):
    if apt.upstream(text) != right: bad.append(f"{text} is upstream {apt.upstream(text)}, not {right}")
for low, high in (("1.2.9", "1.2.10"), ("2.0~rc1", "2.0.1"), ("1.4.19", "1.4.21"), ("2022.83", "2026.94")):
    if not apt.order(low) < apt.order(high): bad.append(f"{low} is not below {high}")
print("\n".join(f"table: {text}" for text in bad) or f"{len(table['source'])} lines of the table hold for {len(boards)} boards")
sys.exit(bool(bad))
P
echo "$tried things tried with the sources of an image"
exit $bad
