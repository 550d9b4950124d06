"""Changes to a copy of Buildroot's tree, so that it builds from the archives that Debian has.

The tree itself stays as it is. A version is written into the package's .mk, so that what Buildroot says about the image (licences, SBOM)
names what was built; the archive's hash replaces the one of the archive that could not be had."""
import glob, os, re, shutil, subprocess, tarfile, tempfile

# Stands before the hashes that were written here.
WRITTEN = "# By scripts/image-sources"


def write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def read(path):
    with open(path) as file:
        return file.read()


class Tree:
    def __init__(self, folder):
        self.folder = folder

    def package(self, name):
        """The folder of a package and the file that describes it."""
        for pattern in (f"package/**/{name}.mk", f"toolchain/**/{name}.mk", f"{name}/{name}.mk"):
            for path in glob.glob(os.path.join(self.folder, pattern), recursive=True):
                return os.path.dirname(path), path
        raise KeyError(name)

    @staticmethod
    def prefix(name):
        return name.upper().replace("-", "_")

    def version(self, name):
        """The version that the tree wants of a package."""
        text, prefix = read(self.package(name)[1]), self.prefix(name)
        set_to = dict(re.findall(rf"^({prefix}_VERSION\w*) *:?= *(\S+)", text, re.M))
        return re.sub(r"\$\((\w+)\)", lambda found: set_to.get(found[1], found[0]), set_to.get(f"{prefix}_VERSION", ""))

    def set_version(self, name, version):
        path, prefix = self.package(name)[1], self.prefix(name)
        text = read(path)
        if major := re.search(rf"^{prefix}_VERSION_MAJOR = (\S+)$", text, re.M):
            short = ".".join(version.split(".")[:len(major[1].split("."))])
            text = text.replace(major[0], f"{prefix}_VERSION_MAJOR = {short}", 1)
        text, count = re.subn(rf"^{prefix}_VERSION = .*$", f"{prefix}_VERSION = {version}", text, count=1, flags=re.M)
        assert count, f"{path} sets no version"
        write(path, text)

    def set_hash(self, name, wanted, archive, digest, neighbour):
        """The archive's hash in place of the wanted one's. Hashes of licence texts hold for the wanted version only."""
        if name == "linux":
            paths = [os.path.join(self.folder, "board", vendor, "patches/linux/linux.hash") for vendor in ("qemu", "raspberrypi")]
        else:
            folder = self.package(name)[0]
            paths = [os.path.join(folder, f"{os.path.basename(folder)}.hash")]
            if not os.path.exists(paths[0]):
                paths = [os.path.join(folder, f"{name}.hash")]
        for path in paths:
            lines = read(path).splitlines() if os.path.exists(path) else []
            kept = [line for line in lines if line.split()[2:3] not in ([wanted], [archive])]
            if neighbour and name != "linux":
                # A package of several archives: those that were written before.
                kept = kept[kept.index(WRITTEN):] if WRITTEN in kept else []
            if WRITTEN not in kept:
                kept.append(WRITTEN)
            write(path, "\n".join([*kept, f"sha256  {digest}  {archive}"]) + "\n")

    def wanted_hash(self, name, archive):
        """The hash that the tree has for an archive, or nothing."""
        folders = [self.package(name)[0], *glob.glob(os.path.join(self.folder, "board/*/patches", name))]
        for path in (path for folder in folders for path in glob.glob(os.path.join(folder, "*.hash"))):
            for line in read(path).splitlines():
                words = line.split()
                if len(words) >= 3 and words[0] == "sha256" and words[2] == archive:
                    return words[1]
        return None

    def before_evaluation(self, name, lines):
        path = self.package(name)[1]
        text = read(path)
        at = re.search(r"^\$\(eval ", text, re.M).start()
        write(path, text[:at] + lines + "\n" + text[at:])

    def prepare(self, name, archive, neighbour):
        """What another archive than the wanted one needs: patches that do not apply are dropped, a missing configure is made. A list of what
        was done, in words."""
        folder, path = self.package(name)
        text, done = read(path), []
        patches = sorted(glob.glob(os.path.join(folder, "*.patch"))) if neighbour else []
        autotools = "autotools-package" in text
        if not patches and not autotools:
            return done
        with tempfile.TemporaryDirectory() as work:
            subprocess.run(["tar", "xf", archive, "-C", work, "--strip-components=1", "--no-same-owner"], check=True)
            for patch in patches:
                with open(patch) as file:
                    tried = subprocess.run(["patch", "-p1", "-s", "-N", "-F0", "--dry-run", "-d", work], stdin=file, capture_output=True)
                if tried.returncode:
                    os.unlink(patch)
                    done.append(f"patch dropped: {os.path.basename(patch)}")
                    if name == "patchelf":
                        self.own_rpaths()
                        done.append("fix-rpath of our own")
                    continue
                with open(patch) as file:
                    subprocess.run(["patch", "-p1", "-s", "-N", "-F0", "-d", work], stdin=file, check=True, capture_output=True)
            source = os.path.join(work, self.subdirectory(text))
            if autotools and not os.path.exists(os.path.join(source, "configure")) and self.generated(source):
                prefix = self.prefix(name)
                kinds = [kind for kind, call in (("", "$(eval $(autotools-package))"), ("HOST_", "$(eval $(host-autotools-package))")) if call in text]
                self.before_evaluation(name, "".join(f"{kind}{prefix}_AUTORECONF = YES\n" for kind in kinds))
                done.append("configure made by autoreconf")
        return done

    def own_rpaths(self):
        """Buildroot's script for library paths wants an option of its patched patchelf; ours does without."""
        path = os.path.join(self.folder, "support/scripts/fix-rpath")
        # A link to the tree's own: not to be written through.
        os.unlink(path)
        shutil.copy2(os.path.join(os.path.dirname(os.path.abspath(__file__)), "fix-rpath"), path)

    @staticmethod
    def subdirectory(text):
        found = re.search(r"^[A-Z0-9_]+_SUBDIR = (\S+)$", text, re.M)
        return found[1] if found else ""

    @staticmethod
    def generated(source):
        return any(os.path.exists(os.path.join(source, name)) for name in ("configure.ac", "configure.in"))

    def stand_in(self, name, programs):
        """The package becomes a few links to this machine's own programs."""
        folder, path = self.package(name)
        prefix = self.prefix(name)
        provides = re.search(rf"^{prefix}_PROVIDES = .*$", read(path), re.M)
        commands = ["mkdir -p $(HOST_DIR)/bin"]
        for program in programs:
            link, _, at = program.partition("=")
            at = shutil.which(at or link)
            if not at:
                raise FileNotFoundError(program.partition("=")[2] or link)
            if name == "ccache":
                commands += [f"printf '#!/bin/sh\\nCCACHE_DIR=\"$$BR_CACHE_DIR\" exec {at} \"$$@\"\\n' >$(HOST_DIR)/bin/{link}",
                             f"chmod 755 $(HOST_DIR)/bin/{link}", "mkdir -p $(BR_CACHE_DIR)"]
            else:
                commands.append(f"ln -sf {at} $(HOST_DIR)/bin/{link}")
        if name == "gettext-tiny":
            # autoreconf looks for gettext's macros beside the other packages', and gettextize for its templates.
            commands += ["mkdir -p $(HOST_DIR)/share/aclocal",
                         "for file in /usr/share/aclocal/*.m4; do grep -q 'Free Software Foundation' $$file || continue; cp $$file $(HOST_DIR)/share/aclocal/; done",
                         "ln -sfn /usr/share/gettext $(HOST_DIR)/share/gettext"]
        body = "".join(f"\t{command}\n" for command in commands)
        write(path, f"# By scripts/image-sources: this machine's own stands in.\n{prefix}_VERSION = machine\n{prefix}_SOURCE =\nHOST_{prefix}_SOURCE =\n"
                    f"{provides[0] if provides else ''}\nHOST_{prefix}_ADD_CCACHE_DEPENDENCY = NO\n"
                    f"define HOST_{prefix}_INSTALL_CMDS\n{body}endef\n$(eval $(generic-package))\n$(eval $(host-generic-package))\n")
        for patch in glob.glob(os.path.join(folder, "*.patch")):
            os.unlink(patch)


