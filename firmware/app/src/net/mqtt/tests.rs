//! A broker that is right, and brokers that are not: what is sent to them, what they are believed,
//! and that none of them ends the phone. Wall clock: real sockets on the loopback.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// CONNACK, accepted, no properties.
const ACCEPTED: [u8; 5] = [0x20, 3, 0, 0, 0];
/// PINGRESP.
const PONG: [u8; 2] = [0xD0, 0];

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    (listener, at)
}

fn settings(broker: &str, more: &str) -> Settings {
    let text = format!("[mqtt]\nbroker = {broker:?}\ntls = false\nname = \"k\"\n{more}");
    let config = config::load(&text, "f").unwrap_or_else(|errors| panic!("{errors}"));
    Settings::of(&config, &Trust::load(None)).unwrap()
}

/// A packet: type and flags, length, body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let more = left >= 128;
        bytes.push((left % 128) as u8 | u8::from(more) << 7);
        left /= 128;
        if !more {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// PUBLISH with quality 0 and no properties.
fn published(topic: &str, payload: &[u8], retained: bool) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.push(0);
    body.extend_from_slice(payload);
    packet(0x30 | u8::from(retained), &body)
}

/// Reads one packet: its first byte and its body.
async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((first, body))
}

/// What the next report is, but for the connection itself.
async fn next(events: &mut mpsc::Receiver<NetworkEvent>) -> MqttEvent {
    let event = timeout(Duration::from_secs(20), events.recv()).await;
    match event {
        Ok(Some(NetworkEvent::Mqtt(event))) => event,
        other => panic!("{other:?}"),
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_broker_gets_will_login_states_and_a_good_bye() {
    let (listener, at) = listener().await;
    let (events, mut reported) = mpsc::channel(64);
    let more = "user = \"u\"\npassword = \"s3cret\"\norders = [\"ring\"]\n";
    let sender = start(settings(&at, more), events);
    let (mut broker, _) = listener.accept().await.unwrap();
    let (first, connect) = read(&mut broker).await.unwrap();
    assert_eq!(first, 0x10);
    for text in [
        "MQTT",
        "offhook_k",
        "offhook/k/availability",
        "offline",
        "u",
        "s3cret",
    ] {
        assert!(contains(&connect, text), "{text}");
    }
    assert_eq!(connect[6], 5, "MQTT 5.0");
    // Clean start, will at least once and retained, user and password.
    assert_eq!(connect[7], 0b1110_1110);
    broker.write_all(&ACCEPTED).await.unwrap();
    let (first, subscribe) = read(&mut broker).await.unwrap();
    assert_eq!(first, 0x82);
    assert!(contains(&subscribe, "offhook/k/+/set"));
    // Nothing retained is sent, and what is retained is marked.
    assert_eq!(subscribe.last(), Some(&0b0010_1100));
    broker
        .write_all(&[0x90, 4, subscribe[0], subscribe[1], 0, 0])
        .await
        .unwrap();
    assert_eq!(next(&mut reported).await, MqttEvent::Connected);

    sender.send(Publication {
        topic: "offhook/k/ringing".to_owned(),
        payload: "ON".to_owned(),
        retain: true,
    });
    let (first, state) = read(&mut broker).await.unwrap();
    assert_eq!(first, 0x31);
    assert!(contains(&state, "offhook/k/ringing") && state.ends_with(b"ON"));

    for retained in [false, true] {
        broker
            .write_all(&published("offhook/k/ring/set", b"PRESS", retained))
            .await
            .unwrap();
        let order = MqttEvent::Message {
            topic: "offhook/k/ring/set".to_owned(),
            payload: b"PRESS".to_vec(),
            retained,
        };
        assert_eq!(next(&mut reported).await, order);
    }
    drop(sender);
    let (first, gone) = read(&mut broker).await.unwrap();
    assert_eq!(first, 0x31);
    assert!(contains(&gone, "availability") && gone.ends_with(b"offline"));
    let (first, _) = read(&mut broker).await.unwrap();
    assert_eq!(first, 0xE0, "DISCONNECT: the last will is not needed");
}

#[tokio::test]
async fn without_orders_nothing_is_subscribed_to() {
    let (listener, at) = listener().await;
    let (events, mut reported) = mpsc::channel(64);
    let sender = start(settings(&at, ""), events);
    let (mut broker, _) = listener.accept().await.unwrap();
    read(&mut broker).await.unwrap();
    broker.write_all(&ACCEPTED).await.unwrap();
    assert_eq!(next(&mut reported).await, MqttEvent::Connected);
    drop(sender);
    assert_eq!(
        read(&mut broker).await.unwrap().0,
        0x31,
        "only the good-bye"
    );
}

/// What is said of a broker that answers CONNECT with these bytes and is gone.
async fn said_of(answer: &[u8]) -> String {
    let (listener, at) = listener().await;
    let (events, mut reported) = mpsc::channel(64);
    let _sender = start(settings(&at, ""), events);
    let (mut broker, _) = listener.accept().await.unwrap();
    read(&mut broker).await.unwrap();
    broker.write_all(answer).await.unwrap();
    drop(broker);
    match next(&mut reported).await {
        MqttEvent::Disconnected(why) => {
            assert!(why.starts_with(&format!("the broker {at} ")), "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_sentence() {
    let table: [(&[u8], &str); 8] = [
        (&[0x20, 3, 0, 0x86, 0], "refuses the login"),
        (&[0x20, 3, 0, 0x87, 0], "refuses the login"),
        (&[0x20, 3, 0, 0x84, 0], "MQTT 5.0"),
        (&[0x20, 3, 0, 0x89, 0], "ServerBusy"),
        // A broker of MQTT 3.1.1 that does not know the version.
        (&[0x20, 2, 0, 1], "update one that knows 3.1.1 only"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "MQTT 5.0"),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], "MQTT 5.0"),
        // Another that only hangs up.
        (&[], "instead of answering; it must speak MQTT 5.0"),
    ];
    for (answer, words) in table {
        let said = said_of(answer).await;
        assert!(said.contains(words), "{answer:?}: {said}");
    }
    // No one is there.
    let (listener, at) = listener().await;
    drop(listener);
    let (events, mut reported) = mpsc::channel(64);
    let _sender = start(settings(&at, ""), events);
    let MqttEvent::Disconnected(why) = next(&mut reported).await else {
        panic!("no one is there");
    };
    assert!(why.contains("cannot be reached"), "{why}");
}

#[tokio::test]
async fn a_lost_broker_is_called_again_and_gets_everything() {
    let (listener, at) = listener().await;
    let (events, mut reported) = mpsc::channel(64);
    let sender = start(settings(&at, ""), events);
    for round in 0..3 {
        let (mut broker, _) = listener.accept().await.unwrap();
        read(&mut broker).await.unwrap();
        // Said while no one was there: forgotten, Control says all of it again.
        sender.send(Publication {
            topic: "old".to_owned(),
            payload: String::new(),
            retain: true,
        });
        broker.write_all(&ACCEPTED).await.unwrap();
        assert_eq!(next(&mut reported).await, MqttEvent::Connected, "{round}");
        sender.send(Publication {
            topic: "new".to_owned(),
            payload: String::new(),
            retain: true,
        });
        let (_, body) = read(&mut broker).await.unwrap();
        assert!(contains(&body, "new"), "{round}: {body:?}");
        drop(broker);
        let lost = next(&mut reported).await;
        assert!(
            matches!(lost, MqttEvent::Disconnected(_)),
            "{round}: {lost:?}"
        );
    }
}

#[tokio::test]
async fn a_flood_of_orders_waits_in_the_broker() {
    let (listener, at) = listener().await;
    let (events, mut reported) = mpsc::channel(64);
    let _sender = start(settings(&at, "orders = [\"dnd\"]\n"), events);
    let (mut broker, _) = listener.accept().await.unwrap();
    read(&mut broker).await.unwrap();
    broker.write_all(&ACCEPTED).await.unwrap();
    read(&mut broker).await.unwrap();
    assert_eq!(next(&mut reported).await, MqttEvent::Connected);
    let flood = tokio::spawn(async move {
        let order = published("offhook/k/dnd/set", b"ON", false);
        while broker.write_all(&order).await.is_ok() {}
    });
    let begun = Instant::now();
    let mut taken = 0u32;
    while begun.elapsed() < Duration::from_secs(1) {
        let order = next(&mut reported).await;
        assert!(matches!(order, MqttEvent::Message { .. }), "{order:?}");
        taken += 1;
    }
    assert!((5..=60).contains(&taken), "{taken} orders in a second");
    flood.abort();
}

/// A client that is connected with the other end of a pipe, where the test is the broker.
async fn with_broker(settings: &Settings, bytes: &[u8]) -> Result<(), error::Failure> {
    let (ours, mut theirs): (DuplexStream, DuplexStream) = duplex(64 * 1024);
    let (events, mut reported) = mpsc::channel(4096);
    let (sender, outgoing) = outgoing::channel();
    theirs.write_all(&ACCEPTED).await.unwrap();
    theirs.write_all(bytes).await.unwrap();
    let mut buffers = Buffers;
    let mut client: Broker<'_> = Client::new(&mut buffers);
    connect(&mut client, Link::new(ours), settings).await?;
    theirs.shutdown().await.unwrap();
    let exchanged = exchange(&mut client, settings, &outgoing, &events).await;
    while let Ok(event) = reported.try_recv() {
        let NetworkEvent::Mqtt(MqttEvent::Message { topic, payload, .. }) = event else {
            panic!("{event:?}");
        };
        assert!(topic.len() + payload.len() <= MAX_PACKET as usize);
    }
    drop(sender);
    exchanged
}

#[tokio::test]
async fn no_bytes_of_a_broker_do_harm() {
    let settings = settings("broker", "orders = [\"ring\"]\n");
    // What is right, to change a byte of it.
    let right = [
        published("offhook/k/ring/set", b"PRESS", false),
        PONG.to_vec(),
        vec![0x90, 4, 0, 1, 0, 0],
        packet(0x40, &[0, 1]),
        packet(0x50, &[0, 1]),
        packet(0x62, &[0, 1]),
        packet(0x70, &[0, 1]),
        packet(0xB0, &[0, 1, 0, 0]),
        packet(0xE0, &[0x8E, 0]),
        packet(0xF0, &[0x18, 0]),
        packet(0x32, b"\0\x01a\0\x07\0x"),
        packet(0x34, b"\0\x01a\0\x07\0x"),
    ]
    .concat();
    let mut random = 0x1234_5678_9ABC_DEF0_u64;
    let mut draw = move |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % below
    };
    for _ in 0..600 {
        let mut bytes = right.clone();
        for _ in 0..=draw(4) {
            if bytes.is_empty() {
                break;
            }
            let at = draw(bytes.len());
            match draw(4) {
                0 => bytes[at] = draw(256) as u8,
                1 => bytes[at] ^= 1 << draw(8),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        // Whatever came of it, the connection is over and the phone is not.
        let _ = with_broker(&settings, &bytes).await;
    }
    for first in 0..=255u8 {
        for length in [0, 1, 2, 3, 5, 40] {
            let body: Vec<u8> = (0..length).map(|_| draw(256) as u8).collect();
            let _ = with_broker(&settings, &packet(first, &body)).await;
        }
    }
}

#[tokio::test]
async fn a_packet_larger_than_any_order_ends_the_connection() {
    let settings = settings("broker", "orders = [\"ring\"]\n");
    let huge = packet(0x30, &vec![0; MAX_PACKET as usize + 1]);
    let ended = with_broker(&settings, &huge).await;
    assert!(matches!(ended, Err(error::Failure::Protocol)), "{ended:?}");
    let announced = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
    let ended = with_broker(&settings, &announced).await;
    assert!(matches!(ended, Err(error::Failure::Protocol)), "{ended:?}");
}

#[test]
fn a_broker_is_a_host_with_or_without_a_port() {
    for (broker, host, port) in [
        ("b.example", "b.example", 8883),
        ("b.example:1883", "b.example", 1883),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("[2001:db8::1]", "2001:db8::1", 8883),
        ("[2001:db8::1]:1883", "2001:db8::1", 1883),
    ] {
        assert_eq!(host_and_port(broker, 8883), (host.to_owned(), port));
    }
}

#[tokio::test]
async fn a_broker_that_takes_the_connection_and_says_nothing_is_given_up() {
    let (listener, at) = listener().await;
    let (events, mut reported) = mpsc::channel(64);
    let _sender = start(settings(&at, ""), events);
    let (_silent, _): (TcpStream, _) = listener.accept().await.unwrap();
    let MqttEvent::Disconnected(why) = next(&mut reported).await else {
        panic!("it is not connected");
    };
    assert!(why.contains("does not answer"), "{why}");
}
