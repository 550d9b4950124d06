//! The binary from outside: exit codes, messages, the control socket's habits. No call is made
//! here; `tests/` does that.
//!
//! Wall clock: the phone is a process of its own.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod socket;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::process::TestDir;

fn offhook(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offhook"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> (i32, String, String) {
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The configuration and the files of one test.
struct Folder(TestDir);

impl Folder {
    fn new(name: &str) -> Self {
        Self(TestDir::new(&format!("cli-{name}")))
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn socket(&self) -> String {
        self.0.join("ctl.sock").display().to_string()
    }

    fn config(&self, port: u16, extra: &str) -> String {
        let folder = self.0.display();
        self.file(
            "offhook.toml",
            &format!(
                "[network]\nbind = \"127.0.0.1\"\nsip_port = {port}\nrtp_ports = [42300, 42399]\n\
                 [control]\nsocket = \"{folder}/ctl.sock\"\nstate_dir = \"{folder}/state\"\n\
                 [board.audio]\ncapture = \"silence\"\nplayback = \"null\"\n{extra}"
            ),
        )
    }
}

/// A running phone, ended with its test.
struct Phone(Child);

impl Phone {
    fn start(config: &str, socket: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_offhook"))
            .args(["run", "--board", "sim", "--config", config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut phone = Self(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(socket).is_err() {
            if Instant::now() > deadline || phone.0.try_wait().unwrap().is_some() {
                phone.0.kill().unwrap();
                panic!("the phone does not listen: {:?}", phone.ended());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        phone
    }

    /// Waits for its end.
    fn ended(&mut self) -> (i32, String) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                let mut words = String::new();
                self.0
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut words)
                    .unwrap();
                return (status.code().unwrap_or(-1), words);
            }
            assert!(Instant::now() < deadline, "the phone does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(socket: &str, request: &str) -> Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn the_command_line_explains_itself() {
    let (code, out, _) = said(&offhook(&["help"]));
    assert_eq!(code, 0);
    for command in [
        "run",
        "sim",
        "echo",
        "provision",
        "check",
        "ctl",
        "graph",
        "demo",
    ] {
        assert!(
            out.contains(&format!("offhook {command}")),
            "no example of {command}"
        );
    }
    let (code, out, _) = said(&offhook(&["--version"]));
    assert_eq!(
        (code, out.trim()),
        (0, concat!("offhook ", env!("CARGO_PKG_VERSION")))
    );
    let (code, out, err) = said(&offhook(&["dial"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("`dial` is not a command") && err.contains("offhook help"),
        "{err}"
    );
    assert_eq!(said(&offhook(&[])).0, 2);
}

#[test]
fn check_finds_two_purposes_of_one_line() {
    let folder = Folder::new("wiring");
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../board/profiles");
    let file = |wiring: &str| {
        let text = format!(
            "[board]\nprofile = \"rpi4\"\nprofile_dir = \"{}\"\n{wiring}",
            profiles.display()
        );
        folder.file("wiring.toml", &text)
    };
    let moved = file("[hardware.hook]\nline = 17\ncontact = \"normally-closed\"\n");
    assert_eq!(said(&offhook(&["check", &moved])).0, 0);
    let twice = file("[hardware.hook]\ndebounce_ms = 80\nline = 22\n");
    let (code, _, err) = said(&offhook(&["check", &twice]));
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("wiring.toml:6:1: [hardware.hook] `line`: line 22 of [ringer] is used by"),
        "{err}"
    );
    let (_, out, _) = said(&offhook(&["check", "--json", &twice]));
    let errors: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(errors["errors"][0]["line"], 6);
}

/// Where no board is named, what is wired is right by itself: an image's own board is meant.
#[test]
fn check_takes_wiring_without_a_board() {
    let folder = Folder::new("wiring-alone");
    // Nor does it matter whether a phone runs on this computer.
    let text = format!(
        "[hardware.hook]\ncontact = \"normally-closed\"\n[control]\nsocket = \"{}\"\n",
        folder.socket()
    );
    let file = folder.file("alone.toml", &text);
    let (code, out, err) = said(&offhook(&["check", &file]));
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("no errors") && err.contains("is not compared with one"),
        "{err}"
    );
    let (code, out, err) = said(&offhook(&["check", "--try", &file]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("! board: sim, this computer's stand-in"),
        "{out}"
    );
    assert!(
        out.contains("! sound card: silence, this computer's stand-in"),
        "{out}"
    );
}

/// A computer is no Raspberry Pi, and need not know the profiles' folder.
#[test]
fn check_leaves_another_machines_board_to_that_machine() {
    let model = fs::read_to_string("/proc/device-tree/model").unwrap_or_default();
    if model.contains("Raspberry Pi") {
        let why = "this is a Raspberry Pi";
        return testkit::skip::skipped("command_line: another machine's board", why);
    }
    let folder = Folder::new("another-board");
    let file = folder.file("board.toml", "[board]\nprofile = \"rpi4\"\n");
    let (code, out, err) = said(&offhook(&["check", "--try", &file]));
    assert_eq!(code, 0, "{out}{err}");
    let line = "! board rpi4: not tried, this is not that board; the phone tries it itself\n";
    assert!(out.starts_with(line) && !out.contains('✗'), "{out}");
}

/// Without a terminal no country is made up.
#[test]
fn setup_without_a_terminal_wants_a_country() {
    let folder = Folder::new("setup-country");
    let password = folder.file("password.txt", "secret\n");
    let output = password.replace("password.txt", "a.toml");
    let arguments = [
        "setup",
        "--no-try",
        "--output",
        &output,
        "--provider",
        "kamailio",
        "--server",
        "pbx.example.org",
        "--user",
        "101",
        "--password-file",
        &password,
    ];
    let (code, _, err) = said(&offhook(&arguments));
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("--country is missing") && !Path::new(&output).exists(),
        "{err}"
    );
    let arguments = [&arguments[..], &["--country", "nz"]].concat();
    let (code, out, err) = said(&offhook(&arguments));
    assert_eq!(code, 0, "{out}{err}");
    let written = fs::read_to_string(&output).unwrap();
    assert!(written.contains("country = \"nz\"\n"), "{written}");
    let first = written.lines().next().unwrap();
    assert!(
        first.ends_with(&format!("offhook check {output} --try")),
        "{first}"
    );
}

#[test]
fn check_names_every_error_with_its_place() {
    let folder = Folder::new("check");
    let good = folder.file("good.toml", "[phone]\ncountry = \"de\"\n");
    assert_eq!(said(&offhook(&["check", &good])).0, 0);
    let bad = folder.file(
        "bad.toml",
        "[phone]\ncuontry = \"de\"\n[network]\nsip_port = 99999\n",
    );
    let (code, _, err) = said(&offhook(&["check", &bad]));
    assert_eq!(code, 1);
    assert!(
        err.contains(&format!("{bad}:2:1: ")) && err.contains(&format!("{bad}:4:")),
        "{err}"
    );
    assert!(
        err.lines().all(|line| line.contains(';')),
        "an error without its help: {err}"
    );
    let (code, _, err) = said(&offhook(&["check", "/nowhere/x.toml"]));
    assert_eq!(code, 1);
    assert!(err.contains("/nowhere/x.toml"), "{err}");
}

#[test]
fn a_phone_that_is_not_there_is_named() {
    for verb in ["status", "events", "quit"] {
        let (code, _, err) = said(&offhook(&["ctl", "--socket", "/nowhere/ctl.sock", verb]));
        assert_eq!(code, 1, "{verb}");
        assert!(
            err.contains("/nowhere/ctl.sock") && err.contains("offhook run"),
            "{err}"
        );
    }
    assert_eq!(
        said(&offhook(&["graph", "--socket", "/nowhere/ctl.sock"])).0,
        1
    );
}

#[test]
fn a_signal_ends_the_phone_in_order() {
    let folder = Folder::new("signal");
    let socket = folder.socket();
    let mut phone = Phone::start(&folder.config(testkit::process::free_port(), ""), &socket);
    ask(&socket, r#"{"cmd":"lift"}"#);
    let kill = Command::new("kill")
        .args(["-TERM", &phone.0.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    assert_eq!(phone.ended().0, 0);
    assert!(!Path::new(&socket).exists());
}

#[test]
fn a_typing_mistake_leaves_the_last_good_configuration_in_use() {
    let folder = Folder::new("lastgood");
    let socket = folder.socket();
    let port = testkit::process::free_port();
    let config = folder.config(port, "");
    let mut phone = Phone::start(&config, &socket);
    assert!(ask(&socket, r#"{"cmd":"status"}"#).get("config").is_none());
    ask(&socket, r#"{"cmd":"quit"}"#);
    phone.ended();
    folder.config(port, "[phone]\ncuontry = \"de\"\n");
    let mut phone = Phone::start(&config, &socket);
    let note = ask(&socket, r#"{"cmd":"status"}"#)["config"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        note.contains("last good") && note.contains("cuontry"),
        "{note}"
    );
    ask(&socket, r#"{"cmd":"quit"}"#);
    let (code, words) = phone.ended();
    assert_eq!(code, 0);
    assert!(words.contains("cuontry"), "{words}");
}

#[test]
fn bad_input_is_one_clear_error() {
    let folder = Folder::new("bad");
    let noise = folder.file("noise.wav", "this is no sound");
    let missing = folder.config(testkit::process::free_port(), "");
    let board = said(&offhook(&[
        "run",
        "--config",
        &missing,
        "--board",
        "no-such-board",
    ]));
    assert_eq!(board.0, 1);
    assert!(board.2.contains("no-such-board"), "{}", board.2);
    let (code, _, err) = said(&offhook(&["run", "--config", "/nowhere.toml"]));
    assert!(code == 1 && err.contains("/nowhere.toml"), "{err}");
    let (code, _, err) = said(&offhook(&["demo", "--speech", &noise]));
    assert!(
        code == 1 && err.contains("noise.wav") && err.contains(';'),
        "{err}"
    );
    let (code, _, err) = said(&offhook(&["sim"]));
    assert!(code == 1 && err.contains("--headless"), "{err}");
}

#[test]
fn a_phone_without_its_card_runs_and_says_so() {
    let folder = Folder::new("nocard");
    let socket = folder.socket();
    let text = fs::read_to_string(folder.config(testkit::process::free_port(), "")).unwrap();
    let missing = folder.0.join("mic.wav");
    let config = folder.file(
        "offhook.toml",
        &text.replace("silence", &format!("wav:{}", missing.display())),
    );
    let mut phone = Phone::start(&config, &socket);
    let status = ask(&socket, r#"{"cmd":"status"}"#);
    let device = status["audio"]["device"].as_str().unwrap();
    assert!(
        device.starts_with("none") && device.contains("mic.wav"),
        "{status}"
    );
    assert_eq!(ask(&socket, r#"{"cmd":"lift"}"#), json!({"ok": true}));
    // The card is plugged in.
    let header = b"RIFF\x24\0\0\0WAVEfmt \
                   \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\0\0";
    fs::write(&missing, header).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while ask(&socket, r#"{"cmd":"status"}"#)["audio"]["device"]
        .as_str()
        .unwrap()
        .starts_with("none")
    {
        assert!(Instant::now() < deadline, "the card was not found again");
        std::thread::sleep(Duration::from_millis(20));
    }
    ask(&socket, r#"{"cmd":"quit"}"#);
    assert_eq!(phone.ended().0, 0);
}
