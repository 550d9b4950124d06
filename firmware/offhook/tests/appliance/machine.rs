//! A machine of one test: card, state directory, run directory, board; and the phone that runs on
//! it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use testkit::process::TestDir;

/// A card, a state directory, a run directory and a board of one test.
pub(crate) struct Machine(TestDir);

impl Machine {
    pub(crate) fn new(name: &str) -> Self {
        let path = TestDir::on_disk(&format!("appliance-{name}"));
        for part in ["card", "state", "run", "profiles/box"] {
            fs::create_dir_all(path.join(part)).unwrap();
        }
        let machine = Self(path);
        machine.hardware("");
        machine
    }

    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.0.join(part)
    }

    /// A board with silence for a sound card, and this.
    pub(crate) fn hardware(&self, more: &str) {
        self.hardware_of("silence", "null", more);
    }

    /// A board with this sound card, and this.
    pub(crate) fn hardware_of(&self, capture: &str, playback: &str, more: &str) {
        let text = format!(
            "name = \"A box\"\n[audio]\ncapture = \"{capture}\"\nplayback = \"{playback}\"\n{more}"
        );
        fs::write(self.path("profiles/box/hardware.toml"), text).unwrap();
    }

    /// `offhook.toml`: seven lines of paths, then this.
    pub(crate) fn card(&self, more: &str) {
        let port = testkit::process::free_port();
        let folder = self.0.display();
        let text = format!(
            "[control]\nsocket = \"{folder}/run/ctl.sock\"\nstate_dir = \"{folder}/state\"\n\
             [board]\nprofile_dir = \"{folder}/profiles\"\n\
             [network]\nbind = \"127.0.0.1\"\nsip_port = {port}\n{more}"
        );
        fs::write(self.path("card/offhook.toml"), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        command
            .args(arguments)
            .args(["--board", "box", "--card"])
            .arg(self.path("card"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    pub(crate) fn start(&self) -> Phone {
        let child = self
            .command(&["run"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let phone = Phone {
            child,
            socket: self.path("run/ctl.sock"),
        };
        until("the phone listens", || {
            UnixStream::connect(&phone.socket).is_ok()
        });
        phone
    }

    pub(crate) fn status_file(&self) -> String {
        fs::read_to_string(self.path("card/status.txt")).unwrap_or_default()
    }
}

/// A running phone, ended with its test.
pub(crate) struct Phone {
    pub(crate) child: Child,
    pub(crate) socket: PathBuf,
}

impl Phone {
    pub(crate) fn ask(&self, request: &str) -> serde_json::Value {
        ask(&self.socket, request)
    }

    /// Asks what the phone will not live to answer.
    pub(crate) fn send(&self, request: &str) {
        UnixStream::connect(&self.socket)
            .unwrap()
            .write_all(format!("{request}\n").as_bytes())
            .unwrap();
    }

    pub(crate) fn exit_code(&mut self) -> i32 {
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

pub(crate) fn ask(socket: &Path, request: &str) -> serde_json::Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
