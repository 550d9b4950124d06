//! The phone as an appliance, from outside: the card it reads, the status it writes back, the system's files, the watchdog, the reset.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may end so.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A card, a state directory, a run directory and a board of one test.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("offhook-appliance-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for part in ["card", "state", "run", "profiles/box"] {
            fs::create_dir_all(path.join(part)).unwrap();
        }
        let machine = Self(path);
        machine.hardware("");
        machine
    }

    fn path(&self, part: &str) -> PathBuf {
        self.0.join(part)
    }

    /// A board with silence for a sound card, and this.
    fn hardware(&self, more: &str) {
        let text = format!("name = \"A box\"\n[audio]\ncapture = \"silence\"\nplayback = \"null\"\n{more}");
        fs::write(self.path("profiles/box/hardware.toml"), text).unwrap();
    }

    /// `offhook.toml`: seven lines about places, then this.
    fn card(&self, more: &str) {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = self.0.display();
        let text = format!(
            "[control]\nsocket = \"{folder}/run/ctl.sock\"\nstate_dir = \"{folder}/state\"\n[board]\nprofile_dir = \"{folder}/profiles\"\n\
             [network]\nbind = \"127.0.0.1\"\nsip_port = {port}\n{more}"
        );
        fs::write(self.path("card/offhook.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        command
            .args(arguments)
            .args(["--board", "box", "--card"])
            .arg(self.path("card"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    fn start(&self) -> Phone {
        let child = self.command(&["run"]).stderr(Stdio::null()).spawn().unwrap();
        let phone = Phone {
            child,
            socket: self.path("run/ctl.sock"),
        };
        until("the phone listens", || UnixStream::connect(&phone.socket).is_ok());
        phone
    }

    fn status_file(&self) -> String {
        fs::read_to_string(self.path("card/status.txt")).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running phone, ended with its test.
struct Phone {
    child: Child,
    socket: PathBuf,
}

impl Phone {
    fn ask(&self, request: &str) -> serde_json::Value {
        ask(&self.socket, request)
    }

    fn exit_code(&mut self) -> i32 {
        let mut code = None;
        until("the phone ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(socket: &Path, request: &str) -> serde_json::Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bad_card_is_told_on_the_card_and_the_last_good_one_is_in_use() {
    let machine = Machine::new("bad-card");
    machine.card("[phone]\nuser = \"good\"\n");
    let mut phone = machine.start();
    assert!(phone.ask(r#"{"cmd":"status"}"#).get("config").is_none());
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);

    machine.card("[phone]\nusr = \"bad\"\n[[account]]\nuser = \"101\"\ndomain = \"pbx\"\npassword = \"hunter2\"\n");
    let phone = machine.start();
    let config = phone.ask(r#"{"cmd":"status"}"#)["config"].as_str().unwrap().to_owned();
    assert!(config.contains("last good") && config.contains("offhook.toml:10:1: "), "{config}");
    until("status.txt", || machine.status_file().contains("Errors:"));
    let text = machine.status_file();
    assert!(
        text.contains("offhook.toml, line 10, column 1: there is no key `usr` in `phone`"),
        "{text}"
    );
    assert!(text.contains("mend: did you mean `user`?") && !text.contains("hunter2"), "{text}");
    assert!(
        text.starts_with(concat!("Offhook ", env!("CARGO_PKG_VERSION"), " on box\n")),
        "{text}"
    );
}

#[test]
fn the_systems_files_come_from_the_same_decision() {
    let machine = Machine::new("emit");
    machine.card("host_name = \"kitchen\"\n[wifi]\nssid = \"Home\"\npassword = \"hunter2hunter2\"\n");
    let emit = machine.path("run/system");
    let run = || machine.command(&["provision", "--emit", emit.to_str().unwrap()]).output().unwrap();
    let output = run();
    assert!(output.status.success() && words(&output).is_empty(), "{}", words(&output));
    assert_eq!(fs::read_to_string(emit.join("hostname")).unwrap(), "kitchen\n");
    assert!(
        fs::read_to_string(emit.join("wpa_supplicant.conf"))
            .unwrap()
            .contains("hunter2hunter2")
    );
    assert!(!machine.path("state/last-good.toml").exists(), "only the phone keeps");
    // What a shell makes of it.
    let sourced = Command::new("sh")
        .args(["-c", ". ./network.env; printf %s \"$HOST_NAME $INTERFACE $IPV4\""])
        .current_dir(&emit)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&sourced.stdout), "kitchen wlan0 dhcp");
    machine.card("host_nam = \"kitchen\"\n");
    let output = run();
    assert!(
        output.status.success() && words(&output).contains("offhook.toml:9:1: "),
        "{}",
        words(&output)
    );
    assert_eq!(fs::read_to_string(emit.join("hostname")).unwrap(), "offhook\n");
}

#[test]
fn a_file_on_the_card_makes_the_phone_forget_and_ask_for_a_reboot() {
    let machine = Machine::new("reset");
    machine.card("[[account]]\nuser = \"101\"\ndomain = \"pbx\"\npassword = \"hunter2\"\n");
    fs::write(machine.path("state/last-good.toml"), "password = \"hunter2\"").unwrap();
    fs::write(machine.path("card/factory-reset.txt"), "").unwrap();
    let output = machine.command(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(11), "{}", words(&output));
    assert!(fs::read_dir(machine.path("state")).unwrap().next().is_none());
    let card = fs::read_to_string(machine.path("card/offhook.toml")).unwrap();
    assert!(!card.contains("hunter2") && card.contains("#[[account]]"));
    assert!(!machine.path("card/factory-reset.txt").exists());
}

#[test]
fn the_watchdog_is_fed_while_the_phone_lives_and_disarmed_when_it_quits() {
    let machine = Machine::new("watchdog");
    let device = machine.path("run/dog");
    fs::write(&device, "").unwrap();
    machine.hardware(&format!("[watchdog]\ndevice = \"{}\"\n", device.display()));
    machine.card("");
    let fed = || fs::read(&device).unwrap();
    let mut phone = machine.start();
    until("meals", || fed().len() > 4);
    assert!(fed().iter().all(|byte| *byte == 0));
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
    assert_eq!(fed().last(), Some(&b'V'), "the magic close");
    // Killed, it leaves the dog hungry and armed.
    fs::write(&device, "").unwrap();
    let mut phone = machine.start();
    until("meals", || fed().len() > 4);
    phone.child.kill().unwrap();
    phone.child.wait().unwrap();
    assert!(fed().iter().all(|byte| *byte == 0));
}
