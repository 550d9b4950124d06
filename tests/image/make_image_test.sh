#!/usr/bin/env bash
# scripts/image with a made-up Buildroot tree: what it hands to Buildroot, and what it says when
# something is missing or fails.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
bad=0 tried=0
fail() { echo "FAIL: $*"; bad=1; }
is() { tried=$((tried + 1)); case $2 in *"$3"*) ;; *) fail "$1: '$2' has no '$3'" ;; esac; }
mkdir -p "$work/project/board" "$work/buildroot"
cp -r "$root/scripts" "$root/buildroot" "$root/Cargo.toml" "$work/project/"; cp -r "$root/board/profiles" "$work/project/board/"
. "$root/buildroot/buildroot.lock"
# Buildroot's two calls: a defconfig, and the build, which leaves an image and its environment.
cat >"$work/buildroot/Makefile" <<M
export BR2_VERSION := $VERSION
all:
	echo ">>> busybox 1.37.0 Building"; echo ">>> busybox 1.37.0 Installing"; printf '\\033[7m>>> linux 6.18.7 Building\\033[27m\\n'
	printf '\\033[7m>>>   Finalizing host directory\\033[27m\\n'
	test -z "\$\$SAYS" || { echo "\$\$SAYS"; test -n "\$\$FAIL" || exit 1; }
	test -z "\$\$FAIL" || { echo "make: *** [Makefile:1: \$(O)/build/\$\$FAIL/.stamp_downloaded] Error 1"; exit 1; }
	mkdir -p \$(O)/images; echo image >\$(O)/images/offhook-virt-7.8.9.img.xz; env >\$(O)/environment
%_defconfig: ; @mkdir -p \$(O); echo 'BR2_LINUX_KERNEL_CUSTOM_VERSION_VALUE="6.18.7"' >\$(O)/.config; test -z "\$\$OPTION" || echo "\$\$OPTION" >>\$(O)/.config
olddefconfig: ; @echo olddefconfig >>\$(O)/targets
%-dirclean: ; @echo \$@ >>\$(O)/targets
show-build-order: ; @echo busybox linux offhook
show-info: ; @cat $work/info.json
M
# SPACE_MIB=1: what is made here is a few bytes, and the machine that runs this test need not have
# room for an image.
image() { (cd "$work/project" && BUILDROOT=$work/buildroot BOARD=virt IMAGE_VERSION=7.8.9 SPACE_MIB=1 "$@" scripts/image 2>&1); }

