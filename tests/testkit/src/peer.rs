//! A far end that only does what the script says: it reads and writes SIP as text, with a parser of
//! its own, so that a mistake of the phone's message layer cannot cancel itself out.
//!
//! ```text
//! network ─▶ mailbox ─▶ expect("INVITE") ─▶ Message ─▶ reply(180) / request("BYE") ─▶ text ─▶ network
//! ```

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::network::{Datagram, Time};

/// The port at which a scripted peer speaks TLS.
pub const TLS_PORT: u16 = 5061;

/// A SIP message as text, taken apart just enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// First line.
    pub start: String,
    /// Headers in order, names as written.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

/// Long forms of the compact names (RFC 3261 section 20).
const COMPACT: [(&str, &str); 9] = [
    ("v", "via"),
    ("f", "from"),
    ("t", "to"),
    ("i", "call-id"),
    ("m", "contact"),
    ("l", "content-length"),
    ("c", "content-type"),
    ("k", "supported"),
    ("s", "subject"),
];

impl Message {
    /// Takes a message apart; `None` for what is no message (keepalives, noise).
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        let headers = lines
            .map(|line| {
                line.split_once(':')
                    .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            start,
            headers,
            body: body.to_owned(),
        })
    }

    /// Request method, or `SIP/2.0` of a response.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or("")
    }

    /// Status code of a response.
    pub fn code(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    /// All values of a header, long name in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| long(known) == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The first value of a header; the message without it is a failure.
    pub fn header(&self, name: &str) -> &str {
        self.all(name)
            .first()
            .copied()
            .unwrap_or_else(|| panic!("no {name} in\n{}", self.text()))
    }

    /// The number in CSeq.
    pub fn cseq(&self) -> u32 {
        self.header("cseq")
            .split(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("bad CSeq in\n{}", self.text()))
    }

    /// A parameter of a header value: `;name=value`.
    pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
        let after = value.rsplit_once('>').map_or(value, |(_, after)| after);
        after.split(';').skip(1).find_map(|part| {
            let (key, what) = part.split_once('=').unwrap_or((part, ""));
            key.trim().eq_ignore_ascii_case(name).then(|| what.trim())
        })
    }

    /// The tag in From or To.
    pub fn tag(&self, header: &str) -> Option<&str> {
        Self::parameter(self.header(header), "tag")
    }

    /// The address in a header such as Contact, without brackets.
    pub fn address(&self, header: &str) -> String {
        bare(self.header(header)).to_owned()
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Puts in or replaces a header.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers
            .retain(|(known, _)| long(known) != name.to_ascii_lowercase());
        self.with(name, value)
    }

    /// Carries a session description.
    #[must_use]
    pub fn sdp(self, body: &str) -> Self {
        let mut with = self.set("Content-Type", "application/sdp");
        body.clone_into(&mut with.body);
        with
    }

    /// The message as it goes out, Content-Length right.
    pub fn text(&self) -> String {
        let mut out = format!("{}\r\n", self.start);
        for (name, value) in self
            .headers
            .iter()
            .filter(|(name, _)| long(name) != "content-length")
        {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        let _ = write!(
            out,
            "Content-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        );
        out
    }

    /// A response to this request; `tag` goes into To where it has none.
    pub fn reply(&self, code: u16, tag: &str) -> Self {
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.headers {
            match long(name).as_str() {
                "to" if code > 100 && Self::parameter(value, "tag").is_none() => {
                    headers.push((name.clone(), format!("{value};tag={tag}")));
                }
                "via" | "from" | "to" | "call-id" | "cseq" | "record-route" => {
                    headers.push((name.clone(), value.clone()));
                }
                _ => {}
            }
        }
        Self {
            start: format!("SIP/2.0 {code} {}", reason(code)),
            headers,
            body: String::new(),
        }
    }

    /// The ACK for a final response other than 2xx, in the INVITE's own transaction, or a CANCEL
    /// (RFC 3261 sections 9.1, 17.1.1.3).
    pub fn same_transaction(&self, method: &str, to: Option<&str>) -> Self {
        let mut headers = vec![
            ("Via".to_owned(), self.header("via").to_owned()),
            ("Max-Forwards".to_owned(), "70".to_owned()),
        ];
        headers.push(("From".to_owned(), self.header("from").to_owned()));
        headers.push(("To".to_owned(), to.unwrap_or(self.header("to")).to_owned()));
        headers.push(("Call-ID".to_owned(), self.header("call-id").to_owned()));
        headers.push(("CSeq".to_owned(), format!("{} {method}", self.cseq())));
        for route in self.all("route") {
            headers.push(("Route".to_owned(), route.to_owned()));
        }
        Self {
            start: format!("{method} {} SIP/2.0", self.uri()),
            headers,
            body: String::new(),
        }
    }

    /// Where the session description wants sound sent.
    pub fn media(&self) -> Option<SocketAddr> {
        let mut host: Option<IpAddr> = None;
        let mut port = None;
        for line in self.body.lines() {
            if let Some(c) = line.strip_prefix("c=") {
                host = c.split_whitespace().nth(2).and_then(|ip| ip.parse().ok());
            }
            if let Some(m) = line.strip_prefix("m=audio ") {
                port = m.split(' ').next().and_then(|p| p.parse().ok());
            }
        }
        Some(SocketAddr::new(host?, port?))
    }
}

/// Long, lower-case name of a header.
pub fn long(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    COMPACT
        .iter()
        .find(|(short, _)| *short == lower)
        .map_or(lower, |(_, full)| (*full).to_owned())
}

/// The URI in a name-addr.
pub fn bare(value: &str) -> &str {
    value
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or_else(|| value.split(';').next().unwrap_or(value), |(uri, _)| uri)
}

/// Reason phrase of a status code.
pub fn reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        183 => "Session Progress",
        200 => "OK",
        302 => "Moved Temporarily",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Whatever",
    }
}

