#!/usr/bin/env python3
"""Power cuts at random moments of what a built image of virt writes: calls into the history, a
configuration from a server, an update.

    cuts.py IMAGE.img[.xz] [CUTS]        (with the .raucb beside it also the update)

    boot once ─▶ idle ─▶ the write begins ─▶ the whole machine into a file
      ├─▶ goes on from there, on a disk of its own ─▶ power cut ─▶ boots ─▶ is all there?
      ├─▶ the same again, cut at another moment
      ┊

So a cut costs the boot that judges it, and not also the minutes before the write. A moment is drawn
from one seed a run; CUTS_SEED repeats it. What the guest has handed to its disk stays: a disk that
loses its own cache is not played. Wall clock: an emulated machine boots. Needs QEMU, mtools,
ssh."""
import http.server, json, os, random, re, shutil, socket, subprocess, sys, tempfile, threading, time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
LIMIT = float(os.environ.get("BUILT_LIMIT", "180"))
os.environ["MTOOLS_SKIP_CHECK"] = "1"
os.environ["PATH"] += ":/usr/sbin:/sbin"
# What no start after a cut may say.
WRONG = re.compile(
    r"^(?!changes:).*(formatted|damaged|repaired|cannot be|refused|begins again)", re.M
)


class Lost(Exception):
    """Something that was written is not there, or a step took too long."""


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


class Server:
    """The provisioning server: a configuration that is another one after each `serial`."""

    def __init__(self):
        self.serial, self.given = 0, set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = outer.text(outer.serial).encode()
                outer.given.add(outer.serial)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.port = self.server.server_address[1]

    @staticmethod
    def text(serial):
        return f'[phone]\nname = "serial {serial}"\n# {"x" * 3000}\n# end {serial}\n'


