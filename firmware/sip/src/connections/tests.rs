use super::*;
use crate::timer::epoch;

const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n";

/// A table, and a clock that the test sets.
struct Bench {
    connections: Connections,
    now: Instant,
    next: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            connections: Connections::new(),
            now: epoch(),
            next: 1 << 32,
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// A TCP connection from this host.
    fn accept(&mut self, host: &str) -> Result<(ConnectionId, Option<ConnectionId>), Full> {
        self.accept_as(host, Transport::Tcp, &[], HostStanding::Stranger)
    }

    fn accept_as(
        &mut self,
        host: &str,
        transport: Transport,
        names: &[&str],
        standing: HostStanding,
    ) -> Result<(ConnectionId, Option<ConnectionId>), Full> {
        self.next += 1;
        let id = ConnectionId(self.next);
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let remote = SocketAddr::new(host.parse().unwrap(), 4000);
        self.connections
            .handle_accepted(id, remote, transport, names, standing, self.now)
            .map(|displaced| {
                if let Some(displaced) = displaced {
                    self.connections.handle_closed(displaced);
                }
                (id, displaced)
            })
    }

    fn dial(&mut self, host: &str) -> Option<Dial> {
        self.dial_to(host, 5060, true)
    }

    fn dial_to(&mut self, host: &str, port: u16, server: bool) -> Option<Dial> {
        let remote = SocketAddr::new(host.parse().unwrap(), port);
        let (connections, now) = (&mut self.connections, self.now);
        let dial = connections.dial(remote, Transport::Tcp, &[], server, now);
        if let Some(Dial::New {
            displaced: Some(displaced),
            ..
        }) = dial
        {
            connections.handle_closed(displaced);
        }
        dial
    }

    /// How many whole messages these bytes complete.
    fn receive(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        self.connections.handle_stream(id, bytes, self.now);
        let mut messages = 0;
        while let Some(frame) = self.connections.poll_frame(id, self.now) {
            match frame {
                Ok(Frame::Message(_)) => messages += 1,
                Ok(Frame::Ping | Frame::Pong) => {}
                Err(_) => break,
            }
        }
        messages
    }

    /// Seconds from now until this connection is closed, at most 3600, while `each_second` happens.
    fn lives(
        &mut self,
        id: ConnectionId,
        mut each_second: impl FnMut(&mut Self),
    ) -> Option<(u64, Expiry)> {
        for second in 1..=3600 {
            self.pass(1);
            while let Some((expired, why)) = self.connections.poll_expired(self.now) {
                self.connections.handle_closed(expired);
                if expired == id {
                    return Some((second, why));
                }
            }
            each_second(self);
        }
        None
    }
}

fn id_of(dial: Option<Dial>) -> ConnectionId {
    match dial.unwrap() {
        Dial::Existing(flow) | Dial::New { flow, .. } => flow.connection().unwrap(),
    }
}

#[test]
fn own_survive_any_number_of_accepted() {
    let mut bench = Bench::new();
    let own = id_of(bench.dial("192.0.2.2"));
    bench
        .connections
        .handle_connected(own, "192.0.2.2:5060".parse().unwrap());
    for n in 0..1000_u32 {
        bench.pass(1);
        bench
            .accept(&format!("198.51.{}.{}", n / 256, n % 256))
            .unwrap();
    }
    assert!(bench.connections.is_open(own));
    assert_eq!(bench.connections.table.len(), 1 + MAX_ACCEPTED);
    assert!(bench.lives(own, |_| {}).is_none());
}

