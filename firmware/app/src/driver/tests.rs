//! A phone on a card that takes five seconds for each write.
//!
//! ```text
//! registrar (never answers) ◀─ REGISTER at 0, 0.5, 1.5, 3.5, 7.5 s …    HTTP server ─▶ network.toml
//! watchdog file ◀─ fed 4 times a second                                   ctl ◀─▶ status, keys
//! ```
//!
//! Wall clock: threads and timers of the driver are real.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::process::TestDir;

use super::*;
use crate::ctl::client::Client;
use crate::provision::{self, ConfigPaths};

/// How long one write takes. Real time passes: what is tested is that no one waits for it.
const WRITE: Duration = Duration::from_secs(5);
/// How late anything may be: a fifth of one write, and enough for a busy machine.
const LATE: Duration = Duration::from_secs(1);

/// A card that is nearly worn out.
struct SlowDisk(Arc<AtomicUsize>);

impl SlowDisk {
    fn wait(&self) {
        std::thread::sleep(WRITE);
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Files for SlowDisk {
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.wait();
        Disk.write_atomic(path, bytes)
    }

    fn write_card(&self, card: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.wait();
        Disk.write_card(card, name, bytes)
    }

    fn factory_reset(&self, state_dir: &Path, card: Option<&Path>) -> io::Result<()> {
        self.wait();
        Disk.factory_reset(state_dir, card)
    }
}

/// Serves one configuration to whoever asks.
fn provisioning_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = BufReader::new(&stream).lines();
            head.map_while(Result::ok).find(String::is_empty);
            let body = "[phone]\nname = \"net\"\n";
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"1\"\r\n");
            let _ = write!(stream, "{head}\r\n{body}");
        }
    });
    port
}

/// A card, a state directory and a board with a watchdog.
fn machine(folder: &Path, registrar: u16) -> ConfigPaths {
    for part in ["card", "state", "run", "profiles/box"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    fs::write(folder.join("watchdog"), "").unwrap();
    let shown = folder.display();
    fs::write(
        folder.join("profiles/box/hardware.toml"),
        format!(
            "name = \"A box\"\n[audio]\ncapture = \"silence\"\nplayback = \"null\"\n\
             [watchdog]\ndevice = \"{shown}/watchdog\"\n"
        ),
    )
    .unwrap();
    let free = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let provision = provisioning_server();
    fs::write(
        folder.join("card/offhook.toml"),
        format!(
            "[control]\nsocket = \"{shown}/run/ctl.sock\"\nstate_dir = \"{shown}/state\"\n\
             [board]\nprofile = \"box\"\nprofile_dir = \"{shown}/profiles\"\n\
             [network]\nbind = \"127.0.0.1\"\nsip_port = {port}\n\
             [provision]\nurl = \"http://127.0.0.1:{provision}/x.toml\"\nallow_http = true\n\
             [[account]]\nuser = \"101\"\ndomain = \"127.0.0.1:{registrar}\"\npassword = \"x\"\n"
        ),
    )
    .unwrap();
    ConfigPaths {
        card: Some(folder.join("card")),
        ..ConfigPaths::default()
    }
}

/// The longest time between two feeds of the watchdog, until the phone ends.
fn longest_pause(watchdog: &Path, ended: &AtomicBool) -> Duration {
    let (mut fed, mut at, mut longest) = (0, Instant::now(), Duration::ZERO);
    while !ended.load(Ordering::Relaxed) {
        let length = fs::metadata(watchdog).map_or(0, |about| about.len());
        longest = longest.max(at.elapsed());
        if length != fed {
            (fed, at) = (length, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    longest
}

/// When each REGISTER came, until the phone ends.
fn registers(registrar: &UdpSocket, ended: &AtomicBool) -> Vec<Instant> {
    registrar
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 2048];
    while !ended.load(Ordering::Relaxed) {
        match registrar.recv_from(&mut buffer) {
            Ok((length, _)) if buffer[..length].starts_with(b"REGISTER ") => {
                seen.push(Instant::now());
            }
            Ok(_) | Err(_) => {}
        }
    }
    seen
}

#[test]
fn a_slow_card_delays_no_timer_no_feed_no_reply() {
    let folder = TestDir::new("slow-card");
    let registrar = UdpSocket::bind("127.0.0.1:0").unwrap();
    let paths = machine(&folder, registrar.local_addr().unwrap().port());
    let (writes, ended) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let provisioned = provision::load(&paths, true).unwrap();
    let socket = folder.join("run/ctl.sock");

    std::thread::scope(|scope| {
        let phone = scope.spawn(|| {
            let mut setup =
                crate::setup::whole_phone(provisioned.config.clone(), None, true).unwrap();
            setup.appliance = Some(Appliance {
                paths: paths.clone(),
                provisioned: provisioned.clone(),
            });
            let ending = run_with(setup, Arc::new(SlowDisk(Arc::clone(&writes))));
            ended.store(true, Ordering::Relaxed);
            ending
        });
        let feeds = scope.spawn(|| longest_pause(&folder.join("watchdog"), &ended));
        let timers = scope.spawn(|| registers(&registrar, &ended));
        let slowest_reply = drive(&socket, &folder.join("state"), &ended);
        assert_eq!(phone.join().unwrap().unwrap(), Ending::Reboot);

        // network.toml, network.etag, status.txt, the factory reset.
        assert!(writes.load(Ordering::Relaxed) >= 4, "too few writes");
        let longest = feeds.join().unwrap();
        assert!(longest < LATE, "the watchdog was not fed for {longest:?}");
        assert!(slowest_reply < LATE, "ctl waited {slowest_reply:?}");
        // RFC 3261 section 17.1.2.2: timer E doubles from T1 (500 ms) up to T2 (4 s).
        let seen = timers.join().unwrap();
        let mut gap = Duration::from_millis(500);
        for pair in seen.windows(2) {
            let late = pair[1].duration_since(pair[0]).saturating_sub(gap);
            assert!(late < LATE, "a REGISTER came {late:?} late");
            gap = (2 * gap).min(Duration::from_secs(4));
        }
        assert!(seen.len() >= 6, "{} REGISTERs", seen.len());
    });
}

/// Makes the phone write, then asks it for its status until it ends: how long the slowest reply
/// took.
fn drive(socket: &Path, state: &Path, ended: &AtomicBool) -> Duration {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut client = loop {
        match Client::connect(socket) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut slowest = Duration::ZERO;
    let mut ask = |request: serde_json::Value| {
        let asked = Instant::now();
        let reply = client.ask(&request);
        slowest = slowest.max(asked.elapsed());
        reply
    };
    // Off hook: a phone in use does not restart for its new configuration.
    ask(json!({"cmd": "lift"})).unwrap();
    ask(json!({"cmd": "refresh"})).unwrap();
    let stored: PathBuf = state.join("network.toml");
    let mut reset = false;
    while !ended.load(Ordering::Relaxed) {
        if stored.exists() && !reset {
            // The star code for the factory reset, while network.etag is being written.
            reset = true;
            // The reply comes when the keys are up again: not waited for.
            let keys = json!({"cmd": "press", "keys": "*99*7378#"});
            Client::connect(socket).unwrap().send(&keys).unwrap();
        }
        drop(ask(json!({"cmd": "status"})));
        std::thread::sleep(Duration::from_millis(50));
    }
    slowest
}
