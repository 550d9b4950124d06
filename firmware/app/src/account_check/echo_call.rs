//! A call to the number that sends one's own voice back (`dial.echo_test`), as the account places
//! it: does sound go both ways? No phone rings: the number is a service.
//!
//! ```text
//! INVITE (PCMU, PCMA) ─▶ 200 ─▶ ACK ─▶ a second of 440 Hz as RTP ═▶ and back? ─▶ BYE
//! ```

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use media::codec::g711::Law;
use media::rtp::{HEADER_LEN, Sender, View};
use sip::message::{CSeq, Method, NameAddr, Request, Response, SipUri, Uri, Via};
use tokio::net::UdpSocket;

use super::exchange::{Exchange, OpenError};
use super::finding::Finding;
use super::registration::{Requests, Subject, server_uri, token};
use super::transport_name;

/// Packets sent, 20 ms each.
const PACKETS: u32 = 75;
const PACKET: Duration = Duration::from_millis(20);
const SAMPLES: usize = 160;
/// How long after the last packet sent sound may still come back.
const LATE: Duration = Duration::from_secs(1);
/// Mean amplitude of the samples from which a packet counts as sound, not silence.
const AUDIBLE: i32 = 500;
/// Packets that must come back with sound: a PBX takes a while to begin, and may talk first.
const ENOUGH: u32 = PACKETS / 5;

/// Why the call is not one to send sound into.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("{0} is no number that can be called")]
    Target(String),
    #[error("the server refuses the call ({0})")]
    Refused(String),
    #[error("the server does not answer the INVITE")]
    Silent,
    #[error("the answer names no audio stream in PCMU or PCMA without encryption")]
    NoStream,
    #[error("no media socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// Calls, compares, hangs up.
