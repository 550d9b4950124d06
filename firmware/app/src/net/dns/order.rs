//! Which service, and which of its servers, comes first (RFC 3263 section 4.1, RFC 2782).

use sip::{Service, Transport};

use super::question::{Naptr, Srv};

/// The name of a transport's SRV records.
pub(super) fn srv_name(service: Service, transport: Transport, host: &str) -> String {
    let service = match service {
        Service::Sip => "sip",
        Service::Stun => "stun",
        Service::Turn => "turn",
    };
    match transport {
        Transport::Udp => format!("_{service}._udp.{host}"),
        Transport::Tcp => format!("_{service}._tcp.{host}"),
        Transport::Tls => format!("_{service}s._tcp.{host}"),
    }
}

/// Which services a domain offers that we speak, in its own order. Who wants TLS gets SIPS+D2T and
/// nothing else, whatever else the domain prefers.
pub(crate) fn services(
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
        (true, Some(transport)) => vec![(transport, srv_name(Service::Sip, transport, host))],
        (true, None) => [Transport::Udp, Transport::Tcp, Transport::Tls]
            .map(|transport| (transport, srv_name(Service::Sip, transport, host)))
            .to_vec(),
    }
}

/// RFC 2782: lowest priority first; within one, each next server is drawn with a chance in
/// proportion to its weight. The root as target means that there is no such service; a port 0 leads
/// nowhere.
pub(super) fn drawn(mut found: Vec<Srv>, chance: &mut dyn FnMut() -> u32) -> Vec<(String, u16)> {
    found.retain(|server| !server.target.is_empty() && server.port != 0);
    found.sort_by_key(|server| (server.priority, server.weight));
    let mut order = Vec::with_capacity(found.len());
    while let Some(priority) = found.first().map(|first| first.priority) {
        let peers = found
            .iter()
            .take_while(|server| server.priority == priority)
            .count();
        let total: u32 = found[..peers]
            .iter()
            .map(|server| u32::from(server.weight))
            .sum();
        let mut rest = if total == 0 {
            0
        } else {
            chance() % (total + 1)
        };
        let mut index = 0;
        while index + 1 < peers && u32::from(found[index].weight) < rest {
            rest -= u32::from(found[index].weight);
            index += 1;
        }
        let server = found.remove(index);
        order.push((server.target, server.port));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(priority: u16, weight: u16, name: &str) -> Srv {
        Srv {
            priority,
            weight,
            target: name.into(),
            port: 5060,
        }
    }

    fn names(found: Vec<Srv>, mut chance: impl FnMut() -> u32) -> Vec<String> {
        let drawn = drawn(found, &mut chance);
        drawn.into_iter().map(|(name, _)| name).collect()
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
    fn weights_of_nothing_and_ports_of_nothing_do_no_harm() {
        let found = vec![server(1, 0, "a"), server(1, 0, "b"), server(1, 0, "c")];
        for chance in [0, 1, u32::MAX] {
            assert_eq!(names(found.clone(), || chance).len(), 3);
        }
        // A weight of 0 beside others is drawn seldom, and never lost (RFC 2782).
        let found = vec![server(1, 0, "seldom"), server(1, u16::MAX, "often")];
        assert_eq!(names(found.clone(), || 0), ["seldom", "often"]);
        assert_eq!(names(found, || 1), ["often", "seldom"]);
        let many: Vec<Srv> = (0..200).map(|_| server(1, u16::MAX, "x")).collect();
        assert_eq!(names(many, || u32::MAX).len(), 200);
        let nowhere = Srv {
            port: 0,
            ..server(1, 1, "x")
        };
        assert_eq!(
            names(vec![nowhere, server(9, 1, "")], || 0),
            [] as [&str; 0]
        );
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
}
