//! The phones under test, each started as its user would, on the same card.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use media::Codec;
use serde_json::{Value, json};

use crate::callgrind::Counting;
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
enum Hand {
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

fn codec_names(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::Opus => ("opus", "opus/48000/2"),
        Codec::G722 => ("g722", "G722/16000/1"),
        Codec::Pcmu => ("pcmu", "PCMU/8000/1"),
        Codec::Pcma => ("pcma", "PCMA/8000/1"),
    }
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

fn offhook(dir: &Path, port: u16, options: &PhoneOptions<'_>) -> (Command, Hand) {
    let socket = dir.join("ctl.sock");
    let (codec, first) = (codec_names(options.codec).0, (port | 1).saturating_add(1));
    let (capture, playback) = cards("phone", options);
    let period = options
        .period_ms
        .map_or_else(String::new, |ms| format!("period_ms = {ms}\n"));
    let mut text = format!(
        "[phone]\ncountry = \"de\"\n[network]\nbind = \"127.0.0.1\"\nsip_port = {port}\n\
         rtp_ports = [{first}, {}]\n\
         [control]\nsocket = \"{}\"\nstate_dir = \"{}\"\n[board]\nprofile = \"sim\"\n\
         [board.audio]\ncapture = \"{capture}\"\nplayback = \"{playback}\"\n{period}[codecs]\n\
         order = [\"{codec}\"]\n[call]\ndirect = true\n",
        first + 49,
        socket.display(),
        dir.join("state").display(),
    );
    if options.answers {
        text.push_str("auto_answer = 20\n");
    }
    if options.encrypted {
        text.push_str(
            "[encryption]\nmode = \"required\"\nkeying = [\"sdes\"]\nsdes_over_clear = true\n",
        );
    }
    if let Some(registrar) = options.registrar {
        let domain = registrar.ip();
        let _ = write!(
            text,
            "[[account]]\nuser = \"bench\"\ndomain = \"{domain}\"\npassword = \"x\"\n\
             registrar = \"{registrar}\"\n"
        );
    }
    let config = dir.join("offhook.toml");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    command.arg("run").arg("--config").arg(config);
    (command, Hand::Ctl(socket))
}

/// The names of microphone and ear: of the cards in the bench's asound.conf, or of the server.
fn cards(name: &str, options: &PhoneOptions<'_>) -> (String, String) {
    if options.sound_server.is_some() {
        return ("mic".to_owned(), "ear".to_owned());
    }
    let card = options
        .card_hz
        .map_or_else(|| name.to_owned(), |hz| format!("{name}{hz}"));
    (card.clone(), card)
}

fn baresip(dir: &Path, port: u16, options: &PhoneOptions<'_>) -> (Command, Hand) {
    let (source, player) = cards("soft", options);
    let control = testkit::process::free_port();
    let modules = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/lib/aarch64-linux-gnu/baresip/modules",
    ];
    let modules = modules
        .iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or(&modules[0]);
    let config = format!(
        "sip_listen 127.0.0.1:{port}\nnet_interface 127.0.0.1\nrtp_ports {}-{}\n\
         audio_source alsa,{source}\naudio_player alsa,{player}\naudio_alert alsa,{player}\n\
         module_path {modules}\nmodule g711.so\nmodule g722.so\nmodule opus.so\nmodule plc.so\n\
         module alsa.so\n\
         {}module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n",
        (port | 1).saturating_add(1),
        ((port | 1).saturating_add(1)) + 49,
        if options.encrypted {
            "module srtp.so\n"
        } else {
            ""
        },
    );
    std::fs::write(dir.join("config"), config).unwrap();
    let answers = if options.answers { "auto" } else { "manual" };
    let account = match options.registrar {
        Some(registrar) => {
            format!("<sip:bench@{registrar}>;auth_pass=x;regint=60;answermode={answers}\n")
        }
        None => format!(
            "<sip:phone@127.0.0.1:{port}>;regint=0;audio_codecs={};answermode={answers}{}\n",
            codec_names(options.codec).1,
            if options.encrypted {
                ";mediaenc=srtp-mand"
            } else {
                ""
            },
        ),
    };
    std::fs::write(dir.join("accounts"), account).unwrap();
    std::fs::write(dir.join("contacts"), "").unwrap();
    let mut command = Command::new("baresip");
    command.arg("-f").arg(dir).env("HOME", dir);
    (command, Hand::Netstring(control))
}

/// linphonec knows ALSA's `default` alone, so that is the card it is to have.
fn linphone(dir: &Path, port: u16, options: &PhoneOptions<'_>) -> Option<Command> {
    if !options.answers || options.registrar.is_some() || options.counting.is_some() {
        return None;
    }
    let (capture, playback) = cards("phone", options);
    let known = options
        .sound_server
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("ALSA_CONFIG_PATH").map(PathBuf::from))?;
    let asound = format!(
        "{}\npcm.capture_part {{ type plug slave.pcm \"{capture}\" }}\n\
         pcm.playback_part {{ type plug slave.pcm \"{playback}\" }}\n\
         pcm.!default {{ type asym capture.pcm \"capture_part\" \
         playback.pcm \"playback_part\" }}\n",
        std::fs::read_to_string(known).ok()?
    );
    let alsa_config = dir.join("asound.conf");
    std::fs::write(&alsa_config, asound).unwrap();
    std::fs::create_dir_all(dir.join(".local/share/linphone")).unwrap();
    let mime = options.codec.rtpmap();
    let (name, rest) = mime.split_once('/')?;
    let (rate, channels) = rest.split_once('/').unwrap_or((rest, "1"));
    let card = "ALSA Unknown: default";
    let settings = format!(
        "[sip]\nsip_port={port}\nsip_tcp_port=0\nsip_tls_port=0\nbind_address=127.0.0.1\n\
         use_ipv6=0\ndefault_proxy=-1\nmedia_encryption={}\nmedia_encryption_mandatory={}\n\
         [rtp]\naudio_rtp_port={}\n[sound]\nechocancellation=0\nplayback_dev_id={card}\n\
         capture_dev_id={card}\nringer_dev_id={card}\n[audio_codec_0]\nmime={name}\nrate={rate}\n\
         channels={channels}\nenabled=1\n",
        if options.encrypted { "srtp" } else { "none" },
        u8::from(options.encrypted),
        (port | 1).saturating_add(1),
    );
    let file = dir.join("linphonerc");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new("linphonec");
    command.arg("-a").arg("-c").arg(file);
    command
        .env("HOME", dir)
        .env("ALSA_CONFIG_PATH", alsa_config);
    Some(command)
}

fn pjsua(port: u16, options: &PhoneOptions<'_>, ear: &Path) -> Option<Command> {
    // Its packaged build has no Opus, and a null card cannot ring for a key.
    if options.codec == Codec::Opus
        || options.encrypted
        || !options.answers
        || options.registrar.is_some()
        || options.counting.is_some()
        || options.sound_server.is_some()
    {
        return None;
    }
    let mut command = Command::new(python()?);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/budgets/pjsua.py"))
        .arg(port.to_string())
        .arg(options.microphone.map_or("-".as_ref(), Path::as_os_str))
        .arg(ear);
    Some(command)
}