class Machine:
    """QEMU on one disk: from power, or from where the file of a machine left off."""

    def __init__(self, work, server):
        self.work, self.server, self.qemu = work, server, None
        self.key = os.path.join(work, "key")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def start(self, disk, slot_from, state=None):
        """`slot_from`: the folder with kernel and command line; `state`: a machine's file."""
        for name in ("qmp", "console"):
            if os.path.exists(os.path.join(self.work, name)):
                os.remove(os.path.join(self.work, name))
        with open(os.path.join(slot_from, "cmdline.txt")) as file:
            words = file.read().strip()
        command = ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "1",
                   "-m", "512", "-display", "none", "-nodefaults", "-accel", "tcg", "-no-reboot",
                   "-serial", f"file:{self.work}/console",
                   "-qmp", f"unix:{self.work}/qmp,server=on,wait=off",
                   "-kernel", f"{slot_from}/Image", "-append", words,
                   "-drive", f"if=none,id=card,format=raw,file={disk}",
                   "-device", "virtio-blk-device,drive=card",
                   "-device", "i6300esb", "-device", "virtio-net-device,netdev=net",
                   "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22,"
                              f"guestfwd=tcp:10.0.2.100:80-tcp:127.0.0.1:{self.server.port}",
                   "-audiodev", "none,id=sound", "-device", "intel-hda",
                   "-device", "hda-duplex,audiodev=sound,mixer=off"]
        # A built image has none; the stand-in has.
        if os.path.exists(f"{slot_from}/initrd"):
            command += ["-initrd", f"{slot_from}/initrd"]
        if state:
            command += ["-incoming", f"exec:cat {state}"]
        self.log = open(os.path.join(self.work, "qemu.log"), "w")
        self.qemu = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)

    def qmp(self, *orders):
        """Sends orders one after the other; the last answer."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                control = socket.socket(socket.AF_UNIX)
                control.connect(os.path.join(self.work, "qmp"))
                break
            except OSError:
                control.close()
                if time.monotonic() > end or self.ended():
                    raise Lost(f"QEMU does not answer: {open(self.log.name).read()}") from None
                time.sleep(0.05)
        with control, control.makefile("rw") as lines:
            answer = json.loads(lines.readline())
            for order in ({"execute": "qmp_capabilities"}, *orders):
                lines.write(json.dumps(order) + "\n")
                lines.flush()
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
                if "error" in answer:
                    raise Lost(f"{order}: {answer['error']}")
        return answer["return"]

    def save(self, path):
        """Stops the machine and writes it into a file; its disk is then as at that moment."""
        into_file = {"execute": "migrate", "arguments": {"uri": f"exec:cat >{path}"}}
        self.qmp({"execute": "stop"}, into_file)
        end = time.monotonic() + LIMIT
        while (about := self.qmp({"execute": "query-migrate"}))["status"] != "completed":
            if about["status"] in ("failed", "cancelled") or time.monotonic() > end:
                raise Lost(f"the machine cannot be written into a file: {about}")
            time.sleep(0.1)
        self.qmp({"execute": "quit"})
        self.qemu.wait()

    def go_on(self):
        """After a start from a file: the moment from which on it runs."""
        end = time.monotonic() + LIMIT
        while self.qmp({"execute": "query-status"})["status"] == "inmigrate":
            if time.monotonic() > end:
                raise Lost("the machine does not start from its file")
            time.sleep(0.02)
        self.qmp({"execute": "cont"})

    def ended(self):
        return self.qemu.poll() is not None

    def cut(self):
        self.qemu.kill()
        self.qemu.wait()

    def ask(self, command, timeout=30):
        """What a command inside prints, or None."""
        words = ["ssh", "-q", "-i", self.key, "-p", str(self.port),
                 "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                 "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "root@127.0.0.1", command]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=timeout)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def wait(self, what, command, right=lambda text: True):
        """Until a command ends well and prints what is right. It may be repeated."""
        end = time.monotonic() + LIMIT
        while True:
            text = self.ask(command)
            if text is not None and right(text):
                return text
            if time.monotonic() > end or self.ended():
                console = open(os.path.join(self.work, "console"), errors="replace").read()[-1500:]
                raise Lost(f"{what} did not come: {text!r} {console}")
            time.sleep(0.2)


class Cuts:
    def __init__(self, image, work):
        self.image, self.work = image, work
        self.server = Server()
        self.machine = Machine(work, self.server)
        self.card = os.path.join(work, "card.img")
        self.firmware, self.begun = os.path.join(work, "firmware"), os.path.join(work, "begun")
        with open(self.machine.key + ".pub") as file:
            key = " ".join(file.read().split()[:2])
        self.plain = (f'[phone]\ncountry = "fr"\n[network]\naddress = "10.0.2.15/24"\n'
                      f'[system]\nssh_keys = ["{key}"]\n# {"y" * 2000}\n')
        self.served = ('[provision]\nurl = "http://10.0.2.100/phone.toml"\nallow_http = true\n'
                       + self.plain)
        self.config = self.plain

    def p1(self):
        for line in run("sfdisk", "-d", self.card).splitlines():
            if match := re.match(r"\S*img1 : start= *(\d+),", line):
                return f"{self.card}@@{int(match[1]) * 512}"
        raise Lost("the card has no first partition")

    def put(self, name, text=None, path=None):
        if path is None:
            path = os.path.join(self.work, "put")
            with open(path, "w") as file:
                file.write(text)
        run("mcopy", "-o", "-i", self.p1(), path, f"::{name}")

    def fresh(self, config):
        self.config = config
        if self.image.endswith(".xz"):
            with open(self.card, "wb") as file:
                subprocess.run(["xz", "-dc", self.image], stdout=file, check=True)
        else:
            run("cp", "--sparse=always", self.image, self.card)
        self.put("offhook.toml", self.config)

    def boot(self):
        """What the firmware does, then power; the slot."""
        slot = run(os.path.join(ROOT, "tests/image/firmware.sh"), self.card, self.firmware).strip()
        self.machine.start(self.card, self.firmware)
        return slot

    def idle(self):
        self.machine.wait("an idle phone", "offhook ctl status",
                          lambda text: '"state":"idle"' in text)

    def begin(self, name, before):
        """Boots, lets `before` begin the write, and keeps the machine as it is then."""
        base, state = (os.path.join(self.work, f"{name}.{end}") for end in ("base", "state"))
        self.boot()
        self.idle()
        before()
        self.machine.save(state)
        os.replace(self.card, base)
        # What the next boots take may be the other slot's.
        shutil.rmtree(self.begun, ignore_errors=True)
        shutil.copytree(self.firmware, self.begun)
        return base, state

    def longest(self, base, state, ends):
        """How long the write takes from its beginning, where it ends in a restart; else `ends`."""
        if ends is not None:
            return ends
        self.resume(base, state)
        began = time.monotonic()
        while not self.machine.ended():
            if time.monotonic() - began > LIMIT:
                self.machine.cut()
                raise Lost("the write does not end in a restart")
            time.sleep(0.05)
        return time.monotonic() - began

    def resume(self, base, state):
        run("cp", "--sparse=always", base, self.card)
        self.machine.start(self.card, self.begun, state)
        self.machine.go_on()

    def console(self):
        return open(os.path.join(self.work, "console"), errors="replace").read()

    def cut_once(self, base, state, seconds):
        """The machine goes on, for so long; what its console said meanwhile. The card is as the
        cut left it."""
        self.resume(base, state)
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.machine.ended():
            time.sleep(0.002)
        self.machine.cut()
        return self.console()

    def judged(self):
        """Boots what the cut left; what the phone, the card and the data partition then hold."""
        for _start in range(4):
            slot = self.boot()
            try:
                self.idle()
            except Lost:
                # A trial that was cut short ends in the slot before; a slot that was armed restarts
                # by itself.
                if self.machine.ended():
                    continue
                raise
            seen = self.machine.wait(
                "the state",
                "cat /run/offhook/image; echo; echo =card; cat /boot/offhook/offhook.toml; "
                "echo =kept; cat /data/offhook/network.toml 2>/dev/null; "
                "echo =calls; cat /data/offhook/history.jsonl 2>/dev/null; "
                "echo =mark; cat /data/mark; ls /data/offhook",
            )
            self.machine.cut()
            notes, card, kept, calls, mark = re.split(r"^=\w+\n", seen, flags=re.M)
            if WRONG.search(notes):
                raise Lost(f"the image says: {notes}")
            if card.rstrip("\n") != self.config.rstrip("\n"):
                raise Lost(f"the person's file is another one: {card[:200]!r}")
            if not mark.startswith("kept\n"):
                raise Lost(f"what was on the data partition is gone: {mark!r}")
            return slot, notes, kept, calls
        raise Lost("four starts, and no phone")


MARK = "echo kept >/data/mark; sync; "


def once(name, commands):
    """Shell commands that go on in the machine's background: begun by whoever asks first, and not
    once more by `Machine.wait`, which repeats what it got no answer to."""
    return (f"if mkdir /run/cuts-{name} 2>/dev/null; then "
            f"({commands}) >/dev/null 2>&1 </dev/null & fi; ")


def number_in(text, pattern, what):
    """The number that a pattern finds in a text which must have one."""
    match = re.search(pattern, text)
    if not match:
        raise Lost(f"{what}: {text[:200]!r}")
    return int(match[1])


def number_called(line):
    """Which call an entry of the history is of."""
    try:
        called = json.loads(line)["number"]
    except (ValueError, KeyError, TypeError):
        raise Lost(f"a torn entry in the history: {line!r}") from None
    return number_in(str(called), r"call(\d+)@", "an entry of the history without its number")


def history(cuts):
    """Calls to a port that is closed, one after the other; the phone's own rule: at most the newest
    is lost."""
    def begin():
        # Each call that was over is said on the console.
        calls = ("n=0; while :; do n=$((n + 1)); "
                 "offhook ctl dial sip:call$n@127.0.0.1:9; usleep 300000; "
                 "offhook ctl hang-up; echo \"<1>over $n\" >/dev/kmsg; usleep 200000; done")
        cuts.machine.wait("the calls begin", MARK + once("calls", calls) + "sleep 2")

    def check(said, seen):
        lines = [line for line in seen[3].splitlines() if '"number"' in line]
        numbers = [number_called(line) for line in lines]
        over = [int(number) for number in re.findall(r"over (\d+)", said)]
        if numbers and numbers != list(range(numbers[0], numbers[-1] + 1)):
            raise Lost(f"calls are missing or torn: {numbers}")
        if over and (not numbers or numbers[-1] < over[-1] - 1):
            raise Lost(f"{over[-1]} calls were over, and the history ends with {numbers[-1:]}")
        return f"{over[-1] if over else 0} over, {numbers[-1] if numbers else 0} kept"
    return begin, check, 20.0


def provisioning(cuts):
    """A configuration that is new each time: fetched, on trial, the phone restarts by it."""
    def begin():
        cuts.machine.wait("the first configuration", "cat /data/offhook/network.toml",
                          lambda text: "end" in text)
        cuts.server.serial = 1
        cuts.machine.wait("the question", MARK + once("refresh", "sleep 1; offhook ctl refresh"))

    def check(_said, seen):
        whole = [cuts.server.text(serial) for serial in range(cuts.server.serial + 1)]
        if not any(text.rstrip("\n") in seen[2] for text in whole):
            raise Lost("what is kept of the network is neither the old nor the new one: "
                       f"{seen[2][:200]!r}")
        serial = number_in(seen[2], r"# end (\d+)", "what is kept of the network has no end")
        # The next one brings another.
        cuts.server.serial += 1
        return f"the {'old' if serial == 0 else 'new'} one"
    return begin, check, 12.0


def update(cuts, bundle):
    """From RAUC's first write to the restart into the other slot."""
    def begin():
        cuts.machine.wait("the minute after which a slot is good is over",
                          MARK + "touch /run/offhook/slot-good")
        cuts.machine.wait("the installation", "cat /run/offhook/image",
                          lambda text: "update: installing" in text)

    def check(_said, seen):
        return f"slot {seen[0]}"
    cuts.put("update.raucb", path=bundle)
    cuts.put("allow-downgrade.txt", "x")
    return begin, check, None


