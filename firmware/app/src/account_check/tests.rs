//! The check against servers of the test's own on loopback.
//!
//! Wall clock: real sockets; a check that sends nothing ends its server after 10 s.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use config::schema::Account;
use sip::message::{Message, Response};

use super::*;

mod servers;

fn account(more: &str) -> Account {
    let text = format!(
        "[[account]]\nname = \"desk\"\nuser = \"101\"\ndomain = \"pbx.example.org\"\n\
         password = \"hunter2\"\n{more}"
    );
    config::load(&text, "offhook.toml")
        .unwrap()
        .accounts
        .remove(0)
}

#[test]
fn the_stun_servers_of_the_file_are_asked_or_the_one_named() {
    let text = "[network]\nstun = \"a.example\"\n[[account]]\nname = \"desk\"\nuser = \"101\"\n\
                domain = \"pbx.example.org\"\npassword = \"x\"\nstun = \"b.example:3479\"\n";
    let config = config::load(text, "offhook.toml").unwrap();
    let servers = |stun: Option<&str>| -> Vec<String> {
        let servers = Scope::all(&config, stun).stun.servers(&config);
        servers.into_iter().map(str::to_owned).collect()
    };
    assert_eq!(servers(None), ["a.example", "b.example:3479"]);
    assert_eq!(servers(Some("c.example")), ["c.example"]);
    assert!(Scope::ACCOUNTS.stun.servers(&config).is_empty());
}

fn lines(account: &Account) -> Vec<Finding> {
    let config = Config::default();
    let mut found = Vec::new();
    run_account(&config, account, Scope::ACCOUNTS, &mut |finding| {
        found.push(finding);
    })
    .unwrap();
    found
}

/// A registrar that answers each request by a function, until it has answered `count`.
fn registrar(
    count: usize,
    mut answer: impl FnMut(usize, &sip::message::Request) -> Response + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        for number in 0..count {
            let Ok((length, from)) = socket.recv_from(&mut bytes) else {
                return;
            };
            let Ok(Message::Request(request)) = Message::parse(&bytes[..length]) else {
                return;
            };
            let response = answer(number, &request);
            let _ = socket.send_to(&response.to_bytes(), from);
        }
    });
    address
}

fn challenge(request: &sip::message::Request) -> Response {
    let mut response = Response::reply(request, 401, Some("x"));
    response.headers.push(
        "WWW-Authenticate",
        "Digest realm=\"pbx.example.org\", nonce=\"n1\", qop=\"auth\", algorithm=MD5",
    );
    response
}

#[test]
fn registered_and_removed_again() {
    let (expiries, seen) = std::sync::mpsc::channel();
    let at = registrar(3, move |number, request| {
        expiries.send(request.headers.expires()).unwrap();
        if number == 0 {
            return challenge(request);
        }
        assert!(request.headers.get("Authorization").is_some());
        let mut ok = Response::reply(request, 200, Some("x"));
        ok.headers.copy(&request.headers, "Contact");
        ok
    });
    let found = lines(&account(&format!("registrar = \"{at}\"\nexpires_s = 60\n")));
    assert!(
        found.iter().all(|finding| finding.mark == Mark::Good),
        "{found:?}"
    );
    let text = found[0].to_string();
    assert!(text.starts_with("✓ desk: registered at "), "{text}");
    assert!(text.contains("for 60 s by UDP, digest MD5"), "{text}");
    let seen: Vec<_> = seen.iter().collect();
    assert_eq!(seen, [Some(60), Some(60), Some(0)]);
}

#[test]
fn a_wrong_password_is_sent_once() {
    let (count, seen) = std::sync::mpsc::channel();
    let at = registrar(9, move |_, request| {
        count.send(()).unwrap();
        challenge(request)
    });
    let found = lines(&account(&format!("registrar = \"{at}\"\n")));
    let text = found[0].to_string();
    assert!(
        text.starts_with("✗ desk: the server refuses user 101"),
        "{text}"
    );
    assert!(
        text.contains("correct `password`") && !text.contains("hunter2"),
        "{text}"
    );
    assert_eq!(
        seen.try_iter().count(),
        2,
        "without credentials, and with them"
    );
}

#[test]
fn md5_where_the_owner_refuses_it() {
    let at = registrar(2, |_, request| challenge(request));
    let found = lines(&account(&format!(
        "registrar = \"{at}\"\ndigest = \"sha-256\"\n"
    )));
    let text = found[0].to_string();
    assert!(
        text.contains("MD5 only") && text.contains("digest = \"any\""),
        "{text}"
    );
}

#[test]
fn a_closed_port_is_named() {
    let at = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for transport in ["udp", "tcp"] {
        let found = lines(&account(&format!(
            "registrar = \"{at}\"\ntransport = \"{transport}\"\n"
        )));
        let text = found[0].to_string();
        assert!(
            text.contains(&format!("no server listens at {at}")),
            "{text}"
        );
        assert!(text.contains("check the port"), "{text}");
    }
}

#[test]
fn the_right_transport_is_suggested() {
    // It listens by UDP; the account says TCP.
    let at = registrar(9, |_, request| Response::reply(request, 200, Some("x")));
    let found = lines(&account(&format!(
        "registrar = \"{at}\"\ntransport = \"tcp\"\n"
    )));
    assert_eq!(found[0].mark, Mark::Fault);
    let text = found[1].to_string();
    assert!(text.starts_with("! desk: a SIP server answers"), "{text}");
    assert!(
        text.ends_with("write transport = \"udp\" in this account"),
        "{text}"
    );
}

