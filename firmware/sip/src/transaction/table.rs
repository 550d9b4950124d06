//! The transactions alive, found by what RFC 3261 sections 17.1.3 and 17.2.3 match them by.
//!
//! ```text
//! response ─▶ client_key (branch, CSeq method) ─▶ ClientEntry        request ─▶ server_key (branch, sent-by, method) ─▶ ServerEntry
//! ```
//!
//! Both tables are bounded; a full one refuses, it never drops an older transaction.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::client::Client;
use super::server::Server;
use crate::flow::Flow;
use crate::ids::{CallHandle, RequestId, TransactionId};
use crate::message::{Method, Request, Response};

/// Most client transactions alive.
pub(crate) const MAX_CLIENTS: usize = 256;
/// Most server transactions alive.
pub(crate) const MAX_SERVERS: usize = 512;

/// A request of ours that waits for its answer.
#[derive(Debug)]
pub(crate) struct ClientEntry {
    /// Its state.
    pub(crate) machine: Client,
    /// The request as sent, Via included: CANCEL and ACK are made from it.
    pub(crate) request: Request,
    /// The same as bytes, for retransmission.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// The way it went.
    pub(crate) flow: Flow,
    /// Who sent it; `None`: the answer is no longer waited for.
    pub(crate) owner: Option<RequestId>,
    /// The next address was tried because this one was silent.
    pub(crate) overtaken: bool,
}

/// A request of theirs.
#[derive(Debug)]
pub(crate) struct ServerEntry {
    /// Its state.
    pub(crate) machine: Server,
    /// The request, top Via stamped.
    pub(crate) request: Request,
    /// Where answers go.
    pub(crate) reply: Flow,
    /// Last answer sent.
    pub(crate) last: Option<Zeroizing<Vec<u8>>>,
    /// Our tag in the answers.
    pub(crate) to_tag: String,
    /// The call it belongs to.
    pub(crate) call: Option<CallHandle>,
    /// What makes two requests the same but for their way here (section 8.2.2.2).
    pub(crate) merge: String,
}

/// Entries under a number and a key.
#[derive(Debug)]
pub(crate) struct Table<E> {
    entries: BTreeMap<TransactionId, (String, E)>,
    by_key: BTreeMap<String, TransactionId>,
    next: TransactionId,
    limit: usize,
}

impl<E> Table<E> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            by_key: BTreeMap::new(),
            next: 1,
            limit,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether another entry finds room.
    pub(crate) fn has_room(&self) -> bool {
        self.entries.len() < self.limit
    }

    /// Adds an entry; `None` when the table is full or the key taken.
    pub(crate) fn insert(&mut self, key: String, entry: E) -> Option<TransactionId> {
        if !self.has_room() || self.by_key.contains_key(&key) {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.by_key.insert(key.clone(), id);
        self.entries.insert(id, (key, entry));
        Some(id)
    }

    pub(crate) fn find(&self, key: &str) -> Option<TransactionId> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn get(&self, id: TransactionId) -> Option<&E> {
        self.entries.get(&id).map(|(_, entry)| entry)
    }

    pub(crate) fn get_mut(&mut self, id: TransactionId) -> Option<&mut E> {
        self.entries.get_mut(&id).map(|(_, entry)| entry)
    }

    pub(crate) fn remove(&mut self, id: TransactionId) -> Option<E> {
        let (key, entry) = self.entries.remove(&id)?;
        self.by_key.remove(&key);
        Some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TransactionId, &E)> {
        self.entries.iter().map(|(id, (_, entry))| (*id, entry))
    }
}

/// Key of a client transaction.
pub(crate) fn client_key(branch: &str, method: &Method) -> String {
    format!("{branch} {method}")
}

/// Key of the client transaction a response answers; `None` when it cannot be one of ours.
pub(crate) fn response_key(response: &Response) -> Option<String> {
    let via = response.headers.top_via().ok()?;
    let cseq = response.headers.cseq().ok()?;
    Some(client_key(via.branch()?, &cseq.method))
}

/// Key of the server transaction a request opens or repeats. ACK finds its INVITE; CANCEL asks with
/// `as_method` for the one it cancels. Without the cookie of RFC 3261 the old rules hold (section
/// 17.2.3).
pub(crate) fn server_key(request: &Request, as_method: Option<&Method>) -> Option<String> {
    let via = request.headers.top_via().ok()?;
    let method = match (as_method, &request.method) {
        (None, Method::Ack) => &Method::Invite,
        (Some(method), _) | (None, method) => method,
    };
    if let Some(branch) = via.cookie_branch() {
        let host = via.host().to_string().to_ascii_lowercase();
        return Some(format!(
            "{branch} {host}:{} {method}",
            via.port().unwrap_or(5060)
        ));
    }
    let headers = &request.headers;
    let from = headers.from().ok()?;
    let cseq = headers.cseq().ok()?;
    Some(format!(
        "2543 {} {} {} {} {method} {} {}",
        request.uri,
        headers.call_id().ok()?,
        from.tag().unwrap_or_default(),
        cseq.number,
        via.host(),
        via.branch().unwrap_or_default(),
    ))
}

/// What a request has in common with its copy that came another way.
pub(crate) fn merge_key(request: &Request) -> Option<String> {
    let from = request.headers.from().ok()?;
    let cseq = request.headers.cseq().ok()?;
    Some(format!(
        "{} {} {} {}",
        request.headers.call_id().ok()?,
        from.tag().unwrap_or_default(),
        cseq.number,
        cseq.method
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_refuses_new_entries() {
        let mut table = Table::new(2);
        let one = table.insert("a".into(), 1).unwrap();
        assert_eq!(table.insert("a".into(), 9), None);
        table.insert("b".into(), 2).unwrap();
        assert_eq!(table.insert("c".into(), 3), None);
        assert_eq!(table.find("a"), Some(one));
        assert_eq!(table.remove(one), Some(1));
        assert_eq!(table.find("a"), None);
        assert!(table.insert("c".into(), 3).is_some());
        assert_eq!(table.len(), 2);
    }

    fn request(text: &str) -> Request {
        match crate::message::Message::parse(text.as_bytes()).unwrap() {
            crate::message::Message::Request(request) => request,
            crate::message::Message::Response(_) => panic!("a response"),
        }
    }

    #[test]
    fn ack_and_cancel_find_their_invite() {
        for branch in [";branch=z9hG4bKx", ";branch=1", ""] {
            let text = |method: &str| {
                format!(
                    "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060{branch}\r\n\
                     From: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n\
                     Call-ID: 1\r\nCSeq: 7 {method}\r\n\r\n"
                )
            };
            let invite = server_key(&request(&text("INVITE")), None);
            assert!(invite.is_some());
            assert_eq!(server_key(&request(&text("ACK")), None), invite);
            assert_eq!(
                server_key(&request(&text("CANCEL")), Some(&Method::Invite)),
                invite
            );
            assert_ne!(server_key(&request(&text("CANCEL")), None), invite);
        }
    }
}
