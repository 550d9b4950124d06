//! TCP connections of a hostile neighbour, beside the phone's own to its registrar.
//!
//! ```text
//! Registrar (127.0.0.9, TCP) ◀── offhook ◀── 64 connections of 127.0.0.66 ── silent, or line ends only
//!                                   ▲── 127.0.0.67 asks OPTIONS
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use serde_json::Value;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use testkit::process::{TestDir, port_block};

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
