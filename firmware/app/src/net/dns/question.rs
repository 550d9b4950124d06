//! Questions to a name server and what comes of them.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The record types SIP needs (RFC 3263).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Srv,
    Naptr,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Srv => "SRV",
            Self::Naptr => "NAPTR",
        })
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// Lower case, without the dot at its end.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl Question {
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        Self {
            name: name.trim_end_matches('.').to_ascii_lowercase(),
            kind,
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} record of {}", self.kind, self.name)
    }
}

/// A server of a service (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Srv {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) target: String,
    pub(crate) port: u16,
}

/// A NAPTR record that leads to SRV records (RFC 3403, flag "s").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naptr {
    pub(crate) order: u16,
    pub(crate) preference: u16,
    /// Upper case: `SIP+D2U`, …
    pub(crate) service: String,
    pub(crate) replacement: String,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    Address(IpAddr),
    Srv(Srv),
    Naptr(Naptr),
}

/// A name server's answer; no records: there are none of this type, or there is no such name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) records: Vec<Record>,
    /// How long it holds.
    pub(crate) ttl: Duration,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// There is no one to ask.
    #[error(
        "no DNS server is known, so the {0} was not asked for; is the network up, does DHCP name \
         one, or set network.dns"
    )]
    NoServer(Question),
    /// No name server answered in time.
    #[error(
        "DNS server {} did not answer the question for the {question}; check that it is reachable, \
         or set another by network.dns",
        listed(servers)
    )]
    Silent {
        question: Question,
        servers: Vec<SocketAddr>,
    },
    /// The last name server asked refused.
    #[error(
        "DNS server {} answered {code} to the question for the {question}; ask its operator, or \
         set another by network.dns",
        server.ip()
    )]
    Refused {
        question: Question,
        server: SocketAddr,
        code: String,
    },
    /// No network leads to the last name server asked.
    #[error(
        "DNS server {} cannot be reached ({reason}), so the {question} is not known; is the cable \
         in?",
        server.ip()
    )]
    Unreachable {
        question: Question,
        server: SocketAddr,
        reason: String,
    },
    /// No device of this name is on this network.
    #[error(
        "no device on this network answers to {} (mDNS); is it on, and is its network.host_name \
         right?",
        .0.name
    )]
    NotOnLink(Question),
    /// The name cannot be asked for.
    #[error("{0:?} is no host name; correct it")]
    BadName(String),
}

impl AskError {
    /// Whether no one answered at all.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

fn listed(servers: &[SocketAddr]) -> String {
    let servers: Vec<String> = servers
        .iter()
        .map(|server| server.ip().to_string())
        .collect();
    servers.join(", ")
}
