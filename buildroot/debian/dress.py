"""Archives that are put together from Debian's binary packages: the cross toolchain as the one that Bootlin publishes, Rust as rust-bin has it,
and the Raspberry Pi's firmware.

Programs are unpacked into ROOT, a private folder, together with the C library they were built for (which may be newer than this machine's);
they run from there. The archives hold scripts that call them, so ROOT has to stay where it is."""
import glob, os, re, shutil, subprocess, tarfile, tempfile

import apt

GCC = "14"
TRIPLE = "aarch64-linux-gnu"
TOOLCHAIN = [f"gcc-{GCC}-{TRIPLE}", f"g++-{GCC}-{TRIPLE}", f"binutils-{TRIPLE}"]
RUST = ["rustc-web", "cargo-web", "libstd-rust-web-dev"]
# Kernel headers newer than what the configuration says are refused: user space of the image asks for nothing newer.
HEADERS = (5, 4)
LIBRARY = "usr/lib/x86_64-linux-gnu"


def unpack(root, debs):
    """Unpacks packages over each other, as dpkg would on a merged /usr."""
    for name in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(os.path.join(root, "usr", name), exist_ok=True)
        if not os.path.lexists(os.path.join(root, name)):
            os.symlink(f"usr/{name}", os.path.join(root, name))
    for deb in debs:
        content = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        done = subprocess.run(["tar", "x", "-C", root, "--keep-directory-symlink", "--exclude=./usr/share/doc/*", "--exclude=./usr/share/man/*"],
                              stdin=content.stdout)
        if content.wait() or done.returncode:
            raise apt.Missing(f"{deb} cannot be unpacked: remove it and try again")


def is_program(path):
    """An x86-64 program or library."""
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        head = file.read(20)
    return head[:4] == b"\x7fELF" and head[18:20] == b"\x3e\x00" and head[16] in (2, 3)


def interpreter(path):
    done = subprocess.run(["patchelf", "--print-interpreter", path], capture_output=True, text=True)
    return done.returncode == 0


def bind(root, paths, rpath):
    """Makes programs use ROOT's C library and libraries."""
    for path in paths:
        if not is_program(path):
            continue
        words = ["patchelf", "--force-rpath", "--set-rpath", rpath]
        if interpreter(path):
            words += ["--set-interpreter", os.path.join(root, "usr/lib64/ld-linux-x86-64.so.2")]
        subprocess.run([*words, path], check=True)


def root_of(out, manager, name, packages, alone=()):
    """ROOT with these packages and all they need, made once; the versions of what was asked for."""
    root = os.path.join(os.path.abspath(out), f"debian/{name}")
    debs = manager.binaries(packages, alone)
    wanted = {package.split(":")[0] for package in [*packages, *alone]}
    versions = {}
    for deb in debs:
        package, version, architecture = os.path.basename(deb).removesuffix(".deb").split("_")
        if package in wanted:
            versions[f"{package}:{architecture}"] = {"version": version.replace("%3a", ":"), "sha256": apt.sha256(deb)}
    mark, listed = os.path.join(root, ".unpacked"), "\n".join(os.path.basename(deb) for deb in debs)
    if not (os.path.exists(mark) and open(mark).read() == listed):
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(root)
        unpack(root, [deb for deb in debs if not any(os.path.basename(deb).startswith(f"{package.split(':')[0]}_") and deb.endswith(f"_{package.split(':')[1]}.deb")
                                                     for package in alone)])
        for package in alone:
            name, architecture = package.split(":")
            unpack(os.path.join(root, architecture), [deb for deb in debs if os.path.basename(deb).startswith(f"{name}_") and deb.endswith(f"_{architecture}.deb")])
        bind_all(root)
        with open(mark, "w") as file:
            file.write(listed)
    return root, versions


def bind_all(root):
    rpath = f"{root}/{LIBRARY}:{root}/usr/lib:{root}/{LIBRARY}/libfakeroot"
    folders = ["usr/bin/*", f"usr/{TRIPLE}/bin/*", f"usr/libexec/gcc-cross/{TRIPLE}/{GCC}/*", f"usr/lib/gcc-cross/{TRIPLE}/{GCC}/*"]
    paths = [path for pattern in folders for path in glob.glob(os.path.join(root, pattern)) if not path.endswith((".a", ".o"))]
    bind(root, paths, rpath)
    # A library without a path of its own finds its neighbours by the program's; one that has a path would look on this machine.
    for path in glob.glob(os.path.join(root, LIBRARY, "*.so*")):
        if is_program(path) and subprocess.run(["patchelf", "--print-rpath", path], capture_output=True, text=True).stdout.strip():
            bind(root, [path], rpath)


