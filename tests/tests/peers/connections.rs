//! TCP connections of a hostile neighbour, beside the phone's own to its registrar.
//!
//! ```text
//! Registrar (127.0.0.9, TCP) ◀── offhook ◀── 64 connections of 127.0.0.66 ── silent, or line ends only
//!           └─ asks OPTIONS ───────▶ ▲── 64 hosts (127.0.1.x) that reopen theirs ten times a second
//!                                   ▲── 127.0.0.67 asks OPTIONS
//! ```

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use serde_json::Value;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use testkit::process::{ChildProcess, TestDir, port_block};

/// A registrar that accepts everyone; what it counted.
struct Registrar {
    port: u16,
    registers: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Registrar {
    fn start() -> Self {
        let port = port_block();
        let listener = TcpListener::bind(("127.0.0.9", port)).unwrap();
        let registrar = Self {
            port,
            registers: Arc::default(),
            connections: Arc::default(),
        };
        let (registers, connections) = (
            Arc::clone(&registrar.registers),
            Arc::clone(&registrar.connections),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::Relaxed);
                let registers = Arc::clone(&registers);
                std::thread::spawn(move || serve(stream, &registers));
            }
        });
        registrar
    }

    fn account(&self) -> String {
        format!(
            "[[account]]\nuser = \"101\"\ndomain = \"127.0.0.9\"\npassword = \"secret\"\n\
             registrar = \"127.0.0.9:{}\"\n\
             transport = \"tcp\"\nexpires_s = 600\n",
            self.port
        )
    }
}

/// Answers each request of one connection with 200; the headers of a REGISTER come back with it.
fn serve(stream: TcpStream, registers: &AtomicUsize) {
    let mut writer = stream.try_clone().unwrap();
    let mut head: Vec<String> = Vec::new();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if !line.is_empty() {
            head.push(line);
            continue;
        }
        let request = std::mem::take(&mut head);
        if request
            .first()
            .is_some_and(|line| line.starts_with("REGISTER "))
        {
            registers.fetch_add(1, Ordering::Relaxed);
            let kept = request
                .iter()
                .filter(|line| {
                    [
                        "Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:", "Expires:",
                    ]
                    .iter()
                    .any(|name| line.starts_with(name))
                })
                .fold(String::new(), |kept, line| kept + line + "\r\n");
            let response = format!("SIP/2.0 200 OK\r\n{kept}Content-Length: 0\r\n\r\n");
            if writer.write_all(response.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// A connection to the phone that comes from this address.
fn connect_from(host: [u8; 4], port: u16) -> nix::Result<TcpStream> {
    let socket: OwnedFd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let address = |host: [u8; 4], port| {
        SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::from(host), port))
    };
    bind(socket.as_raw_fd(), &address(host, 0))?;
    connect(socket.as_raw_fd(), &address([127, 0, 0, 1], port))?;
    Ok(TcpStream::from(socket))
}

/// Whether the phone answers OPTIONS on a new connection from this host.
fn is_answered(host: [u8; 4], port: u16) -> bool {
    let Ok(mut stream) = connect_from(host, port) else {
        return false;
    };
    let options = format!(
        "OPTIONS sip:phone@127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/TCP 127.0.0.67;branch=z9hG4bKo;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:o@127.0.0.67>;tag=o\r\nTo: <sip:phone@127.0.0.1:{port}>\r\nCall-ID: o\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    stream
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    let mut answer = [0; 12];
    stream.write_all(options.as_bytes()).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer == *b"SIP/2.0 200 "
}

/// Whether the far end has closed a connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 64]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

fn registered(status: &Value) -> bool {
    status["lines"][0]["registered"] == true
}

#[test]
fn flood_leaves_registration_and_others_alone() {
    let dir = TestDir::new("connections");
    let registrar = Registrar::start();
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            more: registrar.account(),
            ..Setup::default()
        },
    );
    desk.wait("registration", Duration::from_secs(8), registered);
    for noise in [&b""[..], b"\r\n"] {
        let mut flood: Vec<TcpStream> = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(12) {
            flood.retain_mut(|stream| !is_closed(stream) && stream.write_all(noise).is_ok());
            while flood.len() < 64 {
                flood.push(connect_from([127, 0, 0, 66], desk.sip_port).unwrap());
            }
            assert!(
                is_answered([127, 0, 0, 67], desk.sip_port),
                "another host is locked out after {:?}",
                begun.elapsed()
            );
            assert!(registered(&desk.status()));
            std::thread::sleep(Duration::from_millis(500));
        }
        assert!(is_answered([127, 0, 0, 67], desk.sip_port));
    }
    assert_eq!(
        (
            registrar.registers.load(Ordering::Relaxed),
            registrar.connections.load(Ordering::Relaxed)
        ),
        (1, 1)
    );
    desk.assert_usable();
}

