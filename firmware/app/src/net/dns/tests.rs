//! The task on real sockets: a home router's name server that ignores some questions.
//!
//! Wall clock: real sockets; what must be quick is measured against the budget.

use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;

use super::*;

/// The phone's world: one name server.
struct Loopback(SocketAddr);

impl World for Loopback {
    async fn system(&self) -> System {
        System {
            servers: vec![self.0],
            ..System::default()
        }
    }

    fn families(&self) -> Families {
        Families { v4: true, v6: true }
    }
}

/// What a name server does with questions it does not like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Ignores,
    Says(ResponseCode),
}

/// Answers A, treats questions for these in its manner, and has nothing else. Its answers may
/// not be kept.
async fn router(disliked: &'static [RecordType], manner: Manner) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let asked = query.queries[0].clone();
            let code = match (disliked.contains(&asked.query_type), manner) {
                (true, Manner::Ignores) => continue,
                (true, Manner::Says(code)) => code,
                (false, _) => ResponseCode::NoError,
            };
            let mut reply = Message::new(
                query.metadata.id,
                MessageType::Response,
                query.metadata.op_code,
            );
            reply.metadata.response_code = code;
            if asked.query_type == RecordType::A {
                let data = RData::A(A("192.0.2.1".parse().unwrap()));
                reply.add_answer(Record::from_rdata(asked.name.clone(), 0, data));
            }
            reply.add_query(asked);
            socket
                .send_to(&reply.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    });
    address
}

async fn look_up(
    dns: &Dns,
    events: &mut mpsc::Receiver<NetworkEvent>,
) -> (Vec<Target>, Option<SearchError>) {
    let lookup = Lookup {
        id: sip::LookupId(7),
        host: "pbx.example".into(),
        port: None,
        transport: None,
        service: sip::Service::Sip,
    };
    assert_eq!(dns.look_up(lookup), None);
    loop {
        match events.recv().await.unwrap() {
            NetworkEvent::Found { targets, fault, .. } => return (targets, fault),
            NetworkEvent::LastGood(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn routers_that_ignore_questions_cost_a_second_once() {
    for ignored in [
        &[RecordType::SRV][..],
        &[RecordType::NAPTR],
        &[RecordType::AAAA],
        &[RecordType::SRV, RecordType::NAPTR, RecordType::AAAA],
    ] {
        let (sender, mut events) = mpsc::channel(16);
        let server = router(ignored, Manner::Ignores).await;
        let dns = Dns::start(Loopback(server), LastGood::default(), sender);
        let started = Instant::now();
        let (targets, _) = look_up(&dns, &mut events).await;
        let took = started.elapsed();
        let wanted: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        assert_eq!(targets[0].address, wanted, "{ignored:?}");
        assert!(took < Duration::from_millis(1300), "{ignored:?}: {took:?}");
        if ignored == [RecordType::AAAA] {
            assert!(took < Duration::from_millis(500), "{took:?}");
        }
    }
}

#[tokio::test]
async fn routers_that_refuse_questions_cost_nothing() {
    // NXDOMAIN to AAAA of a name that has an A record is wrong and common.
    for code in [
        ResponseCode::ServFail,
        ResponseCode::Refused,
        ResponseCode::NotImp,
        ResponseCode::FormErr,
        ResponseCode::NXDomain,
    ] {
        let disliked = &[RecordType::SRV, RecordType::NAPTR, RecordType::AAAA];
        let server = router(disliked, Manner::Says(code)).await;
        let (sender, mut events) = mpsc::channel(16);
        let dns = Dns::start(Loopback(server), LastGood::default(), sender);
        for _ in 0..2 {
            let started = Instant::now();
            let (targets, _) = look_up(&dns, &mut events).await;
            let wanted: SocketAddr = "192.0.2.1:5060".parse().unwrap();
            assert_eq!(targets[0].address, wanted, "{code:?}");
            let took = started.elapsed();
            assert!(took < Duration::from_millis(900), "{code:?}: {took:?}");
        }
    }
}

#[test]
fn a_number_needs_no_server() {
    let lookup = Lookup {
        id: sip::LookupId(1),
        host: "[::1]".into(),
        port: None,
        transport: Some(Transport::Tcp),
        service: sip::Service::Sip,
    };
    let wanted = Target {
        transport: Transport::Tcp,
        address: "[::1]:5060".parse().unwrap(),
    };
    assert_eq!(literal(&lookup), Some(wanted));
}