pub(super) async fn check(
    exchange: &mut Exchange,
    requests: &mut Requests<'_>,
    number: &str,
    found: &mut dyn FnMut(Finding),
) {
    let about = requests.account.name.clone();
    match call(exchange, requests, number).await {
        Ok(echo) => found(echo.finding(&about, number)),
        Err(error) => found(Finding::warning(
            &about,
            &format!("echo test {number}: {error}"),
            "correct `dial.echo_test`; it must be a number of this server that sends one's own \
             voice back",
        )),
    }
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Echo {
    /// Packets that came.
    packets: u32,
    /// Those of them that were not silence.
    audible: u32,
    /// Until the first that was not.
    after: Option<Duration>,
    /// Where the server said that sound goes.
    far: Option<SocketAddr>,
}

impl Echo {
    fn finding(self, about: &str, number: &str) -> Finding {
        let far = self.far.map_or_else(String::new, |far| format!(" ({far})"));
        match (self.packets, self.audible, self.after) {
            (0, _, _) => Finding::fault(
                about,
                &format!("echo test {number}: nothing comes back from the media server{far}"),
                "calls will be silent one way: let UDP to and from that address through the \
                 firewall, and look at rtp_ports and external_address in [network]",
            ),
            (_, audible, Some(after)) if audible >= ENOUGH => Finding::good(
                about,
                &format!(
                    "echo test {number}: sound goes both ways, back after {} ms",
                    after.as_millis()
                ),
            ),
            (packets, _, _) => Finding::warning(
                about,
                &format!(
                    "echo test {number}: {packets} packets came back from {PACKETS}{far}, but \
                     not the sound that was sent"
                ),
                "is `dial.echo_test` a number that sends one's own voice back at once?",
            ),
        }
    }
}

/// The Request-URI for `dial.echo_test`: a number at the account's domain, or a whole address.
fn target(number: &str, domain: &str) -> Option<SipUri> {
    if !number.contains('@') {
        return Some(server_uri(domain)?.with_user(number));
    }
    let text = format!("sip:{}", number.trim_start_matches("sip:"));
    Uri::parse(&text).ok()?.as_sip().cloned()
}

fn offer(local: SocketAddr) -> String {
    let family = if local.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (local.ip(), local.port());
    format!(
        "v=0\r\no=check 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    )
}

/// Address and law of the audio stream of an answer to [`offer`].
fn stream_of(answer: &[u8]) -> Option<(SocketAddr, Law)> {
    let text = String::from_utf8_lossy(answer);
    let mut session: Option<IpAddr> = None;
    let mut audio: Option<(u16, Law)> = None;
    let mut own: Option<IpAddr> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("c=") {
            let ip = rest.split_whitespace().nth(2)?;
            let ip = ip.split('/').next()?.parse().ok();
            if audio.is_some() {
                own = own.or(ip);
            } else {
                session = ip;
            }
        } else if let Some(rest) = line.strip_prefix("m=") {
            if audio.is_some() {
                break;
            }
            let mut parts = rest.split_whitespace();
            if parts.next() != Some("audio") {
                return None;
            }
            let port = parts.next()?.parse().ok().filter(|port| *port != 0)?;
            if parts.next() != Some("RTP/AVP") {
                return None;
            }
            let law = parts.find_map(|format| match format {
                "0" => Some(Law::Mu),
                "8" => Some(Law::A),
                _ => None,
            })?;
            audio = Some((port, law));
        }
    }
    let (port, law) = audio?;
    Some((SocketAddr::new(own.or(session)?, port), law))
}

async fn call(
    exchange: &mut Exchange,
    requests: &mut Requests<'_>,
    number: &str,
) -> Result<Echo, CallError> {
    let uri = target(number, &requests.account.domain)
        .ok_or_else(|| CallError::Target(number.to_owned()))?;
    let socket = UdpSocket::bind(SocketAddr::new(exchange.local.ip(), 0)).await?;
    let sdp = offer(socket.local_addr()?);
    let to = NameAddr::new(uri.clone());
    let (invite, response) = invite(exchange, requests, &uri, &to, sdp.as_bytes()).await?;
    let mut dialog = Dialog::of(&invite, &response, uri);
    exchange.send(&dialog.request(Method::Ack, exchange)).await;
    let echo = match stream_of(&response.body) {
        Some((far, law)) => Ok(listen(&socket, far, law).await),
        None => Err(CallError::NoStream),
    };
    let bye = dialog.request(Method::Bye, exchange);
    // Whatever becomes of it: the far end's media timeout ends the call, too.
    let _ = exchange.request(&bye).await;
    echo
}

/// Until the far end accepts: the INVITE that it accepted, and its 200.
async fn invite(
    exchange: &mut Exchange,
    requests: &mut Requests<'_>,
    uri: &SipUri,
    to: &NameAddr,
    sdp: &[u8],
) -> Result<(Request, Response), CallError> {
    let mut challenged = false;
    loop {
        let subject = Subject {
            method: &Method::Invite,
            uri: uri.clone(),
            to: to.clone(),
            body: Some(("application/sdp", sdp)),
        };
        let invite = requests.build_about(&subject, exchange, None);
        let response = match exchange.request(&invite).await {
            Ok(response) => response,
            Err(OpenError::Silent) => {
                exchange
                    .send(&hop_by_hop(&invite, None, Method::Cancel))
                    .await;
                return Err(CallError::Silent);
            }
            Err(_) => return Err(CallError::Silent),
        };
        if response.is_success() {
            return Ok((invite, response));
        }
        exchange
            .send(&hop_by_hop(&invite, Some(&response), Method::Ack))
            .await;
        let code = response.code();
        if matches!(code, 401 | 407) && !challenged && requests.take_challenges(&response) {
            challenged = true;
            continue;
        }
        return Err(CallError::Refused(format!("{code} {}", response.reason())));
    }
}

/// CANCEL of an INVITE, or the ACK of its refusal: the same branch (RFC 3261 9.1, 17.1.1.3).
fn hop_by_hop(invite: &Request, refusal: Option<&Response>, method: Method) -> Request {
    let mut request = Request::new(method.clone(), invite.uri.clone());
    let headers = &mut request.headers;
    for name in ["Via", "Route", "Max-Forwards", "From"] {
        headers.copy(&invite.headers, name);
    }
    headers.copy(refusal.map_or(&invite.headers, |r| &r.headers), "To");
    headers.copy(&invite.headers, "Call-ID");
    let number = invite.headers.cseq().map_or(1, |cseq| cseq.number);
    headers.push("CSeq", CSeq { number, method });
    request
}

/// What ACK and BYE of an accepted call need (RFC 3261 12.1.2).
struct Dialog {
    invite: Request,
    to: String,
    remote: SipUri,
    routes: Vec<NameAddr>,
}

impl Dialog {
    fn of(invite: &Request, response: &Response, asked: SipUri) -> Self {
        let contact = response.headers.sip_contact().ok();
        let remote = contact.and_then(|contact| contact.uri.as_sip().cloned());
        let mut routes = response.headers.record_routes().unwrap_or_default();
        routes.reverse();
        Self {
            invite: invite.clone(),
            to: response.headers.get("To").unwrap_or_default().to_owned(),
            remote: remote.unwrap_or(asked),
            routes,
        }
    }

    fn request(&mut self, method: Method, exchange: &Exchange) -> Request {
        let mut request = Request::new(method.clone(), self.remote.clone());
        let headers = &mut request.headers;
        let name = transport_name(exchange.target.transport);
        let via = Via::new(name, exchange.local, &format!("z9hG4bK{}", token()));
        headers.push("Via", via.to_string());
        for route in &self.routes {
            headers.push("Route", route);
        }
        headers.push("Max-Forwards", 70);
        headers.copy(&self.invite.headers, "From");
        headers.push("To", &self.to);
        headers.copy(&self.invite.headers, "Call-ID");
        let number = self.invite.headers.cseq().map_or(1, |cseq| cseq.number);
        let number = number + u32::from(method == Method::Bye);
        headers.push("CSeq", CSeq { number, method });
        request
    }
}

/// 440 Hz, so that what comes back is known from silence.
fn tone(law: Law) -> [u8; SAMPLES] {
    std::array::from_fn(|at| {
        let angle = at as f32 * 440.0 * std::f32::consts::TAU / 8000.0;
        law.compress((angle.sin() * 8000.0) as i16)
    })
}

fn is_audible(law: Law, payload: &[u8]) -> bool {
    let sum: i32 = payload
        .iter()
        .map(|byte| i32::from(law.expand(*byte)).abs())
        .sum();
    !payload.is_empty() && sum / payload.len() as i32 > AUDIBLE
}

/// Sends the tone and counts what comes.
async fn listen(socket: &UdpSocket, far: SocketAddr, law: Law) -> Echo {
    let mut echo = Echo {
        far: Some(far),
        ..Echo::default()
    };
    let mut sender = Sender::new(getrandom::u32().unwrap_or(1), 1, 0);
    let payload_type = match law {
        Law::Mu => 0,
        Law::A => 8,
    };
    let tone = tone(law);
    let begun = Instant::now();
    let mut buffer = [0; 2048];
    let end = begun + PACKET * PACKETS + LATE;
    let mut sent = 0;
    while Instant::now() < end && (sent < PACKETS || echo.audible < ENOUGH) {
        let due = begun + PACKET * sent;
        if sent < PACKETS && due <= Instant::now() {
            let mut packet = [0; HEADER_LEN + SAMPLES];
            let timestamp = sender.timestamp();
            let header =
                sender.write_header(&mut packet, payload_type, sent == 0, timestamp, SAMPLES);
            packet[HEADER_LEN..].copy_from_slice(&tone);
            sender.advance(SAMPLES as u32);
            if header.is_ok() {
                // A port that is not open yet may be in a moment.
                let _ = socket.send_to(&packet, far).await;
            }
            sent += 1;
            continue;
        }
        let until = if sent < PACKETS { due } else { end };
        let received = tokio::time::timeout_at(until.into(), socket.recv_from(&mut buffer)).await;
        let Ok(Ok((length, _))) = received else {
            continue;
        };
        let packet = &buffer[..length];
        let Ok(view) = View::parse(packet) else {
            continue;
        };
        if view.payload_type != payload_type {
            continue;
        }
        echo.packets += 1;
        if is_audible(law, view.payload(packet)) {
            echo.audible += 1;
            echo.after.get_or_insert(begun.elapsed());
        }
    }
    echo
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_check::Mark;

    #[test]
    fn the_stream_of_an_answer_is_found() {
        let answer = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                      m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n";
        let expected = Some(("192.0.2.1:4000".parse().unwrap(), Law::A));
        assert_eq!(stream_of(answer.as_bytes()), expected);
        let own = format!("{answer}c=IN IP4 192.0.2.9\r\n");
        let (far, _) = stream_of(own.as_bytes()).unwrap();
        assert_eq!(far.to_string(), "192.0.2.9:4000");
        for bad in [
            answer.replace("4000", "0"),
            answer.replace("RTP/AVP", "RTP/SAVP"),
            answer.replace(" 8 101", " 9"),
            answer.replace("c=", "x="),
            String::new(),
        ] {
            assert_eq!(stream_of(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_tone_is_audible_and_silence_is_not() {
        for law in [Law::Mu, Law::A] {
            assert!(is_audible(law, &tone(law)));
            assert!(!is_audible(law, &[law.compress(0); 160]));
        }
        assert!(!is_audible(Law::Mu, &[]));
    }

    #[test]
    fn one_way_sound_is_a_fault_with_a_help() {
        let far = Some("192.0.2.1:4000".parse().unwrap());
        let nothing = Echo {
            far,
            ..Echo::default()
        };
        let finding = nothing.finding("desk", "600");
        assert_eq!(finding.mark, Mark::Fault);
        let text = finding.to_string();
        assert!(
            text.contains("192.0.2.1:4000") && text.contains("firewall"),
            "{text}"
        );
        let other = Echo {
            packets: 70,
            ..nothing
        };
        assert_eq!(other.finding("desk", "600").mark, Mark::Warning);
        let good = Echo {
            packets: 70,
            audible: 60,
            after: Some(Duration::from_millis(42)),
            ..nothing
        };
        let text = good.finding("desk", "600").to_string();
        assert!(
            text.ends_with("sound goes both ways, back after 42 ms"),
            "{text}"
        );
    }
}