/// Connections of many hosts, each reopened ten times a second; what each sends at once.
fn reopen(port: u16, says: &[u8], stop: &AtomicBool) -> usize {
    let (mut held, mut opened) = (VecDeque::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let round = Instant::now();
        for host in 1..=64 {
            if let Ok(mut stream) = connect_from([127, 0, 1, host], port) {
                let _ = stream.write_all(says);
                opened += 1;
                held.push_back(stream);
            }
        }
        while held.len() > 400 {
            held.pop_front();
        }
        std::thread::sleep(Duration::from_millis(100).saturating_sub(round.elapsed()));
    }
    opened
}

/// How many of twenty questions of the account's server are answered, each on a new connection,
/// while many hosts reopen theirs; how many those opened.
fn answered_in_flood(port: u16, says: &[u8], ask: impl Fn() -> bool) -> (usize, usize) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let flood = threads.spawn(|| reopen(port, says, &stop));
        std::thread::sleep(Duration::from_secs(1));
        let mut answered = 0;
        for _ in 0..20 {
            answered += usize::from(ask());
            std::thread::sleep(Duration::from_millis(150));
        }
        stop.store(true, Ordering::Relaxed);
        (answered, flood.join().unwrap())
    })
}

#[test]
fn servers_reach_the_phone_while_many_hosts_reopen_connections() {
    let dir = TestDir::new("reopened");
    let registrar = Registrar::start();
    let setup = Setup {
        direct: Some(false),
        more: registrar.account(),
        ..Setup::default()
    };
    let desk = DeskPhone::start(&dir, "desk", setup);
    desk.wait("registration", Duration::from_secs(8), registered);
    let port = desk.sip_port;
    let ask = || is_answered([127, 0, 0, 9], port);
    for says in [&b""[..], b"\r\n\r\n"] {
        let (answered, opened) = answered_in_flood(port, says, ask);
        println!("{answered} of 20 answered beside {opened} connections of strangers");
        assert!(opened > 500, "{opened} connections are no flood");
        assert_eq!(answered, 20);
    }
    assert!(registered(&desk.status()));
    assert_eq!(registrar.registers.load(Ordering::Relaxed), 1);
    desk.assert_usable();
}

/// Whether the phone answers OPTIONS over TLS on a new connection of the account's server.
fn is_answered_by_tls(dir: &TestDir, port: u16) -> bool {
    let options = format!(
        "OPTIONS sip:phone@127.0.0.1 SIP/2.0\r\n\
         Via: SIP/2.0/TLS 127.0.0.9;branch=z9hG4bKt;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:o@127.0.0.9>;tag=o\r\nTo: <sip:phone@127.0.0.1:{port}>\r\nCall-ID: t\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    let mut command = std::process::Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-bind", "127.0.0.9:0", "-connect"])
        .arg(format!("127.0.0.1:{port}"));
    let log = dir.join("s_client.log");
    let (mut client, mut stdin) = ChildProcess::start_with_stdin(&mut command, &log);
    stdin.write_all(options.as_bytes()).unwrap();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end && !client.has_ended() {
        if std::fs::read_to_string(&log).is_ok_and(|text| text.contains("SIP/2.0 200 ")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Handshakes that many hosts begin and do not go on with, ten times a second each.
#[test]
fn servers_reach_the_phone_while_many_handshakes_stand_still() {
    let dir = TestDir::new("handshakes");
    let registrar = Registrar::start();
    let tls_port = port_block();
    let setup = Setup {
        direct: Some(false),
        more: format!(
            "{}[tls]\nlisten = \"all\"\nsip_port_tls = {tls_port}\n",
            registrar.account()
        ),
        ..Setup::default()
    };
    let desk = DeskPhone::start(&dir, "desk", setup);
    desk.wait("registration", Duration::from_secs(8), registered);
    let ask = || is_answered_by_tls(&dir, tls_port);
    assert!(ask(), "without a flood");
    // The head of a ClientHello whose rest never comes.
    let (answered, opened) = answered_in_flood(tls_port, &[22, 3, 1, 2, 0, 1], ask);
    println!("{answered} of 20 answered beside {opened} handshakes of strangers");
    assert!(opened > 500, "{opened} connections are no flood");
    assert_eq!(answered, 20);
    assert!(is_answered([127, 0, 0, 9], desk.sip_port));
    desk.assert_usable();
}
