//! What a notifier may send (RFC 6665): the first byte says about which subscription, the rest is
//! the body of a NOTIFY.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sip::message::{Message, Request};
use sip::{
    AccountConfig, AccountEvents, AgentConfig, Event, EventSettings, MessageWaiting, UserAgent,
    Watched,
};

const NOTIFIER: &str = "192.0.2.9:5060";

/// Of the subscriptions to a mailbox and to another phone.
const KINDS: [(&str, &str); 2] = [
    ("message-summary", "application/simple-message-summary"),
    ("dialog", "application/dialog-info+xml"),
];

fn config() -> AgentConfig {
    let local: SocketAddr = ([192, 0, 2, 1], 5060).into();
    AgentConfig {
        accounts: vec![AccountConfig {
            keepalive: sip::KeepaliveMode::Off,
            expires_s: 600,
            register: false,
            events: AccountEvents {
                messages: MessageWaiting::Subscribe,
                ..AccountEvents::default()
            },
            ..AccountConfig::new("alice", "192.0.2.9", "")
        }],
        user: "alice".into(),
        user_agent: String::new(),
        direct_calls: true,
        codecs: vec![types::Codec::Pcmu],
        events: EventSettings {
            watched: vec![Watched {
                account: None,
                target: format!("sip:bob@{NOTIFIER}"),
            }],
            watchers: Vec::new(),
        },
        ..AgentConfig::new(local.into(), [1; 32])
    }
}

/// Every SUBSCRIBE the agent has sent.
fn subscribes(agent: &mut UserAgent) -> Vec<Request> {
    let mut found = Vec::new();
    while let Some(transmit) = agent.poll_transmit() {
        if let Ok(Message::Request(request)) = Message::parse(&transmit.bytes) {
            found.push(request);
        }
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let start = testkit::start_instant();
    let Some((which, body)) = data.split_first() else {
        return;
    };
    let (event, kind) = KINDS[usize::from(which % 2)];
    let mut agent = UserAgent::new(config(), start);
    let now = start + Duration::from_secs(2);
    agent.handle_timeout(now);
    let all = subscribes(&mut agent);
    let subscribe = all
        .iter()
        .find(|request| request.headers.get("Event") == Some(event))
        .expect("both are subscribed to");
    let to = subscribe.headers.from().expect("it has a From");
    let call_id = subscribe.headers.call_id().expect("it has a Call-ID");
    for cseq in 1..3 {
        let mut notify = format!(
            "NOTIFY sip:alice@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {NOTIFIER};branch=z9hG4bK{cseq}\r\n\
             From: <sip:bob@{NOTIFIER}>;tag=n\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} NOTIFY\r\n\
             Contact: <sip:bob@{NOTIFIER}>\r\nEvent: {event}\r\n\
             Subscription-State: active;expires=600\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        notify.extend(body);
        agent.handle_datagram(NOTIFIER.parse().expect("an address"), &notify, now);
    }
    // What is known of a phone may be used.
    if agent.can_pick_up(0) {
        assert_eq!(event, "dialog");
    }
    let mut states = 0;
    while let Some(event) = agent.poll_event() {
        states += usize::from(matches!(
            event,
            Event::Watched { .. } | Event::MessagesWaiting { .. }
        ));
    }
    assert!(states <= 2);
    assert!(agent.tables().dialogs <= 2);
});
