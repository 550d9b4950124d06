//! `offhook sim`: a desk phone on a terminal. The phone itself runs beside it on a thread of its
//! own; the panel is one more hand on its control socket, so that what is seen here is what every
//! other tool sees.
//!
//! ```text
//! keys ─▶ ctl requests ─▶ phone          status 10 times a second, events ─▶ Face ─▶ 24 lines of plain ANSI
//! ```

mod draw;
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ctl::client::Client;
use crate::say::say;
use draw::Face;
use terminal::Terminal;

/// How often the panel is drawn.
const FRAME: Duration = Duration::from_millis(100);
/// How long the phone may take to start.
const PATIENCE: Duration = Duration::from_secs(5);
/// Event lines kept for the panel.
const LINES: usize = 4;

/// What arrives by itself.
#[derive(Debug, Default)]
struct News {
    lamps: [(String, String); 4],
    lines: Vec<String>,
}

/// Runs a phone and its panel until `q`. `phone` is the whole phone; it returns when it is told to
/// quit.
pub(crate) fn run(
    config: config::Config,
    log: &Path,
    phone: impl FnOnce(config::Config) -> Result<(), String> + Send + 'static,
) -> Result<ExitCode, String> {
    if !Terminal::is_here() {
        return Err("there is no terminal here; use `offhook sim --headless`, and `offhook ctl` to drive it".into());
    }
    let socket = config.control.socket.clone();
    let speed_dial = config.dial.speed_dial.clone();
    let (tell, told) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("offhook-control".into())
        .spawn(move || {
            let outcome = phone(config);
            // The panel may be gone first.
            let _ = tell.send(outcome);
        })
        .map_err(|error| format!("no thread for the phone: {error}"))?;
    let outcome = watch(&socket, &speed_dial, &told);
    if let Ok(mut client) = Client::connect(&socket) {
        let _ = client.ask(&json!({"cmd": "quit"}));
    }
    let ended = told.recv_timeout(PATIENCE);
    drop(thread);
    outcome?;
    if let Ok(Err(error)) = ended {
        return Err(error);
    }
    say(&format!("log: {}", log.display()));
    Ok(ExitCode::SUCCESS)
}

fn watch(
    socket: &Path,
    speed_dial: &[(String, String)],
    phone: &mpsc::Receiver<Result<(), String>>,
) -> Result<(), String> {
    let mut client = connect(socket, phone)?;
    let news = Arc::new(Mutex::new(News::default()));
    listen(socket.to_owned(), Arc::clone(&news));
    let hands = hands(socket.to_owned());
    let mut terminal =
        Terminal::open().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    let mut pressed: Option<(char, Instant)> = None;
    loop {
        if let Ok(outcome) = phone.try_recv() {
            drop(terminal);
            return outcome.and(Err("the phone ended".into()));
        }
        let status = client
            .ask(&json!({"cmd": "status"}))
            .map_err(|error| error.to_string())?;
        if pressed.is_some_and(|(_, at)| at.elapsed() > Duration::from_millis(250)) {
            pressed = None;
        }
        let face = {
            let news = news.lock().unwrap_or_else(PoisonError::into_inner);
            Face {
                status: &status,
                lamps: &news.lamps,
                lines: &news.lines,
                speed_dial,
                pressed: pressed.map(|(key, _)| key),
                blink: terminal.frame() % 4 < 2,
            }
            .lines()
        };
        terminal
            .show(&face)
            .map_err(|error| format!("the terminal is gone: {error}"))?;
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
            // A full queue of keys is a finger faster than the phone.
            let _ = hands.try_send(request);
            if key == ' ' {
                break;
            }
        }
    }
}

fn connect(socket: &Path, phone: &mpsc::Receiver<Result<(), String>>) -> Result<Client, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() > deadline => return Err(error.to_string()),
            Err(_) => {}
        }
        if let Ok(outcome) = phone.recv_timeout(Duration::from_millis(10)) {
            return outcome.and(Err("the phone ended".into()));
        }
    }
}

/// Requests go out by a thread of their own: a key takes as long as a finger, the panel must not.
fn hands(socket: PathBuf) -> mpsc::SyncSender<Value> {
    let (tell, told) = mpsc::sync_channel::<Value>(32);
    std::thread::spawn(move || {
        let Ok(mut client) = Client::connect(&socket) else {
            return;
        };
        for request in told {
            // A refusal shows as nothing happening; the phone's own line says why.
            if let Err(crate::ctl::client::ClientError::Broken { .. }) = client.ask(&request) {
                return;
            }
        }
    });
    tell
}

/// Lamps and notes come as events.
fn listen(socket: PathBuf, news: Arc<Mutex<News>>) {
    std::thread::spawn(move || {
        let Ok(mut client) = Client::connect(&socket) else {
            return;
        };
        if client.tell(&json!({"cmd": "events"})).is_err() {
            return;
        }
        while let Ok(Some(line)) = client.line() {
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            let mut news = news.lock().unwrap_or_else(PoisonError::into_inner);
            take(&mut news, &event);
        }
    });
}

fn take(news: &mut News, event: &Value) {
    let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let line = match event["event"].as_str() {
        Some("lamp") => {
            let name = event["lamp"].as_str();
            let place = types::Lamp::ALL
                .iter()
                .position(|lamp| name == Some(lamp.as_str()));
            if let Some(place) = place {
                news.lamps[place] = (word("lamp"), word("state"));
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
    news.lines.push(line);
    if news.lines.len() > LINES {
        news.lines.remove(0);
    }
}

/// Writes through, so that a slow terminal is noticed here and nowhere else.
fn put(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
