//! `docs/ctl.md` against the types it documents: every request, every field of every reply and
//! event, in both directions.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

use std::collections::BTreeSet;

use control::api::{COMMANDS, Reply, Request, parse};
use control::history::{CallOutcome, HistoryEntry};
use control::known_peers::Trust;
use control::{
    AccountStatus, AttemptStatus, AudioStatus, CallDirection, CallProgress, CallStats, CallStatus,
    CardStatus, CountersStatus, DigitTransport, EchoStatus, Event, IoCounters, MailboxStatus,
    MessageStatus, MetricsStatus, PeerStatus, QualityReport, QualitySecond, QualitySummary,
    RtpStatus, SoundStatus, Stats, Status, TableStats, TimedEvent, WatchedStatus,
};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/ctl.md");

/// The text between a heading and the next of any rank.
fn section(heading: &str) -> &'static str {
    let start = PAGE
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("docs/ctl.md has no section {heading:?}"));
    let text = &PAGE[start + heading.len() + 2..];
    &text[..text.find("\n#").unwrap_or(text.len())]
}

/// The first cell of each row of a section's table, without its backticks.
fn first_cells(heading: &str) -> BTreeSet<String> {
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    section(heading).lines().filter_map(cell).collect()
}

/// The fields of a value as the page writes them: `calls[].rtp.sent`.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                fields(value, &path, found);
            }
        }
        Value::Array(list) => {
            assert!(!list.is_empty(), "{path}: the sample has no entry");
            for value in list {
                fields(value, &format!("{path}[]"), found);
            }
        }
        Value::Null => panic!("{path}: the sample has no value"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            found.insert(path.to_owned());
        }
    }
}

fn check(heading: &str, value: &impl serde::Serialize, elsewhere: &[&str]) {
    let mut value = serde_json::to_value(value).unwrap();
    for key in elsewhere {
        value[*key] = "documented elsewhere".into();
    }
    let mut found = BTreeSet::new();
    fields(&value, "", &mut found);
    assert_eq!(
        first_cells(heading),
        found,
        "documented (left) and sent (right) in {heading}"
    );
}

/// One event of each kind, all fields given. Whoever adds a kind adds it to the match below, which
/// then wants its sample here.
fn events() -> Vec<Event> {
    let (account, error) = ("office".to_owned(), Some("403 Forbidden".to_owned()));
    vec![
        Event::Hook { off: true },
        Event::Key { key: '#' },
        Event::State {
            state: phone::State::Idle,
        },
        Event::Tone { tone: Some("dial") },
        Event::Call {
            id: 1,
            state: CallProgress::Ended,
            peer: "anna".into(),
            direction: CallDirection::In,
            codec: Some("opus"),
            cause: Some("ended here".into()),
        },
        Event::Encryption {
            call: 1,
            encryption: "none",
            missing: Some("not offered".into()),
        },
        Event::Secured {
            call: 1,
            suite: "AEAD_AES_256_GCM",
            words: "acorn".into(),
            digits: "1234".into(),
            trust: Trust::New,
        },
        Event::Registration {
            account,
            registered: false,
            error,
        },
        Event::Digit {
            call: 1,
            digit: '5',
            via: DigitTransport::Rfc4733,
        },
        Event::Refer {
            call: 1,
            to: "sip:bob@example.org".into(),
        },
        Event::Message {
            from: "anna".into(),
            text: "hello".into(),
        },
        Event::Messages {
            account: "office".into(),
            waiting: true,
            new: 2,
            old: 1,
            urgent: 1,
            mailbox: Some("sip:*97@pbx.example".into()),
        },
        Event::Watched {
            target: "205".into(),
            state: "busy",
        },
        Event::Audio {
            what: "lost: USB".into(),
        },
        Event::Lamp {
            lamp: types::Lamp::Line,
            state: types::LampState::On,
        },
        Event::Note {
            kind: "missed",
            text: "hello".into(),
        },
    ]
}

fn kind(event: &Event) -> usize {
    match event {
        Event::Hook { .. } => 0,
        Event::Key { .. } => 1,
        Event::State { .. } => 2,
        Event::Tone { .. } => 3,
        Event::Call { .. } => 4,
        Event::Encryption { .. } => 5,
        Event::Secured { .. } => 6,
        Event::Registration { .. } => 7,
        Event::Digit { .. } => 8,
        Event::Refer { .. } => 9,
        Event::Message { .. } => 10,
        Event::Messages { .. } => 11,
        Event::Watched { .. } => 12,
        Event::Audio { .. } => 13,
        Event::Lamp { .. } => 14,
        Event::Note { .. } => 15,
    }
}

