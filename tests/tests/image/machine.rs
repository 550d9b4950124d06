//! One emulated board with its card: powered, watched, asked by a shell, and cut off.
//!
//! ```text
//! Machine::power ─▶ firmware.sh: slot ─▶ qemu-system-aarch64 ─▶ console.log
//!        shell() ◀─▶ virtio port (a shell that only the test image has)      hook, keys, bell, lamps: see `lines`
//!        cut(): the power, in the middle of whatever it does                 ended(): it reset itself
//! ```

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::process::{ChildProcess, TestDir};

use crate::card::{Card, built, root};

/// What is plugged in besides the card.
#[derive(Default, Clone)]
pub(crate) struct Plugs {
    /// Arguments of QEMU for sound; none: a card that hears silence.
    pub(crate) sound: Vec<String>,
    /// Environment of QEMU.
    pub(crate) env: Vec<(String, String)>,
    /// Name of a tap device; none: no network.
    pub(crate) tap: Option<String>,
    /// A reset starts the same kernel again inside QEMU, memory kept, instead of going through the
    /// firmware.
    pub(crate) warm_reset: bool,
    /// The handset lies beside the phone when it is switched on.
    pub(crate) lifted: bool,
    /// A disk with two simulated radios and an access point.
    pub(crate) wifi: bool,
    /// What its clock says when it is switched on; none: the right time.
    pub(crate) clock: Option<&'static str>,
}

/// A board.
pub(crate) struct Machine {
    pub(crate) card: Card,
    folder: PathBuf,
    plugs: Plugs,
    /// Words for the kernel's command line: what a hand does before anything runs.
    pub(crate) more_words: String,
    running: Option<Powered>,
    starts: u32,
}

struct Powered {
    qemu: ChildProcess,
    shell: Option<Shell>,
    since: Instant,
    console: PathBuf,
}

