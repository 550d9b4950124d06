//! A scripted far end over real sockets: calls, waits for the answer, and treats RTP as it is asked
//! to.
//!
//! ```text
//! INVITE ─▶ 180 … 200 ─▶ ACK;  RTP: echoed at once | played, 20 ms a packet, some late or left out;  BYE
//! ```

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::Codec;
use media::codec::{Encoder, EncoderOptions};
use testkit::recorded::{Arrival, loss_percent};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// One call from here to a phone.
pub(crate) struct Caller {
    sip: UdpSocket,
    rtp: UdpSocket,
    to: SocketAddr,
    call_id: String,
    remote_to: String,
    pub(crate) far_rtp: Option<SocketAddr>,
    /// What the phone protects with, where it was offered keys and took them.
    pub(crate) key: Option<[u8; 30]>,
}

/// RTP being echoed or played until dropped.
pub(crate) struct Sound {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Sound {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Payload type of telephone-event, which every desk phone offers: without it a phone that hears
/// digits as tones listens for them all the time.
const EVENTS: u8 = 101;

/// Payload type we name, and its rtpmap.
pub(crate) fn rtpmap(codec: Codec) -> (u8, &'static str) {
    (codec.static_payload().unwrap_or(96), codec.rtpmap())
}

impl Caller {
    /// Sends INVITE; nothing is waited for.
    pub(crate) fn invite(to: SocketAddr, codec: Codec) -> Self {
        Self::offer(to, codec, "RTP/AVP", "")
    }

    /// The same with a key: SRTP or no call.
    pub(crate) fn invite_private(to: SocketAddr, codec: Codec) -> Self {
        Self::offer(to, codec, "RTP/SAVP", &crate::encrypted::crypto_line())
    }

    fn offer(to: SocketAddr, codec: Codec, profile: &str, more: &str) -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        sip.set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let call_id = format!(
            "bench-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let caller = Self {
            sip,
            rtp,
            to,
            call_id,
            remote_to: format!("<sip:phone@{to}>"),
            far_rtp: None,
            key: None,
        };
        let (payload, map) = rtpmap(codec);
        let fec = if codec == Codec::Opus {
            format!("a=fmtp:{payload} useinbandfec=1\r\n")
        } else {
            String::new()
        };
        let body = format!(
            "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {} {profile} {payload} {EVENTS}\r\n\
             a=rtpmap:{payload} {map}\r\n{fec}\
             a=rtpmap:{EVENTS} telephone-event/{clock_hz}\r\na=fmtp:{EVENTS} 0-15\r\n\
             {more}a=ptime:20\r\na=sendrecv\r\n",
            caller.rtp.local_addr().unwrap().port(),
            clock_hz = codec.rtp_clock_hz(),
        );
        caller.send("INVITE", 1, "Content-Type: application/sdp\r\n", &body);
        caller
    }

    fn send(&self, method: &str, cseq: u32, extra: &str, body: &str) {
        let (to, here, id) = (self.to, self.sip.local_addr().unwrap(), &self.call_id);
        let text = format!(
            "{method} sip:phone@{to} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {here};rport;branch=z9hG4bK{id}{method}{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:bench@{here}>;tag=bench\r\nTo: {}\r\nCall-ID: {id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:bench@{here}>\r\n\
             {extra}Content-Length: {}\r\n\r\n{body}",
            self.remote_to,
            body.len()
        );
        self.sip.send_to(text.as_bytes(), to).unwrap();
    }

    /// Waits for a message that begins like this; when it came and what it was.
    fn expect(&mut self, start: &str, limit: Duration) -> Option<(Instant, String)> {
        let end = Instant::now() + limit;
        let mut buffer = [0; 4096];
        while Instant::now() < end {
            let Ok(length) = self.sip.recv(&mut buffer) else {
                continue;
            };
            let came = Instant::now();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(start) {
                return Some((came, text));
            }
        }
        None
    }

    /// Waits for 180.
    pub(crate) fn ringing(&mut self) -> bool {
        self.expect("SIP/2.0 18", Duration::from_secs(5)).is_some()
    }