def main():
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    image, wanted = sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 9
    bundle = re.sub(r"\.img(\.xz)?$", ".raucb", image)
    seed = int(os.environ.get("CUTS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    print(f"cuts: CUTS_SEED={seed}", flush=True)
    dice = random.Random(seed)
    work = tempfile.mkdtemp()
    cuts, done, began = None, 0, time.monotonic()

    def so_far():
        return f"({time.monotonic() - began:.0f} s)"

    kinds = [history, provisioning]
    if os.path.exists(bundle):
        kinds.append(lambda cuts: update(cuts, bundle))
    names = ["history", "provisioning", "update"]
    if len(kinds) == 2:
        print(f"SKIPPED: cuts in an update: there is no {bundle}")
    try:
        cuts = Cuts(image, work)
        for index, kind in enumerate(kinds):
            share = wanted // len(kinds) + (index < wanted % len(kinds))
            cuts.server.serial = 0
            cuts.fresh(cuts.served if names[index] == "provisioning" else cuts.plain)
            begin, check, ends = kind(cuts)
            base, state = cuts.begin(names[index], begin)
            longest = cuts.longest(base, state, ends)
            print(f"ok: {names[index]}: the write has begun; cuts within {longest:.1f} s",
                  so_far(), flush=True)
            for cut in range(share):
                # Each part of the time gets its share; where in it is left to the dice.
                seconds = longest * 1.05 * (cut + dice.random()) / share
                said = cuts.cut_once(base, state, seconds)
                try:
                    what = check(said, cuts.judged())
                except Lost:
                    print(f"FAIL: {names[index]}, cut {cut + 1}, "
                          f"{seconds:.2f} s after its beginning")
                    raise
                done += 1
                print(f"ok: {names[index]}, cut {cut + 1} of {share} after {seconds:.2f} s:",
                      what, so_far(), flush=True)
            os.remove(base)
            os.remove(state)
    except (Lost, ValueError, subprocess.CalledProcessError) as error:
        print(f"FAIL: {error} {getattr(error, 'stderr', '')}")
        print(f"{done} cuts passed, 1 failed")
        return 1
    finally:
        if cuts and cuts.machine.qemu and not cuts.machine.ended():
            cuts.machine.cut()
        shutil.rmtree(work)
    print(f"{done} cuts passed, 0 failed")
    return 0


sys.exit(main())
