//! The phones under test, each started as its user would, on the same card.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use media::Codec;
use serde_json::{Value, json};

use crate::callgrind::Counting;
use crate::command::{baresip, linphone, offhook, pjsua};
use crate::process::ChildProcess;

/// Which phone: the columns of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Offhook,
    Baresip,
    Pjsua,
    /// linphonec.
    Linphone,
}

/// How it is started.
pub(crate) struct PhoneOptions<'a> {
    pub(crate) kind: Kind,
    pub(crate) codec: Codec,
    /// Answers by itself; else it rings.
    pub(crate) answers: bool,
    /// Registers here.
    pub(crate) registrar: Option<SocketAddr>,
    /// Encrypted by SDES, or no call.
    pub(crate) encrypted: bool,
    /// Preloaded library, and the file it writes.
    pub(crate) counting: Option<(&'a Path, &'a Path)>,
    /// What pjsua's microphone says (others hear the card).
    pub(crate) microphone: Option<&'a Path>,
    /// The one rate in Hz that its card can do; `None`: the card that can do every rate.
    pub(crate) card_hz: Option<u32>,
    /// The ALSA configuration of a sound server (`mic`, `ear`) in the place of a card.
    pub(crate) sound_server: Option<&'a Path>,
    /// Offhook's period in ms; `None`: its own choice with a simulated board. (Others choose
    /// 20 ms.)
    pub(crate) period_ms: Option<u32>,
    /// Counts user instructions (callgrind) once asked to, see [`Counting`].
    pub(crate) instructions: Option<&'a Counting>,
}

/// Time on the hook before a call.
const REST: Duration = Duration::from_secs(10);

/// A phone that runs.
pub(crate) struct Subject {
    pub(crate) sip: SocketAddr,
    pub(crate) process: ChildProcess,
    /// When it was started.
    pub(crate) began: Instant,
    /// pjsua's ear.
    pub(crate) ear: PathBuf,
    hand: Hand,
}

/// How it gets what a person would press.
pub(crate) enum Hand {
    Ctl(PathBuf),
    Netstring(u16),
    None,
}

/// The release binary: what is measured is what ships.
pub(crate) fn binary() -> PathBuf {
    released("offhook")
}

/// A program that scripts/bench built in the release profile.
pub(crate) fn released(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let path = target.join("release").join(name);
    assert!(
        path.exists(),
        "{} is missing: scripts/bench builds it",
        path.display()
    );
    path
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Offhook, Kind::Baresip, Kind::Pjsua, Kind::Linphone];

    /// Why this phone cannot be measured here.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Kind::Offhook => None,
            Kind::Baresip => Command::new("baresip")
                .arg("-h")
                .output()
                .err()
                .map(|error| format!("baresip: {error}")),
            Kind::Linphone => Command::new("linphonec")
                .arg("-v")
                .output()
                .err()
                .map(|error| format!("linphonec: {error}")),
            Kind::Pjsua => (python().is_none() || !has_module("pjsua2"))
                .then(|| "no Python module pjsua2 in the bench's environment".into()),
        }
    }
}

/// The interpreter of the environment that scripts/bench made.
pub(crate) fn python() -> Option<PathBuf> {
    std::env::var_os("OFFHOOK_BENCH_PYTHON")
        .map(PathBuf::from)
        .filter(|path| path.exists())
}

/// Whether it has a module.
pub(crate) fn has_module(name: &str) -> bool {
    python().is_some_and(|python| {
        Command::new(python)
            .args(["-c", &format!("import {name}")])
            .output()
            .is_ok_and(|done| done.status.success())
    })
}

impl Subject {
    /// Starts it and returns at once.
    pub(crate) fn start(folder: &Path, options: &PhoneOptions<'_>) -> Option<Self> {
        let dir = folder.join(format!(
            "{:?}-{}",
            options.kind,
            testkit::process::free_port()
        ));
        std::fs::create_dir_all(&dir).unwrap();
        let port = testkit::process::free_port();
        let ear = dir.join("ear.wav");
        let (mut command, hand) = match options.kind {
            Kind::Offhook => offhook(&dir, port, options),
            Kind::Baresip => baresip(&dir, port, options),
            Kind::Pjsua => (pjsua(port, options, &ear)?, Hand::None),
            Kind::Linphone => (linphone(&dir, port, options)?, Hand::None),
        };
        if let Some(config) = options
            .sound_server
            .filter(|_| options.kind != Kind::Linphone)
        {
            command.env("ALSA_CONFIG_PATH", config);
        }
        if let Some((library, file)) = options.counting {
            command.env("LD_PRELOAD", library).env("COUNTING", file);
        }
        if let Some(counting) = options.instructions {
            counting.clear();
            command = counting.command(&command);
        }
        let began = Instant::now();
        let log = dir.join("log");
        // linphonec ends with its standard input.
        let stdin = match options.kind {
            Kind::Linphone => Stdio::piped(),
            Kind::Offhook | Kind::Baresip | Kind::Pjsua => Stdio::null(),
        };
        let process = ChildProcess::start(&mut command, stdin, &log)?;
        Some(Self {
            sip: SocketAddr::from(([127, 0, 0, 1], port)),
            process,
            began,
            ear,
            hand,
        })
    }

    /// Waits until it takes calls.
    pub(crate) fn ready(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            let there = match &self.hand {
                Hand::Ctl(socket) => UnixStream::connect(socket).is_ok(),
                Hand::Netstring(port) => TcpStream::connect(("127.0.0.1", *port)).is_ok(),
                Hand::None => UdpSocket::bind(self.sip).is_err(),
            };
            if there {
                // Sound cards take a moment.
                std::thread::sleep(Duration::from_millis(700));
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// [`ready`](Self::ready), and on the hook for a while: phones have been on for long when they
    /// are called, and what a start takes is over.
    pub(crate) fn rested(&self) {
        self.ready();
        std::thread::sleep(REST);
    }

    /// A request on Offhook's control socket.
    pub(crate) fn ctl(&self, request: &Value) -> Option<Value> {
        let Hand::Ctl(socket) = &self.hand else {
            return None;
        };
        let mut stream = UnixStream::connect(socket).ok()?;
        writeln!(stream, "{request}").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Answers a ringing call, as a hand would; when.
    pub(crate) fn lift(&self) -> Instant {
        self.command(&json!({"cmd": "lift"}), "accept")
    }

    /// Hangs up; when.
    pub(crate) fn hang_up(&self) -> Instant {
        self.command(&json!({"cmd": "hang-up"}), "hangup")
    }

    fn command(&self, ours: &Value, theirs: &str) -> Instant {
        match &self.hand {
            Hand::Ctl(_) => {
                let at = Instant::now();
                self.ctl(ours);
                at
            }
            Hand::Netstring(port) => {
                let mut stream = TcpStream::connect(("127.0.0.1", *port)).unwrap();
                std::thread::sleep(Duration::from_millis(50));
                let text = json!({"command": theirs, "params": "", "token": "t"}).to_string();
                let at = Instant::now();
                stream
                    .write_all(format!("{}:{text},", text.len()).as_bytes())
                    .unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_millis(300)))
                    .unwrap();
                // It answers, or it does not: the wire shows.
                let mut answer = [0; 16];
                stream.read_exact(&mut answer).ok();
                at
            }
            Hand::None => Instant::now(),
        }
    }
}
