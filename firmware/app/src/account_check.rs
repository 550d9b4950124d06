//! `offhook check --try`: tries what a configuration says without ringing anyone, and says what is
//! wrong in one line each.
//!
//! ```text
//! Config ─┬▶ devices: sound card, GPIO lines ─────────────────────────────────┐
//!         └▶ each account: names (DNS) ─▶ exchange (UDP, TCP, TLS) ─▶          ├─▶ Finding (✓ ! ✗, help)
//!              OPTIONS, REGISTER, call to `dial.echo_test`,
//!              REGISTER with expiry 0 ─▶ answers, nat ────────────────────────┘
//! ```
//!
//! It has sockets of its own and a contact of its own, which it removes again: a running phone is
//! not disturbed. A wrong password is tried once, because servers lock accounts that guess.

mod answers;
mod devices;
mod echo_call;
mod exchange;
mod finding;
mod names;
mod registration;
mod stun;

pub(crate) use finding::{Finding, Mark};

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use config::Config;
use config::schema::Account;
use sip::{Target, Transport};
use types::EncryptionPolicy;

use crate::net::dns::system::System;
use crate::net::tls::{self, Tls};
use exchange::{Exchange, OpenError};
use names::ServerName;

/// Servers of one account that are tried.
const MAX_SERVERS: usize = 4;
/// How long a NAT must keep its mapping without traffic: the phone sends keepalives more often.
const NAT_SILENCE: Duration = Duration::from_secs(30);

/// Why nothing can be tried at all.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no more sockets or threads: {0}; try again when less runs")]
pub(crate) struct SystemError(#[from] std::io::Error);

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope<'a> {
    /// Sound card and GPIO lines, too: not while the phone runs, which holds them.
    pub(crate) devices: bool,
    /// How long a mapping of a NAT is watched, which takes that long; `None`: not at all.
    pub(crate) nat_silence: Option<Duration>,
    /// The number that is called to hear whether sound goes both ways.
    pub(crate) echo_test: Option<&'a str>,
    /// Which STUN servers are asked.
    pub(crate) stun: StunScope<'a>,
}

/// Which STUN servers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StunScope<'a> {
    /// None.
    Nothing,
    /// Those of the configuration.
    Configured,
    /// This one.
    Server(&'a str),
}

impl<'a> StunScope<'a> {
    fn servers(self, config: &'a Config) -> BTreeSet<&'a str> {
        let accounts = || config.accounts.iter().filter_map(|a| a.stun.as_deref());
        match self {
            Self::Nothing => BTreeSet::new(),
            Self::Configured => accounts().chain(config.network.stun.as_deref()).collect(),
            Self::Server(server) => BTreeSet::from([server]),
        }
    }
}

impl<'a> Scope<'a> {
    /// Everything: for whoever waits at a terminal.
    pub(crate) fn all(config: &'a Config, stun: Option<&'a str>) -> Self {
        Self {
            devices: true,
            nat_silence: Some(NAT_SILENCE),
            echo_test: config.dial.echo_test.as_deref(),
            stun: stun.map_or(StunScope::Configured, StunScope::Server),
        }
    }

    /// What a running phone finds out about its accounts.
    pub(crate) const ACCOUNTS: Self = Self {
        devices: false,
        nat_silence: None,
        echo_test: None,
        stun: StunScope::Nothing,
    };
}

/// Tries everything; each finding is given away as it comes. Blocks for seconds.
pub(crate) fn run(
    config: &Config,
    scope: Scope<'_>,
    found: &mut dyn FnMut(Finding),
) -> Result<(), SystemError> {
    if scope.devices {
        devices::check(config, found);
    }
    for server in scope.stun.servers(config) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(stun::check(server, found));
    }
    if config.accounts.is_empty() {
        found(Finding::good(
            "accounts",
            "none: calls between phones need no server",
        ));
        return Ok(());
    }
    for account in &config.accounts {
        run_account(config, account, scope, found)?;
    }
    Ok(())
}

/// Tries one account.
pub(crate) fn run_account(
    config: &Config,
    account: &Account,
    scope: Scope<'_>,
    found: &mut dyn FnMut(Finding),
) -> Result<(), SystemError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut tls = Tls::new(tls::settings(config), None);
    // Nothing is sent unencrypted where the owner forbids it, and be it a tone.
    let policy = account.encryption.or(config.encryption.mode);
    let must_encrypt = policy == Some(EncryptionPolicy::Required);
    let asked = Scope {
        echo_test: scope.echo_test.filter(|_| !must_encrypt),
        ..scope
    };
    runtime.block_on(try_account(account, asked, must_encrypt, &mut tls, found));
    if must_encrypt && scope.echo_test.is_some() {
        found(Finding::warning(
            &account.name,
            "the echo test is not tried: its sound would not be encrypted, and this account \
             requires that",
            "dial the star code for it on the phone",
        ));
    }
    Ok(())
}

