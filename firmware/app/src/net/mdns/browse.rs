//! The provisioning server of this link (DNS-SD, RFC 6763): who answers for `_offhook._tcp.local`.
//!
//! ```text
//! Browse (no I/O): PTR? ─▶ instances ─▶ SRV, TXT? of one that came without ─▶ the best ─▶ https://HOST.local:PORT/path
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::MAX_DATAGRAM;
use super::ask::{send, socket};
use crate::net::local::Networks;

/// What is looked for.
const SERVICE: &str = "_offhook._tcp.local.";
/// When it is asked; multicast is not repeated by Wi-Fi.
const SENT_AT: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(900),
    Duration::from_secs(2),
];
/// Then every server of the link has answered.
const LIMIT: Duration = Duration::from_secs(3);
/// Servers that are looked at.
const MAX_INSTANCES: usize = 16;
/// Longest path.
const MAX_PATH: usize = 256;

/// Looks for a server; its URL.
pub(crate) async fn browse() -> Option<String> {
    let socket = socket().ok()?;
    let mut browse = Browse::default();
    let networks = Networks::read();
    let links = networks.one_each();
    let started = Instant::now();
    let mut buffer = vec![0; MAX_DATAGRAM];
    for (index, at) in SENT_AT.iter().enumerate() {
        sleep_until(started + *at).await;
        send(&socket, &links, &browse.question()?);
        let until = SENT_AT.get(index + 1).copied().unwrap_or(LIMIT);
        while let Ok(Ok((length, from))) =
            timeout_at(started + until, socket.recv_from(&mut buffer)).await
        {
            if networks.contain(from.ip()) {
                browse.handle_datagram(&buffer[..length]);
            }
        }
    }
    browse.url()
}

/// What was found so far.
#[derive(Debug, Default)]
struct Browse {
    /// By their names, so that the same one is chosen each time. As they came: anything may stand
    /// in a name (RFC 6763 section 4.1.1).
    instances: BTreeMap<Name, Instance>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Instance {
    /// Priority, host, port.
    server: Option<(u16, String, u16)>,
    /// `path` of its TXT record.
    path: Option<String>,
}

impl Browse {
    /// The next question: the servers, and more about those that said too little.
    fn question(&self) -> Option<Vec<u8>> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        let mut ask = |name: Name, kind| {
            let mut query = Query::query(name, kind);
            query.set_mdns_unicast_response(true);
            message.add_query(query);
        };
        ask(Name::from_ascii(SERVICE).ok()?, RecordType::PTR);
        for (name, instance) in &self.instances {
            if instance.server.is_none() {
                ask(name.clone(), RecordType::SRV);
                ask(name.clone(), RecordType::TXT);
            }
        }
        message.to_vec().ok()
    }

    /// Takes what an answer says of servers; everything else changes nothing.
    fn handle_datagram(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::from_vec(bytes) else {
            return;
        };
        if message.metadata.message_type != MessageType::Response {
            return;
        }
        // Instances first: what is said of others does not count.
        for record in message.answers.iter().chain(&message.additionals) {
            if let RData::PTR(instance) = &record.data
                && same(&record.name, SERVICE)
                && self.instances.len() < MAX_INSTANCES
            {
                self.instances.entry(instance.0.clone()).or_default();
            }
        }
        for record in message.answers.iter().chain(&message.additionals) {
            self.handle_record(record);
        }
    }

    fn handle_record(&mut self, record: &Record) {
        let Some(instance) = self.instances.get_mut(&record.name) else {
            return;
        };
        match &record.data {
            RData::SRV(srv) if srv.port > 0 => {
                let host = srv.target.to_ascii();
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let is_name = host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
                let is_of_link = host
                    .rsplit_once('.')
                    .is_some_and(|(_, last)| last == "local");
                if is_name && is_of_link {
                    instance.server = Some((srv.priority, host, srv.port));
                }
            }
            RData::TXT(txt) => {
                let path = txt.txt_data.iter().find_map(|text| {
                    let path = std::str::from_utf8(text).ok()?.strip_prefix("path=")?;
                    let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
                    (path.starts_with('/') && path.len() <= MAX_PATH && printable)
                        .then(|| path.to_owned())
                });
                instance.path = path.or(instance.path.take());
            }
            _ => {}
        }
    }

    /// The server of the lowest priority; of several the first by its name.
    fn url(&self) -> Option<String> {
        let servers = self.instances.values().filter_map(|instance| {
            let (priority, host, port) = instance.server.as_ref()?;
            Some((priority, host, port, instance.path.as_deref()))
        });
        let (_, host, port, path) = servers.min_by_key(|(priority, ..)| *priority)?;
        let port = match *port {
            443 => String::new(),
            port => format!(":{port}"),
        };
        Some(format!("https://{host}{port}{}", path.unwrap_or("/")))
    }
}