impl Machine {
    pub(crate) fn new(dir: &TestDir, name: &str, plugs: Plugs) -> Self {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            card: Card::new(&folder),
            folder,
            plugs,
            more_words: String::new(),
            running: None,
            starts: 0,
        }
    }

    /// Switches it on; the slot its firmware chose.
    pub(crate) fn power(&mut self) -> String {
        assert!(self.running.is_none(), "it is on");
        let firmware = self.folder.join("firmware");
        std::fs::create_dir_all(&firmware).unwrap();
        let output = Command::new(root().join("tests/image/firmware.sh"))
            .arg(&self.card.path)
            .arg(&firmware)
            .output()
            .expect("firmware.sh runs");
        assert!(
            output.status.success(),
            "the firmware finds nothing to boot: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let slot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let card = self.card.path.clone();
        self.start(&firmware, &card);
        slot
    }

    /// Starts what lies in a folder (kernel, initramfs, command line) with this disk.
    pub(crate) fn start(&mut self, firmware: &Path, disk: &Path) {
        self.starts += 1;
        let socket = |name: &str| self.folder.join(name);
        std::fs::remove_file(socket("shell")).ok();
        let mut cmdline = std::fs::read_to_string(firmware.join("cmdline.txt"))
            .unwrap()
            .trim()
            .to_owned();
        if self.plugs.lifted {
            cmdline += " offhook.lifted";
        }
        cmdline += &self.more_words;
        let mut command = Command::new("qemu-system-aarch64");
        command
            .args([
                "-M",
                "virt",
                "-cpu",
                "cortex-a53",
                "-smp",
                "1",
                "-m",
                "512",
                "-display",
                "none",
                "-nodefaults",
                "-accel",
                "tcg",
            ])
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(firmware.join("Image"))
            .arg("-initrd")
            .arg(firmware.join("initrd"))
            .args(["-append", &cmdline])
            .args([
                "-drive",
                &format!("if=none,id=card,format=raw,file={}", disk.display()),
            ])
            .args([
                "-device",
                "virtio-blk-device,drive=card",
                "-device",
                "i6300esb",
                "-device",
                "virtio-serial-device",
            ])
            .args([
                "-chardev",
                &format!(
                    "socket,id=shell,path={},server=on,wait=off",
                    socket("shell").display()
                ),
            ])
            .args([
                "-device",
                "virtserialport,chardev=shell,name=offhook-test",
                "-device",
                "intel-hda",
                "-device",
                "hda-duplex,audiodev=card,mixer=off",
            ]);
        if self.plugs.sound.is_empty() {
            command.args(["-audiodev", "none,id=card"]);
        } else {
            command.args(&self.plugs.sound);
        }
        if let Some(tap) = &self.plugs.tap {
            command.args([
                "-netdev",
                &format!("tap,id=network,ifname={tap},script=no,downscript=no"),
                "-device",
                "virtio-net-device,netdev=network",
                "-object",
                &format!(
                    "filter-dump,id=record,netdev=network,file={}",
                    self.wire_record().display()
                ),
            ]);
        }
        if self.plugs.wifi {
            command.args([
                "-drive",
                &format!(
                    "if=none,id=wifi,format=raw,readonly=on,file={}",
                    built("wifi.squashfs").display()
                ),
                "-device",
                "virtio-blk-pci,drive=wifi",
            ]);
        }
        if let Some(clock) = self.plugs.clock {
            command.args(["-rtc", &format!("base={clock}")]);
        }
        command.envs(self.plugs.env.iter().cloned());
        if !self.plugs.warm_reset {
            command.arg("-no-reboot");
        }
        let console = self.folder.join(format!("console-{}.log", self.starts));
        let since = Instant::now();
        let qemu = ChildProcess::start(&mut command, &console);
        self.running = Some(Powered {
            qemu,
            shell: None,
            since,
            console,
        });
    }

    /// What was on the network since the last start, as pcap.
    pub(crate) fn wire_record(&self) -> PathBuf {
        self.folder.join("network.pcap")
    }

    fn on(&mut self) -> &mut Powered {
        self.running.as_mut().expect("it is on")
    }

    /// Since it was switched on.
    pub(crate) fn since(&self) -> Instant {
        self.running.as_ref().expect("it is on").since
    }

    /// Pulls the plug.
    pub(crate) fn cut(&mut self) {
        self.on().qemu.kill();
        self.running = None;
    }

    /// True once it has reset itself (and would go through its firmware now).
    pub(crate) fn has_reset(&mut self) -> bool {
        let ended = self.on().qemu.has_ended();
        if ended {
            self.running = None;
        }
        ended
    }

    /// Waits until it resets itself.
    pub(crate) fn wait_reset(&mut self, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.on().qemu.has_ended() {
            assert!(
                Instant::now() < end,
                "no reset within {limit:?}:\n{}",
                self.console()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        self.running = None;
    }

    /// What the console said.
    pub(crate) fn console(&self) -> String {
        let log = self.running.as_ref().map(|on| on.console.clone());
        let log = log.unwrap_or_else(|| self.folder.join(format!("console-{}.log", self.starts)));
        std::fs::read_to_string(log).unwrap_or_default()
    }

    /// Runs a command inside; its output and exit code.
    pub(crate) fn ask(&mut self, command: &str, limit: Duration) -> Result<(String, i32), String> {
        let end = Instant::now() + limit;
        let path = self.folder.join("shell");
        let on = self.on();
        if on.shell.is_none() {
            on.shell = Some(Shell::open(&path, end)?);
        }
        on.shell.as_mut().expect("opened above").run(command, end)
    }

    /// The shell's other end has started again.
    pub(crate) fn forget_shell(&mut self) {
        self.on().shell = None;
    }

    /// Runs a command inside that must succeed within 30 s.
    pub(crate) fn shell(&mut self, command: &str) -> String {
        match self.ask(command, Duration::from_secs(30)) {
            Ok((text, 0)) => text,
            Ok((text, code)) => panic!("`{command}` ended with {code}:\n{text}"),
            Err(why) => panic!("`{command}`: {why}\n{}", self.console()),
        }
    }

    /// Runs a command inside that must succeed; `None` where the machine resets itself instead.
    pub(crate) fn shell_or_reset(&mut self, command: &str) -> Option<String> {
        let answer = self.ask(command, Duration::from_secs(30));
        match answer {
            Ok((text, 0)) => Some(text),
            // It may go down in the middle of the answer: it gets the time to be gone.
            other => {
                let end = Instant::now() + Duration::from_secs(20);
                while !self.has_reset() {
                    assert!(
                        Instant::now() < end,
                        "`{command}`: {other:?}\n{}",
                        self.console()
                    );
                    std::thread::sleep(Duration::from_millis(50));
                }
                None
            }
        }
    }

    /// Waits until the phone is idle; false when the machine resets itself instead.
    pub(crate) fn idle_or_reset(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            if self.has_reset() {
                return false;
            }
            let answer = self.ask("offhook ctl status", Duration::from_secs(5));
            if answer
                .as_ref()
                .is_ok_and(|(text, code)| *code == 0 && text.contains("\"state\":\"idle\""))
            {
                return true;
            }
            assert!(
                Instant::now() < end,
                "the phone is not idle within {limit:?}: {answer:?}\n{}",
                self.console()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until the shell answers: init has started everything.
    pub(crate) fn wait_up(&mut self, limit: Duration) {
        let answer = self.ask("true", limit);
        assert!(
            answer.is_ok(),
            "{answer:?}; it is not up within {limit:?}:\n{}",
            self.console()
        );
    }

    /// Waits until a command inside succeeds and its output satisfies `right`; its output.
    pub(crate) fn wait(
        &mut self,
        what: &str,
        command: &str,
        limit: Duration,
        right: impl Fn(&str) -> bool,
    ) -> String {
        let end = Instant::now() + limit;
        loop {
            // A question asked during a reset is lost: it is asked again.
            let answer = self.ask(command, Duration::from_secs(15));
            if let Ok((text, 0)) = &answer
                && right(text)
            {
                return text.clone();
            }
            if Instant::now() >= end {
                let log = self.ask(
                    "dmesg | tail -40; cat /run/offhook/image",
                    Duration::from_secs(10),
                );
                panic!(
                    "{what} did not come within {limit:?}: {answer:?}\n{}",
                    log.map_or_else(|why| why, |(text, _)| text)
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until no one writes to p1 any more.
    pub(crate) fn wait_card_closed(&mut self) {
        let mounts = "grep ' /boot/offhook ' /proc/mounts";
        self.wait("p1 read-only", mounts, Duration::from_secs(30), |text| {
            text.contains(" ro,")
        });
    }

    /// Waits until the phone answers on its control socket and its state is this one.
    pub(crate) fn wait_state(&mut self, state: &str, limit: Duration) -> serde_json::Value {
        let mark = format!("\"state\":\"{state}\"");
        let text = self.wait(
            &format!("state {state}"),
            "offhook ctl status",
            limit,
            |text| text.contains(&mark),
        );
        serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }
}

/// The shell on the virtio port.
struct Shell {
    stream: UnixStream,
    asked: u32,
}

impl Shell {
    fn open(path: &Path, end: Instant) -> Result<Self, String> {
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => return Ok(Self { stream, asked: 0 }),
                Err(error) if Instant::now() >= end => {
                    return Err(format!("{}: {error}", path.display()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn run(&mut self, command: &str, end: Instant) -> Result<(String, i32), String> {
        self.asked += 1;
        let mark = format!("<{}>", self.asked);
        // The mark is put together inside, so that an echo of the command is not taken for its end.
        writeln!(self.stream, "{command}\necho \"<\"{}\">$?.\"", self.asked)
            .map_err(|error| error.to_string())?;
        let mut text = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!(
                    "no answer in time, only {:?}",
                    String::from_utf8_lossy(&text)
                ));
            }
            self.stream
                .set_read_timeout(Some(left.min(Duration::from_millis(500))))
                .map_err(|error| error.to_string())?;
            let mut part = [0; 4096];
            match self.stream.read(&mut part) {
                Ok(0) => return Err("the machine went away".to_owned()),
                Ok(count) => text.extend_from_slice(&part[..count]),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error.to_string()),
            }
            let said = String::from_utf8_lossy(&text);
            if let Some((before, after)) = said.split_once(&mark)
                && let Some((code, _)) = after.split_once('.')
            {
                // An earlier question may have been answered late: only what came after it is ours.
                let earlier = format!("<{}>", self.asked - 1);
                let ours = before.rsplit_once(&earlier).map_or(before, |(_, rest)| {
                    rest.split_once('\n').map_or("", |(_, rest)| rest)
                });
                return Ok((
                    ours.replace('\r', ""),
                    code.parse().map_err(|_| format!("exit code {code:?}"))?,
                ));
            }
        }
    }
}