def pack(folder, archive):
    """A folder as .tar.xz or .tar.gz, with fixed times and owners."""
    os.makedirs(os.path.dirname(archive), exist_ok=True)
    kind = ["-I", "xz -0 -T1"] if archive.endswith(".xz") else ["-I", "gzip -n -6"]
    subprocess.run(["tar", *kind, "-c", "-f", archive + ".new", "-C", os.path.dirname(folder), "--sort=name", "--owner=0", "--group=0", "--numeric-owner",
                    "--mtime=@0", os.path.basename(folder)], check=True)
    os.replace(archive + ".new", archive)


def script(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


def sysroot(root, target):
    """What Debian keeps in /usr/aarch64-linux-gnu, laid out as a root: headers, libraries, start files."""
    tools = os.path.join(root, "usr", TRIPLE)
    kept = os.path.join(root, "sysroot")
    if not os.path.isdir(kept):
        new = kept + ".new"
        shutil.rmtree(new, ignore_errors=True)
        for name in ("lib", "usr/lib"):
            os.makedirs(os.path.join(new, name))
        shutil.copytree(os.path.join(tools, "include"), os.path.join(new, "usr/include"), symlinks=True)
        for name in sorted(os.listdir(os.path.join(tools, "lib"))):
            path = os.path.join(tools, "lib", name)
            if os.path.isdir(path) and not os.path.islink(path):
                continue
            shared = ".so." in name or name.startswith("ld-")
            to = os.path.join(new, "lib" if shared else "usr/lib", name)
            if os.path.islink(path):
                link = os.readlink(path)
                os.symlink(link if shared or "/" in link or ".so" not in link else f"../../lib/{link}", to)
            else:
                shutil.copyfile(path, to)
                shutil.copymode(path, to)
        # Linker scripts name libraries by Debian's paths.
        for path in glob.glob(os.path.join(new, "usr/lib/*.so")) + glob.glob(os.path.join(new, "usr/lib/*.a")):
            if os.path.islink(path):
                continue
            with open(path, "rb") as file:
                text = file.read(4096)
            if b"GROUP" not in text and b"INPUT" not in text or text[:4] == b"\x7fELF" or text[:7] == b"!<arch>":
                continue
            text = re.sub(rf"/usr/{TRIPLE}/lib/(\S+\.so\.\d+)", r"/lib/\1", text.decode())
            text = re.sub(rf"/usr/{TRIPLE}/lib/(\S+)", r"/usr/lib/\1", text)
            with open(path, "w") as file:
                file.write(text)
        # gcc keeps its own part of the C++ library with itself.
        with open(os.path.join(new, "usr/include/linux/version.h"), "w") as file:
            major, minor = HEADERS
            file.write(f"#define LINUX_VERSION_CODE {(major << 16) + (minor << 8)}\n"
                       "#define KERNEL_VERSION(a,b,c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
                       f"#define LINUX_VERSION_MAJOR {major}\n#define LINUX_VERSION_PATCHLEVEL {minor}\n#define LINUX_VERSION_SUBLEVEL 0\n")
        # Found there before anything in a sysroot: taken away. The C++ headers are looked for there only.
        for name in os.listdir(os.path.join(tools, "include")):
            if name != "c++":
                path = os.path.join(tools, "include", name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        shutil.rmtree(os.path.join(tools, "lib"))
        for link in glob.glob(os.path.join(root, f"usr/lib/gcc-cross/{TRIPLE}/{GCC}/*.so")):
            if os.path.islink(link) and not os.path.exists(link):
                name = os.path.basename(os.readlink(link))
                os.unlink(link)
                os.symlink(os.path.join(kept, "lib", name), link)
        os.rename(new, kept)
    shutil.copytree(kept, target, symlinks=True)


def toolchain(out, manager, archive):
    root, versions = root_of(out, manager, "toolchain", TOOLCHAIN)
    with tempfile.TemporaryDirectory(dir=out) as work:
        top = os.path.join(work, os.path.basename(archive).removesuffix(".tar.xz"))
        inside = "aarch64-buildroot-linux-gnu/sysroot"
        sysroot(root, os.path.join(top, inside))
        with open(os.path.join(top, "README.txt"), "w") as file:
            file.write(f"Debian {apt.SUITE}'s cross compiler; its programs are in {root}.\n")
        for tool in ("gcc", "g++", "cpp"):
            # Buildroot asks -v for the folder it may replace, and refuses "/".
            script(os.path.join(top, f"bin/aarch64-linux-{tool}"), f"""#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/../{inside}
program={root}/usr/bin/{TRIPLE}-{tool}-{GCC}
if [ "$*" = -v ]; then "$program" -v 2>&1 | sed "s#--with-sysroot=/ #--with-sysroot=$here #" >&2; exit 0; fi
for word; do case $word in --sysroot*) exec "$program" "$@" ;; esac; done
exec "$program" --sysroot="$here" "$@"
""")
        os.symlink("aarch64-linux-gcc", os.path.join(top, "bin/aarch64-linux-cc"))
        os.symlink("aarch64-linux-g++", os.path.join(top, "bin/aarch64-linux-c++"))
        for path in sorted(glob.glob(os.path.join(root, f"usr/bin/{TRIPLE}-*"))):
            tool = os.path.basename(path).removeprefix(f"{TRIPLE}-")
            if re.fullmatch(rf"(gcc|g\+\+|cpp)-{GCC}", tool) or tool.startswith(("gcov", "lto-dump")):
                continue
            script(os.path.join(top, f"bin/aarch64-linux-{tool.removesuffix('-' + GCC)}"), f'#!/bin/sh\nexec {path} "$@"\n')
        pack(top, archive)
    return versions


INSTALL = """#!/bin/sh
# Copies the parts to --prefix, as the installer of the archive this stands for does.
here=$(dirname "$0")
for word; do case $word in --prefix=*) prefix=${word#*=} ;; esac; done
[ -n "$prefix" ] || { echo "install.sh: --prefix is missing" >&2; exit 2; }
for part in $(cat "$here/components"); do mkdir -p "$prefix" && cp -a "$here/$part/." "$prefix/" || exit 1; done
"""


def rust_root(out, manager):
    return root_of(out, manager, "rust", RUST, ("libstd-rust-web-dev:arm64",))


def licences(top):
    for name in ("LICENSE-APACHE", "LICENSE-MIT"):
        with open(os.path.join(top, name), "w") as file:
            file.write("Debian's rustc-web; see its copyright file.\n")


def rust(out, manager, archive):
    root, versions = rust_root(out, manager)
    triple = "x86_64-unknown-linux-gnu"
    with tempfile.TemporaryDirectory(dir=out) as work:
        top = os.path.join(work, os.path.basename(archive).removesuffix(".tar.xz"))
        for folder in ("rustc/bin", "rustc/lib", "cargo/bin", f"rust-std-{triple}/lib/rustlib"):
            os.makedirs(os.path.join(top, folder))
        for program, part in (("rustc", "rustc"), ("rustdoc", "rustc"), ("cargo", "cargo")):
            path = os.path.join(root, "usr/bin", program)
            to = os.path.join(top, part, "bin", program)
            shutil.copy(path, to)
            bind(root, [to], f"$ORIGIN/../lib:{root}/{LIBRARY}")
        drivers = glob.glob(os.path.join(root, LIBRARY, "librustc_driver-*.so")) + glob.glob(os.path.join(root, LIBRARY, "libstd-*.so"))
        if not drivers:
            raise apt.Missing("Debian's Rust has no librustc_driver: it is laid out in another way")
        for path in drivers:
            to = os.path.join(top, "rustc/lib", os.path.basename(path))
            shutil.copy(path, to)
            bind(root, [to], f"$ORIGIN:{root}/{LIBRARY}")
        shutil.copytree(os.path.join(root, "usr/lib/rustlib", triple), os.path.join(top, f"rust-std-{triple}/lib/rustlib", triple))
        with open(os.path.join(top, "components"), "w") as file:
            file.write(f"rustc cargo rust-std-{triple}\n")
        script(os.path.join(top, "install.sh"), INSTALL)
        licences(top)
        pack(top, archive)
    return versions


def rust_std(out, manager, archive):
    root, versions = rust_root(out, manager)
    triple = "aarch64-unknown-linux-gnu"
    with tempfile.TemporaryDirectory(dir=out) as work:
        top = os.path.join(work, os.path.basename(archive).removesuffix(".tar.xz"))
        os.makedirs(os.path.join(top, f"rust-std-{triple}/lib/rustlib"))
        shutil.copytree(os.path.join(root, "arm64/usr/lib/rustlib", triple), os.path.join(top, f"rust-std-{triple}/lib/rustlib", triple))
        with open(os.path.join(top, "components"), "w") as file:
            file.write(f"rust-std-{triple}\n")
        script(os.path.join(top, "install.sh"), INSTALL)
        licences(top)
        pack(top, archive)
    return {name: version for name, version in versions.items() if name.endswith(":arm64")}


def rust_version(manager):
    """The version of Debian's Rust."""
    shown = manager.run("apt-cache", "policy", "rustc-web").stdout
    found = re.search(r"Candidate: (\S+)", shown)
    if not found or found[1] == "(none)":
        raise apt.Missing(f"Debian's {apt.SUITE} has no rustc-web")
    return apt.upstream(re.sub(r"\+b\d+$", "", found[1]))


def firmware(manager, package, work):
    """Unpacks one package of firmware as it is, with its copyright file, which every image must carry."""
    deb, = manager.binaries([], [package])
    subprocess.run(["dpkg-deb", "-x", deb, work], check=True)
    return {package: {"version": os.path.basename(deb).split("_")[1].replace("%3a", ":"), "sha256": apt.sha256(deb)}}


def licence(work, package, to):
    """The package's own words about its licence; without them nothing is built."""
    path = os.path.join(work, f"usr/share/doc/{package}/copyright")
    if not os.path.exists(path):
        raise apt.Missing(f"{package} has no copyright file: it is laid out in another way")
    shutil.copyfile(path, to)


def boot_firmware(out, manager, archive):
    """raspi-firmware: start*.elf, fixup*.dat, bootcode.bin. It has hardly any overlay: the one that config.txt asks for is ours."""
    with tempfile.TemporaryDirectory(dir=out) as work:
        versions = firmware(manager, "raspi-firmware", os.path.join(work, "deb"))
        top = os.path.join(work, os.path.basename(archive).removesuffix(".tar.gz"))
        os.makedirs(os.path.join(top, "boot/overlays"))
        found = [path for path in glob.glob(os.path.join(work, "deb/usr/lib/raspi-firmware/*")) if path.endswith((".elf", ".dat", ".bin"))]
        if not any(path.endswith("start_cd.elf") for path in found):
            raise apt.Missing("raspi-firmware has no start_cd.elf: it is laid out in another way")
        for path in found:
            shutil.copy(path, os.path.join(top, "boot"))
        # The map is what Buildroot installs beside the overlays.
        for name, source in (("ramoops.dtbo", "ramoops"), ("overlay_map.dtb", "overlay_map")):
            subprocess.run(["dtc", "-q", "-@", "-I", "dts", "-O", "dtb", "-o", os.path.join(top, "boot/overlays", name),
                            os.path.join(os.path.dirname(os.path.abspath(__file__)), f"rpi/{source}.dts")], check=True)
        licence(os.path.join(work, "deb"), "raspi-firmware", os.path.join(top, "boot/LICENCE.broadcom"))
        pack(top, archive)
    return versions


def wifi_firmware(out, manager, archive):
    """firmware-brcm80211: brcmfmac*, cyfmac*."""
    with tempfile.TemporaryDirectory(dir=out) as work:
        versions = firmware(manager, "firmware-brcm80211", os.path.join(work, "deb"))
        top = os.path.join(work, os.path.basename(archive).removesuffix(".tar.gz"))
        base = next((path for path in ("deb/usr/lib/firmware", "deb/lib/firmware") if os.path.isdir(os.path.join(work, path, "brcm"))), None)
        if not base:
            raise apt.Missing("firmware-brcm80211 has no brcm folder: it is laid out in another way")
        for folder in ("brcm", "cypress"):
            os.makedirs(os.path.join(top, "firmware", folder))
            for path in glob.glob(os.path.join(work, base, folder, "*")):
                shutil.copy(path, os.path.join(top, "firmware", folder), follow_symlinks=os.path.exists(path))
        licence(os.path.join(work, "deb"), "firmware-brcm80211", os.path.join(top, "LICENSE"))
        pack(top, archive)
    return versions


def regulatory(out, manager, archive):
    """wireless-regdb's own database and signature, which Debian's package has beside its own."""
    with tempfile.TemporaryDirectory(dir=out) as work:
        versions = firmware(manager, "wireless-regdb", os.path.join(work, "deb"))
        top = os.path.join(work, os.path.basename(archive).removesuffix(".tar.xz"))
        os.makedirs(top)
        for name in ("regulatory.db", "regulatory.db.p7s"):
            path = next(iter(glob.glob(os.path.join(work, f"deb/**/firmware/{name}-upstream"), recursive=True)), None)
            if not path:
                raise apt.Missing(f"wireless-regdb has no {name}-upstream: it is laid out in another way")
            shutil.copy(path, os.path.join(top, name))
        licence(os.path.join(work, "deb"), "wireless-regdb", os.path.join(top, "LICENSE"))
        pack(top, archive)
    return versions