#[test]
fn a_nat_is_seen_by_received_and_rport() {
    let at = registrar(3, |_, request| {
        let mut ok = Response::reply(request, 200, Some("x"));
        let mut via = request.headers.top_via().unwrap();
        via.stamp("203.0.113.5:1024".parse().unwrap());
        ok.headers.set("Via", via.to_string());
        ok
    });
    let found = lines(&account(&format!("registrar = \"{at}\"\n")));
    let text = found[1].to_string();
    assert!(text.contains("a NAT stands between: 127.0.0.1:"), "{text}");
    assert!(text.contains("is 203.0.113.5:1024 at the server"), "{text}");
}

/// What `names::find` says when it asks this name server.
async fn asked(server: SocketAddr) -> String {
    let account = account("");
    let name = ServerName::of(&account).unwrap();
    let mut found = Vec::new();
    let system = System {
        servers: vec![server],
        ..System::default()
    };
    let targets = names::find("desk", &name, &system, &mut |finding| found.push(finding)).await;
    assert!(targets.is_none());
    found.pop().unwrap().to_string()
}

#[tokio::test]
async fn a_dead_name_server_is_named() {
    // Bound, and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let text = asked(silent.local_addr().unwrap()).await;
    assert!(
        text.contains("pbx.example.org cannot be looked up"),
        "{text}"
    );
    assert!(
        text.contains("no name server answers (asked 127.0.0.1)"),
        "{text}"
    );
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let text = asked(closed).await;
    assert!(text.contains("no name server answers"), "{text}");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_setting_to_correct() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            // The question given back as a response: there is no such name.
            bytes[2] |= 0x80;
            bytes[3] = (bytes[3] & 0xF0) | 3;
            let _ = socket.send_to(&bytes[..length], from);
        }
    });
    let text = asked(at).await;
    assert!(text.contains("there is no host pbx.example.org"), "{text}");
    assert!(text.contains("correct `domain`"), "{text}");
}

/// What the check says about a registrar that challenges and then answers like this.
fn refused(challenged: bool, code: u16, reason: &'static str) -> String {
    let at = registrar(9, move |number, request| {
        if challenged && number == 0 {
            return challenge(request);
        }
        Response::reply(request, code, Some("x")).with_reason(reason)
    });
    lines(&account(&format!("registrar = \"{at}\"\n")))[0].to_string()
}

#[test]
fn each_refusal_leads_to_its_setting() {
    for (challenged, code, reason, what, help) in [
        (
            false,
            404,
            "",
            "knows no 101@pbx.example.org",
            "`user` and `domain`",
        ),
        (
            true,
            404,
            "",
            "knows no 101@pbx.example.org",
            "`user` and `domain`",
        ),
        (
            true,
            403,
            "",
            "refuses user 101 with this password",
            "`auth_user`",
        ),
        (
            false,
            403,
            "Domain not served",
            "does not serve pbx.example.org",
            "`domain`",
        ),
        (
            false,
            403,
            "TLS required",
            "wants encryption",
            "transport = \"tls\"",
        ),
        (
            true,
            426,
            "Upgrade Required",
            "wants encryption",
            "transport = \"tls\"",
        ),
        (
            true,
            403,
            "Too many contacts",
            "too many phones",
            "remove one",
        ),
        (
            true,
            503,
            "Max contacts exceeded",
            "too many phones",
            "remove one",
        ),
        (
            false,
            405,
            "",
            "is no registrar",
            "`registrar` or `outbound_proxy`",
        ),
        (
            false,
            488,
            "",
            "refuses the registration (488 Not Acceptable Here)",
            "ask its operator",
        ),
        (
            true,
            500,
            "",
            "cannot register anyone now",
            "tries again by itself",
        ),
    ] {
        let text = refused(challenged, code, reason);
        assert!(text.starts_with("✗ desk: "), "{text}");
        assert!(
            text.contains(what) && text.contains(help),
            "{code} {reason}: {text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn another_realm_is_named() {
    let at = registrar(9, |_, request| {
        let mut response = Response::reply(request, 401, Some("x"));
        response.headers.push(
            "WWW-Authenticate",
            "Digest realm=\"asterisk\", nonce=\"n1\", qop=\"auth\", algorithm=MD5",
        );
        response
    });
    let text = lines(&account(&format!("registrar = \"{at}\"\n")))[0].to_string();
    assert!(
        text.contains("with this password for realm asterisk"),
        "{text}"
    );
}

/// A TLS server at this address with a certificate no one signed but itself.
fn self_signed_tls(at: SocketAddr) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["pbx.example.org".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let config = std::sync::Arc::new(config);
    let listener = std::net::TcpListener::bind(at).unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            // The client refuses the certificate.
            let _ = tls.complete_io(&mut stream);
        }
    });
}

#[test]
fn no_one_is_led_from_a_wrong_certificate_to_no_encryption() {
    // By UDP the same address would answer.
    let at = registrar(9, |_, request| Response::reply(request, 200, Some("x")));
    self_signed_tls(at);
    let found = lines(&account(&format!(
        "registrar = \"{at}\"\ntransport = \"tls\"\n"
    )));
    let text = found[0].to_string();
    assert!(
        text.contains("not signed by a CA this phone trusts"),
        "{text}"
    );
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn no_one_who_requires_encryption_is_led_to_a_server_without() {
    for transport in ["tls", "tcp"] {
        // It listens by UDP only.
        let at = registrar(9, |_, request| Response::reply(request, 200, Some("x")));
        let found = lines(&account(&format!(
            "registrar = \"{at}\"\ntransport = \"{transport}\"\nencryption = \"required\"\n"
        )));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].mark, Mark::Fault);
    }
}
