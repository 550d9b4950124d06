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
    /// Not the answer to this question.
    Foreign,
    /// The rest must be fetched by TCP.
    Truncated,
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
        return Reply::Foreign;
    };
    let asked = |query: &Query| {
        query.query_type == record_type(question.kind) && is_name(&query.name, &question.name)
    };
    if message.metadata.id != id
        || message.metadata.message_type != MessageType::Response
        || !message.queries.first().is_some_and(asked)
    {
        return Reply::Foreign;
    }
    if message.metadata.truncation {
        return Reply::Truncated;
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
