//! SIP over TLS through kamailio, by good certificates and bad ones: with a good one phones
//! register and talk, with a bad one they say what is wrong with it, and nothing is sent another
//! way.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use offhook_tests::certificates::{Authority, Issued, Wish, self_signed};
use serde_json::Value;

use offhook_tests::desk_phone::{DeskPhone, Setup};
use offhook_tests::kamailio::Kamailio;
use offhook_tests::speech::{Speaker, speech, talk};
use testkit::process::{ChildProcess, TestDir};

/// The SIP domain of these tests: no name server knows it, the registrar is configured by its
/// address.
const DOMAIN: &str = "pbx.example.org";

fn registered(status: &Value) -> bool {
    status["lines"][0]["registered"] == true
}

fn trusting(ca: &Path) -> String {
    format!("[tls]\nca = {ca:?}\n")
}

#[test]
fn two_phones_call_through_kamailio_over_tls() {
    let dir = TestDir::new("tls-good");
    let authority = Authority::new(&dir.join("certificates"), "good");
    let kamailio = Kamailio::start_tls(
        &dir,
        "SHA-256",
        &authority.issue("server", &Wish::dns(DOMAIN)),
    );
    let (alice, bob) = (
        speech(&dir, Speaker::Alice, 16000, 1),
        speech(&dir, Speaker::Bob, 16000, 1),
    );
    let phone = |name: &str, user: &str, says: &Path| {
        DeskPhone::start(
            &dir,
            name,
            Setup {
                codecs: "\"g722\", \"pcmu\"",
                microphone: Some(says.to_owned()),
                direct: Some(false),
                more: kamailio.account_tls(user, DOMAIN) + &trusting(&authority.file()),
                ..Setup::default()
            },
        )
    };
    let (l, r) = (phone("l", "101", &alice), phone("r", "102", &bob));
    for desk in [&l, &r] {
        desk.wait("registration", Duration::from_secs(8), registered);
    }
    l.lift();
    l.wait_state("dial_tone");
    l.press("102#");
    r.wait_state("ringing");
    r.lift();
    talk(&dir, (&l, &alice), (&r, &bob));
}

/// One bad certificate: the phone says what is wrong, places no call, and kamailio never hears a
/// word of it.
fn refused(name: &str, certificate: impl Fn(&Authority, &Path) -> Issued, output: &[&str]) {
    let dir = TestDir::new(&format!("tls-{name}"));
    let folder = dir.join("certificates");
    let authority = Authority::new(&folder, "good");
    let kamailio = Kamailio::start_tls(&dir, "SHA-256", &certificate(&authority, &folder));
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            direct: Some(false),
            more: kamailio.account_tls("101", DOMAIN) + &trusting(&authority.file()),
            ..Setup::default()
        },
    );
    let status = desk.wait("an error", Duration::from_secs(12), |status| {
        status["lines"][0]["error"].is_string()
    });
    let error = status["lines"][0]["error"].as_str().unwrap().to_owned();
    println!("{name}: {error}");
    assert!(!registered(&status), "{status:#}");
    for word in output {
        assert!(error.contains(word), "{word:?} is missing in {error:?}");
    }
    assert!(!error.contains("secret101"), "a password shows");
    desk.lift();
    desk.wait_state("dial_tone");
    desk.press("102#");
    desk.wait_state("congestion");
    desk.assert_usable();
    assert!(!registered(&desk.status()));
    // What it counts as received is everything that came to it, over whatever transport.
    let sent = desk.status()["counters"]["sip_received"].as_u64();
    assert_eq!(
        sent,
        Some(0),
        "somebody answered: something went out in the clear"
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    refused(
        "expired",
        |authority, _| authority.issue("server", &Wish::dns(DOMAIN).years(2001, 2019)),
        &["expired on 2019-12-31", DOMAIN, ";"],
    );
}

#[test]
fn a_certificate_of_the_future_is_refused() {
    refused(
        "future",
        |authority, _| authority.issue("server", &Wish::dns(DOMAIN).years(2090, 2098)),
        &["not valid before 2090-01-01", DOMAIN, ";"],
    );
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    refused(
        "wrong-name",
        |authority, _| authority.issue("server", &Wish::dns("other.example.org")),
        &["is for other.example.org, not for pbx.example.org", ";"],
    );
}

#[test]
fn a_certificate_by_no_one_we_trust_is_refused() {
    refused(
        "unknown-ca",
        |_, folder| Authority::new(folder, "evil").issue("server", &Wish::dns(DOMAIN)),
        &["not signed by a CA this phone trusts", "tls.ca"],
    );
}

#[test]
fn a_self_signed_certificate_is_refused() {
    refused(
        "self-signed",
        |_, folder| self_signed(folder, "server", &Wish::dns(DOMAIN)),
        &["not signed by a CA this phone trusts", "tls.ca"],
    );
}

#[test]
fn a_wildcard_and_a_common_name_prove_nothing() {
    refused(
        "wildcard",
        |authority, _| authority.issue("server", &Wish::dns("*.example.org")),
        &["is for *.example.org, not for pbx.example.org"],
    );
    let only_cn = Wish {
        common_name: Some(DOMAIN.into()),
        ..Wish::default()
    };
    refused(
        "cn-only",
        |authority, _| authority.issue("server", &only_cn),
        &["no name at all"],
    );
}

