//! The screens of the guide: what the program prints, run here and drawn as a terminal. Addresses
//! of this run are replaced by those of an example.
//!
//! ```text
//! offhook check --try ═UDP═ a registrar of the test kit ─▶ stdout ─▶ docs/guide/src/screens/*.svg (compared, or written)
//! ```
//!
//! Wall clock: a process of its own that asks a server.

use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use offhook_tests::desk_phone::binary;
use testkit::network::Datagram;
use testkit::process::TestDir;
use testkit::registrar::Registrar;

use crate::write_or_compare;

/// Letters of a line of the terminal.
const COLUMNS: usize = 96;
/// The server of the example.
const SERVER: &str = "192.0.2.10:5060";

/// A registrar on the loopback for as long as the test runs.
fn registrar() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    let mut registrar = Registrar::new(at, &[("101", "secret101")]);
    std::thread::spawn(move || {
        let begin = Instant::now();
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let datagram = Datagram {
                from,
                to: at,
                bytes: bytes[..length].to_vec(),
            };
            for answer in registrar.handle(&datagram, begin.elapsed()) {
                let _ = socket.send_to(&answer.bytes, answer.to);
            }
        }
    });
    at
}

/// What `offhook check --try` prints about an account with this password.
fn check(password: &str) -> String {
    let dir = TestDir::new("screens");
    let at = registrar();
    let text = format!(
        "[network]\nbind = \"127.0.0.1\"\n[control]\nsocket = \"{0}/ctl.sock\"\n\
         state_dir = \"{0}/state\"\n[board]\nprofile = \"sim\"\n[[account]]\nuser = \"101\"\n\
         domain = \"office\"\nregistrar = \"{at}\"\npassword = \"{password}\"\n",
        dir.path().display()
    );
    std::fs::write(dir.join("offhook.toml"), text).unwrap();
    let begin = Instant::now();
    let done = Command::new(binary())
        .args(["check", "offhook.toml", "--try"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    // No NAT stands between, so that none is watched for thirty seconds.
    assert!(begin.elapsed() < Duration::from_secs(20));
    let said = String::from_utf8(done.stdout).unwrap();
    format!(
        "$ offhook check offhook.toml --try\n{}",
        said.replace(&at.to_string(), SERVER)
    )
}

/// Lines no longer than a terminal's, each with the first character of what it belongs to.
fn broken(text: &str) -> Vec<(char, String)> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let first = line.chars().next().unwrap_or(' ');
        let mut part = String::new();
        for word in line.split(' ') {
            if !part.is_empty() && part.chars().count() + 1 + word.chars().count() > COLUMNS {
                lines.push((first, std::mem::take(&mut part)));
                part.push_str("  ");
            } else if !part.is_empty() {
                part.push(' ');
            }
            part.push_str(word);
        }
        lines.push((first, part));
    }
    lines
}

fn drawn(title: &str, text: &str) -> String {
    let lines = broken(text);
    let height = lines.len() * 20 + 28;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 920 {height}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"15\">\n\
         <title>{title}</title>\n\
         <rect width=\"920\" height=\"{height}\" rx=\"8\" fill=\"#1c1f24\"/>\n"
    );
    for (row, (first, line)) in lines.iter().enumerate() {
        let colour = match first {
            '✓' => "#a3be8c",
            '!' => "#ebcb8b",
            '✗' => "#e06c75",
            _other => "#d8dee9",
        };
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        let y = row * 20 + 30;
        let _ = writeln!(
            svg,
            "<text x=\"18\" y=\"{y}\" fill=\"{colour}\" xml:space=\"preserve\">{line}</text>"
        );
    }
    svg + "</svg>\n"
}

#[test]
fn the_screens_of_the_guide_are_the_programs() {
    let good = check("secret101");
    assert!(good.contains("✓ 101@office: registered at"), "{good}");
    assert!(!good.contains('✗'), "{good}");
    let wrong = check("secret102");
    assert!(
        wrong.contains("refuses user 101 with this password"),
        "{wrong}"
    );
    for (file, title, text) in [
        (
            "check-good.svg",
            "offhook check --try: everything works",
            good,
        ),
        (
            "check-password.svg",
            "offhook check --try: a wrong password",
            wrong,
        ),
    ] {
        write_or_compare(
            &format!("docs/guide/src/screens/{file}"),
            &drawn(title, &text),
        );
    }
}
