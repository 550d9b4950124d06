#!/usr/bin/env python3
"""Validates the external tree against a Buildroot tree:   check.py BUILDROOT_TREE [KERNEL_TREE]

For each defconfig: it is the one configs.sh makes; every symbol of it exists in the tree; every line of it survives into .config (kconfig
drops what does not exist or whose dependencies are not met, without a word); every fragment and script it names is there; every download the
configuration needs has its hash in a .hash file; no script of the image calls an applet that its busybox is built without. With a kernel's
sources (any Linux from 6.1 on) at hand: every line of a board's kernel fragments survives into its .config as well. Exit code 1 and one line
each for what is wrong."""
import glob, json, os, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROBLEMS = []
# Only Raspberry Pi's own kernel has these.
DOWNSTREAM = {"CONFIG_USB_DWCOTG", "CONFIG_MMC_BCM2835_MMC", "CONFIG_MMC_BCM2835_SDHOST"}


def wrong(what):
    PROBLEMS.append(what)
    print(what)


def lock():
    with open(os.path.join(HERE, "buildroot.lock")) as file:
        return dict(line.strip().split("=", 1) for line in file if "=" in line and not line.startswith("#"))


def symbols(tree):
    """Every symbol any Config.in of the tree or of ours defines."""
    found = set()
    for top in (tree, HERE):
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if name not in (".git", "output", "dl")]
            for name in files:
                if name.startswith("Config.in"):
                    with open(os.path.join(folder, name), errors="replace") as file:
                        found.update(re.findall(r"^\s*(?:menu)?config\s+(BR2_\w+)", file.read(), re.M))
    return found


def lines(path):
    with open(path) as file:
        return [line.rstrip("\n") for line in file if line.strip() and (not line.startswith("#") or line.endswith("is not set\n"))]


def optional(path):
    """Lines of a fragment that not every kernel knows: each follows a comment that says so."""
    with open(path) as file:
        text = file.read()
    return set(re.findall(r"^# Where the kernel has it.*\n(.*)$", text, re.M))


def symbol(line):
    return re.match(r"(?:# )?(\w+)", line).group(1)


def value(config, name):
    found = re.search(rf'^{name}="(.*)"$', config, re.M)
    return found.group(1).replace("$(BR2_EXTERNAL_OFFHOOK_PATH)", HERE) if found else ""