    /// Waits for 200, acknowledges it; when it came.
    pub(crate) fn answered(&mut self) -> Option<Instant> {
        let (came, text) = self.expect("SIP/2.0 200", Duration::from_secs(8))?;
        let header = |name: &str| {
            text.lines()
                .find_map(|line| {
                    line.split_once(':')
                        .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                })
                .map(|(_, value)| value.trim().to_owned())
        };
        self.remote_to = header("To").or_else(|| header("t"))?;
        let port = text
            .lines()
            .find_map(|line| line.strip_prefix("m=audio "))?
            .split(' ')
            .next()?
            .parse()
            .ok()?;
        self.far_rtp = Some(SocketAddr::new(self.to.ip(), port));
        self.key = crate::encrypted::key_of(&text);
        self.send("ACK", 1, "", "");
        Some(came)
    }

    /// Waits for the phone's BYE, answers it; when it came.
    pub(crate) fn bye_came(&mut self) -> Option<Instant> {
        let (came, text) = self.expect("BYE ", Duration::from_secs(5))?;
        let copied: Vec<&str> = text
            .lines()
            .filter(|line| {
                let line = line.to_ascii_lowercase();
                ["via:", "from:", "to:", "call-id:", "cseq:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .map(str::trim_end)
            .collect();
        let copied = copied.join("\r\n");
        let answer = format!("SIP/2.0 200 OK\r\n{copied}\r\nContent-Length: 0\r\n\r\n");
        self.sip.send_to(answer.as_bytes(), self.to).unwrap();
        Some(came)
    }

    /// Ends the call.
    pub(crate) fn hang_up(mut self) {
        self.send("BYE", 2, "", "");
        self.expect("SIP/2.0 200", Duration::from_secs(2));
    }

    /// Sends back each packet the moment it comes, as another source, but those that `is_lost`
    /// names.
    pub(crate) fn echo(&self, is_lost: impl Fn(u32) -> bool + Send + 'static) -> Sound {
        let socket = self.rtp.try_clone().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        Sound::run(move |stop| {
            let mut packet = [0; 2048];
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut packet)
                    && length > 12
                {
                    if !is_lost(number) {
                        packet[8] ^= 0x55;
                        socket.send_to(&packet[..length], from).ok();
                    }
                    number += 1;
                }
            }
        })
    }

    /// Plays sound (at the codec's own rate) in packets of 20 ms: these, at these times. Opus hears
    /// of the loss, as an encoder does by RTCP.
    pub(crate) fn play(&self, codec: Codec, sound: &[i16], arrivals: Vec<Arrival>) -> Sound {
        let (socket, to) = (
            self.rtp.try_clone().unwrap(),
            self.far_rtp.expect("the call is answered"),
        );
        let mut encoder = Encoder::new(codec, EncoderOptions::default()).unwrap();
        let frames = sound.chunks_exact(20 * encoder.samples_per_ms());
        let loss = loss_percent(&arrivals, frames.len() as u32);
        encoder.set_loss_percent(loss.round() as u8);
        let payload = rtpmap(codec).0;
        let mut coded = [0; 1500];
        let packets: Vec<Vec<u8>> = (0_u32..)
            .zip(frames)
            .map(|(n, frame)| {
                let length = encoder.encode(frame, &mut coded).unwrap();
                let mut packet = vec![0x80, payload | if n == 0 { 0x80 } else { 0 }];
                packet.extend((1000 + n as u16).to_be_bytes());
                packet.extend((n * encoder.ticks(frame.len())).to_be_bytes());
                packet.extend(0x0BEC_0001_u32.to_be_bytes());
                packet.extend(&coded[..length]);
                packet
            })
            .collect();
        Sound::run(move |stop| {
            let start = Instant::now();
            for Arrival { at, packet } in arrivals {
                std::thread::sleep((start + at).saturating_duration_since(Instant::now()));
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Some(packet) = packets.get(packet as usize) {
                    socket.send_to(packet, to).ok();
                }
            }
        })
    }

    /// A handle on its RTP socket.
    pub(crate) fn rtp(&self) -> UdpSocket {
        self.rtp.try_clone().unwrap()
    }

    /// Throws away what comes, so that no socket buffer fills.
    pub(crate) fn deaf(&self) -> Sound {
        let socket = self.rtp.try_clone().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        Sound::run(move |stop| {
            let mut packet = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                socket.recv_from(&mut packet).ok();
            }
        })
    }
}

impl Sound {
    pub(crate) fn run(work: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self {
            stop,
            thread: Some(std::thread::spawn(move || {
                crate::process::hurry();
                work(&stopped);
            })),
        }
    }

    /// Waits for the end of what is played.
    pub(crate) fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
