//! Finding the server for a SIP name (RFC 3263): NAPTR, then SRV, then addresses; `/etc/hosts`
//! counts.
//!
//! ```text
//! number as host ───────────────────────────────────────────────▶ address, port or 5060
//! port given ───────────────────────────────────▶ A, AAAA ──────▶ address, that port
//! transport given ─────────────▶ SRV of it ─────▶ A, AAAA ──────▶ …  (none: A, AAAA with 5060, TLS 5061)
//! TLS, or none ─▶ NAPTR ──▶ SRV (none: SRV of UDP, TCP, TLS) ──▶ …     TLS takes SIPS+D2T and _sips._tcp and nothing else
//! ```

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::rr::RData;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use sip::agent::Lookup;
use sip::{Target, Transport};
use tokio::sync::mpsc;

use super::NetworkEvent;

/// A whole lookup takes no longer; a phone without network plays the congestion tone, not nothing.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Targets taken from one answer.
const MAX_TARGETS: usize = 16;

/// Looks a name up in the background; the answer comes as an event, an empty one when there is none.
pub(crate) fn start(lookup: Lookup, bind: IpAddr, heard: mpsc::Sender<NetworkEvent>) {
    tokio::spawn(async move {
        let id = lookup.id;
        let mut targets = tokio::time::timeout(LOOKUP_TIMEOUT, find(&lookup))
            .await
            .unwrap_or_default();
        // Addresses our one socket cannot send to are of no use.
        targets.retain(|target| can_reach(bind, target));
        targets.truncate(MAX_TARGETS);
        tracing::debug!("{} is {targets:?}", lookup.host);
        let _ = heard.send(NetworkEvent::Found { id, targets }).await;
    });
}

/// A socket bound to `::` reaches both families, any other its own; TCP opens a socket of the right
/// one.
fn can_reach(bind: IpAddr, target: &Target) -> bool {
    let all = bind == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    all || target.transport != Transport::Udp || target.address.is_ipv6() == bind.is_ipv6()
}

async fn find(lookup: &Lookup) -> Vec<Target> {
    let host = lookup.host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>() {
        let transport = lookup.transport.unwrap_or(Transport::Udp);
        let address = SocketAddr::new(ip, lookup.port.unwrap_or(transport.default_port()));
        return vec![Target { transport, address }];
    }
    // Built again each time: an answer must not outlive the network it came from, and calls are
    // rare.
    let resolver = match TokioResolver::builder_tokio().and_then(ResolverBuilder::build) {
        Ok(resolver) => resolver,
        Err(error) => {
            tracing::warn!("names cannot be looked up: {error}; is /etc/resolv.conf there?");
            return Vec::new();
        }
    };
    if let Some(port) = lookup.port {
        return addresses(
            &resolver,
            host,
            port,
            lookup.transport.unwrap_or(Transport::Udp),
        )
        .await;
    }
    let services = match lookup.transport {
        Some(transport @ (Transport::Udp | Transport::Tcp)) => {
            vec![(transport, srv_name(transport, host))]
        }
        wanted @ (Some(Transport::Tls) | None) => {
            services(naptr(&resolver, host).await, wanted, host)
        }
    };
    let mut targets = Vec::new();
    for (transport, name) in services {
        for (server, port) in servers(&resolver, &name).await {
            targets.extend(addresses(&resolver, &server, port, transport).await);
            if targets.len() >= MAX_TARGETS {
                return targets;
            }
        }
    }
    if targets.is_empty() {
        let transport = lookup.transport.unwrap_or(Transport::Udp);
        targets = addresses(&resolver, host, transport.default_port(), transport).await;
    }
    targets
}

fn srv_name(transport: Transport, host: &str) -> String {
    match transport {
        Transport::Udp => format!("_sip._udp.{host}"),
        Transport::Tcp => format!("_sip._tcp.{host}"),
        Transport::Tls => format!("_sips._tcp.{host}"),
    }
}

