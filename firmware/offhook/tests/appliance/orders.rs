//! Orders by keys, and the support bundle: that it helps, and that it holds no secret (case S43 of
//! the security catalogue).

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::machine::{Machine, until, words};

/// Every file of a bundle, name and content.
pub(crate) fn unpacked(file: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(file).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().display().to_string(), content)
        })
        .collect()
}

fn holds(content: &[u8], text: &str) -> bool {
    content
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// A header's value.
fn header<'m>(message: &'m str, name: &str) -> &'m str {
    message
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or("")
        .trim()
}

/// Answers a request, repeating what RFC 3261 section 8.2.6 wants repeated.
fn answer(socket: &UdpSocket, to: SocketAddr, request: &str, status: &str, more: &str) {
    let reply = format!(
        "SIP/2.0 {status}\r\nVia:{}\r\nFrom:{}\r\nTo:{};tag=r\r\nCall-ID:{}\r\nCSeq:{}\r\n\
         {more}Content-Length: 0\r\n\r\n",
        header(request, "Via:"),
        header(request, "From:"),
        header(request, "To:"),
        header(request, "Call-ID:"),
        header(request, "CSeq:"),
    );
    socket.send_to(reply.as_bytes(), to).unwrap();
}

/// Something to say.
pub(crate) fn speech() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/speech.wav")
}

