//! What must not end the phone, hang it or leave somebody ringing: ports that are taken, silent
//! connections, a configuration that does not work, a server whose answer never stays.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::machine::{Machine, Phone, until};
use crate::server::Server;

/// A signal that ends a phone in good order.
fn terminate(phone: &Phone) {
    let killed = Command::new("kill")
        .arg(phone.child.id().to_string())
        .status();
    assert!(killed.unwrap().success());
}

/// The next message of a peer, by its first word.
fn next(peer: &UdpSocket, wanted: &str) -> Option<String> {
    let mut buffer = [0; 4096];
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        match peer.recv(&mut buffer) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if text.starts_with(wanted) {
                    return Some(text);
                }
            }
            Err(_) => return None,
        }
    }
    None
}

fn peer() -> UdpSocket {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    peer
}

#[test]
fn a_call_no_one_has_answered_is_cancelled_when_the_phone_ends() {
    let machine = Machine::new("cancel");
    let peer = peer();
    machine.card(&format!(
        "[call]\ndirect = true\n[dial.speed]\n1 = \"sip:x@{}\"\n",
        peer.local_addr().unwrap()
    ));
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.ask(r#"{"cmd":"press","keys":"1#"}"#);
    let invite = next(&peer, "INVITE ").expect("an INVITE");
    terminate(&phone);
    let cancel = next(&peer, "CANCEL ").expect("a CANCEL");
    let branch = |text: &str| {
        let via = text.lines().find(|line| line.starts_with("Via:")).unwrap();
        via.split("branch=").nth(1).unwrap().to_owned()
    };
    assert_eq!(branch(&cancel), branch(&invite));
    assert_eq!(phone.exit_code(), 0);
}

#[test]
fn silent_connections_keep_no_one_from_asking() {
    let machine = Machine::new("silent");
    machine.card("");
    let phone = machine.start();
    let silent: Vec<UnixStream> = (0..100)
        .map(|_| UnixStream::connect(&phone.socket).unwrap())
        .collect();
    let began = Instant::now();
    assert_eq!(phone.ask(r#"{"cmd":"status"}"#)["hook"], "on");
    assert!(began.elapsed() < Duration::from_secs(2));
    drop(silent);
}

#[test]
fn a_file_at_the_control_socket_is_left_and_costs_no_dial_tone() {
    let machine = Machine::new("plain-socket");
    machine.card("[phone]\nname = \"x\"\n");
    let socket = machine.path("run/ctl.sock");
    fs::write(&socket, "somebody's").unwrap();
    let child = machine
        .command(&["run"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let phone = Phone { child, socket };
    until("status.txt", || machine.status_file().contains("on box"));
    assert_eq!(fs::read(&phone.socket).unwrap(), b"somebody's");
}

#[test]
fn a_port_that_is_taken_is_replaced_and_reported() {
    let machine = Machine::new("port");
    machine.card("");
    let text = fs::read_to_string(machine.path("card/offhook.toml")).unwrap();
    let port = text
        .split("sip_port = ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let _holder = UdpSocket::bind(format!("127.0.0.1:{port}")).unwrap();
    let phone = machine.start();
    let status = phone.ask(r#"{"cmd":"status"}"#);
    let note = status["config"].as_str().unwrap();
    assert!(note.contains(port) && note.contains("uses port"), "{note}");
    until("status.txt", || {
        machine.status_file().contains("SIP port: UDP port")
    });
    phone.ask(r#"{"cmd":"lift"}"#);
    assert_eq!(phone.ask(r#"{"cmd":"status"}"#)["hook"], "off");
}

#[test]
fn a_board_description_with_a_mistake_ends_no_phone() {
    let machine = Machine::new("hardware");
    machine.hardware("[lamps]\nlien = 1\n");
    machine.card("");
    let phone = machine.start();
    let status = phone.ask(r#"{"cmd":"status"}"#);
    let faults = status["hardware"].to_string();
    assert!(faults.contains("hardware.toml:6:1"), "{faults}");
    until("status.txt", || {
        machine.status_file().contains("hardware.toml:6:1")
    });
}

fn provisioned(name: &str) -> (Machine, Server) {
    let machine = Machine::new(name);
    let server = Server::start(None);
    machine.card(&format!(
        "[provision]\nurl = \"{}\"\nallow_http = true\n",
        server.url("/t0ken/x?key=t0ken")
    ));
    (machine, server)
}

const PATH: &str = "/t0ken/x?key=t0ken";

#[test]
fn a_server_that_changes_each_time_restarts_the_phone_no_more() {
    let (machine, server) = provisioned("pace");
    let mut restarts = 0;
    let phone = loop {
        server.body(
            PATH,
            &format!("[phone]\nname = \"{}\"\n", "x".repeat(restarts + 1)),
        );
        let mut phone = machine.start();
        phone.ask(r#"{"cmd":"refresh"}"#);
        let deadline = Instant::now() + Duration::from_secs(6);
        while Instant::now() < deadline && phone.child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        if phone.child.try_wait().unwrap().is_none() {
            break phone;
        }
        assert_eq!(phone.exit_code(), 10);
        restarts += 1;
        assert!(restarts < 8, "restarted {restarts} times");
    };
    assert_eq!(restarts, 4);
    phone.ask(r#"{"cmd":"refresh"}"#);
    until("status.txt", || {
        machine.status_file().contains("it is asked again in 1 min")
    });
}

#[test]
fn a_configuration_that_ends_the_phone_is_reverted() {
    let (machine, server) = provisioned("trial");
    server.body(PATH, "[phone]\nname = \"bad\"\n");
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"refresh"}"#);
    assert_eq!(phone.exit_code(), 10);
    // It ends, for whatever reason, before it has proved itself.
    for _ in 0..2 {
        let mut phone = machine.start();
        until("in use", || machine.path("state/network-trial").exists());
        phone.child.kill().unwrap();
        phone.child.wait().unwrap();
    }
    let mut phone = machine.start();
    until("status.txt", || {
        machine
            .status_file()
            .contains("did not stay up with it (2 starts)")
    });
    assert!(!machine.path("state/network.toml").exists());
    // The same text once more: a second trial, and no third.
    phone.ask(r#"{"cmd":"refresh"}"#);
    assert_eq!(phone.exit_code(), 10);
    for _ in 0..2 {
        let mut phone = machine.start();
        phone.child.kill().unwrap();
        phone.child.wait().unwrap();
    }
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"refresh"}"#);
    std::thread::sleep(Duration::from_secs(5));
    assert!(phone.child.try_wait().unwrap().is_none(), "a third trial");
    assert!(!machine.path("state/network.toml").exists());
    // Another text is another matter.
    server.body(PATH, "[phone]\nname = \"good one\"\n");
    fs::remove_file(machine.path("run/provision-pace")).unwrap();
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"refresh"}"#);
    assert_eq!(phone.exit_code(), 10);
}

/// A text with which the phone starts, binds and never reaches its server again. Wall clock: a
/// trial takes as long as the phone gives it, 60 s where it goes well and 180 s at most.
#[test]
fn a_configuration_that_reaches_no_server_is_reverted() {
    let trial = |name: &str| {
        let (machine, server) = provisioned(name);
        server.body(PATH, "[phone]\nname = \"on trial\"\n");
        let mut phone = machine.start();
        phone.ask(r#"{"cmd":"refresh"}"#);
        assert_eq!(phone.exit_code(), 10);
        (machine, server)
    };
    let ends = |phone: &mut Phone, seconds: u64| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) {
            if phone.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        false
    };
    let (bad, silent) = trial("trial-unreached");
    let (good, _server) = trial("trial-reached");
    silent.answer(PATH, "HTTP/1.1 503 Gone\r\nContent-Length: 0\r\n\r\n");
    let (mut unreached, reached) = (bad.start(), good.start());
    unreached.ask(r#"{"cmd":"lift"}"#);
    // What reaches its server is kept after a minute, what does not is still on trial.
    std::thread::sleep(Duration::from_secs(75));
    assert!(!good.path("state/network-trial").exists());
    assert!(good.path("state/network.toml").exists());
    assert!(bad.path("state/network-trial").exists());
    let status = unreached.ask(r#"{"cmd":"status"}"#);
    assert_eq!(status["hook"], "off", "dial tone all the while: {status}");
    drop(reached);
    unreached.ask(r#"{"cmd":"hang-up"}"#);
    assert!(ends(&mut unreached, 150), "still on trial");
    assert_eq!(unreached.exit_code(), 10);
    assert!(!bad.path("state/network.toml").exists());
    let again = bad.start();
    until("status.txt", || {
        bad.status_file()
            .contains("no provisioning server answered")
    });
    assert_eq!(again.ask(r#"{"cmd":"status"}"#)["hook"], "on");
}

#[test]
fn a_token_in_a_url_is_shown_nowhere() {
    let (machine, server) = provisioned("token");
    let log = machine.path("run/log");
    let start = || {
        let child = machine
            .command(&["run"])
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let phone = Phone {
            child,
            socket: machine.path("run/ctl.sock"),
        };
        until("the phone listens", || {
            UnixStream::connect(&phone.socket).is_ok()
        });
        phone
    };
    let text = fs::read_to_string(machine.path("card/offhook.toml")).unwrap();
    let text = text.replace("[phone]\n", "")
        + "[phone]\nlog = \"trace\"\n[update]\nurl = \"https://u.example/t0ken.raucb\"\n";
    fs::write(machine.path("card/offhook.toml"), text).unwrap();
    let mut seen = String::new();
    for (answer, expect) in [
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "404"),
        (
            "HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/t0ken\r\nContent-Length: 0\r\n\r\n",
            "refused",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nx=t",
            "not taken",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\n",
            "in use, from http://127.0.0.1",
        ),
    ] {
        server.answer(PATH, answer);
        let mut phone = start();
        phone.ask(r#"{"cmd":"refresh"}"#);
        until(expect, || {
            phone.ask(r#"{"cmd":"refresh"}"#);
            let status = machine.status_file();
            let line = status
                .lines()
                .find(|line| line.starts_with("From the network"));
            line.is_some_and(|line| line.contains(expect))
        });
        seen += &machine.status_file();
        seen += &phone.ask(r#"{"cmd":"status"}"#).to_string();
        let bundle = machine.path("run/bundle.tar.gz");
        phone.ask(&format!(
            r#"{{"cmd":"bundle","file":"{}"}}"#,
            bundle.display()
        ));
        for (name, content) in crate::orders::unpacked(&bundle) {
            seen += &name;
            seen += &String::from_utf8_lossy(&content);
        }
        phone.ask(r#"{"cmd":"quit"}"#);
        assert_eq!(phone.exit_code(), 0);
        seen += &fs::read_to_string(&log).unwrap();
    }
    let found = seen.lines().find(|line| line.contains("t0ken"));
    assert_eq!(found, None);
    assert!(seen.contains("http://127.0.0.1"), "the host is still named");
}