/// One NAPTR record that leads to SRV records.
#[derive(Debug, Clone)]
struct Naptr {
    order: u16,
    preference: u16,
    service: String,
    replacement: String,
}

async fn naptr(resolver: &TokioResolver, host: &str) -> Vec<Naptr> {
    let Ok(answer) = resolver
        .lookup(host, hickory_resolver::proto::rr::RecordType::NAPTR)
        .await
    else {
        return Vec::new();
    };
    let leads_on = |record: &hickory_resolver::proto::rr::Record| match &record.data {
        RData::NAPTR(naptr) if naptr.flags.eq_ignore_ascii_case(b"s") => Some(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            service: String::from_utf8_lossy(&naptr.services).to_ascii_uppercase(),
            replacement: naptr.replacement.to_utf8(),
        }),
        _ => None,
    };
    answer
        .answers()
        .iter()
        .filter_map(leads_on)
        .take(MAX_TARGETS)
        .collect()
}

/// Which services a domain offers that we speak, in its own order (RFC 3263 section 4.1). Who wants
/// TLS gets SIPS+D2T and nothing else, whatever else the domain prefers.
fn services(
    mut records: Vec<Naptr>,
    wanted: Option<Transport>,
    host: &str,
) -> Vec<(Transport, String)> {
    records.sort_by_key(|record| (record.order, record.preference));
    let spoken = |record: Naptr| {
        let transport = match record.service.as_str() {
            "SIP+D2U" => Transport::Udp,
            "SIP+D2T" => Transport::Tcp,
            "SIPS+D2T" => Transport::Tls,
            _ => return None,
        };
        (wanted.is_none() || wanted == Some(transport)).then_some((transport, record.replacement))
    };
    let offered: Vec<_> = records.into_iter().filter_map(spoken).collect();
    match (offered.is_empty(), wanted) {
        (false, _) => offered,
        (true, Some(transport)) => vec![(transport, srv_name(transport, host))],
        (true, None) => [Transport::Udp, Transport::Tcp, Transport::Tls]
            .map(|transport| (transport, srv_name(transport, host)))
            .to_vec(),
    }
}

/// The servers of one service, by priority and drawn by weight (RFC 2782).
async fn servers(resolver: &TokioResolver, name: &str) -> Vec<(String, u16)> {
    let Ok(answer) = resolver.srv_lookup(name).await else {
        return Vec::new();
    };
    let found = answer
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) if !srv.target.is_root() => {
                Some((srv.priority, srv.weight, srv.target.to_utf8(), srv.port))
            }
            _ => None,
        })
        .take(MAX_TARGETS)
        .collect();
    drawn(found, &mut || getrandom::u32().unwrap_or(0))
}

/// RFC 2782: lowest priority first; within one, each next server is drawn with a chance in
/// proportion to its weight.
fn drawn(
    mut found: Vec<(u16, u16, String, u16)>,
    chance: &mut dyn FnMut() -> u32,
) -> Vec<(String, u16)> {
    found.sort_by_key(|(priority, weight, ..)| (*priority, *weight));
    let mut order = Vec::with_capacity(found.len());
    while let Some(priority) = found.first().map(|first| first.0) {
        let peers = found
            .iter()
            .take_while(|server| server.0 == priority)
            .count();
        let total: u32 = found[..peers]
            .iter()
            .map(|server| u32::from(server.1))
            .sum();
        let mut rest = if total == 0 {
            0
        } else {
            chance() % (total + 1)
        };
        let mut place = 0;
        while place + 1 < peers && u32::from(found[place].1) < rest {
            rest -= u32::from(found[place].1);
            place += 1;
        }
        let (.., target, port) = found.remove(place);
        order.push((target, port));
    }
    order
}

