//! One question about a name of this link (RFC 6762 section 5.1): sent to the group from a port of
//! its own, so that the answer comes back to it alone.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{GROUP, MAX_DATAGRAM, PORT};
use crate::net::dns::question::{Answer, AskError, Kind, Question, Record};
use crate::net::local::Networks;

/// When the question is sent; multicast is not repeated by Wi-Fi.
const SENT_AT: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(750),
];
/// A device on this link answers within a second, or it is not there.
const LIMIT: Duration = Duration::from_millis(1500);
/// Largest time an answer is kept: names of a link move.
const MAX_TTL: Duration = Duration::from_secs(10);

/// Asks for an address.
pub(crate) async fn ask(question: Question) -> Result<Answer, AskError> {
    let none = || AskError::NotOnLink(question.clone());
    let Ok(name) = Name::from_ascii(format!("{}.", question.name)) else {
        return Err(AskError::BadName(question.name));
    };
    let kind = match question.kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        // Services are not browsed.
        Kind::Srv | Kind::Naptr => return Err(none()),
    };
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    let mut query = Query::query(name, kind);
    query.set_mdns_unicast_response(true);
    message.add_query(query);
    let Ok(bytes) = message.to_vec() else {
        return Err(AskError::BadName(question.name));
    };
    let Ok(socket) = socket() else {
        return Err(none());
    };
    let networks = Networks::read();
    let links = networks.one_each();
    let started = Instant::now();
    let mut buffer = vec![0; MAX_DATAGRAM];
    for (index, at) in SENT_AT.iter().enumerate() {
        sleep_until(started + *at).await;
        send(&socket, &links, &bytes);
        let until = SENT_AT.get(index + 1).copied().unwrap_or(LIMIT);
        while let Ok(Ok((length, from))) =
            timeout_at(started + until, socket.recv_from(&mut buffer)).await
        {
            if networks.contain(from.ip())
                && let Some(answer) = read(&question, &buffer[..length])
            {
                return Ok(answer);
            }
        }
    }
    Err(none())
}

pub(super) fn socket() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_multicast_ttl_v4(255)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    UdpSocket::from_std(StdUdpSocket::from(socket))
}

pub(super) fn send(socket: &UdpSocket, links: &[IpAddr], bytes: &[u8]) {
    let by = socket2::SockRef::from(socket);
    let to = SocketAddr::from((GROUP, PORT));
    for address in links {
        if let IpAddr::V4(address) = address
            && by.set_multicast_if_v4(address).is_ok()
        {
            // It is sent again.
            let _ = by.send_to(bytes, &to.into());
        }
    }
}

fn read(question: &Question, bytes: &[u8]) -> Option<Answer> {
    let message = Message::from_vec(bytes).ok()?;
    if message.metadata.message_type != MessageType::Response {
        return None;
    }
    let mut ttl = MAX_TTL;
    let mut records = Vec::new();
    for record in &message.answers {
        let name = record.name.to_ascii();
        if !name
            .trim_end_matches('.')
            .eq_ignore_ascii_case(&question.name)
        {
            continue;
        }
        // A goodbye (section 10.1) is no answer.
        if record.ttl == 0 {
            continue;
        }
        let address = match (question.kind, &record.data) {
            (Kind::A, RData::A(a)) => IpAddr::V4(a.0),
            (Kind::Aaaa, RData::AAAA(a)) => IpAddr::V6(a.0),
            (_, _) => continue,
        };
        ttl = ttl.min(Duration::from_secs(record.ttl.into()));
        records.push(Record::Address(address));
    }
    (!records.is_empty()).then_some(Answer { records, ttl })
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record as DnsRecord;
    use hickory_proto::rr::rdata::A;

    use super::*;

    #[test]
    fn a_goodbye_and_the_names_of_others_are_no_answer() {
        let question = Question {
            name: "kitchen.local".into(),
            kind: Kind::A,
        };
        for (name, ttl, wanted) in [
            ("Kitchen.LOCAL.", 120, Some(10)),
            ("kitchen.local.", 5, Some(5)),
            ("kitchen.local.", 0, None),
            ("hall.local.", 120, None),
        ] {
            let mut message = Message::new(0, MessageType::Response, OpCode::Query);
            let name = Name::from_ascii(name).unwrap();
            let data = RData::A(A([192, 168, 1, 30].into()));
            message.add_answer(DnsRecord::from_rdata(name, ttl, data));
            let answer = read(&question, &message.to_vec().unwrap());
            let ttl_s = answer.map(|answer| answer.ttl.as_secs());
            assert_eq!(ttl_s, wanted);
        }
    }
}
