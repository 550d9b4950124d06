//! Name servers on loopback that misbehave in one way each.
//!
//! Wall clock: real sockets; what must be quick is measured against the budget of a question.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record as DnsRecord};
use tokio::net::TcpListener;

use super::super::question::{Kind, Record};
use super::*;

/// How a server treats a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    IsSilent,
    ServFail,
    NxDomain,
    /// Says that the answer is too long; TCP has it.
    Truncates,
    /// The same, but TCP leads nowhere; the first records are in the datagram.
    TruncatesAndHasNoTcp,
    /// FORMERR, and nothing else in it.
    UnderstandsNothing,
    /// Answers with another number first.
    WrongId,
    /// Answers another question first.
    WrongQuestion,
    Garbage,
}

fn reply(query: &[u8], code: ResponseCode, address: Option<Ipv4Addr>) -> Message {
    let query = Message::from_vec(query).unwrap();
    let mut reply = Message::new(
        query.metadata.id,
        MessageType::Response,
        query.metadata.op_code,
    );
    reply.metadata.response_code = code;
    let asked = query.queries[0].clone();
    if let Some(address) = address {
        let name = asked.name.clone();
        reply.add_answer(DnsRecord::from_rdata(name, 60, RData::A(A(address))));
    }
    reply.add_query(asked);
    reply
}

const RIGHT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const WRONG: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);

async fn server(manner: Manner) -> SocketAddr {
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let address = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
            let query = &buffer[..length];
            let good = reply(query, ResponseCode::NoError, Some(RIGHT));
            let mut messages = Vec::new();
            match manner {
                Manner::Answers => messages.push(good),
                Manner::IsSilent => {}
                Manner::ServFail => messages.push(reply(query, ResponseCode::ServFail, None)),
                Manner::NxDomain => messages.push(reply(query, ResponseCode::NXDomain, None)),
                Manner::Truncates => {
                    let mut cut = reply(query, ResponseCode::NoError, Some(WRONG));
                    cut.metadata.truncation = true;
                    messages.push(cut);
                }
                Manner::TruncatesAndHasNoTcp => {
                    let mut cut = good;
                    cut.metadata.truncation = true;
                    messages.push(cut);
                }
                Manner::UnderstandsNothing => {
                    let mut short = reply(query, ResponseCode::FormErr, None);
                    short.queries.clear();
                    messages.push(short);
                }
                Manner::WrongId => {
                    let mut wrong = reply(query, ResponseCode::NoError, Some(WRONG));
                    wrong.metadata.id = wrong.metadata.id.wrapping_add(1);
                    messages.extend([wrong, good]);
                }
                Manner::WrongQuestion => {
                    let mut wrong = reply(query, ResponseCode::NoError, Some(WRONG));
                    wrong.queries[0].name = "other.example.".parse().unwrap();
                    messages.extend([wrong, good]);
                }
                Manner::Garbage => {
                    udp.send_to(&[0xff; 40], from).await.unwrap();
                    messages.push(good);
                }
            }
            for message in messages {
                udp.send_to(&message.to_vec().unwrap(), from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            if manner == Manner::TruncatesAndHasNoTcp {
                std::future::pending::<()>().await;
            }
            let length = usize::from(stream.read_u16().await.unwrap());
            let mut query = vec![0; length];
            stream.read_exact(&mut query).await.unwrap();
            let bytes = reply(&query, ResponseCode::NoError, Some(RIGHT))
                .to_vec()
                .unwrap();
            stream.write_u16(bytes.len() as u16).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    });
    address
}

fn question() -> Question {
    Question::new("pbx.example", Kind::A)
}

async fn asked(manners: &[Manner]) -> (Result<Answer, AskError>, Duration) {
    let mut servers = Vec::new();
    for manner in manners {
        servers.push(server(*manner).await);
    }
    let started = Instant::now();
    let answer = ask(question(), servers).await;
    (answer, started.elapsed())
}

#[tokio::test]
async fn whatever_else_a_server_sends_the_answer_counts() {
    for manner in [
        Manner::Answers,
        Manner::Truncates,
        Manner::WrongId,
        Manner::WrongQuestion,
        Manner::Garbage,
    ] {
        let (answer, took) = asked(&[manner]).await;
        let records = answer.unwrap().records;
        assert_eq!(records, [Record::Address(RIGHT.into())], "{manner:?}");
        assert!(took < Duration::from_millis(350), "{manner:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_part_of_an_answer_serves_where_tcp_leads_nowhere() {
    let (answer, took) = asked(&[Manner::TruncatesAndHasNoTcp]).await;
    assert_eq!(answer.unwrap().records, [Record::Address(RIGHT.into())]);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_second_server_helps_where_the_first_does_not() {
    for (first, longest) in [
        (Manner::ServFail, 350),
        (Manner::UnderstandsNothing, 350),
        (Manner::IsSilent, 900),
    ] {
        let (answer, took) = asked(&[first, Manner::Answers]).await;
        assert_eq!(answer.unwrap().records.len(), 1, "{first:?}");
        assert!(took < Duration::from_millis(longest), "{first:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_there_is_an_answer() {
    let (answer, _) = asked(&[Manner::NxDomain]).await;
    let answer = answer.unwrap();
    assert_eq!(answer.records, []);
    assert!(answer.ttl >= Duration::from_secs(30), "{:?}", answer.ttl);
}

#[tokio::test]
async fn what_fails_is_named() {
    for (manner, code) in [
        (Manner::ServFail, "Server Failure"),
        (Manner::UnderstandsNothing, "Form Error"),
    ] {
        let (answer, took) = asked(&[manner]).await;
        let error = answer.unwrap_err().to_string();
        assert!(
            error.contains("127.0.0.1")
                && error.contains(code)
                && error.contains("A record of pbx.example"),
            "{error}"
        );
        assert!(took < Duration::from_millis(350), "{took:?}");
    }
    let error = ask(question(), Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("no DNS server"), "{error}");
    let free = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.local_addr().unwrap()
    };
    let error = ask(question(), vec![free]).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
    let bad = Question::new("a..b", Kind::A);
    let error = ask(bad, vec![free]).await.unwrap_err().to_string();
    assert!(error.contains("no host name"), "{error}");
}

#[tokio::test]
async fn silence_ends_at_the_limit() {
    let (answer, took) = asked(&[Manner::IsSilent]).await;
    let error = answer.unwrap_err();
    assert!(error.is_silence(), "{error}");
    assert!(took < LIMIT + Duration::from_secs(1), "{took:?}");
}
