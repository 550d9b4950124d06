//! Two phones joined by hand, under virtual time: what `Control` carries between phone, agent and
//! engine.
//!
//! ```text
//! left: Control ──Output::Sip──▶ right: Control        Output::Media ──▶ Engine stand-in (keeps streams, returns them)
//! ```

mod faults;
mod keys;
mod sockets;
mod transfers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::{Command, Event, Stream, StreamId};
use serde_json::Value;

use super::*;
use crate::MediaAddresses;
use crate::api::{ActionError, UserAction};
use crate::history::History;
use crate::known_peers::KnownPeers;

/// Ports by number only.
#[derive(Default)]
struct Ports {
    open: Vec<StreamId>,
    refuse: bool,
    /// Asked for and not opened yet.
    late: Option<Vec<StreamId>>,
}

impl Ports {
    fn open(&mut self, stream: StreamId) -> std::io::Result<MediaAddresses> {
        if self.refuse {
            return Err(std::io::ErrorKind::AddrInUse.into());
        }
        self.open.push(stream);
        let port = 20_000 + 2 * stream.0 as u16;
        Ok(MediaAddresses {
            rtp: SocketAddr::from(([0; 4], port)),
            rtcp: SocketAddr::from(([0; 4], port + 1)),
        })
    }

    fn close(&mut self, stream: StreamId) {
        let index = self.open.iter().position(|open| *open == stream);
        self.open
            .remove(index.expect("closed once, and only what was opened"));
    }
}

/// One phone and what it asked of its owner.
struct Desk {
    control: Control,
    ports: Ports,
    address: SocketAddr,
    streams: BTreeMap<StreamId, Box<Stream>>,
    /// Streams the handset hears.
    connected: BTreeMap<StreamId, bool>,
    commands: Vec<String>,
    events: Vec<Value>,
    ring: Option<Vec<u16>>,
    /// The audio thread is dead: no stream is returned.
    deaf: bool,
}

impl Desk {
    fn new(host: &str, extra: &str, now: Instant) -> Self {
        let address: SocketAddr = format!("{host}:5060").parse().unwrap();
        let text = format!("[network]\nbind = \"{host}\"\n{extra}");
        let config = config::load(&text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"));
        let identity = Identity {
            seed: [host.as_bytes()[host.len() - 1]; 32],
            local: address.into(),
            card: (48_000, 240),
            ntp: 0,
            credentials: None,
            known: KnownPeers::default(),
            features: phone::Features::default(),
            history: History::default(),
        };
        Self {
            control: Control::new(&config, identity, now),
            ports: Ports::default(),
            address,
            streams: BTreeMap::new(),
            connected: BTreeMap::new(),
            commands: Vec::new(),
            events: Vec::new(),
            ring: None,
            deaf: false,
        }
    }

    /// Carries out everything; what must travel is returned.
    fn drain(&mut self, now: Instant) -> Vec<sip::Transmit> {
        let mut mail = Vec::new();
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Sip(message) => mail.push(message),
                Output::OpenMedia(stream) => {
                    if let Some(late) = &mut self.ports.late {
                        late.push(stream);
                    } else {
                        let opened = self.ports.open(stream);
                        self.control.handle_media_sockets(stream, opened, now);
                    }
                }
                Output::OpenGroup { stream, .. } => {
                    self.control.handle_group_socket(stream, Ok(()), now);
                }
                Output::CloseMedia(stream) => self.ports.close(stream),
                Output::Media(command) => self.engine(command, now),
                Output::Ring(cadence) => self.ring = cadence,
                Output::Event(event) => self.events.push(serde_json::to_value(&event).unwrap()),
                Output::Lamp(..)
                | Output::Keep { .. }
                | Output::WriteSettings(_)
                | Output::Maintenance(_)
                | Output::SetUpServer(_)
                | Output::Fetch(_)
                | Output::Publish(_)
                | Output::LookUpConfiguration => {}
                Output::Connect { .. }
                | Output::Disconnect(_)
                | Output::Lookup(_)
                | Output::TurnLink(_)
                | Output::Datagram(_) => {
                    panic!("no TCP, no names, no DTLS here")
                }
            }
        }
        mail
    }

    fn engine(&mut self, command: Command, now: Instant) {
        let home = match command {
            Command::Start(stream) => {
                let id = stream.config().id;
                assert!(self.ports.open.contains(&id), "a stream without sockets");
                self.commands
                    .push(format!("start {}", stream.config().card_rate_hz));
                self.streams.insert(id, stream)
            }
            Command::Stop(id) => {
                self.commands.push("stop".into());
                self.connected.remove(&id);
                self.streams.remove(&id)
            }
            Command::Connect { id, connected } => {
                self.connected.insert(id, connected);
                None
            }
            Command::Redirect { direction, .. } => {
                self.commands.push(format!(
                    "redirect send={} receive={}",
                    direction.sends(),
                    direction.receives()
                ));
                None
            }
            Command::Dtmf { event, down, .. } => {
                self.commands.push(format!("dtmf {event} {down}"));
                None
            }
            Command::Speak(_) => {
                self.commands.push("speak".into());
                None
            }
            Command::Tone(_)
            | Command::KeyTone(_)
            | Command::StopSpeaking
            | Command::WatchSources { .. }
            | Command::Mute(_)
            | Command::Gains(_)
            | Command::Ring(_) => None,
        };
        if let Some(stream) = home.filter(|_| !self.deaf) {
            self.control.handle_media(Event::Retired(stream), now);
        }
    }

    fn last_event(&self, name: &str) -> &Value {
        self.events
            .iter()
            .rev()
            .find(|event| event["event"] == name)
            .unwrap_or_else(|| panic!("no event {name}"))
    }
}

