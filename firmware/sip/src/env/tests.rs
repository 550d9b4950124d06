//! Settings and messages for the unit tests of the objects.

use crate::api::{AccountConfig, AgentConfig};
use crate::env::Env;
use crate::message::{Message, Request, Response};

pub(crate) fn account(user: &str, domain: &str, password: &str) -> AccountConfig {
    AccountConfig {
        expires_s: 600,
        ..AccountConfig::new(user, domain, password)
    }
}

pub(crate) fn config() -> AgentConfig {
    AgentConfig {
        user: "alice".into(),
        user_agent: "Offhook/test".into(),
        ring_limit: std::time::Duration::from_secs(300),
        direct_calls: true,
        direct_callers: crate::admission::DirectCallers::Everyone,
        codecs: vec![types::Codec::Pcmu],
        ..AgentConfig::new(
            std::net::SocketAddr::from(([192, 0, 2, 1], 5060)).into(),
            [1; 32],
        )
    }
}

pub(crate) fn env() -> Env {
    Env::new(config())
}

pub(crate) fn request(text: &str) -> Request {
    match Message::parse(text.as_bytes()).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

/// A response of the far end to a request of ours, as sent with this branch.
pub(crate) fn response(request: &Request, code: u16, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::reply(request, code, Some("far"));
    for (name, value) in headers {
        response.headers.push(name, value);
    }
    response
}

/// With these accounts.
pub(crate) fn with_accounts(accounts: Vec<AccountConfig>) -> AgentConfig {
    AgentConfig {
        accounts,
        ..config()
    }
}

/// What a phone offers of itself for a call.
pub(crate) fn media() -> crate::offer_answer::LocalMedia {
    crate::offer_answer::LocalMedia {
        rtp: "0.0.0.0:20000".parse().unwrap(),
        rtcp: "0.0.0.0:20001".parse().unwrap(),
        codecs: vec![types::Codec::Pcmu],
        ptime_ms: 20,
        dtmf: true,
        opus: types::OpusFormat::default(),
        comfort_noise: false,
        rtcp_xr: false,
        media_security: crate::media_security::MediaSecurity::default(),
        ice: None,
        owner_moves: false,
    }
}
