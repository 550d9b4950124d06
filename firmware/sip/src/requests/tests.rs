//! Requests on their way: where they go, what their senders learn, and that nothing is left.

use super::*;
use crate::env::tests::{account, request, response, with_accounts};
use crate::message::{Message, Request, Uri};

const SERVER: &str = "192.0.2.50";

struct Desk {
    requests: Requests,
    shared: Shared,
    now: Instant,
}

impl Desk {
    fn new() -> Self {
        let now = crate::timer::epoch();
        let accounts = vec![account("101", SERVER, "secret")];
        Self {
            requests: Requests::new(),
            shared: Shared::new(with_accounts(accounts), now),
            now,
        }
    }

    /// A text to this host, by no account; the number of the request.
    fn send(&mut self, purpose: Purpose, host: &str) -> RequestId {
        let id = self.shared.env.request_id();
        let uri = Uri::parse(&format!("sip:bob@{host}")).unwrap();
        let mut request = request(&format!(
            "MESSAGE sip:bob@{host} SIP/2.0\r\nMax-Forwards: 70\r\n\
                 From: <sip:a@192.0.2.1>;tag=a\r\nTo: <sip:bob@{host}>\r\nCall-ID: c{id}\r\n\
                 CSeq: 1 MESSAGE\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK0\r\n\r\n"
        ));
        request.headers.remove("Via");
        let outgoing = OutgoingRequest {
            purpose,
            account: None,
            request,
            hop: Hop::of(&uri),
            flow: None,
        };
        self.requests
            .send(id, outgoing, None, &mut self.shared, self.now);
        id
    }

    /// The request that left, and the way it went.
    fn left(&mut self) -> Option<(Flow, Request)> {
        let transmit = self.shared.transport.poll()?;
        match Message::parse(&transmit.bytes).unwrap() {
            Message::Request(request) => Some((transmit.flow, request)),
            Message::Response(_) => panic!("a response"),
        }
    }

    fn fire(&mut self) {
        let (shared, now) = (&mut self.shared, self.now);
        while let Some(waiter) = shared.deadlines.pop_due(now) {
            match waiter {
                Waiter::Client(id) => self.requests.handle_client_timeout(id, shared, now),
                Waiter::Request(id) => self.requests.handle_request_timeout(id, shared, now),
                _other => {}
            }
        }
    }
}

fn message(id: u64) -> Purpose {
    Purpose::Message(crate::ids::MessageId(id))
}

#[test]
fn an_answer_is_for_whoever_sent_the_request_and_leaves_nothing() {
    let mut desk = Desk::new();
    let id = desk.send(message(1), "192.0.2.9");
    let (flow, sent) = desk.left().unwrap();
    assert_eq!(desk.requests.unanswered(), 1);
    let answer = response(&sent, 200, &[]);
    let delivered = desk
        .requests
        .handle_response(flow, &answer, &mut desk.shared, desk.now);
    let purpose = message(1);
    assert_eq!(delivered, Some(Delivered { purpose, id }));
    assert_eq!(desk.requests.unanswered(), 0);
    // Repeated answers are absorbed, and the transaction ends by itself.
    let again = desk
        .requests
        .handle_response(flow, &answer, &mut desk.shared, desk.now);
    assert_eq!(again, None);
    desk.now += Duration::from_secs(40);
    desk.fire();
    assert_eq!(desk.requests.transaction_count(), 0);
    assert_eq!(desk.shared.deadlines.len(), 0);
}

#[test]
fn silence_fails_the_request_at_the_end_of_the_turn() {
    let mut desk = Desk::new();
    desk.send(message(1), "192.0.2.9");
    assert_eq!(desk.requests.poll_failure(), None);
    for _ in 0..40 {
        desk.now += Duration::from_secs(1);
        desk.fire();
    }
    let failure = desk.requests.poll_failure().unwrap();
    assert_eq!((failure.purpose, failure.code), (message(1), 408));
    assert_eq!(desk.requests.poll_notice(), Some(Notice::ServerSilent));
    assert_eq!(desk.requests.poll_failure(), None);
    assert_eq!(desk.requests.transaction_count(), 0);
}

#[test]
fn what_begins_something_fails_at_once_without_a_network() {
    let mut desk = Desk::new();
    desk.shared.env.offline = Some("the cable is out".to_owned());
    desk.send(message(1), "192.0.2.9");
    let failure = desk.requests.poll_failure().unwrap();
    assert_eq!((failure.code, &*failure.reason), (503, "the cable is out"));
    assert!(desk.left().is_none());
    // What ends something is sent all the same.
    desk.send(Purpose::None, "192.0.2.9");
    assert_eq!(desk.requests.poll_failure(), None);
    assert!(desk.left().is_some());
}

#[test]
fn a_name_is_looked_up_and_a_forgotten_request_needs_no_answer() {
    let mut desk = Desk::new();
    let first = desk.send(message(1), "example.com");
    let second = desk.send(message(2), "example.com");
    assert_eq!(desk.requests.lookup_count(), 2);
    let mut lookups = Vec::new();
    while let Some(event) = desk.shared.events.pop_front() {
        if let Event::Lookup(lookup) = event {
            lookups.push(lookup.id);
        }
    }
    desk.requests.forget(first, &mut desk.shared);
    assert_eq!(desk.requests.lookup_count(), 1);
    let found = [Target {
        transport: Transport::Udp,
        address: "192.0.2.9:5060".parse().unwrap(),
    }];
    for lookup in lookups {
        let shared = &mut desk.shared;
        desk.requests
            .handle_lookup(lookup, Ok(&found), shared, desk.now);
    }
    let (flow, sent) = desk.left().unwrap();
    assert_eq!(flow.remote(), found[0].address);
    assert_eq!(sent.headers.call_id().unwrap(), format!("c{second}"));
    assert!(desk.left().is_none());
}

#[test]
fn a_response_counts_by_its_call_and_not_by_its_host() {
    let mut desk = Desk::new();
    desk.send(message(1), "192.0.2.9");
    let (flow, sent) = desk.left().unwrap();
    let mut other = response(&sent, 200, &[]);
    other.headers.set("Call-ID", "another");
    let dropped = desk.shared.transport.counters.dropped;
    let found = desk
        .requests
        .handle_response(flow, &other, &mut desk.shared, desk.now);
    assert_eq!(found, None);
    assert_eq!(desk.shared.transport.counters.dropped, dropped + 1);
    assert_eq!(desk.requests.unanswered(), 1);
}

#[test]
fn a_failed_flow_fails_the_requests_on_it() {
    let mut desk = Desk::new();
    desk.send(message(1), "192.0.2.9");
    desk.send(message(2), "192.0.2.10");
    let (gone, _) = desk.left().unwrap();
    let shared = &mut desk.shared;
    desk.requests
        .handle_flow_failed(|flow| flow == gone, "it is gone", shared, desk.now);
    let failure = desk.requests.poll_failure().unwrap();
    assert_eq!((failure.purpose, failure.code), (message(1), 503));
    assert_eq!(failure.reason, "it is gone");
    assert_eq!(desk.requests.poll_failure(), None);
    assert_eq!(desk.requests.unanswered(), 1);
}