fn rtp() -> RtpStatus {
    RtpStatus {
        sent: 1,
        received: 1,
        lost: 0,
        late: 0,
        concealed: 0,
        jitter_ms: 0.5,
        delay_ms: 40.0,
        mos: 4.4,
    }
}

#[test]
fn every_event_and_field_is_documented() {
    let events = events();
    let kinds: Vec<usize> = events.iter().map(kind).collect();
    let all: Vec<usize> = (0..events.len()).collect();
    assert_eq!(kinds, all, "one sample a kind");
    let mut names = BTreeSet::new();
    for event in &events {
        let mut value = serde_json::to_value(TimedEvent { t: 1.5, event }).unwrap();
        let map = value.as_object_mut().unwrap();
        assert_eq!(map.remove("t"), Some(1.5.into()));
        let name = map.remove("event").unwrap();
        let name = name.as_str().unwrap();
        check(&format!("### `{name}`"), &value, &[]);
        names.insert(format!("### `{name}`"));
    }
    let events = &PAGE[PAGE.find("\n## Events").unwrap()..];
    let documented: BTreeSet<String> = events
        .lines()
        .filter(|line| line.starts_with("### "))
        .map(str::to_owned)
        .collect();
    assert_eq!(documented, names, "documented (left) and existing (right)");
}