#[test]
fn a_support_bundle_has_much_and_no_secret() {
    let machine = Machine::new("bundle");
    let registrar = UdpSocket::bind("127.0.0.1:0").unwrap();
    registrar
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let port = registrar.local_addr().unwrap().port();
    machine.card(&format!(
        "[[account]]\nuser = \"101\"\ndomain = \"127.0.0.1:{port}\"\n\
         password = \"hunter2hunter2\"\n[wifi]\nssid = \"Home\"\npassword = \"w1fi-secret\"\n"
    ));
    fs::create_dir_all(machine.path("state/crash")).unwrap();
    fs::write(machine.path("state/crash/20260101-panic"), "it fell over").unwrap();
    let phone = machine.start();
    // Challenged, answered, accepted.
    let (mut buffer, mut response) = ([0; 4096], String::new());
    while response.is_empty() {
        let (length, from) = registrar.recv_from(&mut buffer).unwrap();
        let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let challenge = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n0nce-5ec4e7\", \
                         algorithm=MD5, qop=\"auth\"\r\n";
        if let Some(found) = request.split("response=\"").nth(1) {
            response = found.split('"').next().unwrap().to_owned();
            answer(
                &registrar,
                from,
                &request,
                "200 OK",
                &format!("Contact: {};expires=300\r\n", header(&request, "Contact:")),
            );
        } else {
            answer(&registrar, from, &request, "401 Unauthorized", challenge);
        }
    }
    assert_eq!(response.len(), 32);
    until("registered", || {
        phone.ask(r#"{"cmd":"status"}"#)["lines"][0]["registered"] == true
    });
    // A call with a key in its session description.
    let own = registrar.local_addr().unwrap();
    let status = phone.ask(r#"{"cmd":"status"}"#);
    assert_eq!(
        status["lines"][0]["account"],
        format!("101@127.0.0.1:{port}")
    );
    let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
               m=audio 4000 RTP/SAVP 0\r\n\
               a=crypto:1 AES_CM_128_HMAC_SHA1_80 \
               inline:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk\r\n";
    let target = fs::read_to_string(machine.path("card/offhook.toml")).unwrap();
    let sip_port = target
        .lines()
        .find_map(|line| line.strip_prefix("sip_port = "))
        .unwrap();
    let invite = format!(
        "INVITE sip:phone@127.0.0.1:{sip_port} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {own};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:x@{own}>;tag=1\r\n\
         To: <sip:phone@127.0.0.1>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\nContact: <sip:x@{own}>\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    );
    registrar
        .send_to(invite.as_bytes(), format!("127.0.0.1:{sip_port}"))
        .unwrap();
    registrar.recv_from(&mut buffer).unwrap();

    let file = machine.path("run/support.tar.gz");
    let reply = phone.ask(&format!(
        r#"{{"cmd":"bundle","file":"{}"}}"#,
        file.display()
    ));
    assert_eq!(reply["ok"], true, "{reply}");
    let parts = unpacked(&file);
    let part = |name: &str| {
        &parts
            .iter()
            .find(|(found, _)| found == &format!("offhook-support/{name}"))
            .unwrap()
            .1
    };
    assert!(
        holds(part("status.json"), "\"registered\": true") && holds(part("settings.txt"), "101")
    );
    assert!(
        holds(part("log.txt"), "registered") && holds(part("crash/20260101-panic"), "it fell over")
    );
    let pcap = part("sip.pcap");
    assert!(
        holds(pcap, "REGISTER sip:")
            && holds(pcap, "WWW-Authenticate: Digest realm=\"pbx\"")
            && holds(pcap, "a=crypto:1")
    );
    assert_eq!(
        fs::metadata(&file).unwrap().len() / 1_000_000,
        0,
        "small enough for a letter"
    );
    let identity = fs::read_to_string(machine.path("state/identity.pem")).unwrap_or_default();
    let key = identity
        .lines()
        .find(|line| line.len() > 40)
        .unwrap_or("no identity was kept")
        .to_owned();
    for secret in [
        "hunter2",
        "w1fi-secret",
        "n0nce-5ec4e7",
        &response,
        "QUJDREVG",
        &key,
    ] {
        for (name, content) in &parts {
            assert!(!holds(content, secret), "{name} holds {secret}");
        }
        assert!(!machine.status_file().contains(secret));
    }
}

#[test]
fn keys_order_what_the_card_is_for() {
    let machine = Machine::new("codes");
    machine.card("[phone]\nuser = \"x\"\n");
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.ask(r#"{"cmd":"press","keys":"*94#"}"#);
    let file = machine.path("card/offhook-support.tar.gz");
    until("the bundle on the card", || file.exists());
    assert!(
        unpacked(&file)
            .iter()
            .any(|(name, _)| name.ends_with("sip.pcap"))
    );
    phone.ask(r#"{"cmd":"hang-up"}"#);
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.ask(r#"{"cmd":"press","keys":"*59#"}"#);
    let table = machine.path("card/history.csv");
    until("the table on the card", || table.exists());
    let csv = phone.ask(r#"{"cmd":"history","csv":true}"#);
    assert_eq!(csv["csv"], fs::read_to_string(table).unwrap());
    phone.ask(r#"{"cmd":"hang-up"}"#);
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.send(r#"{"cmd":"press","keys":"*96#"}"#);
    assert_eq!(phone.exit_code(), 11, "start the board again");
    assert!(machine.path("state/last-good.toml").exists());

    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.send(r#"{"cmd":"press","keys":"*99*7378#"}"#);
    assert_eq!(phone.exit_code(), 11);
    assert!(!machine.path("state/last-good.toml").exists());
    assert!(
        fs::read_to_string(machine.path("card/offhook.toml"))
            .unwrap()
            .contains("#[[account]]")
    );
}

#[test]
fn the_self_test_walks_by_itself_where_there_is_nothing_to_touch() {
    let machine = Machine::new("selftest");
    let speech = speech();
    let ear = machine.path("run/ear.wav");
    machine.card(&format!(
        "[board.audio]\ncapture = \"wav:{speech}\"\nplayback = \"wav:{}\"\n",
        ear.display()
    ));
    let output = machine
        .command(&["selftest"])
        .stdout(std::process::Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", words(&output));
    assert!(
        said.contains("1 speaker    ok:") && said.contains("2 microphone ok: heard"),
        "{said}"
    );
    assert!(
        said.contains("6 bell       this board has none")
            && said.contains("7 network    ok: the address is 127.0.0.1")
            && said.contains("all is well"),
        "{said}"
    );
    assert!(
        fs::metadata(&ear).unwrap().len() > 200_000,
        "what it played was recorded"
    );
    // A microphone that gives nothing.
    machine.card("");
    let output = machine
        .command(&["selftest"])
        .stdout(std::process::Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("2 microphone FAILED: nothing was heard"),
        "{said}"
    );
}

#[test]
fn keys_lead_into_the_self_test_and_back_to_the_phone() {
    let machine = Machine::new("selftest-code");
    machine.hardware_of(&format!("wav:{}", speech()), "null", "");
    machine.card("");
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.send(r#"{"cmd":"press","keys":"*95#"}"#);
    let answers = || UnixStream::connect(&phone.socket).is_ok();
    until("the phone makes way", || !answers());
    // The walk lasts as long as its sound: speaker, microphone, network.
    let since = Instant::now();
    while !answers() {
        assert!(
            since.elapsed() < Duration::from_secs(120),
            "the phone does not come back"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(
        since.elapsed() > Duration::from_secs(8),
        "no one walked: {:?}",
        since.elapsed()
    );
    assert!(
        phone.child.try_wait().unwrap().is_none(),
        "it is another process"
    );
    assert_eq!(phone.ask(r#"{"cmd":"status"}"#)["state"], "idle");
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_offhook"))
        .args(["ctl", "bundle", "a", "b"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
