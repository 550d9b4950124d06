//! The settings of user agents in tests of many phones, all at the registrar 10.0.0.100.

use std::net::SocketAddr;
use std::time::Duration;

use sip::{AccountConfig, AgentConfig};

/// An account as delivered, with the password `secret`.
pub(crate) fn account(user: &str) -> AccountConfig {
    AccountConfig {
        user: user.into(),
        domain: "10.0.0.100".into(),
        auth_user: user.into(),
        password: "secret".into(),
        weakest_hash: sip::digest::Hash::Md5,
        display_name: None,
        transport: sip::Transport::Udp,
        registrar: None,
        outbound_proxy: None,
        backup_servers: Vec::new(),
        keepalive: sip::KeepaliveMode::Auto,
        gruu: false,
        external_address: None,
        expires_s: 90,
        register: true,
        media_security: sip::media_security::MediaSecurity::default(),
        events: sip::AccountEvents::default(),
    }
}

/// A phone with this account, at this address.
pub(crate) fn agent(account: AccountConfig, local: SocketAddr, seed: u8) -> AgentConfig {
    AgentConfig {
        accounts: vec![account],
        user: "phone".into(),
        display_name: String::new(),
        user_agent: "Offhook/test".into(),
        instance: None,
        ring_limit: Duration::from_secs(120),
        direct_calls: false,
        direct_callers: sip::DirectCallers::Listed,
        direct_from: Vec::new(),
        auto_answer: false,
        codecs: Vec::new(),
        media_security: sip::media_security::MediaSecurity::default(),
        session_expires_s: None,
        events: sip::EventSettings::default(),
        local: local.into(),
        tls_port: 5061,
        seed: [seed; 32],
    }
}