#[test]
fn every_request_is_documented_by_an_example() {
    let mut documented = BTreeSet::new();
    for example in first_cells("## Requests") {
        let request = parse(example.as_bytes());
        assert!(request.is_ok(), "{example}: {request:?}");
        let value: Value = serde_json::from_str(&example).unwrap();
        documented.insert(value["cmd"].as_str().unwrap().to_owned());
    }
    let known: BTreeSet<String> = COMMANDS.iter().map(ToString::to_string).collect();
    assert_eq!(documented, known, "documented (left) and known (right)");
    assert_eq!(parse(br#"{"cmd":"status"}"#), Ok(Request::Status));
}

#[test]
fn every_reply_is_documented() {
    let wanted: BTreeSet<String> = [
        Reply::done(),
        Reply::written("…".into()),
        Reply::refused("…"),
    ]
    .iter()
    .map(Reply::to_json)
    .collect();
    assert_eq!(first_cells("## Replies"), wanted);
}

#[test]
fn every_field_of_the_history_is_documented() {
    let entry = HistoryEntry {
        time: 1,
        direction: CallDirection::In,
        outcome: CallOutcome::Missed,
        number: "1".into(),
        name: "anna".into(),
        account: Some(0),
        duration_s: 0,
        mos: Some(4.4),
        encryption: "none".into(),
        reason: "the caller hung up".into(),
        text: Some("lunch?".into()),
    };
    let history = Reply::History {
        ok: true,
        history: vec![entry],
    };
    check("### history", &history, &[]);
}

#[test]
fn every_field_of_quality_is_documented() {
    let quality = Reply::Quality {
        ok: true,
        quality: Box::new(QualityReport {
            call: 1,
            peer: "anna".into(),
            codec: "opus",
            summary: QualitySummary {
                seconds: 1,
                received: 50,
                lost: 0,
                late: 0,
                concealed_ms: 0,
                most_jitter_ms: 1.0,
                mean_delay_ms: 20.0,
                most_delay_ms: 20.0,
                mean_mos: 4.3,
                worst_mos: 4.3,
            },
            metrics: metrics(),
            far_metrics: Some(metrics()),
            seconds: vec![QualitySecond {
                s: 0,
                received: 50,
                lost: 0,
                late: 0,
                concealed_ms: 0,
                jitter_ms: 1.0,
                delay_ms: 20.0,
                buffer_ms: 20.0,
                round_trip_ms: 2.0,
                sent_level_db: -20.0,
                received_level_db: -20.0,
                mos: 4.3,
            }],
        }),
    };
    check("### quality", &quality, &[]);
}

fn metrics() -> MetricsStatus {
    MetricsStatus {
        loss: 0.0,
        discarded: 0.0,
        burst_density: 0.0,
        gap_density: 0.0,
        burst_ms: 0,
        gap_ms: 1000,
        round_trip_ms: 2,
        end_system_ms: 60,
        signal_db: Some(-20),
        r: Some(93),
        mos_lq: Some(4.4),
        mos_cq: Some(4.3),
        buffer_ms: 20,
    }
}

fn counters() -> CountersStatus {
    CountersStatus {
        sip_received: 1,
        sip_sent: 1,
        sip_malformed: 0,
        sip_refused: 0,
        sip_dropped: 0,
        sip_retransmitted: 0,
        rtp_rejected: 0,
        io: IoCounters::default(),
    }
}

fn audio() -> AudioStatus {
    AudioStatus {
        cards: vec![CardStatus::default()],
        capture_level_db: Some(-20.0),
        playback_level_db: Some(-20.0),
        echo: Some(EchoStatus {
            active: true,
            erle_db: 35.0,
            delay_ms: 24.0,
        }),
        ..AudioStatus::default()
    }
}

#[test]
fn every_field_of_status_is_documented() {
    let call = CallStatus {
        id: 1,
        direction: CallDirection::Out,
        state: CallProgress::Active(phone::CallState::Talking),
        peer: "anna".into(),
        codec: Some("opus"),
        ptime_ms: Some(20),
        encryption: "none",
        identity: Some(PeerStatus {
            sha256: "AB".into(),
            trust: Trust::New,
            words: "acorn".into(),
            digits: "1234".into(),
        }),
        encryption_missing: Some("not offered".into()),
        setup_ms: Some(100),
        rtp: rtp(),
        cause: Some("ended here".into()),
    };
    let status = Status {
        hook: "off",
        state: phone::State::Talking,
        lines: vec![AccountStatus {
            account: "office".into(),
            uri: "sip:101@pbx.example".into(),
            registered: true,
            expires_in_s: Some(60),
            error: Some("403 Forbidden".into()),
            server: Some("udp 192.0.2.1:5060".into()),
            silent_servers: vec!["udp 192.0.2.2:5060".into()],
            messages: Some(MailboxStatus {
                waiting: true,
                new: 2,
                old: 1,
                urgent: 1,
            }),
            attempts: vec![AttemptStatus {
                at: "2026-03-01T09:30:00Z".into(),
                server: Some("udp 192.0.2.1:5060".into()),
                result: "403 Forbidden".into(),
                next: Some("2026-03-01T09:30:30Z".into()),
            }],
        }],
        watched: vec![WatchedStatus {
            target: "205".into(),
            state: "busy",
        }],
        calls: vec![call.clone()],
        audio: audio(),
        sound: SoundStatus {
            muted: false,
            hands_free: false,
            earpiece_db: -3,
            speaker_db: 0,
            ringer_db: 6,
            microphone_db: 0,
        },
        tone: Some("dial"),
        counters: counters(),
        last_call: Some(call),
        last_message: Some(MessageStatus {
            from: "anna".into(),
            text: "lunch?".into(),
        }),
        config: Some("the last good one".into()),
        fingerprint: Some("AB".into()),
        hardware: vec!["[hook]: no such line".into()],
        network: Some("the cable is out".into()),
        mqtt: Some(control::MqttStatus {
            broker: "192.168.1.5".into(),
            connected: false,
            error: Some("refused".into()),
        }),
        warnings: vec!["tls.verify".into()],
        version: "1",
    };
    check("### status", &status, &["last_call"]);
}

#[test]
fn every_field_of_stats_is_documented() {
    let stats = Stats {
        ok: true,
        calls: vec![CallStats {
            id: 1,
            state: CallProgress::Ended,
            rtp: rtp(),
            duplicate: 0,
            rejected: 0,
            concealed_ms: 0,
            drift_ppm: 0.0,
            unheard_s: 0,
            round_trip_ms: Some(1.0),
            remote_loss: Some(0.0),
            sent_level_db: -20.0,
            received_level_db: -20.0,
            metrics: metrics(),
            far_metrics: Some(metrics()),
        }],
        audio: audio(),
        counters: counters(),
        tables: TableStats {
            client_transactions: 0,
            server_transactions: 0,
            dialogs: 0,
            sip_calls: 0,
            lookups: 0,
            calls: 0,
            streams: 0,
            keys: 0,
        },
    };
    check("### stats", &stats, &["audio", "counters"]);
}
