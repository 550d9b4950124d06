//! Event packages between real processes: a mailbox's server lights the lamp, and two phones light
//! each other's lamp without any server.

use std::net::UdpSocket;
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use serde_json::json;
use testkit::process::{TestDir, port_block};

/// What a phone says of the phone it watches.
fn watched(desk: &DeskPhone, state: &str) {
    desk.wait(
        &format!("the watched phone is {state}"),
        Duration::from_secs(8),
        |status| status["watched"][0]["state"] == *state,
    );
}

#[test]
fn two_phones_light_each_others_lamp_without_a_server() {
    let dir = TestDir::new("busy-lamps");
    // Each must know where the other one will be before it starts.
    let phone = |name: &str, address: &str, watches: &str| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                bind: address.to_owned(),
                call: "watched_by = [\"127.0.0.0/8\"]\n",
                more: format!("[dial]\nwatch = [\"sip:phone@{watches}\"]\n"),
                speed: vec![("7".into(), format!("sip:phone@{watches}"))],
                sip_port: Some(5060),
                ..Setup::default()
            },
        )
    };
    let l = phone("l", "127.0.0.11", "127.0.0.12");
    let r = phone("r", "127.0.0.12", "127.0.0.11");
    // The first one asked before the second was there: it asks again within a minute.
    r.wait("r sees l", Duration::from_secs(8), |status| {
        status["watched"][0]["state"] == "idle"
    });
    l.wait("l sees r", Duration::from_secs(60), |status| {
        status["watched"][0]["state"] == "idle"
    });
    l.lift();
    l.wait_state("dial_tone");
    l.press("7#");
    r.wait_state("ringing");
    watched(&l, "ringing");
    watched(&r, "busy");
    r.lift();
    l.wait_state("talking");
    watched(&l, "busy");
    l.hang_up();
    r.hang_up();
    watched(&l, "idle");
    watched(&r, "idle");
}

#[test]
fn messages_at_the_server_light_the_lamp() {
    let dir = TestDir::new("messages");
    let kamailio = Kamailio::start(&dir, "MD5");
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            more: kamailio.account("101", "secret101", "udp"),
            ..Setup::default()
        },
    );
    desk.wait("registration", Duration::from_secs(8), |status| {
        status["lines"][0]["registered"] == true
    });
    // A voicemail beside the proxy, on its host, reports to the phone by itself.
    let voicemail = UdpSocket::bind(("127.0.0.1", port_block())).unwrap();
    voicemail
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let notify = |cseq: u32, body: &str| {
        let from = voicemail.local_addr().unwrap();
        let text = format!(
            "NOTIFY sip:101@127.0.0.1:{} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {from};branch=z9hG4bKv{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:voicemail@127.0.0.1>;tag=v{cseq}\r\n\
             To: <sip:101@127.0.0.1>\r\nCall-ID: v{cseq}\r\nCSeq: 1 NOTIFY\r\n\
             Contact: <sip:voicemail@{from}>\r\nEvent: message-summary\r\n\
             Subscription-State: active\r\nContent-Type: application/simple-message-summary\r\n\
             Content-Length: {}\r\n\r\n{body}",
            desk.sip_port,
            body.len()
        );
        voicemail
            .send_to(text.as_bytes(), ("127.0.0.1", desk.sip_port))
            .unwrap();
        let mut answer = [0; 2000];
        let length = voicemail.recv(&mut answer).expect("it is answered");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    };
    notify(1, "Messages-Waiting: yes\r\nVoice-Message: 2/1 (1/0)\r\n");
    let status = desk.wait("messages", Duration::from_secs(3), |status| {
        status["lines"][0]["messages"]["waiting"] == true
    });
    let wanted = json!({"waiting": true, "new": 2, "old": 1, "urgent": 1});
    assert_eq!(status["lines"][0]["messages"], wanted);
    desk.lift();
    desk.wait("stutter dial tone", Duration::from_secs(3), |status| {
        status["tone"] == "stutter_dial"
    });
    desk.hang_up();
    notify(2, "Messages-Waiting: no\r\n");
    desk.wait("none", Duration::from_secs(3), |status| {
        status["lines"][0]["messages"]["waiting"] == false
    });
    desk.assert_usable();
}
