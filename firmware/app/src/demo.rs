//! `offhook demo`: one measured call, by itself. What `make run` does where there is no terminal.
//!
//! ```text
//! speech ─▶ mic.wav ─▶ phone (child process) ═ SIP, RTP on loopback ═ echo phone (child process)
//!                        │ ▲ ctl: lift, press, hang-up, quit
//!                        ▼ │
//!                     ear.wav ─▶ listen: delay, level, correlation ─▶ report, exit code
//! ```

mod listen;
mod speech;

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use board::audio::WavError;
use serde_json::{Value, json};

use crate::ctl::client::{Client, ClientError};
use crate::output::print;
use speech::Speech;

/// Silence before the speech begins: time to lift, dial and connect.
const LEAD: Duration = Duration::from_secs(3);
/// Time after the speech for its last word to come back.
const TAIL: Duration = Duration::from_millis(1500);
/// How long each step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// The speech came back when its windows correlate at least so well with what was heard.
const SAME_SPEECH: f64 = 0.7;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A file cannot be read or written.
    #[error("{path}: {source}; name one that this user may use")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The recording of the ear cannot be read, or the one to speak.
    #[error("{path}: {source}; name a WAV file with speech in it")]
    Recording {
        /// Which.
        path: PathBuf,
        /// Why.
        source: WavError,
    },
    /// There is too little to recognise.
    #[error("{0}: shorter than 2 s; name a WAV file with some seconds of speech")]
    TooShort(PathBuf),
    /// The microphone's file cannot be written.
    #[error("{path}: {source}")]
    Microphone {
        /// Which.
        path: PathBuf,
        /// Why.
        source: hound::Error,
    },
    /// One of the phones cannot be started.
    #[error("{name} cannot be started: {source}")]
    Start {
        /// Which.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// One of the phones ended too early.
    #[error("{name} ended ({status}): {log}")]
    Ended {
        /// Which.
        name: &'static str,
        /// How.
        status: ExitStatus,
        /// What it logged.
        log: String,
    },
    /// A step took too long.
    #[error("{what} within {} s; the phone says: {status}", STEP_TIMEOUT.as_secs())]
    Late {
        /// What did not happen.
        what: String,
        /// The phone's status.
        status: String,
    },
    /// The phone does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No port is free.
    #[error("no port on loopback is free for both UDP and TCP: {0}")]
    Port(io::Error),
    /// The call failed; what is left of it is still there.
    #[error("{error}\noffhook: logs and recordings are in {folder}")]
    Call {
        /// Why.
        error: Box<DemoError>,
        /// Where.
        folder: PathBuf,
    },
}

impl DemoError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

/// A child process that does not outlive us.
struct ChildPhone {
    child: Child,
    log: PathBuf,
    name: &'static str,
}

impl Drop for ChildPhone {
    fn drop(&mut self) {
        // Already gone after an orderly end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ChildPhone {
    fn spawn(name: &'static str, arguments: &[&str], log: PathBuf) -> Result<Self, DemoError> {
        let program = std::env::current_exe()
            .map_err(|source| DemoError::file(Path::new("this program's own path"), source))?;
        let file = File::create(&log).map_err(|source| DemoError::file(&log, source))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|source| DemoError::Start { name, source })?;
        Ok(Self { child, log, name })
    }

    /// What the process logged, when it has ended.
    fn ended(&mut self) -> Option<DemoError> {
        let status = self.child.try_wait().ok().flatten()?;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        Some(DemoError::Ended {
            name: self.name,
            status,
            log: log.trim().to_owned(),
        })
    }
}

/// Runs the call and reports.
pub(crate) fn run(file: Option<&Path>, keep: Option<PathBuf>) -> Result<ExitCode, DemoError> {
    let speech = match file {
        Some(path) => Speech::read(path)?,
        None => Speech::generated(),
    };
    let kept = keep.is_some();
    let folder = keep.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("offhook-demo-{}", std::process::id()))
    });
    let wrong = |source| DemoError::file(&folder, source);
    fs::create_dir_all(&folder).map_err(wrong)?;
    let folder = folder.canonicalize().map_err(wrong)?;
    let outcome = call(&speech, &folder);
    if !kept && outcome.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    let call = outcome.map_err(|error| DemoError::Call {
        error: Box::new(error),
        folder,
    })?;
    Ok(report(&speech, &call))
}

