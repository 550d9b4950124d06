//! An INVITE whose session description is the data, answered when it rings: no panic, and no call
//! left behind.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sip::agent::AgentConfig;
use sip::offer_answer::LocalMedia;
use sip::{Event, UserAgent};
use types::Codec;

const CODECS: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];

fn agent(now: Instant) -> UserAgent {
    let config = AgentConfig {
        user: "alice".into(),
        user_agent: "Offhook/fuzz".into(),
        ring_limit: std::time::Duration::from_secs(120),
        direct_calls: true,
        direct_callers: sip::DirectCallers::Everyone,
        codecs: CODECS.to_vec(),
        ..AgentConfig::new(SocketAddr::from(([192, 0, 2, 1], 5060)).into(), [1; 32])
    };
    UserAgent::new(config, now)
}

fn media() -> LocalMedia {
    LocalMedia {
        rtp: SocketAddr::from(([0, 0, 0, 0], 20_000)),
        rtcp: SocketAddr::from(([0, 0, 0, 0], 20_001)),
        codecs: CODECS.to_vec(),
        ptime_ms: 20,
        dtmf: true,
        opus: types::OpusFormat::default(),
        comfort_noise: true,
        rtcp_xr: true,
        media_security: sip::media_security::MediaSecurity::default(),
        ice: None,
        owner_moves: false,
    }
}

fuzz_target!(|data: &[u8]| {
    let mut now = testkit::start_instant();
    let mut agent = agent(now);
    let peer = SocketAddr::from(([192, 0, 2, 9], 5060));
    let mut invite = format!(
        "INVITE sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {peer};rport;branch=z9hG4bKfuzz\r\n\
         Max-Forwards: 70\r\nFrom: <sip:peer@{peer}>;tag=peer\r\nTo: <sip:alice@192.0.2.1>\r\n\
         Call-ID: fuzz\r\nCSeq: 1 INVITE\r\nContact: <sip:peer@{peer}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
        data.len()
    )
    .into_bytes();
    invite.extend(data);
    agent.handle_datagram(peer, &invite, now);
    while let Some(event) = agent.poll_event() {
        if let Event::Incoming { call, .. } = event {
            agent.answer(call, media(), now);
            agent.end(call, now);
        }
    }
    for _ in 0..200 {
        while agent.poll_transmit().is_some() {}
        while agent.poll_event().is_some() {}
        let Some(at) = agent.poll_timeout() else {
            break;
        };
        now = at.max(now + Duration::from_millis(1));
        agent.handle_timeout(now);
    }
    assert_eq!(agent.tables(), sip::agent::Tables::default());
});