#[test]
fn dials_to_others_take_nothing_from_the_servers() {
    let mut bench = Bench::new();
    // A far end names a new address for every request, and keeps every connection open.
    for n in 0..200_u16 {
        let dial = bench.dial_to("198.51.100.66", 10_000 + n, false);
        assert_eq!(dial.is_some(), usize::from(n) < MAX_PER_HOST, "{n}");
    }
    for n in 0..200 {
        bench.dial_to(&format!("198.51.101.{n}"), 5060, false);
    }
    assert_eq!(bench.connections.table.len(), MAX_DIALLED);
    assert!(bench.dial("192.0.2.2").is_some());
    assert_eq!(bench.dial_to("203.0.113.1", 5060, false), None);
    // What is idle makes room; a server's connection never does.
    bench.pass(30);
    for n in 0..200 {
        let dial = bench.dial_to(&format!("198.51.102.{n}"), 5060, false);
        assert_eq!(dial.is_some(), n < MAX_DIALLED, "{n}");
    }
    let server = id_of(bench.dial("192.0.2.2"));
    assert_eq!(bench.connections.table.len(), 1 + MAX_DIALLED);
    assert!(bench.connections.get(server).is_some());
    // Neither does it take room from those who call.
    assert!(bench.accept("203.0.113.9").is_ok());
}

#[test]
fn one_host_holds_few_and_others_get_in() {
    let mut bench = Bench::new();
    for _ in 0..64 {
        bench.accept("192.0.2.66").unwrap();
    }
    // The same host, written otherwise.
    for _ in 0..64 {
        bench.accept("::ffff:192.0.2.66").unwrap();
    }
    assert_eq!(bench.connections.table.len(), MAX_PER_HOST);
    assert_eq!(
        bench.accept("192.0.2.67").map(|(_, displaced)| displaced),
        Ok(None)
    );
}

#[test]
fn ipv6_is_counted_by_subnet() {
    let mut bench = Bench::new();
    for n in 0..64 {
        bench.accept(&format!("2001:db8::{n:x}")).unwrap();
    }
    assert_eq!(bench.connections.table.len(), MAX_PER_HOST);
    bench.accept("2001:db8:0:1::1").unwrap();
    assert_eq!(bench.connections.table.len(), MAX_PER_HOST + 1);
    assert_ne!(
        host_of("fe80::1".parse().unwrap()),
        host_of("fe80::2".parse().unwrap())
    );
}

#[test]
fn a_full_table_displaces_the_oldest_unproven() {
    let mut bench = Bench::new();
    let (first, _) = bench.accept("198.51.100.1").unwrap();
    let (second, _) = bench.accept("198.51.100.2").unwrap();
    bench.connections.handle_request_accepted(first, false);
    for n in 3..=MAX_ACCEPTED {
        bench.accept(&format!("198.51.100.{n}")).unwrap();
    }
    let (_, displaced) = bench.accept("203.0.113.1").unwrap();
    assert_eq!(displaced, Some(second));
    assert!(bench.connections.get(first).is_some());
}

#[test]
fn admitted_ones_are_closed_only_when_idle() {
    let mut bench = Bench::new();
    let all: Vec<ConnectionId> = (1..=MAX_ACCEPTED)
        .map(|n| bench.accept(&format!("198.51.100.{n}")).unwrap().0)
        .collect();
    for id in &all {
        bench.connections.handle_request_accepted(*id, false);
    }
    assert_eq!(bench.accept("203.0.113.1"), Err(Full));
    bench.pass(31);
    bench.receive(all[0], OPTIONS);
    let (_, displaced) = bench.accept("203.0.113.1").unwrap();
    assert_eq!(displaced, Some(all[1]));
}

#[test]
fn a_server_of_an_account_gets_in_however_busy_strangers_are() {
    let mut bench = Bench::new();
    let all: Vec<ConnectionId> = (1..=MAX_ACCEPTED)
        .map(|n| bench.accept(&format!("198.51.100.{n}")).unwrap().0)
        .collect();
    for id in &all {
        bench.connections.handle_request_accepted(*id, false);
    }
    bench.pass(1);
    bench.receive(all[0], OPTIONS);
    let server = bench.accept_as("192.0.2.2", Transport::Tcp, &[], HostStanding::Server);
    assert_eq!(server.unwrap().1, Some(all[1]));
}

#[test]
fn connections_to_former_addresses_of_servers_make_room() {
    let mut bench = Bench::new();
    let mut dials = Vec::new();
    for n in 1..=MAX_OWN + 1 {
        bench.pass(1);
        let dial = bench.dial(&format!("203.0.113.{n}"));
        let Some(Dial::New { flow, displaced }) = dial else {
            panic!("{n}: {dial:?}");
        };
        let id = flow.connection().unwrap();
        bench
            .connections
            .handle_connected(id, format!("203.0.113.{n}:5060").parse().unwrap());
        dials.push((id, displaced));
    }
    let displaced: Vec<_> = dials
        .iter()
        .filter_map(|(_, displaced)| *displaced)
        .collect();
    assert_eq!(displaced, [dials[0].0]);
}

