//! The control socket: whose it is, who listens, and what it answers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Folder, Phone, ask, offhook, said};

#[test]
fn the_socket_is_the_owners_and_speaks_json_lines() {
    let folder = Folder::new("socket");
    let socket = folder.socket();
    // A socket left by a phone that was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let mut phone = Phone::start(&folder.config(testkit::process::free_port(), ""), &socket);
    assert_eq!(
        fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let status = ask(&socket, r#"{"cmd":"status"}"#);
    for key in [
        "hook",
        "state",
        "lines",
        "calls",
        "audio",
        "tone",
        "counters",
        "last_call",
        "version",
    ] {
        assert!(status.get(key).is_some(), "status has no {key}: {status}");
    }
    assert_eq!(
        (&status["hook"], &status["state"]),
        (&json!("on"), &json!("idle"))
    );
    for key in [
        "device",
        "rt",
        "period_ms",
        "xruns",
        "capture_level_db",
        "playback_level_db",
    ] {
        assert!(
            status["audio"].get(key).is_some(),
            "audio has no {key}: {status}"
        );
    }
    assert!(status["audio"]["rt"].is_boolean());

    let refused = ask(&socket, r#"{"cmd":"press","keys":"12x"}"#);
    assert_eq!(refused["ok"], json!(false));
    assert!(
        refused["error"].as_str().unwrap().contains("'x'"),
        "{refused}"
    );
    for bad in [
        "",
        "lift",
        "{}",
        r#"{"cmd":"dance"}"#,
        r#"{"cmd":1}"#,
        &"x".repeat(10_000),
    ] {
        let refused = ask(&socket, bad);
        assert_eq!(refused["ok"], json!(false), "{bad}");
        assert!(
            refused["error"]
                .as_str()
                .is_some_and(|error| !error.is_empty()),
            "{bad}"
        );
    }
    assert_eq!(
        said(&offhook(&["ctl", "--socket", &socket, "press", "x"])).0,
        1
    );
    let (code, out, _) = said(&offhook(&["graph", "--socket", &socket]));
    assert!(
        code == 0 && out.starts_with("digraph") && out.contains("microphone"),
        "{out}"
    );
    let (code, out, _) = said(&offhook(&["graph", "--socket", &socket, "--svg"]));
    assert!(
        code == 0 && out.starts_with("<svg") && out.trim_end().ends_with("</svg>"),
        "{out}"
    );

    let (code, out, _) = said(&offhook(&["ctl", "--socket", &socket, "quit"]));
    assert_eq!(
        (code, serde_json::from_str::<Value>(&out).unwrap()),
        (0, json!({"ok": true}))
    );
    assert_eq!(phone.ended().0, 0);
    assert!(!Path::new(&socket).exists(), "the socket's file was left");
}

#[test]
fn lifting_is_seen_by_all_who_listen() {
    let folder = Folder::new("events");
    let socket = folder.socket();
    let mut phone = Phone::start(&folder.config(testkit::process::free_port(), ""), &socket);
    let mut listener = UnixStream::connect(&socket).unwrap();
    listener.write_all(b"{\"cmd\":\"events\"}\n").unwrap();
    listener
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // Another one never reads: it must hold no one up.
    let mut deaf = UnixStream::connect(&socket).unwrap();
    deaf.write_all(b"{\"cmd\":\"events\"}\n").unwrap();
    while ask(&socket, r#"{"cmd":"status"}"#)["hook"] != "on" {}

    for _ in 0..3 {
        assert_eq!(ask(&socket, r#"{"cmd":"lift"}"#), json!({"ok": true}));
        assert_eq!(ask(&socket, r#"{"cmd":"status"}"#)["hook"], json!("off"));
        assert_eq!(ask(&socket, r#"{"cmd":"hang-up"}"#), json!({"ok": true}));
    }
    let mut lines = BufReader::new(listener).lines();
    let mut hooks = Vec::new();
    let mut last = 0.0;
    while hooks.len() < 6 {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let t = event["t"].as_f64().unwrap();
        assert!(t >= last, "time ran backwards: {event}");
        last = t;
        if event["event"] == "hook" {
            hooks.push(event["off"].as_bool().unwrap());
        }
    }
    assert_eq!(hooks, [true, false, true, false, true, false]);
    assert_eq!(said(&offhook(&["ctl", "--socket", &socket, "quit"])).0, 0);
    assert_eq!(phone.ended().0, 0);
}

#[test]
fn a_listener_that_does_not_read_is_dropped() {
    let folder = Folder::new("deaf");
    let socket = folder.socket();
    let mut phone = Phone::start(&folder.config(testkit::process::free_port(), ""), &socket);
    let mut deaf = UnixStream::connect(&socket).unwrap();
    deaf.write_all(b"{\"cmd\":\"events\"}\n").unwrap();
    deaf.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let hand = UnixStream::connect(&socket).unwrap();
    let mut answers = BufReader::new(hand.try_clone().unwrap()).lines();
    let mut sent = 0;
    for request in ["lift", "hang-up"].iter().cycle().take(4000) {
        (&hand)
            .write_all(format!("{{\"cmd\":\"{request}\"}}\n").as_bytes())
            .unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "{\"ok\":true}");
        sent += 1;
    }
    // It hears what was kept for it, and then that it was dropped; each request made three events
    // or more.
    let heard = BufReader::new(deaf).lines().map_while(Result::ok).count();
    assert!(heard < 3 * sent, "{heard} lines: no one was dropped");
    assert_eq!(said(&offhook(&["ctl", "--socket", &socket, "quit"])).0, 0);
    assert_eq!(phone.ended().0, 0);
}

#[test]
fn two_phones_do_not_share_a_socket_or_a_port() {
    let folder = Folder::new("twice");
    let (socket, port) = (folder.socket(), testkit::process::free_port());
    let config = folder.config(port, "");
    let mut phone = Phone::start(&config, &socket);
    let (code, _, err) = said(&offhook(&["run", "--board", "sim", "--config", &config]));
    assert_eq!(code, 1);
    assert!(
        err.contains("another offhook") && err.contains("ctl.sock"),
        "{err}"
    );

    let other = Folder::new("twice-other");
    let (code, _, err) = said(&offhook(&[
        "run",
        "--board",
        "sim",
        "--config",
        &other.config(port, ""),
    ]));
    assert_eq!(code, 1);
    assert!(
        err.contains(&port.to_string()) && err.contains("sip_port"),
        "{err}"
    );
    assert_eq!(
        ask(&socket, r#"{"cmd":"status"}"#)["hook"],
        json!("on"),
        "the first phone lives on"
    );
    drop(ask(&socket, r#"{"cmd":"quit"}"#));
    assert_eq!(phone.ended().0, 0);
}