def make(tree, out, *words):
    done = subprocess.run(["make", "--no-print-directory", "-s", "-C", tree, f"O={out}", f"BR2_EXTERNAL={HERE}", *words],
                          capture_output=True, text=True)
    if done.returncode:
        wrong(f"make {' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return None
    return done.stdout


def hashed(tree):
    """The file names all .hash files know. Some packages keep theirs in a sister's folder (kernel headers, gcc), so all are read."""
    names = set()
    for path in glob.glob(os.path.join(tree, "**", "*.hash"), recursive=True):
        with open(path, errors="replace") as file:
            names.update(line.split()[2] for line in file if line[:1] not in "#\n" and len(line.split()) >= 3)
    return names


def check(tree, defconfig, known, hashes, work):
    name = os.path.basename(defconfig)
    wanted = lines(defconfig)
    for line in wanted:
        if symbol(line) not in known:
            wrong(f"{name}: no such symbol in this Buildroot: {symbol(line)}")
    out = os.path.join(work, name)
    if make(tree, out, name) is None:
        return
    with open(os.path.join(out, ".config")) as file:
        config = file.read()
    held = set(config.split("\n"))
    for line in wanted:
        if line not in held:
            wrong(f"{name}: was lost: {line}")
    fragments = 0
    for key in ("BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES", "BR2_PACKAGE_BUSYBOX_CONFIG_FRAGMENT_FILES", "BR2_ROOTFS_POST_BUILD_SCRIPT",
                "BR2_ROOTFS_POST_IMAGE_SCRIPT", "BR2_ROOTFS_OVERLAY", "BR2_PACKAGE_RPI_FIRMWARE_CONFIG_FILE",
                "BR2_PACKAGE_RPI_FIRMWARE_CMDLINE_FILE"):
        for path in value(config, key).replace("$(OFFHOOK_MORE_FRAGMENTS)", "").split():
            fragments += 1
            if not os.path.exists(path):
                wrong(f"{name}: {key} names {path}, which is not there")
    shown = make(tree, out, "show-info")
    if shown is None:
        return
    downloads = 0
    for package, info in json.loads(shown).items():
        # Our own package is the tree this file lies in.
        for download in info.get("downloads", []) if package != "offhook" else []:
            downloads += 1
            if download["source"] not in hashes:
                wrong(f"{name}: {package}: no hash for {download['source']}")
    print(f"{name}: {len(wanted)} lines, {fragments} files, {downloads} downloads checked")


def applets(tree):
    """Words the image's scripts begin a command with, which busybox could have and, by its configuration and our fragment, has not."""
    config = {}
    for path in (os.path.join(tree, "package/busybox/busybox.config"), os.path.join(HERE, "board/offhook/busybox.fragment")):
        with open(path) as file:
            for line in file:
                if found := re.match(r"(?:# )?CONFIG_(\w+)(?:=(\w)| is not set)", line):
                    config[found[1]] = found[2] == "y"
    begin = r"(?:^|[;&|({!]|\$\(|\b(?:then|do|else|if|while|until|exec)\b)[ \t]*([a-z][a-z0-9_]*)(?=[ \t\n;)|&]|$)"
    scripts, called = 0, set()
    for folder, _, files in os.walk(os.path.join(HERE, "board/offhook/rootfs-overlay")):
        for name in files:
            with open(os.path.join(folder, name)) as file:
                text = file.read()
            if not text.startswith("#!/bin/sh") and not name.endswith(".sh"):
                continue
            scripts += 1
            for word in re.findall(begin, re.sub(r"(^|\s)#.*", "", text, flags=re.M), re.M):
                called.add(word)
                if config.get(word.upper()) is False:
                    wrong(f"{os.path.join(os.path.relpath(folder, HERE), name)}: calls {word}, and busybox is built without it")
    print(f"{scripts} scripts call {sum(config.get(word.upper(), False) for word in called)} applets")


def base(buildroot, board, tree, out):
    """The configuration a board's kernel starts from, by its Buildroot configuration: lines for .config or a defconfig target, and its name."""
    with open(os.path.join(HERE, "../board/profiles", board, "buildroot.config")) as file:
        config = file.read()
    if path := value(config, "BR2_LINUX_KERNEL_CUSTOM_CONFIG_FILE"):
        path = os.path.join(buildroot, path)
        if not os.path.isfile(path):
            wrong(f"{board}: BR2_LINUX_KERNEL_CUSTOM_CONFIG_FILE names {path}, which is not there")
            return None
        with open(path) as file:
            return file.read(), None, os.path.relpath(path, buildroot)
    name = value(config, "BR2_LINUX_KERNEL_DEFCONFIG")
    if name and os.path.isfile(os.path.join(tree, f"arch/arm64/configs/{name}_defconfig")):
        return "", f"{name}_defconfig", f"{name}_defconfig"
    if name:
        # Another kernel than the pinned one: arm64's own configuration with what the vendor's sets
        # otherwise.
        with open(os.path.join(HERE, f"{name}.differences")) as file:
            return file.read(), "defconfig", f"defconfig in place of {name}_defconfig"
    return "", "defconfig", "defconfig"


def kernel(buildroot, tree, board, work):
    """The fragments of a board, merged as Buildroot merges them, into the configuration that the board's own names."""
    out = os.path.join(work, f"linux-{board}")
    os.mkdir(out)
    fragments = [os.path.join(HERE, "board/offhook/linux.fragment"), os.path.join(HERE, "../board/profiles", board, "linux.fragment")]

    def configure(target):
        done = subprocess.run(["make", "-s", "-C", tree, f"O={out}", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", target], capture_output=True, text=True)
        if done.returncode:
            wrong(f"{board}: the kernel's {target} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.returncode == 0

    start = base(buildroot, board, tree, out)
    if start is None:
        return
    text, target, name = start
    if target and not configure(target):
        return
    with open(os.path.join(out, ".config"), "a") as config:
        config.write("\n" + text)
        for fragment in fragments:
            config.write("\n" + open(fragment).read())
    if not configure("olddefconfig"):
        return
    survived, elsewhere = 0, 0
    held = set(open(os.path.join(out, ".config")).read().split("\n"))
    set_symbols = {symbol(line) for line in held if line.startswith("CONFIG_")}
    known = {symbol(line) for line in held if re.match(r"CONFIG_|# CONFIG_\w+ is not set", line)}
    for fragment in fragments:
        for line in lines(fragment):
            # What is to be off is off, too, when this kernel does not know it.
            off = line.startswith("# ") and symbol(line) not in set_symbols
            if symbol(line) in DOWNSTREAM or (line in optional(fragment) and symbol(line) not in known):
                elsewhere += 1
            elif off or line in held:
                survived += 1
            else:
                wrong(f"{board}: was lost: {line}   ({os.path.relpath(fragment, HERE)})")
    print(f"{board}: {survived} lines of kernel fragments survive in {name}, {elsewhere} are for other kernels")


def main():
    tree = sys.argv[1] if len(sys.argv) > 1 else ""
    if not tree:
        print("SKIPPED: buildroot check: no tree at hand (make -C buildroot check BUILDROOT=/path/to/buildroot)", file=sys.stderr)
        return 0
    if not os.path.isfile(os.path.join(tree, "Config.in.legacy")):
        print(f"{tree}: this is no Buildroot tree", file=sys.stderr)
        return 1
    with open(os.path.join(tree, "Makefile")) as file:
        version = re.search(r"BR2_VERSION := (\S+)", file.read()).group(1)
    if version != lock()["VERSION"]:
        wrong(f"{tree} is Buildroot {version}, buildroot.lock says {lock()['VERSION']}")
    applets(tree)
    known, hashes = symbols(tree), hashed(tree)
    with tempfile.TemporaryDirectory(prefix="offhook-buildroot-") as work:
        subprocess.run([os.path.join(HERE, "configs.sh"), os.path.join(work, "configs")], check=True)
        made = {os.path.basename(path) for path in glob.glob(os.path.join(work, "configs", "*"))}
        ours = sorted(glob.glob(os.path.join(HERE, "configs", "*_defconfig")))
        if made != {os.path.basename(path) for path in ours}:
            wrong("configs/ does not have one defconfig for each board: run make -C buildroot configs")
        for defconfig in ours:
            made_path = os.path.join(work, "configs", os.path.basename(defconfig))
            if os.path.exists(made_path) and open(made_path).read() != open(defconfig).read():
                wrong(f"{os.path.basename(defconfig)} is not what its parts make: run make -C buildroot configs")
            check(os.path.abspath(tree), defconfig, known, hashes, work)
        if len(sys.argv) > 2 and sys.argv[2]:
            for profile in sorted(glob.glob(os.path.join(HERE, "../board/profiles/*/linux.fragment"))):
                kernel(os.path.abspath(tree), os.path.abspath(sys.argv[2]), os.path.basename(os.path.dirname(profile)), work)
    return 1 if PROBLEMS else 0


sys.exit(main())