fn same(name: &Name, text: &str) -> bool {
    name.to_ascii().eq_ignore_ascii_case(text)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{PTR, SRV, TXT};

    use super::*;

    fn name(text: &str) -> Name {
        // A space in it, as people write names.
        let labels = text.trim_end_matches('.').split('.');
        let labels = labels.map(|label| label.replace("\\032", " ").into_bytes());
        let mut name = Name::from_labels(labels).unwrap();
        name.set_fqdn(true);
        name
    }

    fn record(owner: &str, data: RData) -> Record {
        Record::from_rdata(name(owner), 120, data)
    }

    fn pointer(instance: &str) -> Record {
        record(SERVICE, RData::PTR(PTR(name(instance))))
    }

    fn server(instance: &str, priority: u16, port: u16, host: &str) -> Record {
        let srv = SRV::new(priority, 0, port, name(host));
        record(instance, RData::SRV(srv))
    }

    fn text(instance: &str, text: &str) -> Record {
        record(instance, RData::TXT(TXT::new(vec![text.to_owned()])))
    }

    fn answer(answers: Vec<Record>, additionals: Vec<Record>) -> Vec<u8> {
        let mut message = Message::new(0, MessageType::Response, OpCode::Query);
        message.answers = answers;
        message.additionals = additionals;
        message.to_vec().unwrap()
    }

    const ONE: &str = "desk\\032phones._offhook._tcp.local.";
    const TWO: &str = "spare._offhook._tcp.local.";

    #[test]
    fn one_answer_names_all() {
        let mut browse = Browse::default();
        browse.handle_datagram(&answer(
            vec![pointer(ONE)],
            vec![
                server(ONE, 0, 8443, "srv.local."),
                text(ONE, "path=/offhook/"),
            ],
        ));
        let url = browse.url();
        assert_eq!(url.as_deref(), Some("https://srv.local:8443/offhook/"));
    }

    #[test]
    fn a_server_that_says_too_little_is_asked_for_the_rest() {
        let questions = |browse: &Browse| {
            let message = Message::from_vec(&browse.question().unwrap()).unwrap();
            message.queries.len()
        };
        let mut browse = Browse::default();
        assert_eq!((questions(&browse), browse.url()), (1, None));
        browse.handle_datagram(&answer(vec![pointer(ONE)], vec![]));
        assert_eq!((questions(&browse), browse.url()), (3, None));
        browse.handle_datagram(&answer(vec![server(ONE, 0, 443, "srv.local.")], vec![]));
        assert_eq!(questions(&browse), 1);
        assert_eq!(browse.url().as_deref(), Some("https://srv.local/"));
    }

    #[test]
    fn of_several_the_same_is_chosen_each_time() {
        let of = |first: u16, second: u16| {
            let mut browse = Browse::default();
            let records = vec![
                server(TWO, second, 443, "two.local."),
                server(ONE, first, 443, "one.local."),
            ];
            browse.handle_datagram(&answer(vec![pointer(TWO), pointer(ONE)], records));
            browse.url().unwrap()
        };
        assert_eq!(of(0, 0), "https://one.local/");
        assert_eq!(of(5, 1), "https://two.local/");
    }

    #[test]
    fn what_is_of_others_or_no_answer_changes_nothing() {
        let mut browse = Browse::default();
        browse.handle_datagram(b"no message");
        browse.handle_datagram(&browse.question().unwrap());
        browse.handle_datagram(&answer(vec![server(ONE, 0, 443, "srv.local.")], vec![]));
        assert_eq!(
            browse.url(),
            None,
            "no one said that it is a server of phones"
        );
        for bad in ["srv.example.net.", "srv.local.evil.example."] {
            let records = vec![server(ONE, 0, 443, bad)];
            browse.handle_datagram(&answer(vec![pointer(ONE)], records));
            assert_eq!(browse.url(), None, "{bad} is no name of this link");
        }
        browse.handle_datagram(&answer(
            vec![server(ONE, 0, 443, "srv.local.")],
            vec![text(ONE, "path=//evil.example/\n")],
        ));
        assert_eq!(browse.url().as_deref(), Some("https://srv.local/"));
        let many: Vec<Record> = (0..100)
            .map(|n| pointer(&format!("i{n}.{SERVICE}")))
            .collect();
        for part in many.chunks(20) {
            browse.handle_datagram(&answer(part.to_vec(), vec![]));
        }
        assert!(browse.instances.len() <= MAX_INSTANCES);
    }
}
