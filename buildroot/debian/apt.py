"""What Debian has, by apt with a private configuration: own lists and an own cache, the machine's apt stays as it is.

apt checks every file against its signed index; `Source.fetch` checks the archive once more, against the hash that index names."""
import glob, hashlib, os, re, subprocess, time

SUITES = ["trixie", "trixie-updates", "trixie-backports", "bookworm", "bookworm-backports", "sid"]
# The suite whose compiler, Rust and C library are used.
SUITE = "trixie"


class Missing(Exception):
    """Something cannot be had; the text says what to do about it."""


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def upstream(version):
    """The upstream part of a Debian version: 1:1.3.dfsg+really1.3.2-3 is 1.3.2, 2.41.5-0+deb13u1 is 2.41.5."""
    version = re.sub(r"^\d+:", "", version)
    version = version.rsplit("-", 1)[0] if "-" in version else version
    version = version.split("+really")[-1]
    return re.sub(r"([.+~](dfsg|ds|repack)[\d.]*|\+(git)?20\d{6}|\+nmu\d+|~deb\d+u\d+|\+deb\d+u\d+)+$", "", version)


def order(version):
    """A key that sorts versions: numbers as numbers, ~ before everything."""
    return [(-1, 0) if part == "~" else (1, int(part)) if part.isdigit() else (0, part)
            for part in re.findall(r"\d+|~|[a-zA-Z]+", version)]


class Source:
    """One source package in one version."""

    def __init__(self, package, version, files):
        self.package, self.version, self.files = package, version, files
        self.upstream = upstream(version)

    def archive(self):
        """The name of its upstream archive (of a native package: its only one)."""
        names = [name for name in self.files if re.search(r"\.tar\.(xz|gz|bz2|lz)$", name)]
        return next((name for name in names if ".orig.tar." in name), next((name for name in names if ".debian.tar." not in name), None))


class Apt:
    def __init__(self, folder, mirror=None):
        self.folder = os.path.abspath(folder)
        for name in ("lists/partial", "archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d", "sources"):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        self.environment = {**os.environ, "APT_CONFIG": os.path.join(self.folder, "apt.conf"), "LC_ALL": "C"}
        keys = glob.glob("/usr/share/keyrings/debian-archive-keyring.*")
        if not keys:
            raise Missing("Debian's keys are missing: install debian-archive-keyring")
        mirror = mirror or self.machines_mirror()
        lines = [f"{kind} [signed-by={keys[0]}] {mirror} {suite} main non-free-firmware" for suite in SUITES for kind in ("deb", "deb-src")]
        self.write("sources.list", "\n".join(lines) + "\n")
        self.write("status", "")
        # Check-Valid-Until: a mirror may be older than its index promises; the signature is checked all the same.
        self.write("apt.conf", f"""Dir "{self.folder}"; Dir::Etc "{self.folder}/etc"; Dir::Etc::sourcelist "{self.folder}/sources.list";
Dir::Etc::sourceparts "{self.folder}/none"; Dir::State "{self.folder}"; Dir::State::status "{self.folder}/status";
Dir::Cache "{self.folder}"; Dir::Log "{self.folder}"; APT::Architecture "amd64"; APT::Architectures {{ "amd64"; "arm64"; }};
APT::Default-Release "{SUITE}"; APT::Sandbox::User "root"; APT::Install-Recommends "false"; Acquire::Languages "none"; Acquire::Retries "3";
Acquire::Check-Valid-Until "false"; Acquire::GzipIndexes "true"; Debug::NoLocking "true";
""")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    @staticmethod
    def machines_mirror():
        """Where this machine has its own packages from."""
        done = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(LABEL)"], capture_output=True, text=True)
        for line in done.stdout.splitlines():
            site, *words = line.split()
            if words == ["Debian", "Debian"]:
                return site
        raise Missing("this machine's apt knows no Debian mirror: name one (DEBIAN_MIRROR=…)")

    def run(self, *words, folder=None):
        return subprocess.run(words, capture_output=True, text=True, env=self.environment, cwd=folder or self.folder)

    def update(self):
        """The lists, at most a day old."""
        stamp = os.path.join(self.folder, "updated")
        if os.path.exists(stamp) and time.time() - os.path.getmtime(stamp) < 86400:
            return
        done = self.run("apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any")
        if done.returncode:
            raise Missing(f"Debian's lists could not be fetched; is the network connected?\n{done.stderr.strip()}")
        self.write("updated", "")

    def sources(self, package):
        """Every version of a source package, the newest first."""
        shown = self.run("apt-cache", "showsrc", "--only-source", package).stdout
        found = {}
        for paragraph in shown.split("\n\n"):
            field = dict(re.findall(r"^([A-Za-z0-9-]+): *(.*)$", paragraph, re.M))
            if field.get("Package") != package:
                continue
            block = re.search(r"^Checksums-Sha256:\n((?: .*\n?)+)", paragraph, re.M)
            files = {name: digest for digest, _, name in (line.split() for line in block[1].splitlines())} if block else {}
            found[field["Version"]] = Source(package, field["Version"], files)
        return sorted(found.values(), key=lambda source: order(source.version), reverse=True)

    def fetch(self, source):
        """The path of a source package's archive, downloaded and checked."""
        name = source.archive()
        if not name:
            raise Missing(f"{source.package} {source.version} names no archive")
        path = os.path.join(self.folder, "sources", name)
        if not (os.path.exists(path) and sha256(path) == source.files[name]):
            # The archive alone counts: a mirror may have lost the signature or Debian's own changes beside it.
            done = self.run("apt-get", "-q", "source", "--download-only", "--only-source", "--tar-only", f"{source.package}={source.version}",
                            folder=os.path.join(self.folder, "sources"))
            if not os.path.exists(path):
                raise Missing(f"{source.package} {source.version} could not be downloaded: {(done.stderr.strip() or 'no such file').splitlines()[-1]}")
        found = sha256(path)
        if found != source.files[name]:
            os.unlink(path)
            raise Missing(f"{name} hashes to {found}, Debian's signed index says {source.files[name]}: removed, not used")
        return path

    def binaries(self, packages, alone=()):
        """Paths of these packages and of all they need, by Debian's own resolver for a machine that has nothing; `alone`: only themselves."""
        names = self.resolved(packages) if packages else []
        archives = os.path.join(self.folder, "archives")
        for package in alone:
            shown = self.run("apt-get", "-q", "--print-uris", "download", package, folder="/")
            name = re.search(r"^'[^']+' (\S+\.deb) ", shown.stdout, re.M)
            if shown.returncode or not name or self.run("apt-get", "-q", "download", package, folder=archives).returncode:
                raise Missing(f"Debian's {SUITE} cannot give {package}: {shown.stderr.strip()}")
            names.append(name[1])
        return [os.path.join(archives, name) for name in names]

    def resolved(self, packages):
        """The names of these packages' files and of all they need, downloaded."""
        planned = self.run("apt-get", "-q", "--simulate", "install", *packages)
        names = [f"{package}_{version.replace(':', '%3a')}_{architecture}.deb"
                 for package, version, architecture in re.findall(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", planned.stdout, re.M)]
        if planned.returncode or not names:
            raise Missing(f"Debian's {SUITE} cannot give {' '.join(packages)}: {planned.stderr.strip()}")
        fetched = self.run("apt-get", "-q", "-y", "--download-only", "install", *packages)
        if fetched.returncode:
            raise Missing(f"{' '.join(packages)} could not be downloaded: {fetched.stderr.strip()}")
        return names