async fn addresses(
    resolver: &TokioResolver,
    host: &str,
    port: u16,
    transport: Transport,
) -> Vec<Target> {
    match resolver.lookup_ip(host).await {
        Ok(found) => found
            .iter()
            .map(|ip| Target {
                transport,
                address: SocketAddr::new(ip, port),
            })
            .collect(),
        Err(error) => {
            tracing::debug!("{host}: {error}");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(priority: u16, weight: u16, name: &str) -> (u16, u16, String, u16) {
        (priority, weight, name.into(), 5060)
    }

    fn names(found: Vec<(u16, u16, String, u16)>, mut chance: impl FnMut() -> u32) -> Vec<String> {
        drawn(found, &mut chance)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn the_lowest_priority_comes_first_whatever_the_weights() {
        let found = vec![server(20, 99, "c"), server(10, 0, "b"), server(5, 1, "a")];
        assert_eq!(names(found, || 7), ["a", "b", "c"]);
    }

    #[test]
    fn weights_decide_how_often_a_server_is_first() {
        let mut first = [0_u32; 2];
        for draw in 0..1000_u32 {
            let order = names(vec![server(1, 90, "much"), server(1, 10, "little")], || {
                draw
            });
            first[usize::from(order[0] == "little")] += 1;
            assert_eq!(order.len(), 2);
        }
        assert!((870..=930).contains(&first[0]), "{first:?}");
    }

    #[test]
    fn only_reachable_places_count() {
        let target = |address: &str, transport| Target {
            transport,
            address: address.parse().unwrap(),
        };
        let (v4, v6) = (
            target("192.0.2.1:5060", Transport::Udp),
            target("[2001:db8::1]:5060", Transport::Udp),
        );
        let reached = |bind: &str| {
            let bind = bind.parse().unwrap();
            (can_reach(bind, &v4), can_reach(bind, &v6))
        };
        assert_eq!(reached("0.0.0.0"), (true, false));
        assert_eq!(reached("::1"), (false, true));
        assert_eq!(reached("::"), (true, true));
        assert!(can_reach(
            "0.0.0.0".parse().unwrap(),
            &target("[2001:db8::1]:5060", Transport::Tcp)
        ));
    }

    #[test]
    fn who_wants_tls_gets_nothing_else() {
        let record = |order, service: &str, replacement: &str| Naptr {
            order,
            preference: 50,
            service: service.into(),
            replacement: replacement.into(),
        };
        let all = vec![
            record(50, "SIP+D2U", "_sip._udp.a"),
            record(90, "SIPS+D2T", "_sips._tcp.b"),
            record(60, "SIP+D2T", "_sip._tcp.a"),
            record(10, "SIP+D2S", "_sip._sctp.a"),
        ];
        let asked = |records: &[Naptr], wanted| services(records.to_vec(), wanted, "a");
        assert_eq!(
            asked(&all, Some(Transport::Tls)),
            [(Transport::Tls, "_sips._tcp.b".to_owned())]
        );
        let order: Vec<_> = asked(&all, None)
            .into_iter()
            .map(|(transport, _)| transport)
            .collect();
        assert_eq!(order, [Transport::Udp, Transport::Tcp, Transport::Tls]);
        // A domain without a NAPTR record for TLS may still have the SRV record; never that of
        // another transport.
        assert_eq!(
            asked(&all[..1], Some(Transport::Tls)),
            [(Transport::Tls, "_sips._tcp.a".to_owned())]
        );
        assert_eq!(
            asked(&[], Some(Transport::Tls)),
            [(Transport::Tls, "_sips._tcp.a".to_owned())]
        );
    }

    #[tokio::test]
    async fn a_number_needs_no_server() {
        let lookup = Lookup {
            id: sip::LookupId(1),
            host: "[::1]".into(),
            port: None,
            transport: Some(Transport::Tcp),
        };
        let wanted = Target {
            transport: Transport::Tcp,
            address: "[::1]:5060".parse().unwrap(),
        };
        assert_eq!(find(&lookup).await, [wanted]);
    }
}