/// What was measured.
struct Call {
    dial_tone_ms: f64,
    status: Value,
    heard: Option<listen::Comparison>,
}

/// The two phones, and the client that drives one of them.
struct Bench {
    echo: ChildPhone,
    phone: ChildPhone,
    client: Client,
    /// When the phone, and with it the microphone file, was started.
    began: Instant,
}

impl Bench {
    fn start(folder: &Path, mic: &Path, ear: &Path) -> Result<Self, DemoError> {
        let (phone_port, echo_port) = (free_port()?, free_port()?);
        let config = folder.join("offhook.toml");
        fs::write(
            &config,
            configuration(folder, mic, ear, phone_port, echo_port),
        )
        .map_err(|source| DemoError::file(&config, source))?;
        let port = echo_port.to_string();
        let echo = ChildPhone::spawn(
            "echo phone",
            &[
                "echo",
                "--bind",
                "127.0.0.1",
                "--sip-port",
                &port,
                "--rtp-ports",
                "29100-29199",
            ],
            folder.join("echo.log"),
        )?;
        let began = Instant::now();
        let mut phone = ChildPhone::spawn(
            "phone",
            &[
                "sim",
                "--headless",
                "--config",
                &config.display().to_string(),
            ],
            folder.join("phone.log"),
        )?;
        let client = connect(&folder.join("ctl.sock"), &mut phone)?;
        Ok(Self {
            echo,
            phone,
            client,
            began,
        })
    }

    fn ask(&mut self, request: &Value) -> Result<Value, DemoError> {
        Ok(self.client.ask(request)?)
    }

