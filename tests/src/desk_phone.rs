//! The phone under test: the unmodified binary as a process, driven by its control socket.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use testkit::process::{ChildProcess, TestDir, port_block};

/// What of `offhook.toml` differs from test to test.
pub struct Setup {
    /// Codec names, best first.
    pub codecs: &'static str,
    /// What the microphone hears.
    pub microphone: Option<PathBuf>,
    /// Answers by itself.
    pub auto_answer: bool,
    /// `call.direct`: accepts calls from anyone, without a server.
    pub direct: Option<bool>,
    /// More lines of `[call]`.
    pub call: &'static str,
    /// More of the file, as text.
    pub more: String,
    /// Speed dial entries: key and address.
    pub speed: Vec<(String, String)>,
    /// `[board.audio]` devices instead of WAV files.
    pub devices: Option<(String, String)>,
    /// More lines of `[board.audio]`.
    pub card: &'static str,
    /// It gives up every right that it does not need (`--confine`).
    pub confined: bool,
    /// More lines by section, also of those that are there already.
    pub sections: BTreeMap<String, String>,
    /// Environment of the process.
    pub env: Vec<(String, String)>,
    /// Address of its sockets.
    pub bind: String,
    /// Runs the program, where it is to run in another network; else directly.
    pub command: Option<Command>,
    /// Lines of `[network]`.
    pub network: &'static str,
    /// Its SIP port, where another one must know it before; else a free one.
    pub sip_port: Option<u16>,
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
            card: "",
            confined: false,
            sections: BTreeMap::new(),
            env: vec![],
            bind: "127.0.0.1".to_owned(),
            command: None,
            network: "",
            sip_port: None,
        }
    }
}

/// A running `offhook run`.
pub struct DeskPhone {
    /// Its UDP and TCP port for SIP.
    pub sip_port: u16,
    /// First and last of its media ports.
    pub rtp_ports: (u16, u16),
    socket: PathBuf,
    ear: PathBuf,
    process: ChildProcess,
}

