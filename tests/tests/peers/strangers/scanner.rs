//! One who sends what he likes, and reads what comes back.
//!
//! Wall clock: the phone is a process of its own.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Somebody else's machine: no address of the phone's server.
pub(super) const ELSEWHERE: &str = "127.0.0.66";

/// One who sends what he likes.
pub(super) struct Stranger {
    pub(super) socket: UdpSocket,
    phone: u16,
    pub(super) sent: u32,
}

/// One request of his, without its end.
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) user: &'a str,
    /// Whole header lines.
    pub(super) more: &'a str,
    pub(super) body: &'a str,
}

impl Stranger {
    pub(super) fn new(phone: u16) -> Self {
        let socket = UdpSocket::bind((ELSEWHERE, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            phone,
            sent: 0,
        }
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        // A full buffer of the phone's is the stranger's loss.
        self.socket.send_to(bytes, ("127.0.0.1", self.phone)).ok();
    }

    /// Sends a request with a transaction of its own; returns its number.
    pub(super) fn ask(&mut self, ask: &Ask<'_>) -> u32 {
        self.sent += 1;
        let (n, port) = (self.sent, self.socket.local_addr().unwrap().port());
        let Ask {
            method,
            user,
            more,
            body,
        } = ask;
        let from = if more.contains("From:") {
            ""
        } else {
            "From: \"scan\" <sip:100@1.1.1.1>;tag=t\r\n"
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        self.send(
            format!(
                "{method} sip:{user}@127.0.0.1:{phone} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {ELSEWHERE}:{port};branch=z9hG4bK-{n};rport\r\n\
                 Max-Forwards: 70\r\n\
                 {from}To: <sip:{user}@127.0.0.1>\r\nCall-ID: scan-{n}\r\nCSeq: 1 {method}\r\n\
                 Contact: <sip:100@{ELSEWHERE}:{port}>\r\n{more}{kind}Content-Length: {}\r\n\r\n\
                 {body}",
                body.len(),
                phone = self.phone,
            )
            .as_bytes(),
        );
        n
    }

    /// Everything that came back so far.
    pub(super) fn answers(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        all
    }

    /// The first line of the first final answer to that request.
    pub(super) fn answer_to(&self, n: u32) -> String {
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let found = self.answers().into_iter().find(|text| {
                !text.starts_with("SIP/2.0 1") && text.contains(&format!("branch=z9hG4bK-{n};"))
            });
            if let Some(text) = found {
                return text.lines().next().unwrap_or_default().to_owned();
            }
            assert!(Instant::now() < end, "no answer to request {n}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An SDP offer of the stranger's.
pub(super) fn offer(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ELSEWHERE}\r\ns=-\r\nc=IN IP4 {ELSEWHERE}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\n"
    )
}
