//! The part of the configuration that the user agent needs.

use sip::media_security::Fingerprint;

/// The part of the configuration that the user agent needs.
pub(crate) fn agent_config(
    config: &config::Config,
    local: sip::LocalAddresses,
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
            media_security: crate::negotiate::media_security(config, Some(account), fingerprint),
        })
        .collect();
    sip::AgentConfig {
        accounts,
        user: config.phone.user.clone(),
        display_name: config.phone.name.clone(),
        user_agent: concat!("Offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
        direct_calls: config.call.direct.unwrap_or(true),
        direct_callers: direct_callers(config),
        direct_from: config.call.direct_from.iter().map(allowed_caller).collect(),
        auto_answer: config.call.auto_answer_ms.is_some(),
        codecs: config.codecs.order.clone(),
        media_security: crate::negotiate::media_security(config, None, fingerprint),
        session_expires_s: Some(config.call.session_timer_s),
        local,
        tls_port: config.tls.sip_port_tls,
        seed,
    }
}

/// Whose calls without a server are accepted.
fn direct_callers(config: &config::Config) -> sip::DirectCallers {
    let open = config.call.direct_from.is_empty();
    match config.call.direct {
        Some(false) => sip::DirectCallers::Listed,
        Some(true) if open => sip::DirectCallers::Everyone,
        None if open && config.accounts.is_empty() => sip::DirectCallers::Everyone,
        Some(true) | None => sip::DirectCallers::Proven,
    }
}

fn allowed_caller(caller: &config::schema::DirectCaller) -> sip::AllowedCaller {
    sip::AllowedCaller {
        user: caller.user.clone(),
        network: caller.network,
        prefix: caller.prefix,
    }
}
