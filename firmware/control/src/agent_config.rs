//! The part of the configuration that the user agent needs.

use std::time::Duration;

use config::schema::SessionTimer;
use sip::media_security::Fingerprint;

fn session_intervals(call: &config::schema::Call) -> sip::SessionIntervals {
    let (wanted, of_callers) = match call.session_timer {
        SessionTimer::Answer => (false, false),
        SessionTimer::Offer => (true, false),
        SessionTimer::Always => (true, true),
    };
    sip::SessionIntervals {
        wanted_s: wanted.then_some(call.session_timer_s),
        of_callers,
        min_s: call.session_timer_min_s,
    }
}

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
            backup_servers: account.backup_servers.clone(),
            keepalive: match account.keepalive {
                config::schema::KeepaliveMode::Auto => sip::KeepaliveMode::Auto,
                config::schema::KeepaliveMode::Always => sip::KeepaliveMode::Always,
                config::schema::KeepaliveMode::Off => sip::KeepaliveMode::Off,
            },
            gruu: account.gruu,
            external_address: account.external_address,
            expires_s: account.expires_s,
            register: account.register,
            media_security: crate::negotiate::media_security(config, Some(account), fingerprint),
            events: account_events(account),
        })
        .collect();
    sip::AgentConfig {
        accounts,
        user: config.phone.user.clone(),
        display_name: config.phone.name.clone(),
        user_agent: match &config.phone.user_agent {
            Some(text) => text.clone(),
            None => concat!("Offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
        },
        instance: fingerprint.map(instance),
        ring_limit: Duration::from_secs(config.call.no_answer_s.into()),
        direct_calls: config.call.direct.unwrap_or(true),
        direct_callers: direct_callers(config),
        direct_from: config.call.direct_from.iter().map(allowed_caller).collect(),
        auto_answer: config.call.auto_answer_ms.is_some(),
        codecs: config.codecs.order.clone(),
        media_security: crate::negotiate::media_security(config, None, fingerprint),
        session_intervals: session_intervals(&config.call),
        events: event_settings(config),
        local,
        tls_port: config.tls.sip_port_tls,
        seed,
    }
}

/// What an account's server may report to this phone, and is asked for.
fn account_events(account: &config::schema::Account) -> sip::AccountEvents {
    use config::schema::MessageWaiting;
    sip::AccountEvents {
        messages: match account.messages {
            MessageWaiting::Accept => sip::MessageWaiting::Accept,
            MessageWaiting::Subscribe => sip::MessageWaiting::Subscribe,
            MessageWaiting::Off => sip::MessageWaiting::Off,
        },
        watch_registration: account.watch_registration,
        remote_control: account.remote_control,
    }
}

/// Whom this phone watches, and who may watch it.
fn event_settings(config: &config::Config) -> sip::EventSettings {
    let watched = config.dial.watch.iter();
    sip::EventSettings {
        watched: watched
            .map(|target| sip::Watched {
                account: watched_by_account(config, target).map(sip::AccountId),
                target: target.clone(),
            })
            .collect(),
        watchers: config.call.watched_by.iter().map(allowed_caller).collect(),
    }
}

/// The account a watched phone is watched by: that of its domain, the first one for a number.
pub(crate) fn watched_by_account(config: &config::Config, target: &str) -> Option<usize> {
    let is_address = target.contains('@') || target.to_ascii_lowercase().starts_with("sip");
    if !is_address {
        return (!config.accounts.is_empty()).then_some(0);
    }
    let host = target.rsplit(['@', ':']).next().unwrap_or_default();
    let after = target.split_once('@').map_or(host, |(_, after)| after);
    let domain = after.split([';', '?']).next().unwrap_or_default();
    let mut accounts = config.accounts.iter();
    accounts.position(|account| account.domain.eq_ignore_ascii_case(domain))
}

/// The phone's instance id (RFC 5626 section 4.1): a UUID of its own (RFC 9562 section 5.8) made
/// from its certificate, which is kept over restarts.
fn instance(fingerprint: &Fingerprint) -> String {
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(&fingerprint.bytes) {
        *byte = *hashed;
    }
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    };
    let parts = [hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)];
    format!("urn:uuid:{}", parts.join("-"))
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