#[test]
fn what_is_older_than_tls_1_2_is_not_spoken() {
    for old in ["-tls1", "-tls1_1"] {
        let dir = TestDir::new(&format!("tls{old}"));
        let authority = Authority::new(&dir.join("certificates"), "good");
        let issued = authority.issue("server", &Wish::dns(DOMAIN));
        let port = testkit::process::port_block();
        let mut server = Command::new("openssl");
        server
            .args([
                "s_server",
                "-accept",
                &format!("127.0.0.1:{port}"),
                old,
                "-cipher",
                "DEFAULT@SECLEVEL=0",
                "-cert",
            ])
            .arg(&issued.chain)
            .arg("-key")
            .arg(&issued.key);
        let _server = ChildProcess::start(&mut server, &dir.join("s_server.log"));
        let desk = DeskPhone::start(
            &dir,
            "desk",
            Setup {
                direct: Some(false),
                more: format!(
                    "[[account]]\nuser = \"101\"\ndomain = {DOMAIN:?}\n\
                     registrar = \"127.0.0.1:{port}\"\ntransport = \"tls\"\n{}",
                    trusting(&authority.file())
                ),
                ..Setup::default()
            },
        );
        // The first try may come before the server is up.
        let status = desk.wait("an error", Duration::from_secs(20), |status| {
            status["lines"][0]["error"]
                .as_str()
                .is_some_and(|error| !error.contains("no server listens"))
        });
        let error = status["lines"][0]["error"].as_str().unwrap();
        println!("{old}: {error}");
        // An old server says so by an alert, or just hangs up; either way nothing older is spoken
        // and no one is registered.
        assert!(
            error.contains("1.2 or 1.3")
                || error.contains("closed the connection during the TLS handshake"),
            "{error}"
        );
        assert_eq!(status["lines"][0]["registered"], false, "{status:#}");
    }
}

#[test]
fn unverified_tls_is_always_reported() {
    let dir = TestDir::new("tls-unverified");
    let folder = dir.join("certificates");
    let kamailio = Kamailio::start_tls(
        &dir,
        "SHA-256",
        &Authority::new(&folder, "evil").issue("server", &Wish::dns("evil.example")),
    );
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            direct: Some(false),
            more: kamailio.account_tls("101", DOMAIN) + "[tls]\nverify = false\n",
            ..Setup::default()
        },
    );
    let status = desk.wait("registration", Duration::from_secs(10), registered);
    let warning = status["warnings"][0].as_str().unwrap_or_default();
    assert!(
        warning.contains("NOT verified") && warning.contains("tls.verify"),
        "{status:#}"
    );
    let log = std::fs::read_to_string(dir.join("desk").join("log")).unwrap();
    assert!(log.contains("NOT verified"), "{log}");
    assert!(
        !log.contains("secret101") && !log.contains("PRIVATE KEY"),
        "a secret stands in the log"
    );
}

#[test]
fn tls_port_refuses_old_versions_and_unknown_clients() {
    let dir = TestDir::new("tls-port");
    let port = testkit::process::port_block();
    let pin = format!(
        "[[tls.pin]]\nname = \"other\"\naddress = \"127.0.0.9\"\nfingerprint = \"{}\"\n",
        "00".repeat(32)
    );
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            more: format!("[tls]\nsip_port_tls = {port}\n{pin}"),
            ..Setup::default()
        },
    );
    let stranger = self_signed(
        &dir.join("certificates"),
        "stranger",
        &Wish::dns("stranger.example"),
    );
    // What openssl says at the end of a connection that waits for the server's word.
    let connect = |arguments: &[&str]| {
        let mut client = Command::new("openssl");
        client
            .args([
                "s_client",
                "-connect",
                &format!("127.0.0.1:{port}"),
                "-cipher",
                "DEFAULT@SECLEVEL=0",
                "-ign_eof",
            ])
            .args(arguments);
        let log = dir.join("s_client.log");
        let mut running = ChildProcess::start(&mut client, &log);
        running.wait(Duration::from_secs(8));
        std::fs::read_to_string(&log).unwrap()
    };
    for old in ["-tls1", "-tls1_1"] {
        let output = connect(&[old]);
        // Which of the two it is depends on the ciphers openssl still offers at that version.
        assert!(
            output.contains("alert protocol version") || output.contains("alert handshake failure"),
            "{old}: {output}"
        );
    }
    let output = connect(&["-tls1_3"]);
    assert!(output.contains("alert certificate required"), "{output}");
    let (chain, key) = (
        stranger.chain.display().to_string(),
        stranger.key.display().to_string(),
    );
    let output = connect(&["-tls1_3", "-cert", &chain, "-key", &key]);
    assert!(
        output.contains("alert certificate unknown") || output.contains("alert bad certificate"),
        "{output}"
    );
    assert_eq!(desk.status()["counters"]["sip_received"], 0);
    desk.assert_usable();
}
