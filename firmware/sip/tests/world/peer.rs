//! The scripted peer: its requests, and the calls with it.

use sip::agent::{AgentConfig, EndedBy};
use sip::message::{Method, NameAddr, Request, Response};
use sip::{CallHandle, Event};

use super::{World, media};

/// An SDP body of a peer at this address with PCMU.
pub(crate) fn sdp(address: &str, extra: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n{extra}"
    )
}

/// A request from a scripted peer.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) from_tag: &'a str,
    pub(crate) to: String,
    pub(crate) call_id: &'a str,
    pub(crate) cseq: u32,
    pub(crate) from: &'a str,
    pub(crate) extra: String,
    pub(crate) body: String,
}

impl Ask<'_> {
    /// An INVITE to alice from 192.0.2.9:5060.
    pub(crate) fn invite() -> Self {
        Self {
            method: "INVITE",
            branch: "z9hG4bKfirst",
            from_tag: "peer",
            to: "<sip:alice@192.0.2.1>".into(),
            call_id: "call-1",
            cseq: 1,
            from: "192.0.2.9:5060",
            extra: "Content-Type: application/sdp\r\n".into(),
            body: sdp("192.0.2.9", ""),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self {
            method,
            branch,
            from_tag,
            to,
            call_id,
            cseq,
            from,
            extra,
            body,
        } = self;
        format!(
            "{method} sip:alice@192.0.2.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {from};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: \"Peer\" <sip:peer@{from}>;tag={from_tag}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:peer@{from}>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// The To header of a dialog a response made.
pub(crate) fn to_of(response: &Response) -> String {
    let to: NameAddr = response.headers.to().unwrap();
    to.to_string()
}

/// The scripted peer as a listed caller: no rate holds for it.
pub(crate) fn peer_is_listed(config: &mut AgentConfig) {
    config.direct_from.push(sip::AllowedCaller {
        user: None,
        network: [192, 0, 2, 9].into(),
        prefix: 32,
    });
}

/// Where the scripted peer is.
pub(crate) const PEER: &str = "192.0.2.9:5060";

pub(crate) fn ends(events: &[Event]) -> Vec<(EndedBy, Option<u16>)> {
    let end = |event: &Event| match event {
        Event::Ended { by, code, .. } => Some((*by, *code)),
        _ => None,
    };
    events.iter().filter_map(end).collect()
}

pub(crate) fn is_established(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::Established { .. }))
}

/// Alice has called the peer; its INVITE.
pub(crate) fn called(world: &mut World) -> (CallHandle, Request) {
    let call = world.invite(0, &format!("sip:peer@{PEER}"));
    (call, world.request(&Method::Invite))
}

/// Alice's call to the peer is established; her INVITE.
pub(crate) fn calling(world: &mut World) -> (CallHandle, Request) {
    let (call, invite) = called(world);
    world.accept(&invite, Some("p"), PEER, &sdp("192.0.2.9", ""));
    world.request(&Method::Ack);
    assert!(is_established(&world.events(0)));
    (call, invite)
}

/// The peer's call to alice is answered; the 200.
pub(crate) fn answered(world: &mut World) -> (CallHandle, Response) {
    world.send(PEER, 0, Ask::invite().text());
    world.response(100);
    let call = world.incoming(0);
    world.with(0, |alice, now| alice.answer(call, media(20_000), now));
    (call, world.response(200))
}

pub(crate) fn ack(response: &Response) -> String {
    let to = to_of(response);
    Ask {
        method: "ACK",
        branch: "z9hG4bKack",
        to,
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    }
    .text()
}

pub(crate) fn inside(response: &Response, method: &'static str, cseq: u32) -> Ask<'static> {
    let branch = format!("z9hG4bK{method}{cseq}").leak();
    Ask {
        method,
        branch,
        cseq,
        to: to_of(response),
        extra: String::new(),
        body: String::new(),
        ..Ask::invite()
    }
}