#[test]
fn a_server_and_a_proven_name_are_never_displaced() {
    let mut bench = Bench::new();
    let (server, _) = bench
        .accept_as("192.0.2.2", Transport::Tcp, &[], HostStanding::Server)
        .unwrap();
    let (pinned, _) = bench
        .accept_as(
            "192.0.2.66",
            Transport::Tls,
            &["kitchen"],
            HostStanding::Stranger,
        )
        .unwrap();
    for n in 0..200 {
        bench.pass(1);
        bench.accept(&format!("198.51.100.{n}")).unwrap();
        bench.accept("192.0.2.66").unwrap();
    }
    for id in [server, pinned] {
        assert!(bench.connections.get(id).is_some());
        assert_eq!(bench.lives(id, |_| {}), None);
    }
}

#[test]
fn silence_and_line_ends_do_not_keep_it_open() {
    for bytes in [&b""[..], b"\r\n", b"\r\n\r\n"] {
        let mut bench = Bench::new();
        let (id, _) = bench.accept("192.0.2.66").unwrap();
        let end = bench.lives(id, |bench| {
            bench.receive(id, bytes);
        });
        assert_eq!(end, Some((8, Expiry::FirstMessage)), "{bytes:?}");
    }
}

#[test]
fn one_byte_a_second_is_no_message() {
    let mut bench = Bench::new();
    let (id, _) = bench.accept("192.0.2.66").unwrap();
    let mut sent = OPTIONS.iter();
    let end = bench.lives(id, |bench| {
        let byte = sent.next().copied().unwrap();
        assert_eq!(bench.receive(id, &[byte]), 0);
    });
    assert_eq!(end, Some((8, Expiry::FirstMessage)));
}

#[test]
fn half_a_message_ends_an_admitted_one() {
    let mut bench = Bench::new();
    let (id, _) = bench.accept("192.0.2.66").unwrap();
    assert_eq!(bench.receive(id, OPTIONS), 1);
    bench.connections.handle_request_accepted(id, false);
    assert_eq!(bench.receive(id, &OPTIONS[..20]), 0);
    let mut rest = OPTIONS[20..30].iter();
    let end = bench.lives(id, |bench| {
        if let Some(byte) = rest.next() {
            bench.receive(id, &[*byte]);
        }
    });
    assert_eq!(end, Some((30, Expiry::Unfinished)));
}

#[test]
fn whole_messages_in_pieces_are_no_half_messages() {
    let mut bench = Bench::new();
    let (id, _) = bench.accept("192.0.2.66").unwrap();
    bench.connections.handle_request_accepted(id, false);
    let stream: Vec<u8> = OPTIONS.repeat(400);
    let mut chunks = stream.chunks(17);
    let mut messages = 0;
    let end = bench.lives(id, |bench| {
        if let Some(chunk) = chunks.next() {
            messages += bench.receive(id, chunk);
        }
    });
    assert_eq!((end, messages), (None, 400));
}

#[test]
fn refused_requests_keep_it_open_for_seconds() {
    let mut bench = Bench::new();
    let (id, _) = bench.accept("192.0.2.66").unwrap();
    let end = bench.lives(id, |bench| {
        bench.receive(id, OPTIONS);
    });
    assert_eq!(end, Some((30, Expiry::Unproven)));
    let (id, _) = bench.accept("192.0.2.66").unwrap();
    bench.receive(id, OPTIONS);
    assert_eq!(bench.lives(id, |_| {}), Some((10, Expiry::Unproven)));
}

#[test]
fn an_accepted_request_keeps_it_open() {
    let mut bench = Bench::new();
    let (id, _) = bench.accept("192.0.2.66").unwrap();
    bench.receive(id, OPTIONS);
    bench.connections.handle_request_accepted(id, false);
    assert_eq!(bench.connections.poll_timeout(), None);
    assert_eq!(bench.lives(id, |_| {}), None);
}

