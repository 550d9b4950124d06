//! The phone under test, driven by `ctl` exactly as a finger would.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{Place, Running, ports};

/// What of `offhook.toml` differs from test to test.
pub(crate) struct Setup {
    /// Codec names, best first.
    pub(crate) codecs: &'static str,
    /// What the microphone hears.
    pub(crate) microphone: Option<PathBuf>,
    /// Answers by itself.
    pub(crate) auto_answer: bool,
    /// `call.direct`: accepts calls from anyone, without a server.
    pub(crate) direct: Option<bool>,
    /// More lines of `[call]`.
    pub(crate) call: &'static str,
    /// More of the file, as text.
    pub(crate) more: String,
    /// Speed dial entries: key and address.
    pub(crate) speed: Vec<(String, String)>,
    /// `[board.audio]` devices instead of WAV files.
    pub(crate) devices: Option<(String, String)>,
    /// Environment of the process.
    pub(crate) env: Vec<(String, String)>,
    /// Address of its sockets.
    pub(crate) bind: String,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            codecs: "\"pcmu\"",
            microphone: None,
            auto_answer: false,
            direct: Some(true),
            call: "",
            more: String::new(),
            speed: vec![],
            devices: None,
            env: vec![],
            bind: "127.0.0.1".to_owned(),
        }
    }
}

/// A running `offhook run`.
pub(crate) struct Desk {
    pub(crate) sip_port: u16,
    pub(crate) rtp_ports: (u16, u16),
    socket: PathBuf,
    ear: PathBuf,
    process: Running,
}

/// The binary cargo built beside this test.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("offhook");
    assert!(
        path.exists(),
        "{} is missing: cargo build -p offhook",
        path.display()
    );
    path
}

impl Desk {
    pub(crate) fn start(place: &Place, name: &str, setup: Setup) -> Self {
        let dir = place.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let base = ports();
        let ear = dir.join("ear.wav");
        let socket = dir.join("ctl.sock");
        let capture = setup
            .microphone
            .as_ref()
            .map_or("silence".to_owned(), |path| {
                format!("wav:{}", path.display())
            });
        let (capture, playback) = setup
            .devices
            .clone()
            .unwrap_or((capture, format!("wav:{}", ear.display())));
        let mut text = format!(
            "[phone]\ncountry = \"de\"\n[network]\nbind = {:?}\nsip_port = {base}\nrtp_ports = [{}, {}]\n\
             [control]\nsocket = {socket:?}\nstate_dir = {:?}\n[board]\nprofile = \"sim\"\n[board.audio]\ncapture = {capture:?}\nplayback = {playback:?}\n\
             [codecs]\norder = [{}]\n",
            setup.bind,
            base + 10,
            base + 59,
            dir.join("state"),
            setup.codecs,
        );
        text.push_str("[call]\n");
        if let Some(direct) = setup.direct {
            text.push_str(&format!("direct = {direct}\n"));
        }
        if setup.auto_answer {
            text.push_str("auto_answer = 200\n");
        }
        text.push_str(setup.call);
        text.push_str("[dial.speed]\n");
        for (key, address) in &setup.speed {
            text.push_str(&format!("{key:?} = {address:?}\n"));
        }
        text.push_str(&setup.more);
        let config = dir.join("offhook.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(binary());
        command
            .arg("run")
            .arg("--config")
            .arg(&config)
            .envs(setup.env.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let process = Running::start(&mut command, &dir.join("log"));
        let desk = Self {
            sip_port: base,
            rtp_ports: (base + 10, base + 59),
            socket,
            ear,
            process,
        };
        let end = Instant::now() + Duration::from_secs(15);
        while UnixStream::connect(&desk.socket).is_err() {
            assert!(
                Instant::now() < end,
                "the phone does not start:\n{}",
                std::fs::read_to_string(dir.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        desk
    }

    /// The phone stands still for so long.
    pub(crate) fn stall(&self, time: Duration) {
        self.process.stall(time);
    }

    /// What the ear heard up to now, as a file of its own: taken before hanging up, so that the
    /// call is at its end.
    pub(crate) fn ear_now(&self) -> PathBuf {
        let copy = self.ear.with_file_name("ear-in-call.wav");
        std::fs::copy(&self.ear, &copy).expect("the ear is being recorded");
        copy
    }

    /// One request on the control socket.
    pub(crate) fn ctl(&self, request: &Value) -> Value {
        let mut stream = UnixStream::connect(&self.socket).expect("the control socket answers");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        writeln!(stream, "{request}").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{request} was answered by {line:?}: {error}"))
    }

    fn done(&self, request: &Value) {
        let reply = self.ctl(request);
        assert_eq!(reply["ok"], json!(true), "{request} → {reply}");
    }

    pub(crate) fn lift(&self) {
        self.done(&json!({"cmd": "lift"}));
    }

    pub(crate) fn hang_up(&self) {
        self.done(&json!({"cmd": "hang-up"}));
    }

    pub(crate) fn press(&self, keys: &str) {
        self.done(&json!({"cmd": "press", "keys": keys}));
    }

    pub(crate) fn status(&self) -> Value {
        self.ctl(&json!({"cmd": "status"}))
    }

    pub(crate) fn state(&self) -> String {
        self.status()["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until `status` satisfies `what`; panics with the last status after `limit`.
    pub(crate) fn wait(
        &self,
        what: &str,
        limit: Duration,
        satisfied: impl Fn(&Value) -> bool,
    ) -> Value {
        let end = Instant::now() + limit;
        loop {
            let status = self.status();
            if satisfied(&status) {
                return status;
            }
            assert!(
                Instant::now() < end,
                "{what} did not come within {limit:?}: {status:#}"
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    pub(crate) fn wait_state(&self, state: &str) -> Value {
        self.wait(
            &format!("state {state}"),
            Duration::from_secs(8),
            |status| status["state"] == *state,
        )
    }

    /// Lifts, hears dial tone, dials, and talks.
    pub(crate) fn call(&self, keys: &str) -> Value {
        self.lift();
        self.wait_state("dial_tone");
        self.press(keys);
        self.wait_state("talking")
    }

    /// Whatever happened before: the next lift gives dial tone, and hanging up ends it.
    pub(crate) fn assert_usable(&self) {
        if self.status()["hook"] == "off" {
            self.hang_up();
        }
        self.wait_state("idle");
        self.lift();
        self.wait_state("dial_tone");
        self.hang_up();
        self.wait_state("idle");
        assert_eq!(self.status()["calls"], json!([]), "a call is left over");
    }
}