said=$(image env) || fail "it does not build: $said"
is "progress" "$said" "image: package 1 of 3: busybox (0 min)"
is "what is done with all packages" "$said" "image: Finalizing host directory (0 min)"
is "progress, in colour" "$said" "image: package 2 of 3: linux (0 min)"
[ -s "$work/project/target/image/offhook-virt-7.8.9.img.xz" ] || fail "the image is not in target/image"
environment=$(cat "$work/project/target/image/build-virt/environment" 2>/dev/null)
if [ "$(id -u)" = 0 ]; then is "as root, configure scripts are allowed it" "$environment" FORCE_UNSAFE_CONFIGURE=1; fi
is "the version" "$environment" OFFHOOK_IMAGE_VERSION=7.8.9
is "the certificate" "$environment" "OFFHOOK_UPDATE_CERTIFICATE=$work/project/image/update.pem"
is "the keyring" "$environment" "OFFHOOK_UPDATE_KEYRING=$work/project/image/update.pem"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=new -keyout "$work/new.key" -out "$work/new.pem" 2>/dev/null
said=$(image env UPDATE_KEYRING="$work/new.pem") || fail "a new keyring: $said"
environment=$(cat "$work/project/target/image/build-virt/environment")
is "a new keyring" "$environment" "OFFHOOK_UPDATE_KEYRING=$work/new.pem"
is "a new keyring, the old key" "$environment" "OFFHOOK_UPDATE_CERTIFICATE=$work/project/image/update.pem"
# A folder used before: what was made of other sources is made again, and nothing else.
built=$work/project/target/image/build-virt
mkdir -p "$built"/build/{busybox-1.37.0,linux-6.18.7,offhook-0.1.0}
renewed() { tr '\n' ' ' <"$built/targets"; rm -f "$built/targets"; }
: >"$built/targets"; said=$(image env) || fail "a second build: $said"
is "a second build renews nothing" "<$(renewed)>" "<>"
echo other >"$work/project/board/source.rs"; said=$(image env) || fail "another source: $said"
is "another source of the phone" "$(renewed)" "offhook-dirclean "
is "another source, in words" "$said" "image: offhook is built again: its sources are others"
said=$(image env OPTION='BR2_PACKAGE_BUSYBOX_SHOW_OTHERS=y') || fail "another option: $said"
is "another option of a package" "<$(renewed)>" "<busybox-dirclean >"
said=$(image env OPTION='# BR2_PACKAGE_BUSYBOX_SHOW_OTHERS is not set') || fail "an option that is off: $said"
is "an option that is off" "<$(renewed)>" "<busybox-dirclean >"
said=$(image env OPTION='BR2_TARGET_ROOTFS_SQUASHFS_4K=y') || fail "another packing: $said"
is "how the root is packed" "<$(renewed)>" "<busybox-dirclean >"
: >"$built/targets"; said=$(image env OPTION='BR2_EXTERNAL_OFFHOOK_VERSION="-g0123456"') || fail "another commit: $said"
is "the same from another commit and clone" "<$(renewed)>" "<>"
rm "$built/.made-of"; said=$(image env) || fail "a folder without a record: $said"
is "a folder without a record" "<$(renewed)>" "<offhook-dirclean linux-dirclean >"
said=$(image env OPTION='BR2_cortex_a53=y') && fail "another processor: it builds"
is "another processor" "$said" "BR2_cortex_a53 is another than $built was built with"
case $said in *"likely cause"*) fail "another processor: $said" ;; esac
said=$(image env RT=1) || fail "RT=1: $said"
is "RT=1, in a folder with the plain kernel" "$(renewed)" "linux-dirclean "
is "RT=1" "$(cat "$work/project/target/image/build-virt/environment")" linux-rt.fragment

# Sources from Debian: fetched first, Buildroot is the copy of the tree, and nothing is built while an archive is missing.
cp "$work/project/scripts/image-sources" "$work/real"
cat >"$work/project/scripts/image-sources" <<S
#!/bin/sh
[ "\$1" = fetch ] || exec $root/scripts/image-sources "\$@"
[ ! -e $work/incomplete ] || { echo "sources: near: near 2.1 is wanted"; exit 1; }
mkdir -p "\$4/debian/tree-virt" "\$4/downloads/same"; cp "\$3/Makefile" "\$4/debian/tree-virt/"; : >"\$4/downloads/same/same-1.0.tar.xz"
echo '{"archives": [{"name": "linux", "made_for": "6.18.9"}]}' >"\$4/debian/sources-\$2.json"
S
printf '#!/bin/sh\n' >"$work/project/scripts/need"
echo '{"same": {"dl_dir": "same", "downloads": [{"source": "same-1.0.tar.xz"}]}}' >"$work/info.json"
debian() { image env SOURCES=debian IMAGE_FOLDER="$work/other" "$@"; }
said=$(debian) || fail "SOURCES=debian: $said"
is "SOURCES=debian: the kernel" "$(cat "$work/other/build-virt/.config" 2>/dev/null)" '"6.18.9"'
is "SOURCES=debian: the report for the manifest" "$(cat "$work/other/build-virt/environment" 2>/dev/null)" "OFFHOOK_SOURCES=$work/other/debian/sources-virt.json"
[ -s "$work/other/offhook-virt-7.8.9.img.xz" ] || fail "the image is not in IMAGE_FOLDER"
echo '{"new": {"dl_dir": "new", "downloads": [{"source": "new-7.tar.xz"}]}}' >"$work/info.json"; rm "$work/other/build-virt/.complete" "$work/other/build-virt/environment"
said=$(debian) && fail "it builds without new-7.tar.xz"
is "an archive that the table does not have" "$said" "likely cause: new wants new-7.tar.xz"
[ ! -e "$work/other/build-virt/environment" ] || fail "it built although new-7.tar.xz is missing"
touch "$work/incomplete"; said=$(debian) && fail "it builds with incomplete sources"
is "sources that are missing" "$said" "near 2.1 is wanted"
is "sources that are missing, at the end" "$said" "the sources are not complete"
cp "$work/real" "$work/project/scripts/image-sources"; cp "$root/scripts/need" "$work/project/scripts/need"