#[test]
fn responses_use_no_slot_of_ours() {
    let mut bench = Bench::new();
    let mut new = 0;
    for n in 0..1000_u32 {
        let remote = SocketAddr::new("198.51.100.1".parse().unwrap(), 1024 + n as u16);
        let dialled = bench
            .connections
            .dial_for_response(remote, Transport::Tcp, &[], bench.now);
        new += usize::from(dialled.is_some());
    }
    assert_eq!(new, MAX_PER_HOST);
    let own = bench.dial("192.0.2.2");
    assert!(matches!(own, Some(Dial::New { .. })));
    assert_eq!(
        bench.dial("192.0.2.2").map(|d| id_of(Some(d))),
        Some(id_of(own))
    );
    // No message ever came along them.
    bench.pass(8);
    while let Some((id, _)) = bench.connections.poll_expired(bench.now) {
        bench.connections.handle_closed(id);
    }
    assert_eq!(bench.connections.table.len(), 1);
}

#[test]
fn dials_that_fail_leave_nothing_behind() {
    let mut bench = Bench::new();
    for n in 0..1000_u32 {
        let id = id_of(bench.dial(&format!("198.51.{}.{}", n / 256, n % 256)));
        bench.connections.handle_closed(id);
    }
    assert!(bench.connections.table.is_empty());
    for n in 1..=MAX_OWN {
        assert!(bench.dial(&format!("198.51.100.{n}")).is_some());
    }
    assert_eq!(bench.dial("203.0.113.1"), None);
    bench.accept("203.0.113.1").unwrap();
}

#[test]
fn messages_wait_for_the_connection_up_to_a_limit() {
    let mut bench = Bench::new();
    let id = id_of(bench.dial("192.0.2.2"));
    let now = bench.now;
    for _ in 0..MAX_WAITING {
        assert_eq!(
            bench.connections.send(id, OPTIONS.to_vec(), now),
            Send::Waits
        );
    }
    assert_eq!(
        bench.connections.send(id, OPTIONS.to_vec(), now),
        Send::Lost
    );
    let remote = "192.0.2.2:5060".parse().unwrap();
    let waited = bench.connections.handle_connected(id, remote);
    assert_eq!(waited.map(|messages| messages.len()), Some(MAX_WAITING));
    let sent = bench.connections.send(id, OPTIONS.to_vec(), now);
    assert_eq!(sent, Send::Now(OPTIONS.to_vec()));
    bench.connections.handle_closed(id);
    assert_eq!(
        bench.connections.send(id, OPTIONS.to_vec(), now),
        Send::Lost
    );
}

#[test]
fn those_listed_displace_strangers_and_servers_displace_both() {
    let mut bench = Bench::new();
    let accept = |bench: &mut Bench, host: &str, standing| {
        let (id, displaced) = bench.accept_as(host, Transport::Tcp, &[], standing)?;
        Ok::<_, Full>((id, displaced))
    };
    let mut strangers = Vec::new();
    for n in 0..MAX_ACCEPTED {
        let (id, _) = bench.accept(&format!("198.51.100.{n}")).unwrap();
        bench.connections.handle_request_accepted(id, false);
        strangers.push(id);
    }
    assert_eq!(bench.accept("203.0.113.1"), Err(Full));
    for n in 0..MAX_ACCEPTED {
        let host = format!("192.0.2.{n}");
        let (id, displaced) = accept(&mut bench, &host, HostStanding::Listed).unwrap();
        assert!(displaced.is_some_and(|displaced| strangers.contains(&displaced)));
        bench.connections.handle_request_accepted(id, true);
    }
    let another = accept(&mut bench, "192.0.2.200", HostStanding::Listed);
    assert_eq!(another, Err(Full), "{another:?}");
    let server = accept(&mut bench, "203.0.113.50", HostStanding::Server);
    assert!(matches!(server, Ok((_, Some(_)))), "{server:?}");
    assert_eq!(bench.connections.accepted_hosts().len(), MAX_ACCEPTED);
}