    /// Waits until the phone's status shows something.
    fn until(&mut self, what: &str, met: fn(&Value) -> bool) -> Result<Value, DemoError> {
        let deadline = Instant::now() + STEP_TIMEOUT;
        loop {
            let status = self.ask(&json!({"cmd": "status"}))?;
            if met(&status) {
                return Ok(status);
            }
            if let Some(error) = self.phone.ended().or_else(|| self.echo.ended()) {
                return Err(error);
            }
            if Instant::now() > deadline {
                return Err(DemoError::Late {
                    what: what.to_owned(),
                    status: status.to_string(),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn call(speech: &Speech, folder: &Path) -> Result<Call, DemoError> {
    let (mic, ear) = (folder.join("mic.wav"), folder.join("ear.wav"));
    speech.write(&mic, LEAD, TAIL)?;
    let mut bench = Bench::start(folder, &mic, &ear)?;
    print("lifting the handset");
    let lifted = Instant::now();
    bench.ask(&json!({"cmd": "lift"}))?;
    bench.until("no dial tone", |status| status["tone"] == "dial")?;
    let dial_tone_ms = lifted.elapsed().as_secs_f64() * 1000.0;
    print("dial tone; dialling 1, the echo phone");
    bench.ask(&json!({"cmd": "press", "keys": "1#"}))?;
    bench.until("the echo phone did not answer", |status| {
        status["state"] == "talking"
    })?;
    print(&format!(
        "connected; speaking {:.1} s of {}",
        speech.seconds(),
        speech.what
    ));
    let end = bench.began + LEAD + Duration::from_secs_f64(speech.seconds()) + TAIL;
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    bench.ask(&json!({"cmd": "hang-up"}))?;
    print("hung up");
    bench.until("the phone did not become idle", |status| {
        status["state"] == "idle"
            && status["calls"].as_array().is_some_and(Vec::is_empty)
            && status["last_call"].is_object()
    })?;
    // The stream's last figures come with the next cycle of the audio thread.
    std::thread::sleep(Duration::from_millis(200));
    let status = bench.ask(&json!({"cmd": "status"}))?;
    bench.ask(&json!({"cmd": "quit"}))?;
    let _ = bench.phone.child.wait();
    let heard = listen::compare(&mic, &ear, speech.seconds(), LEAD)?;
    Ok(Call {
        dial_tone_ms,
        status,
        heard,
    })
}

fn connect(socket: &Path, phone: &mut ChildPhone) -> Result<Client, DemoError> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(error) => {
                if let Some(ended) = phone.ended() {
                    return Err(ended);
                }
                if Instant::now() > deadline {
                    return Err(error.into());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that is free for UDP and TCP now.
fn free_port() -> Result<u16, DemoError> {
    for _ in 0..16 {
        let taken = UdpSocket::bind("127.0.0.1:0").and_then(|udp| udp.local_addr());
        let port = taken.map_err(DemoError::Port)?.port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(DemoError::Port(io::ErrorKind::AddrInUse.into()))
}

fn configuration(folder: &Path, mic: &Path, ear: &Path, phone: u16, echo: u16) -> String {
    let path = |path: &Path| {
        path.display()
            .to_string()
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
    };
    format!(
        "[network]\nbind = \"127.0.0.1\"\nsip_port = {phone}\nrtp_ports = [29000, 29099]\n\
         [control]\nsocket = \"{0}/ctl.sock\"\nstate_dir = \"{0}/state\"\n\
         [board]\nprofile = \"sim\"\n\
         [board.audio]\ncapture = \"wav:{1}\"\nplayback = \"wav:{2}\"\n\
         [dial.speed]\n1 = \"sip:echo@127.0.0.1:{echo}\"\n",
        path(folder),
        path(mic),
        path(ear),
    )
}

fn report(speech: &Speech, call: &Call) -> ExitCode {
    let last = &call.status["last_call"];
    let rtp = &last["rtp"];
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let (received, lost) = (number(&rtp["received"]), number(&rtp["lost"]));
    let loss = if received + lost > 0.0 {
        100.0 * lost / (received + lost)
    } else {
        0.0
    };
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    print("\nmeasured:");
    print(&format!(
        "  speech            {}, {:.1} s",
        speech.what,
        speech.seconds()
    ));
    print(&format!(
        "  lift to dial tone {:.0} ms (request to status, with the control socket in between)",
        call.dial_tone_ms
    ));
    print(&format!(
        "  set-up time       {} ms (INVITE to 200)",
        last["setup_ms"]
    ));
    print(&format!(
        "  codec             {}, {} ms packets",
        text(&last["codec"]),
        last["ptime_ms"]
    ));
    print(&format!(
        "  packets           sent {}, received {}, lost {} ({loss:.1} %), late {}",
        rtp["sent"], rtp["received"], rtp["lost"], rtp["late"]
    ));
    print(&format!("  concealment       {} frames", rtp["concealed"]));
    print(&format!(
        "  jitter, buffer    {} ms, {} ms; MOS {}",
        rtp["jitter_ms"], rtp["delay_ms"], rtp["mos"]
    ));
    let Some(heard) = &call.heard else {
        print("  the ear           heard silence");
        print("\nthe speech did NOT come back");
        return ExitCode::FAILURE;
    };
    print(&format!(
        "  one-way delay     {:.0} ms mouth to ear (half of the {:.0} ms round trip through the \
         echo phone, by cross-correlation of\n\
         \x20                   microphone and ear recordings; simulated cards included at both \
         ends)",
        heard.delay_ms / 2.0,
        heard.delay_ms
    ));
    print(&format!(
        "  level             {:+.1} dB, ear against mouth",
        heard.level_db
    ));
    print(&format!(
        "  correlation       {:.3} (median of {} windows of 0.4 s; {SAME_SPEECH} or more is the \
         same speech)",
        heard.correlation, heard.windows
    ));
    if heard.correlation >= SAME_SPEECH {
        print("\nthe speech came back");
        ExitCode::SUCCESS
    } else {
        print("\nthe speech did NOT come back");
        ExitCode::FAILURE
    }
}
