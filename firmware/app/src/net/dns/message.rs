//! DNS messages (RFC 1035), written and read by hickory-proto; what counts of an answer is decided
//! here.

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::question::{Answer, Kind, Naptr, Question, Record, Srv};

/// Records taken from one answer.
const MAX_RECORDS: usize = 16;
/// Aliases followed in one answer.
const MAX_ALIASES: usize = 8;
/// The longest a record is believed (RFC 2181 section 8 permits a limit).
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// The longest the absence of a record is believed (RFC 2308 section 5).
const MAX_NEGATIVE: Duration = Duration::from_secs(300);
/// … and where the answer does not say: many home routers send no SOA record.
const NEGATIVE: Duration = Duration::from_secs(60);

/// What a datagram from a name server is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// No answer to this question.
    Unrelated,
    /// The rest must be fetched by TCP; what came of it.
    Truncated(Answer),
    /// The server does not answer: SERVFAIL, REFUSED, NOTIMP, FORMERR.
    Refused(String),
    /// The answer.
    Answer(Answer),
}

/// The question as a message; none: the name is no name.
pub(crate) fn write(question: &Question, id: u16) -> Option<Vec<u8>> {
    let name = Name::from_ascii(format!("{}.", question.name)).ok()?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, record_type(question.kind)));
    message.to_vec().ok()
}

fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Srv => RecordType::SRV,
        Kind::Naptr => RecordType::NAPTR,
    }
}

/// Reads what came from the server that was asked. A wrong number or another question is somebody
/// else's answer (RFC 5452 section 9.1).
pub(crate) fn read(question: &Question, id: u16, bytes: &[u8]) -> Reply {
    let Ok(message) = Message::from_vec(bytes) else {
        return Reply::Unrelated;
    };
    let asked = |query: &Query| {
        query.query_type == record_type(question.kind) && is_name(&query.name, &question.name)
    };
    if message.metadata.id != id || message.metadata.message_type != MessageType::Response {
        return Reply::Unrelated;
    }
    // Who understood nothing repeats nothing.
    let refuses = !matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    let is_ours = match message.queries.first() {
        Some(query) => asked(query),
        None => refuses,
    };
    if !is_ours {
        return Reply::Unrelated;
    }
    if message.metadata.truncation {
        return Reply::Truncated(answer(question, &message));
    }
    match message.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Reply::Answer(answer(question, &message)),
        other => Reply::Refused(format!("{other}")),
    }
}

fn is_name(name: &Name, text: &str) -> bool {
    plain(name) == text
}

/// Lower case, without the dot at its end.
pub(super) fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn answer(question: &Question, message: &Message) -> Answer {
    let mut owner = question.name.clone();
    let mut ttl = MAX_TTL;
    for _ in 0..MAX_ALIASES {
        let alias = message
            .answers
            .iter()
            .find_map(|record| match &record.data {
                RData::CNAME(to) if is_name(&record.name, &owner) => {
                    Some((plain(&to.0), record.ttl))
                }
                _ => None,
            });
        let Some((to, seconds)) = alias else { break };
        ttl = ttl.min(Duration::from_secs(seconds.into()));
        owner = to;
    }
    let mut records = Vec::new();
    for record in &message.answers {
        if records.len() < MAX_RECORDS
            && is_name(&record.name, &owner)
            && let Some(found) = value(question.kind, &record.data)
        {
            ttl = ttl.min(Duration::from_secs(record.ttl.into()));
            records.push(found);
        }
    }
    if records.is_empty() {
        ttl = negative_ttl(message);
    }
    Answer { records, ttl }
}

/// How long the absence holds: the lower of the SOA record's TTL and its last field.
fn negative_ttl(message: &Message) -> Duration {
    let mut authorities = message.authorities.iter();
    let seconds = authorities.find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    seconds.map_or(NEGATIVE, |seconds| {
        Duration::from_secs(seconds.into()).min(MAX_NEGATIVE)
    })
}

fn value(kind: Kind, data: &RData) -> Option<Record> {
    match (kind, data) {
        (Kind::A, RData::A(address)) => Some(Record::Address(IpAddr::V4(address.0))),
        (Kind::Aaaa, RData::AAAA(address)) => Some(Record::Address(IpAddr::V6(address.0))),
        (Kind::Srv, RData::SRV(srv)) => Some(Record::Srv(Srv {
            priority: srv.priority,
            weight: srv.weight,
            target: plain(&srv.target),
            port: srv.port,
        })),
        (Kind::Naptr, RData::NAPTR(naptr)) if naptr.flags.eq_ignore_ascii_case(b"s") => {
            Some(Record::Naptr(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                service: String::from_utf8_lossy(&naptr.services).to_ascii_uppercase(),
                replacement: plain(&naptr.replacement),
            }))
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record as DnsRecord;
    use hickory_proto::rr::rdata::{A, CNAME};

    use super::*;

    const ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(192, 0, 2, 1);

    /// An answer with these aliases, and an address of the last name.
    fn answered(aliases: &[(&str, &str, u32)], owner: &str, ttl: u32) -> Answer {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let question = Question::new("a.example", Kind::A);
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.add_query(Query::query(name("a.example."), RecordType::A));
        for (from, to, ttl) in aliases {
            let alias = RData::CNAME(CNAME(name(to)));
            message.add_answer(DnsRecord::from_rdata(name(from), *ttl, alias));
        }
        message.add_answer(DnsRecord::from_rdata(
            name(owner),
            ttl,
            RData::A(A(ADDRESS)),
        ));
        match read(&question, 7, &message.to_vec().unwrap()) {
            Reply::Answer(answer) => answer,
            reply => panic!("{reply:?}"),
        }
    }

    #[test]
    fn aliases_are_followed_and_loops_end() {
        let found = [Record::Address(ADDRESS.into())];
        let chain = [
            ("b.example.", "c.example.", 30),
            ("A.Example.", "b.example.", 60),
        ];
        let answer = answered(&chain, "c.example.", 300);
        // In whatever order; the shortest lifetime counts.
        assert_eq!(answer.records, found);
        assert_eq!(answer.ttl, Duration::from_secs(30));
        let circle = [
            ("a.example.", "b.example.", 60),
            ("b.example.", "a.example.", 60),
        ];
        assert_eq!(answered(&circle, "c.example.", 60).records, []);
        let itself = [("a.example.", "a.example.", 60)];
        assert_eq!(answered(&itself, "a.example.", 60).records, found);
        // What no alias leads to is somebody else's.
        assert_eq!(answered(&[], "c.example.", 60).records, []);
        // A record may be for this once (RFC 1035 section 3.2.1).
        assert_eq!(answered(&[], "a.example.", 0).ttl, Duration::ZERO);
    }
}
