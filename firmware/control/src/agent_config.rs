//! What the user agent is told of the configuration.

use std::net::SocketAddr;

use sip::privacy::Fingerprint;

/// What the agent is told of the configuration.
pub(crate) fn agent_config(
    config: &config::Config,
    local: SocketAddr,
    fingerprint: Option<&Fingerprint>,
    seed: [u8; 32],
) -> sip::AgentConfig {
    let accounts = config
        .accounts
        .iter()
        .map(|account| sip::AccountConfig {
            user: account.user.clone(),
            domain: account.domain.clone(),
            auth_user: account
                .auth_user
                .clone()
                .unwrap_or_else(|| account.user.clone()),
            password: account.password.0.clone(),
            weakest_hash: match account.digest {
                config::schema::DigestPolicy::Any => sip::digest::Hash::Md5,
                config::schema::DigestPolicy::Sha256 => sip::digest::Hash::Sha256,
            },
            display_name: account.display_name.clone(),
            transport: account.transport,
            registrar: account.registrar.clone(),
            outbound_proxy: account.outbound_proxy.clone(),
            expires_s: account.expires_s,
            register: account.register,
            privacy: crate::negotiate::privacy(config, Some(account), fingerprint),
        })
        .collect();
    sip::AgentConfig {
        accounts,
        user: config.phone.user.clone(),
        display_name: config.phone.name.clone(),
        user_agent: concat!("Offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
        direct_calls: config.call.direct,
        auto_answer: config.call.auto_answer_ms.is_some(),
        codecs: config.codecs.order.clone(),
        privacy: crate::negotiate::privacy(config, None, fingerprint),
        local,
        tls_port: config.tls.sip_port_tls,
        seed,
    }
}