/// The two, the wire and the clock between them.
struct Pair {
    now: Instant,
    left: Desk,
    right: Desk,
}

impl Pair {
    fn new(left: &str, right: &str) -> Self {
        let now = crate::test_origin();
        let dial = "[dial.speed]\n1 = \"sip:right@192.0.2.2:5060\"\n";
        Self {
            now,
            left: Desk::new("192.0.2.1", &format!("{left}{dial}"), now),
            right: Desk::new("192.0.2.2", right, now),
        }
    }

    /// Lets mail and timers run for so long.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let (now, left, right) = (self.now, &mut self.left, &mut self.right);
            loop {
                let (to_right, to_left) = (left.drain(now), right.drain(now));
                if to_right.is_empty() && to_left.is_empty() {
                    break;
                }
                for message in to_right {
                    right
                        .control
                        .handle_datagram(left.address, &message.bytes, now);
                }
                for message in to_left {
                    left.control
                        .handle_datagram(right.address, &message.bytes, now);
                }
            }
            let due = [left.control.poll_timeout(), right.control.poll_timeout()]
                .into_iter()
                .flatten()
                .min();
            let Some(due) = due.filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = due.max(now);
            self.left.control.handle_timeout(self.now);
            self.right.control.handle_timeout(self.now);
        }
    }

    fn ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    fn ask(&mut self, left: bool, request: &UserAction) {
        let (now, desk) = (
            self.now,
            if left {
                &mut self.left
            } else {
                &mut self.right
            },
        );
        desk.control.handle_action(request, now).unwrap();
        self.ms(1);
    }

    /// Left calls right, right lifts.
    fn talk(&mut self) {
        self.ask(true, &UserAction::Lift);
        self.ask(true, &UserAction::Press("1#".into()));
        self.ms(400);
        assert_eq!(self.right.control.state(), phone::State::Ringing);
        self.ask(false, &UserAction::Lift);
        self.ms(200);
        assert_eq!(self.left.control.state(), phone::State::Talking);
        assert_eq!(self.right.control.state(), phone::State::Talking);
    }

    /// After every timer of RFC 3261 (32 s for the longest) nothing is left.
    fn assert_quiet(&mut self) {
        self.run(Duration::from_secs(120));
        for desk in [&self.left, &self.right] {
            assert_eq!(desk.control.tables(), Tables::default());
            assert!(desk.ports.open.is_empty() && desk.streams.is_empty());
            assert_eq!(
                (desk.control.state(), desk.control.tone(), &desk.ring),
                (phone::State::Idle, None, &None)
            );
        }
    }
}

