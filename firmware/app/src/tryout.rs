//! `offhook tryout`: one measured call, by itself. What `make run` does where there is no terminal.
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
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ctl::client::Client;
use crate::say::say;
use speech::Speech;

/// Silence before the speech begins: time to lift, dial and connect.
const LEAD: Duration = Duration::from_secs(3);
/// Time after the speech for its last word to come back.
const TAIL: Duration = Duration::from_millis(1500);
/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The speech came back when its windows correlate at least so well with what was heard.
const SAME_SPEECH: f64 = 0.7;

/// A child process that does not outlive us.
struct Kept {
    child: Child,
    log: PathBuf,
    name: &'static str,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Already gone after an orderly end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kept {
    fn spawn(name: &'static str, arguments: &[&str], log: PathBuf) -> Result<Self, String> {
        let program =
            std::env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
        let wrong = |error: io::Error| format!("{}: {error}", log.display());
        let file = File::create(&log).map_err(wrong)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        Ok(Self { child, log, name })
    }

    /// The process's own last words, where it is gone.
    fn gone(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let words = fs::read_to_string(&self.log).unwrap_or_default();
        Some(format!("{} ended ({status}): {}", self.name, words.trim()))
    }
}

/// Runs the call and reports.
pub(crate) fn run(file: Option<&Path>, keep: Option<PathBuf>) -> Result<ExitCode, String> {
    let speech = match file {
        Some(path) => Speech::read(path)?,
        None => Speech::generated(),
    };
    let kept = keep.is_some();
    let folder = keep.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("offhook-tryout-{}", std::process::id()))
    });
    fs::create_dir_all(&folder).map_err(|error| {
        format!(
            "{}: {error}; name a folder this user may write",
            folder.display()
        )
    })?;
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let outcome = call(&speech, &folder);
    if !kept && outcome.is_ok() {
        let _ = fs::remove_dir_all(&folder);
    }
    let call = outcome.map_err(|error| {
        format!(
            "{error}\noffhook: logs and recordings are in {}",
            folder.display()
        )
    })?;
    Ok(report(&speech, &call))
}

/// What was measured.
struct Call {
    dial_tone_ms: f64,
    status: Value,
    heard: Option<listen::Heard>,
}

/// The two phones and the hand that moves one of them.
struct Bench {
    echo: Kept,
    phone: Kept,
    client: Client,
    /// When the phone, and with it the microphone file, was started.
    began: Instant,
}

impl Bench {
    fn start(folder: &Path, mic: &Path, ear: &Path) -> Result<Self, String> {
        let (phone_port, echo_port) = (free_port()?, free_port()?);
        let config = folder.join("offhook.toml");
        fs::write(
            &config,
            configuration(folder, mic, ear, phone_port, echo_port),
        )
        .map_err(|error| format!("{}: {error}", config.display()))?;
        let port = echo_port.to_string();
        let echo = Kept::spawn(
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
        let mut phone = Kept::spawn(
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

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        self.client.ask(request).map_err(|error| error.to_string())
    }

    /// Waits until the phone's status shows something.
    fn until(&mut self, what: &str, met: fn(&Value) -> bool) -> Result<Value, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.ask(&json!({"cmd": "status"}))?;
            if met(&status) {
                return Ok(status);
            }
            if let Some(words) = self.phone.gone().or_else(|| self.echo.gone()) {
                return Err(words);
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{what} within {} s; the phone says: {status}",
                    PATIENCE.as_secs()
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn call(speech: &Speech, folder: &Path) -> Result<Call, String> {
    let (mic, ear) = (folder.join("mic.wav"), folder.join("ear.wav"));
    speech.write(&mic, LEAD, TAIL)?;
    let mut bench = Bench::start(folder, &mic, &ear)?;
    say("lifting the handset");
    let lifted = Instant::now();
    bench.ask(&json!({"cmd": "lift"}))?;
    bench.until("no dial tone", |status| status["tone"] == "dial")?;
    let dial_tone_ms = lifted.elapsed().as_secs_f64() * 1000.0;
    say("dial tone; dialling 1, the echo phone");
    bench.ask(&json!({"cmd": "press", "keys": "1#"}))?;
    bench.until("the echo phone did not answer", |status| {
        status["state"] == "talking"
    })?;
    say(&format!(
        "connected; speaking {:.1} s of {}",
        speech.seconds(),
        speech.what
    ));
    let end = bench.began + LEAD + Duration::from_secs_f64(speech.seconds()) + TAIL;
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    bench.ask(&json!({"cmd": "hang-up"}))?;
    say("hung up");
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

fn connect(socket: &Path, phone: &mut Kept) -> Result<Client, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(error) => {
                if let Some(words) = phone.gone() {
                    return Err(words);
                }
                if Instant::now() > deadline {
                    return Err(error.to_string());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that is free for UDP and TCP now.
fn free_port() -> Result<u16, String> {
    for _ in 0..16 {
        let taken = UdpSocket::bind("127.0.0.1:0").and_then(|udp| udp.local_addr());
        let port = taken
            .map_err(|error| format!("no free port on loopback: {error}"))?
            .port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port on loopback is free for both UDP and TCP".into())
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
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    say("\nmeasured:");
    say(&format!(
        "  speech            {}, {:.1} s",
        speech.what,
        speech.seconds()
    ));
    say(&format!(
        "  lift to dial tone {:.0} ms (request to status, with the control socket in between)",
        call.dial_tone_ms
    ));
    say(&format!(
        "  set-up time       {} ms (INVITE to 200)",
        last["setup_ms"]
    ));
    say(&format!(
        "  codec             {}, {} ms packets",
        word(&last["codec"]),
        last["ptime_ms"]
    ));
    say(&format!(
        "  packets           sent {}, received {}, lost {} ({loss:.1} %), late {}",
        rtp["sent"], rtp["received"], rtp["lost"], rtp["late"]
    ));
    say(&format!("  concealment       {} frames", rtp["concealed"]));
    say(&format!(
        "  jitter, buffer    {} ms, {} ms; MOS {}",
        rtp["jitter_ms"], rtp["delay_ms"], rtp["mos"]
    ));
    let Some(heard) = &call.heard else {
        say("  the ear           heard silence");
        say("\nthe speech did NOT come back");
        return ExitCode::FAILURE;
    };
    say(&format!(
        "  one-way delay     {:.0} ms mouth to ear (half of the {:.0} ms round trip through the echo phone, by cross-correlation of\n\
         \x20                   microphone and ear recordings; simulated cards included at both ends)",
        heard.delay_ms / 2.0,
        heard.delay_ms
    ));
    say(&format!(
        "  level             {:+.1} dB, ear against mouth",
        heard.level_db
    ));
    say(&format!(
        "  correlation       {:.3} (median of {} windows of 0.4 s; {SAME_SPEECH} or more is the same speech)",
        heard.correlation, heard.windows
    ));
    if heard.correlation >= SAME_SPEECH {
        say("\nthe speech came back");
        ExitCode::SUCCESS
    } else {
        say("\nthe speech did NOT come back");
        ExitCode::FAILURE
    }
}
