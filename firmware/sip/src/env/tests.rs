//! Settings and messages for the unit tests of the objects.

use crate::api::{AccountConfig, AgentConfig};
use crate::digest::Hash;
use crate::env::Env;
use crate::flow::Transport;
use crate::message::{Message, Request, Response};

pub(crate) fn account(user: &str, domain: &str, password: &str) -> AccountConfig {
    AccountConfig {
        user: user.into(),
        domain: domain.into(),
        auth_user: user.into(),
        password: password.into(),
        weakest_hash: Hash::Md5,
        display_name: None,
        transport: Transport::Udp,
        registrar: None,
        outbound_proxy: None,
        backup_servers: Vec::new(),
        keepalive: crate::KeepaliveMode::Auto,
        gruu: false,
        external_address: None,
        expires_s: 600,
        register: true,
        media_security: crate::media_security::MediaSecurity::default(),
        events: crate::api::AccountEvents::default(),
    }
}

pub(crate) fn config() -> AgentConfig {
    AgentConfig {
        accounts: Vec::new(),
        user: "alice".into(),
        display_name: String::new(),
        user_agent: "Offhook/test".into(),
        instance: None,
        ring_limit: std::time::Duration::from_secs(300),
        direct_calls: true,
        direct_callers: crate::admission::DirectCallers::Everyone,
        direct_from: Vec::new(),
        auto_answer: false,
        codecs: vec![types::Codec::Pcmu],
        media_security: crate::media_security::MediaSecurity::default(),
        session_expires_s: None,
        events: crate::api::EventSettings::default(),
        local: "192.0.2.1:5060"
            .parse::<std::net::SocketAddr>()
            .unwrap()
            .into(),
        tls_port: 5061,
        seed: [1; 32],
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