#[test]
fn call_from_lift_to_hang_up() {
    let mut pair = Pair::new("", "[phone]\nname = \"Right\"\nuser = \"right\"\n");
    pair.ask(true, &UserAction::Lift);
    assert_eq!(pair.left.control.tone(), Some(phone::Tone::Dial));
    pair.ask(true, &UserAction::Press("1#".into()));
    pair.ms(400);
    assert_eq!(pair.left.control.state(), phone::State::Ringback);
    assert_eq!(pair.left.control.tone(), Some(phone::Tone::Ringback));
    assert!(pair.right.ring.is_some(), "it does not ring");
    let ringing = pair.right.control.status(pair.now);
    assert_eq!(
        (ringing.calls[0].direction, ringing.calls[0].state.as_str()),
        (crate::CallDirection::In, "ringing")
    );
    assert!(pair.right.streams.is_empty(), "sound before the answer");

    pair.ms(1000);
    pair.ask(false, &UserAction::Lift);
    pair.ms(100);
    for desk in [&pair.left, &pair.right] {
        let status = desk.control.status(pair.now);
        let call = &status.calls[0];
        assert_eq!(
            (
                status.state.as_str(),
                call.state.as_str(),
                call.codec,
                call.ptime_ms
            ),
            ("talking", "talking", Some("opus"), Some(20))
        );
        assert_eq!((desk.control.tone(), &desk.ring), (None, &None));
        assert_eq!(desk.connected.values().collect::<Vec<_>>(), [&true]);
        let setup = call.setup_ms.unwrap();
        assert!((1000..1600).contains(&setup), "{setup} ms");
    }
    assert_eq!(pair.left.last_event("call")["state"], "talking");

    pair.ask(false, &UserAction::HangUp);
    pair.ms(100);
    assert_eq!(pair.left.commands, ["start 48000", "stop"]);
    let last = pair.left.control.status(pair.now).last_call.unwrap();
    assert_eq!(last.state.as_str(), "ended");
    assert!(last.cause.unwrap().contains("far end"));
    assert!(
        pair.left.events.iter().any(
            |event| event["event"] == "note" && event["text"].as_str().unwrap().contains("MOS")
        )
    );
    pair.ask(true, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn how_a_call_sounded_is_known_second_by_second_and_after_its_end() {
    let mut pair = Pair::new("", "");
    assert_eq!(pair.left.control.quality(None), None);
    pair.talk();
    let id = *pair.left.streams.keys().next().unwrap();
    for second in 1..=3 {
        let stats = media::StreamStats {
            received: 50 * second,
            mos_now: 4.2,
            ..media::StreamStats::default()
        };
        let (desk, now) = (&mut pair.left, pair.now);
        desk.control.handle_media(Event::Stats { id, stats }, now);
    }
    let quality = pair.left.control.quality(None).expect("a call is on");
    assert_eq!((quality.codec, quality.seconds.len()), ("opus", 3));
    pair.ask(true, &UserAction::HangUp);
    pair.ask(false, &UserAction::HangUp);
    pair.ms(2000);
    let after = pair.left.control.quality(Some(quality.call));
    assert_eq!(after.map(|after| after.summary.received), Some(150));
    assert_eq!(pair.left.control.quality(Some(99)), None);
    pair.assert_quiet();
}

#[test]
fn waiting_call_is_shown_as_waiting() {
    let mut pair = Pair::new("", "");
    pair.talk();
    pair.ask(true, &UserAction::Flash);
    pair.ms(300);
    pair.ask(true, &UserAction::Press("1#".into()));
    pair.ms(400);
    let states = |desk: &Desk| -> Vec<_> {
        let calls = desk.control.status(pair.now).calls;
        calls.iter().map(|call| call.state.as_str()).collect()
    };
    assert_eq!(states(&pair.left), ["on_hold", "ringback"]);
    assert_eq!(states(&pair.right), ["talking", "waiting"]);
    assert_eq!(pair.right.last_event("call")["state"], "waiting");
    pair.ask(true, &UserAction::HangUp);
    pair.ask(false, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn shutdown_ends_the_call_at_both_ends() {
    let mut pair = Pair::new("", "");
    pair.talk();
    let now = pair.now;
    pair.left.control.shut_down(now);
    pair.ms(500);
    assert!(pair.left.control.is_done());
    assert!(pair.right.control.status(pair.now).calls.is_empty());
    let now = pair.now;
    let refused = pair.left.control.handle_action(&UserAction::Lift, now);
    assert!(refused == Err(ActionError::ShuttingDown));
    pair.ask(false, &UserAction::HangUp);
    pair.assert_quiet();
}

#[test]
fn automatic_phone_answers() {
    let mut pair = Pair::new("", "[call]\nauto_answer = true\n");
    pair.ask(true, &UserAction::Lift);
    pair.ask(true, &UserAction::Press("1#".into()));
    pair.ms(500);
    assert_eq!(pair.left.control.state(), phone::State::Talking);
    assert_eq!(pair.right.control.status(pair.now).hook, "on");
    assert_eq!(pair.right.connected.values().collect::<Vec<_>>(), [&true]);
    pair.ask(true, &UserAction::HangUp);
    pair.assert_quiet();
}
