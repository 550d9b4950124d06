//! Transfers between three phones of one proxy (RFC 5589): each of them ours, so that each role is
//! one of our own.

use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::tls_office::TlsOffice;
use serde_json::json;
use testkit::process::TestDir;

/// The server the phones are at.
enum Server {
    /// By UDP, and media in clear.
    Udp(Kamailio),
    /// By TLS, and SRTP or no call.
    Tls(Box<TlsOffice>),
}

impl Server {
    fn udp(dir: &TestDir) -> Self {
        Self::Udp(Kamailio::start(dir, "MD5"))
    }

    fn tls(dir: &TestDir) -> Self {
        Self::Tls(Box::new(TlsOffice::open(dir, "SHA-256")))
    }

    fn desk(&self, dir: &TestDir, user: &str) -> DeskPhone {
        let mut setup = Setup {
            direct: Some(false),
            call: "transfer_on_hangup = true\n",
            ..Setup::default()
        };
        match self {
            Self::Udp(kamailio) => {
                setup.more = kamailio.account(user, &format!("secret{user}"), "udp");
                DeskPhone::start(dir, user, setup)
            }
            Self::Tls(office) => office.desk(dir, user, "", setup),
        }
    }

    /// What the engine measures of a call by it.
    fn protects(&self, encryption: &str) -> bool {
        match self {
            Self::Udp(_) => encryption == "none",
            Self::Tls(_) => encryption.starts_with("AE"),
        }
    }
}

/// Three phones of one server, registered; 101 has called 102, and both talk.
fn office(dir: &TestDir, server: &Server) -> [DeskPhone; 3] {
    let phones = ["101", "102", "103"].map(|user| server.desk(dir, user));
    for phone in &phones {
        phone.wait("registration", Duration::from_secs(8), |status| {
            status["lines"][0]["registered"] == true
        });
    }
    let [transferor, transferee, _] = &phones;
    transferor.lift();
    transferor.wait_state("dial_tone");
    transferor.press("102#");
    transferee.wait_state("ringing");
    transferee.lift();
    transferor.wait_state("talking");
    transferee.wait_state("talking");
    phones
}

/// Whom the one call of a phone is with.
fn peer(phone: &DeskPhone) -> String {
    let status = phone.status();
    let calls = status["calls"].as_array().cloned().unwrap_or_default();
    assert_eq!(calls.len(), 1, "{status:#}");
    calls[0]["peer"].as_str().unwrap_or_default().to_owned()
}

/// The call goes on between the two, packets and all, and ends.
fn talk_and_part(server: &Server, transferee: &DeskPhone, target: &DeskPhone) {
    for (phone, far) in [(transferee, "103"), (target, "102")] {
        phone.wait("one call, heard", Duration::from_secs(5), |status| {
            let calls = status["calls"].as_array();
            calls.is_some_and(|calls| {
                calls.len() == 1
                    && calls[0]["rtp"]["received"].as_u64() > Some(20)
                    && server.protects(calls[0]["encryption"].as_str().unwrap_or_default())
            })
        });
        assert_eq!(peer(phone), far);
    }
    transferee.hang_up();
    target.wait_state("congestion");
    target.hang_up();
}

fn blind(dir: &TestDir, server: &Server) {
    let [transferor, transferee, target] = office(dir, server);
    let done = transferor.ctl(&json!({"cmd": "transfer", "to": "103"}));
    assert_eq!(done["ok"], true, "{done}");
    target.wait_state("ringing");
    // The referrer is out of it: nothing is left of his call.
    transferor.wait("no call left", Duration::from_secs(3), |status| {
        status["calls"].as_array().is_some_and(Vec::is_empty)
    });
    target.lift();
    target.wait_state("talking");
    transferee.wait_state("talking");
    talk_and_part(server, &transferee, &target);
    for phone in [&transferor, &transferee, &target] {
        phone.assert_usable();
    }
}

#[test]
fn blind_transfer_through_kamailio() {
    let dir = TestDir::new("blind-transfer");
    blind(&dir, &Server::udp(&dir));
}

#[test]
fn blind_transfer_by_tls_stays_encrypted() {
    let dir = TestDir::new("blind-transfer-tls");
    blind(&dir, &Server::tls(&dir));
}

fn attended(dir: &TestDir, server: &Server) {
    let [transferor, transferee, target] = office(dir, server);
    assert_eq!(transferor.ctl(&json!({"cmd": "flash"}))["ok"], true);
    transferor.wait_state("dial_tone");
    transferor.press("103#");
    target.wait_state("ringing");
    target.lift();
    transferor.wait_state("talking");
    target.wait_state("talking");
    transferor.hang_up();
    transferor.wait_state("idle");
    talk_and_part(server, &transferee, &target);
    for phone in [&transferor, &transferee, &target] {
        phone.assert_usable();
    }
}

#[test]
fn attended_transfer_through_kamailio() {
    let dir = TestDir::new("attended-transfer");
    attended(&dir, &Server::udp(&dir));
}

#[test]
fn attended_transfer_by_tls_stays_encrypted() {
    let dir = TestDir::new("attended-transfer-tls");
    attended(&dir, &Server::tls(&dir));
}

#[test]
fn refused_transfer_gives_the_caller_back() {
    let dir = TestDir::new("refused-transfer");
    let server = Server::udp(&dir);
    let [transferor, transferee, target] = office(&dir, &server);
    // The target is busy: it dials.
    target.lift();
    target.wait_state("dial_tone");
    transferor.ctl(&json!({"cmd": "transfer", "to": "103"}));
    let end = Instant::now() + Duration::from_secs(5);
    while !transferor
        .log()
        .contains("the transfer to 103 failed (486)")
    {
        assert!(Instant::now() < end, "{}", transferor.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    // The caller is back in the hand that sent it away, and both hear each other.
    transferor.wait_state("talking");
    transferee.wait_state("talking");
    for phone in [&transferor, &transferee] {
        let received = |status: &serde_json::Value| status["calls"][0]["rtp"]["received"].as_u64();
        let before = received(&phone.status()).unwrap_or_default();
        phone.wait("packets again", Duration::from_secs(5), |status| {
            received(status) > Some(before + 20)
        });
    }
    transferor.hang_up();
    transferee.wait_state("congestion");
    for phone in [&transferor, &transferee, &target] {
        phone.assert_usable();
    }
}