def repack(path, archive, inside=None):
    """An archive in the kind that the wanted name's end says: recompressed, or as the cpio that Buildroot's own tar wants. Where the project's
    repository holds what it releases in a folder `inside`, and the archive has that folder, the folder alone."""
    compressors = {"xz": ["xz", "-1", "-c"], "gz": ["gzip", "-n", "-6", "-c"], "bz2": ["bzip2", "-c"], "lz": ["lzip", "-6", "-c"]}
    decompressors = {"xz": ["xz", "-dc"], "gz": ["gzip", "-dc"], "bz2": ["bzip2", "-dc"], "lz": ["lzip", "-dc"]}
    have, want = path.rsplit(".", 1)[1], archive.rsplit(".", 1)[1]
    os.makedirs(os.path.dirname(archive), exist_ok=True)
    new = archive + ".new"
    if archive.endswith(".cpio.gz"):
        with tempfile.TemporaryDirectory() as work, open(new, "wb") as out:
            with tarfile.open(path) as file:
                file.extractall(work, filter="tar")
            # Buildroot looks for the one folder that bears the archive's name.
            top = os.path.basename(archive).removesuffix(".cpio.gz")
            found = os.listdir(work)
            if len(found) == 1 and found[0] != top:
                os.rename(os.path.join(work, found[0]), os.path.join(work, top))
            names = subprocess.run(["find", ".", "-print0"], cwd=work, capture_output=True, check=True).stdout.split(b"\0")
            listed = b"\0".join(sorted(name for name in names if name)) + b"\0"
            packed = subprocess.run(["cpio", "-0", "-o", "-H", "newc", "--quiet", "--reproducible", "--owner", "0:0"], cwd=work, input=listed,
                                    capture_output=True, check=True).stdout
            subprocess.run(compressors["gz"], input=packed, stdout=out, check=True)
    elif inside and repack_inside(path, new, inside, compressors[want]):
        pass
    elif have == want:
        shutil.copyfile(path, new)
    else:
        with open(path, "rb") as source, open(new, "wb") as out:
            plain = subprocess.Popen(decompressors[have], stdin=source, stdout=subprocess.PIPE)
            subprocess.run(compressors[want], stdin=plain.stdout, stdout=out, check=True)
            if plain.wait():
                raise OSError(f"{path} cannot be unpacked")
    os.replace(new, archive)


def repack_inside(path, new, inside, compressor):
    """Writes the one folder of an archive that is released; whether there is one."""
    with tempfile.TemporaryDirectory() as work, open(new, "wb") as out:
        subprocess.run(["tar", "xf", path, "-C", work, "--no-same-owner"], check=True)
        folders = glob.glob(os.path.join(work, "*", inside, ""))
        if len(folders) != 1:
            return False
        parent = os.path.dirname(os.path.dirname(folders[0]))
        plain = subprocess.Popen(["tar", "-C", parent, "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-cf", "-", inside],
                                 stdout=subprocess.PIPE)
        subprocess.run(compressor, stdin=plain.stdout, stdout=out, check=True)
        if plain.wait():
            raise OSError(f"{path} cannot be packed again")
    return True