refused() { local what=$1 text=$2 said; shift 2; if said=$(image "$@"); then fail "$what: it builds"; fi; is "$what" "$said" "$text"; }
refused "no board" "which board?" env BOARD=
refused "an unknown board" "one of:" env BOARD=nothing
refused "unknown sources" "SOURCES=elsewhere is not known" env SOURCES=elsewhere
refused "no tree" "is no Buildroot tree" env BUILDROOT=/nowhere
refused "a certificate that is not there" "there is no certificate" env UPDATE_CERTIFICATE=/nowhere
refused "a keyring that is not there" "no update would ever be accepted" env UPDATE_KEYRING=/nowhere
refused "a keyring without a certificate" "no update would ever be accepted" env UPDATE_KEYRING="$work/new.key"
refused "a disk that is too small" "MiB are free" env SPACE_MIB=999999999
mkdir -p "$work/small"; printf '#!/bin/sh\necho Filesystem; echo card 0 0 9216000\n' >"$work/small/df"; chmod +x "$work/small/df"
rm -rf "$work/project/target"
refused "too little for a first build" "the build needs 12000" env -u SPACE_MIB PATH="$work/small:$PATH"
mkdir -p "$work/project/target/image/build-virt/build"
said=$(image env -u SPACE_MIB PATH="$work/small:$PATH") || fail "a second build in 9000 MiB: $said"
refused "a full disk" "likely cause: the disk is full" env SAYS="cp: error writing 'x': No space left on device"
refused "a wrong archive" "not what was expected: wpa.tar.gz" env FAIL=wpa-2.11 SAYS="ERROR: wpa.tar.gz has wrong sha256 hash:"
refused "a licence's text that is another's" "the package that was being built is linux" env SAYS="ERROR: COPYING has wrong sha256 hash:"
refused "no memory" "ran out of memory" env SAYS="c++: fatal error: Killed signal terminated program cc1plus"
refused "our own check" "likely cause: post-build: no kernel was configured" env SAYS="post-build: no kernel was configured in x"
refused "anything else" "the package that was being built is linux" env SAYS="error: unknown"
refused "how to go on" "go on where it stopped" env SAYS="error: unknown"
refused "a download that fails" "the source of busybox-1.37.0 could not be downloaded" env FAIL=busybox-1.37.0
sed -i 's/^export BR2_VERSION := .*/export BR2_VERSION := 2020.01/' "$work/buildroot/Makefile"
refused "another Buildroot" "the images are built with $VERSION" env

# The console belongs to a person with a cable: what runs beside the phone writes to the kernel's
# log.
for daemon in syslogd klogd ntpd dropbear udhcpc; do
  line=$(grep -E "^ *(.*; then )?$daemon -" "$root/buildroot/board/offhook/rootfs-overlay/usr/lib/offhook/network" || true)
  [ -n "$line" ] || fail "$daemon is not started by the script network"
  tried=$((tried + 1))
  grep -qE '>(/dev/kmsg|/dev/null) 2>&1 &' <<<"$line" || fail "$daemon writes to the console: $line"
done
echo "$tried things tried with make image"
exit $bad
