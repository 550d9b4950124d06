//! The settings of user agents in tests of many phones, all at the registrar 10.0.0.100.

use std::net::SocketAddr;

use sip::{AccountConfig, AgentConfig};

/// An account as delivered, with the password `secret`.
pub(crate) fn account(user: &str) -> AccountConfig {
    AccountConfig::new(user, "10.0.0.100", "secret")
}

/// A phone with this account, at this address.
pub(crate) fn agent(account: AccountConfig, local: SocketAddr, seed: u8) -> AgentConfig {
    AgentConfig {
        accounts: vec![account],
        user: "phone".into(),
        user_agent: "Offhook/test".into(),
        ..AgentConfig::new(local.into(), [seed; 32])
    }
}