/// A plain session description: one audio line, PCMU and telephone-event unless asked otherwise.
pub fn sdp(at: SocketAddr, version: u32, direction: &str) -> String {
    sdp_with(
        at,
        version,
        direction,
        &[(0, "PCMU/8000"), (101, "telephone-event/8000")],
    )
}

/// A session description with these payload types.
pub fn sdp_with(at: SocketAddr, version: u32, direction: &str, codecs: &[(u8, &str)]) -> String {
    let family = if at.is_ipv4() { "IP4" } else { "IP6" };
    let list: Vec<String> = codecs
        .iter()
        .map(|(payload, _)| payload.to_string())
        .collect();
    let mut text = format!(
        "v=0\r\no=script 77 {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {list}\r\n",
        ip = at.ip(),
        port = at.port(),
        list = list.join(" ")
    );
    for (payload, name) in codecs {
        let _ = write!(text, "a=rtpmap:{payload} {name}\r\n");
    }
    let _ = write!(text, "a=ptime:20\r\na={direction}\r\n");
    text
}

/// The far end.
#[derive(Debug)]
pub struct Peer {
    /// Its SIP address; it owns every port of that IP. At port 5061 it speaks TLS.
    pub at: SocketAddr,
    /// SIP messages that came and were not yet looked at.
    pub mailbox: VecDeque<(Time, SocketAddr, Message)>,
    /// RTP and RTCP that came: time, port it came to, bytes. Bounded: the oldest fall out.
    pub media: VecDeque<(Time, u16, Vec<u8>)>,
    seen: Vec<String>,
    /// Retransmissions that were swallowed.
    pub retransmissions: u64,
    branch: u64,
}

/// A dialog as a scripted peer keeps it: everything a request in it needs.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// From value of our requests.
    pub local: String,
    /// To value of our requests.
    pub remote: String,
    /// Call-ID.
    pub call_id: String,
    /// Request-URI: the far contact.
    pub target: String,
    /// Route set.
    pub route: Vec<String>,
    /// Last CSeq number we used.
    pub cseq: u32,
}

impl Peer {
    /// A peer that hears everything sent to this IP.
    pub fn new(at: SocketAddr) -> Self {
        Self {
            at,
            mailbox: VecDeque::new(),
            media: VecDeque::new(),
            seen: Vec::new(),
            retransmissions: 0,
            branch: 0,
        }
    }

    /// Takes what the network brings.
    pub fn receive(&mut self, datagram: &Datagram, now: Time) {
        if datagram.is_media() {
            if self.media.len() == 20_000 {
                self.media.pop_front();
            }
            self.media
                .push_back((now, datagram.to.port(), datagram.bytes.clone()));
        } else if let Some(message) = Message::parse(&datagram.bytes) {
            let key = format!(
                "{}|{}|{}",
                message.start,
                message.header("via"),
                message.header("cseq")
            );
            if self.seen.contains(&key) {
                self.retransmissions += 1;
                return;
            }
            self.seen.push(key);
            self.mailbox.push_back((now, datagram.from, message));
        }
    }

    /// From now on, repeats of what was seen count as new: for scripts that look at
    /// retransmissions.
    pub fn forget_seen(&mut self) {
        self.seen.clear();
    }

