//! `offhook sim`: a desk phone on a terminal. The phone itself runs beside it on a thread of its
//! own; the panel is one more client of its control socket, so that what is seen here is what every
//! other tool sees.
//!
//! ```text
//! keys ─▶ ctl requests ─▶ phone          status 10 times a second, events ─▶ Face ─▶ 24 lines of plain ANSI
//! ```

mod draw;
mod terminal;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use types::Lamp;

use crate::ctl::client::{Client, ClientError};
use crate::output::print;
use crate::setup_error::SetupError;
use draw::Face;
use terminal::Terminal;

/// How often the panel is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// How long the phone may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Event lines kept for the panel.
const LINES: usize = 4;

/// Why the panel does not run, or runs no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PanelError {
    /// Standard input or output is no terminal.
    #[error(
        "there is no terminal here; use `offhook sim --headless`, and `offhook ctl` to drive it"
    )]
    NoTerminal,
    /// The terminal refuses.
    #[error("the terminal cannot be used: {0}")]
    Terminal(io::Error),
    /// The system gives no thread.
    #[error("no thread for the phone: {0}")]
    Thread(io::Error),
    /// The phone's log cannot be written.
    #[error("{path}: {source}; set control.state_dir to a folder this user may write")]
    Log { path: PathBuf, source: io::Error },
    /// The phone does not start.
    #[error(transparent)]
    Setup(Box<SetupError>),
    /// The phone does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The phone ended by itself.
    #[error("the phone ended; the log says why")]
    Ended,
}

impl From<SetupError> for PanelError {
    fn from(error: SetupError) -> Self {
        Self::Setup(Box::new(error))
    }
}

/// What arrives as events.
#[derive(Debug, Default)]
struct PanelEvents {
    lamps: [(String, String); Lamp::ALL.len()],
    lines: Vec<String>,
}

/// Runs a phone and its panel until `q`. `phone` is the whole phone; it returns when it is asked to
/// quit.
pub(crate) fn run(
    config: config::Config,
    log: &Path,
    phone: impl FnOnce(config::Config) -> Result<(), SetupError> + Send + 'static,
) -> Result<(), PanelError> {
    if !Terminal::is_here() {
        return Err(PanelError::NoTerminal);
    }
    let socket = config.control.socket.clone();
    let speed_dial = config.dial.speed_dial.clone();
    let (sender, ending) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("offhook-control".into())
        .spawn(move || {
            let outcome = phone(config);
            // The panel may be gone first.
            let _ = sender.send(outcome);
        })
        .map_err(PanelError::Thread)?;
    let outcome = watch(&socket, &speed_dial, &ending);
    if let Ok(mut client) = Client::connect(&socket) {
        let _ = client.ask(&json!({"cmd": "quit"}));
    }
    let ended = ending.recv_timeout(START_TIMEOUT);
    drop(thread);
    outcome?;
    if let Ok(Err(error)) = ended {
        return Err(error.into());
    }
    print(&format!("log: {}", log.display()));
    Ok(())
}

fn watch(
    socket: &Path,
    speed_dial: &[(String, String)],
    phone: &mpsc::Receiver<Result<(), SetupError>>,
) -> Result<(), PanelError> {
    let mut client = connect(socket, phone)?;
    let events = Arc::new(Mutex::new(PanelEvents::default()));
    listen(socket.to_owned(), Arc::clone(&events));
    let keys = send_keys(socket.to_owned());
    let mut terminal = Terminal::open().map_err(PanelError::Terminal)?;
    let mut pressed: Option<(char, Instant)> = None;
    loop {
        if let Ok(outcome) = phone.try_recv() {
            drop(terminal);
            outcome?;
            return Err(PanelError::Ended);
        }
        let status = client.ask(&json!({"cmd": "status"}))?;
        if pressed.is_some_and(|(_, at)| at.elapsed() > Duration::from_millis(250)) {
            pressed = None;
        }
        let face = {
            let events = events.lock().unwrap_or_else(PoisonError::into_inner);
            Face {
                status: &status,
                lamps: &events.lamps,
                lines: &events.lines,
                speed_dial,
                pressed: pressed.map(|(key, _)| key),
                blink: terminal.frame() % 4 < 2,
            }
            .lines()
        };
        terminal.show(&face).map_err(PanelError::Terminal)?;
        let until = Instant::now() + FRAME;
        while let Some(key) = Terminal::key(until) {
            let request = match key {
                ' ' if status["hook"] == "off" => json!({"cmd": "hang-up"}),
                ' ' => json!({"cmd": "lift"}),
                '0'..='9' | '*' | '#' | 'A'..='D' => {
                    pressed = Some((key, Instant::now()));
                    json!({"cmd": "press", "keys": key.to_string()})
                }
                'f' => json!({"cmd": "flash"}),
                'q' | '\u{3}' | '\u{4}' => return Ok(()),
                _ => continue,
            };
            // A full queue means that keys come faster than the phone takes them.
            let _ = keys.try_send(request);
            if key == ' ' {
                break;
            }
        }
    }
}

fn connect(
    socket: &Path,
    phone: &mpsc::Receiver<Result<(), SetupError>>,
) -> Result<Client, PanelError> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => {}
        }
        if let Ok(outcome) = phone.recv_timeout(Duration::from_millis(10)) {
            outcome?;
            return Err(PanelError::Ended);
        }
    }
}

/// Requests go out by a thread of their own: the phone holds a key as long as a user does, the
/// panel must not wait.
fn send_keys(socket: PathBuf) -> mpsc::SyncSender<Value> {
    let (sender, requests) = mpsc::sync_channel::<Value>(32);
    std::thread::spawn(move || {
        let Ok(mut client) = Client::connect(&socket) else {
            return;
        };
        for request in requests {
            // A refusal shows as nothing happening; the phone's own line says why.
            if let Err(ClientError::Broken { .. }) = client.ask(&request) {
                return;
            }
        }
    });
    sender
}

/// Lamps and notes come as events.
fn listen(socket: PathBuf, events: Arc<Mutex<PanelEvents>>) {
    std::thread::spawn(move || {
        let Ok(mut client) = Client::connect(&socket) else {
            return;
        };
        if client.send(&json!({"cmd": "events"})).is_err() {
            return;
        }
        while let Ok(Some(line)) = client.line() {
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
            take(&mut events, &event);
        }
    });
}

fn take(events: &mut PanelEvents, event: &Value) {
    let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let line = match event["event"].as_str() {
        Some("lamp") => {
            let name = event["lamp"].as_str();
            let index = Lamp::ALL
                .iter()
                .position(|lamp| name == Some(lamp.as_str()));
            if let Some(index) = index {
                events.lamps[index] = (word("lamp"), word("state"));
            }
            return;
        }
        Some("note") => word("text"),
        Some("call") => format!(
            "call {} {} {} {}",
            event["id"],
            word("state"),
            word("peer"),
            word("cause")
        ),
        Some("registration") => format!(
            "account {} registered: {} {}",
            word("account"),
            event["registered"],
            word("error")
        ),
        Some("digit") => format!("the far end pressed {}", word("digit")),
        Some("audio") => word("what"),
        _ => return,
    };
    events.lines.push(line);
    if events.lines.len() > LINES {
        events.lines.remove(0);
    }
}

/// Writes through, so that a slow terminal is noticed here and nowhere else.
fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