/// The binary cargo built beside this test.
pub fn binary() -> PathBuf {
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

impl DeskPhone {
    /// Its control socket.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    /// Starts it with its files in `dir/name` and waits until its control socket answers.
    pub fn start(dir: &TestDir, name: &str, setup: Setup) -> Self {
        let dir = dir.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let base = port_block();
        let sip_port = setup.sip_port.unwrap_or(base);
        // A phone without its rights writes to its state directory and to /tmp only.
        let ear = if setup.confined {
            std::fs::create_dir(dir.join("state")).unwrap();
            dir.join("state/ear.wav")
        } else {
            dir.join("ear.wav")
        };
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
        let mut sections = setup.sections;
        let mut own = |section: &str| sections.remove(section).unwrap_or_default();
        let (phone, board) = (own("phone"), own("board"));
        let mut text = format!(
            "[phone]\ncountry = \"de\"\n{phone}[network]\nbind = {:?}\nsip_port = {sip_port}\n\
             rtp_ports = [{}, {}]\n{}\
             [control]\nsocket = \"{}\"\nstate_dir = \"{}\"\n[board]\nprofile = \"sim\"\n{board}\
             [board.audio]\ncapture = {capture:?}\nplayback = {playback:?}\n{}\
             [codecs]\norder = [{}]\n",
            setup.bind,
            base + 10,
            base + 59,
            setup.network,
            socket.display(),
            dir.join("state").display(),
            setup.card,
            setup.codecs,
        );
        text.push_str("[call]\n");
        if let Some(direct) = setup.direct {
            let _ = writeln!(text, "direct = {direct}");
        }
        if setup.auto_answer {
            text.push_str("auto_answer = 200\n");
        }
        text.push_str(setup.call);
        text.push_str(&own("call"));
        text.push_str("[dial.speed]\n");
        for (key, address) in &setup.speed {
            let _ = writeln!(text, "{key:?} = {address:?}");
        }
        text.push_str(&own("dial.speed"));
        for (section, lines) in &sections {
            let _ = writeln!(text, "[{section}]\n{lines}");
        }
        text.push_str(&setup.more);
        let config = dir.join("offhook.toml");
        std::fs::write(&config, text).unwrap();
        let mut command = setup.command.unwrap_or_else(|| Command::new(binary()));
        command
            .arg("run")
            .arg("--config")
            .arg(&config)
            .args(setup.confined.then_some("--confine"))
            .envs(setup.env.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let process = ChildProcess::start(&mut command, &dir.join("log"));
        let desk = Self {
            sip_port,
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
        // The socket is there before the SIP ports are; an answer comes from the running loop.
        desk.status();
        desk
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The phone stands still for so long.
    pub fn stall(&self, time: Duration) {
        self.process.stall(time);
    }

    /// How long its threads have run on a processor.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    /// Ends it as `systemctl stop` does; its exit code, or `None` when it had to be killed.
    pub fn terminate(&mut self) -> Option<i32> {
        self.process.terminate(Duration::from_secs(10))
    }

    /// What the ear heard up to now, as a file of its own: taken before hanging up, so that the
    /// call is at its end.
    pub fn ear_now(&self) -> PathBuf {
        let copy = self.ear.with_file_name("ear-in-call.wav");
        std::fs::copy(&self.ear, &copy).expect("the ear is being recorded");
        copy
    }

    /// What it wrote into its log so far.
    pub fn log(&self) -> String {
        let folder = self.socket.parent().unwrap();
        std::fs::read_to_string(folder.join("log")).unwrap_or_default()
    }

    /// One request on the control socket.
    pub fn ctl(&self, request: &Value) -> Value {
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

    /// Lifts the handset.
    pub fn lift(&self) {
        self.done(&json!({"cmd": "lift"}));
    }

    /// Puts the handset back.
    pub fn hang_up(&self) {
        self.done(&json!({"cmd": "hang-up"}));
    }

    /// Presses these keys.
    pub fn press(&self, keys: &str) {
        self.done(&json!({"cmd": "press", "keys": keys}));
    }

    /// The status as JSON.
    pub fn status(&self) -> Value {
        self.ctl(&json!({"cmd": "status"}))
    }

    /// The state in the status.
    pub fn state(&self) -> String {
        self.status()["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until `status` satisfies `what`; panics with the last status after `limit`.
    pub fn wait(&self, what: &str, limit: Duration, satisfied: impl Fn(&Value) -> bool) -> Value {
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

    /// Waits for a state.
    pub fn wait_state(&self, state: &str) -> Value {
        self.wait(
            &format!("state {state}"),
            Duration::from_secs(8),
            |status| status["state"] == *state,
        )
    }

    /// It has one call, in which a second of sound comes within `limit`; the status after that.
    pub fn hears(&self, limit: Duration) -> Value {
        let received = |status: &Value| status["calls"][0]["rtp"]["received"].as_u64();
        let before = received(&self.status()).unwrap_or_default();
        self.wait("packets in its one call", limit, |status| {
            let calls = status["calls"].as_array();
            calls.is_some_and(|calls| calls.len() == 1) && received(status) > Some(before + 50)
        })
    }

    /// Nothing is left of its calls, however its handset lies.
    pub fn no_call_left(&self) {
        self.wait("no call left", Duration::from_secs(8), |status| {
            status["calls"].as_array().is_some_and(Vec::is_empty)
        });
    }

    /// Lifts, hears dial tone, dials, and talks.
    pub fn call(&self, keys: &str) -> Value {
        self.lift();
        self.wait_state("dial_tone");
        self.press(keys);
        self.wait_state("talking")
    }

    /// Whatever happened before: the next lift gives dial tone, and hanging up ends it.
    pub fn assert_usable(&self) {
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