    /// What it writes into Via.
    fn via(&mut self) -> String {
        let transport = if self.is_tls() { "TLS" } else { "UDP" };
        let branch = self.branch();
        format!("SIP/2.0/{transport} {};branch={branch};rport", self.at)
    }

    /// What it writes into Contact.
    pub fn contact(&self) -> String {
        let parameter = if self.is_tls() { ";transport=tls" } else { "" };
        format!("<sip:script@{}{parameter}>", self.at)
    }

    fn is_tls(&self) -> bool {
        self.at.port() == TLS_PORT
    }

    /// A branch not used before.
    pub fn branch(&mut self) -> String {
        self.branch += 1;
        format!("z9hG4bK-script-{}-{}", self.at.ip(), self.branch)
    }

    /// A request outside any dialog.
    pub fn request(&mut self, method: &str, uri: &str, call_id: &str) -> Message {
        let at = self.at;
        let headers = [
            ("Via", self.via()),
            ("Max-Forwards", "70".to_owned()),
            (
                "From",
                format!("\"Script\" <sip:script@{at}>;tag=script-{call_id}"),
            ),
            ("To", format!("<{uri}>")),
            ("Call-ID", call_id.to_owned()),
            ("CSeq", format!("1 {method}")),
            ("Contact", self.contact()),
        ];
        let headers = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Message {
            start: format!("{method} {uri} SIP/2.0"),
            headers,
            body: String::new(),
        }
    }

    /// The dialog on the side of whoever sent this response to that request of the phone's: a peer
    /// that answered.
    pub fn callee_dialog(&self, invite: &Message, ok: &Message) -> Dialog {
        Dialog {
            local: ok.header("to").to_owned(),
            remote: invite.header("from").to_owned(),
            call_id: invite.header("call-id").to_owned(),
            target: invite.address("contact"),
            route: invite
                .all("record-route")
                .iter()
                .map(|&r| r.to_owned())
                .collect(),
            cseq: 100,
        }
    }

    /// The dialog of a peer whose own INVITE was answered.
    pub fn caller_dialog(&self, invite: &Message, ok: &Message) -> Dialog {
        Dialog {
            local: invite.header("from").to_owned(),
            remote: ok.header("to").to_owned(),
            call_id: invite.header("call-id").to_owned(),
            target: ok.address("contact"),
            route: ok
                .all("record-route")
                .iter()
                .rev()
                .map(|&r| r.to_owned())
                .collect(),
            cseq: invite.cseq(),
        }
    }

    /// A request in a dialog. ACK takes the number of the request it acknowledges: set
    /// `dialog.cseq` first.
    pub fn in_dialog(&mut self, dialog: &mut Dialog, method: &str) -> Message {
        if method != "ACK" {
            dialog.cseq += 1;
        }
        let mut message = Message {
            start: format!("{method} {} SIP/2.0", dialog.target),
            headers: Vec::new(),
            body: String::new(),
        }
        .with("Via", self.via())
        .with("Max-Forwards", "70")
        .with("From", dialog.local.clone())
        .with("To", dialog.remote.clone())
        .with("Call-ID", dialog.call_id.clone())
        .with("CSeq", format!("{} {method}", dialog.cseq))
        .with("Contact", self.contact());
        for route in &dialog.route {
            message = message.with("Route", route.clone());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_apart_and_answered() {
        let text = "INVITE sip:r@10.0.0.2 SIP/2.0\r\n\
                    v: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:l@h;x=1>;tag=a\r\n\
                    t: <sip:r@h>\r\n\
                    i: c1\r\nCSeq: 7 INVITE\r\nm: <sip:l@10.0.0.1:5060>\r\nContent-Length: 0\r\n\
                    \r\n";
        let invite = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (
                invite.method(),
                invite.cseq(),
                invite.tag("from"),
                invite.tag("to")
            ),
            ("INVITE", 7, Some("a"), None)
        );
        assert_eq!(invite.address("contact"), "sip:l@10.0.0.1:5060");
        let ok = invite
            .reply(200, "b")
            .sdp(&sdp("10.0.0.9:4000".parse().unwrap(), 1, "sendrecv"));
        assert_eq!((ok.code(), ok.tag("to")), (Some(200), Some("b")));
        assert_eq!(
            Message::parse(ok.text().as_bytes()).unwrap().media(),
            Some("10.0.0.9:4000".parse().unwrap())
        );
        assert!(Message::parse(b"\r\n\r\n").is_none_or(|m| m.start.is_empty()));
    }
}