async fn try_account(
    account: &Account,
    scope: Scope<'_>,
    must_encrypt: bool,
    tls: &mut Tls,
    found: &mut dyn FnMut(Finding),
) {
    let about = account.name.as_str();
    let server = match ServerName::of(account) {
        Ok(server) => server,
        Err(finding) => return found(*finding),
    };
    let system = System::read();
    let Some(mut targets) = names::find(about, &server, &system, found).await else {
        return;
    };
    targets.truncate(MAX_SERVERS);
    let identities = server.identities(account);
    // Where a server's certificate is wrong, no unencrypted server is tried after it: that would
    // help whoever pretends to be the server.
    let mut only_encrypted = must_encrypt;
    for (number, target) in targets.iter().enumerate() {
        let opened = Exchange::open(*target, &identities, tls).await;
        match opened {
            Ok(mut exchange) => {
                if let Some(finding) = exchange.certificate(about) {
                    found(finding);
                }
                match registration::check(&mut exchange, account, &server, scope, found).await {
                    registration::Outcome::Answered => {
                        let others = targets.get(number + 1..).unwrap_or_default();
                        return try_others(about, others, &identities, tls, found).await;
                    }
                    registration::Outcome::Silent(finding) => found(*finding),
                }
            }
            Err(error) => {
                only_encrypted |= matches!(error, OpenError::Tls(_));
                found(unreachable(about, *target, &error));
            }
        }
    }
    if let Some(target) = targets.first() {
        let others: &[Transport] = if only_encrypted {
            &[Transport::Tls]
        } else {
            &[Transport::Udp, Transport::Tcp, Transport::Tls]
        };
        suggest_transport(about, *target, others, &identities, tls, found).await;
    }
}

/// The servers that take over when the one that answered does not.
async fn try_others(
    about: &str,
    others: &[Target],
    identities: &[String],
    tls: &mut Tls,
    found: &mut dyn FnMut(Finding),
) {
    for other in others {
        let (address, by) = (other.address, transport_name(other.transport));
        let answers = match Exchange::open(*other, identities, tls).await {
            Ok(mut exchange) => {
                if let Some(finding) = exchange.certificate(about) {
                    found(finding);
                }
                registration::is_sip(&mut exchange).await
            }
            // The other family of an address this network has no way to: nothing is wrong.
            Err(OpenError::Network(_)) => continue,
            Err(OpenError::Tls(complaint)) => {
                found(Finding::fault_in_one(about, &format!("TLS: {complaint}")));
                continue;
            }
            Err(_) => false,
        };
        found(if answers {
            Finding::good(
                about,
                &format!("{address} ({by}) takes over: it answers OPTIONS"),
            )
        } else {
            Finding::warning(
                about,
                &format!("{address} ({by}), which is to take over, does not answer OPTIONS"),
                "calls work as long as the other server does; see that this one runs, or correct \
                 its DNS record",
            )
        });
    }
}

/// A server that cannot be spoken to, in words.
fn unreachable(about: &str, target: Target, error: &OpenError) -> Finding {
    let transport = transport_name(target.transport);
    let address = target.address;
    match error {
        OpenError::Tls(complaint) => Finding::fault_in_one(about, &format!("TLS: {complaint}")),
        OpenError::Refused => Finding::fault(
            about,
            &format!("no server listens at {address} ({transport}): the port is closed"),
            "check the port in `registrar` or `outbound_proxy`, and that the server runs",
        ),
        OpenError::Silent => Finding::fault(
            about,
            &format!("nothing answers at {address} ({transport})"),
            "check the address and that no firewall stands between",
        ),
        OpenError::NotSip(spoken) => {
            let what = spoken.map_or("no SIP".to_owned(), |other| format!("{other}, not SIP"));
            Finding::fault(
                about,
                &format!("what answers at {address} ({transport}) speaks {what}"),
                "correct the port in `registrar` or `outbound_proxy`; in a network with a sign-in \
                 page, sign in first",
            )
        }
        OpenError::Closed => Finding::fault(
            about,
            &format!("{address} ends the connection without an answer ({transport})"),
            "check the port and the transport; the server, or a firewall, may refuse this network",
        ),
        OpenError::Network(error) if has_only_the_other_family(address, error) => {
            let (own, other) = if address.is_ipv6() {
                ("IPv6", "IPv4")
            } else {
                ("IPv4", "IPv6")
            };
            Finding::fault(
                about,
                &format!(
                    "{address} cannot be reached ({transport}): this network has {other} only"
                ),
                &format!("have it get {own}, or name a server that has an address of {other}"),
            )
        }
        OpenError::Network(error) => Finding::fault(
            about,
            &format!("{address} cannot be reached ({transport}): {error}"),
            "check cable or Wi-Fi, and that this network has a way there",
        ),
    }
}

/// Whether there is no way to an address because of its family. Nothing is sent.
fn has_only_the_other_family(address: SocketAddr, error: &std::io::Error) -> bool {
    let is_without_way = matches!(
        error.kind(),
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::HostUnreachable
    );
    // Of the networks of documentation: whatever is not this network's own.
    let (from, to): (IpAddr, &str) = if address.is_ipv6() {
        (Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9")
    } else {
        (Ipv6Addr::UNSPECIFIED.into(), "[2001:db8::1]:9")
    };
    let other = UdpSocket::bind((from, 0));
    is_without_way && other.is_ok_and(|socket| socket.connect(to).is_ok())
}

/// Where the configured transport fails: does the server listen by one of the `others`?
async fn suggest_transport(
    about: &str,
    tried: Target,
    others: &[Transport],
    identities: &[String],
    tls: &mut Tls,
    found: &mut dyn FnMut(Finding),
) {
    for &transport in others {
        if transport == tried.transport {
            continue;
        }
        let default = tried.transport.default_port();
        let port = if tried.address.port() == default {
            transport.default_port()
        } else {
            tried.address.port()
        };
        let target = Target {
            transport,
            address: (tried.address.ip(), port).into(),
        };
        let Ok(mut exchange) = Exchange::open(target, identities, tls).await else {
            continue;
        };
        if registration::is_sip(&mut exchange).await {
            let name = transport_name(transport);
            found(Finding::warning(
                about,
                &format!("a SIP server answers at {} by {name}", target.address),
                &format!(
                    "write transport = \"{}\" in this account",
                    name.to_lowercase()
                ),
            ));
            return;
        }
    }
}

fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    }
}

#[cfg(test)]
mod tests;
