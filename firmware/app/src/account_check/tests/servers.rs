//! What stands at the far end, or on the way there, and is not what the account wants.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use hickory_proto::op::{Message as DnsMessage, MessageType};
use hickory_proto::rr::rdata::{A, NAPTR, SRV};
use hickory_proto::rr::{Name, RData, Record};

use super::*;

/// The only finding.
fn one(found: Vec<Finding>) -> Finding {
    let [finding] = &found[..] else {
        panic!("{found:?}");
    };
    finding.clone()
}

/// Whoever connects gets this, and then the connection ends.
fn tcp_server(says: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(says);
        }
    });
    at
}

#[test]
fn a_sign_in_page_is_no_sip_server() {
    let page = b"HTTP/1.1 302 Found\r\nLocation: http://sign.in/\r\nContent-Length: 0\r\n\r\n";
    let at = tcp_server(page);
    let at_port = format!("registrar = \"{at}\"\n");
    let found = lines(&account(&format!("{at_port}transport = \"tcp\"\n")));
    let text = found[0].to_string();
    assert!(text.contains("speaks HTTP, not SIP"), "{text}");
    assert!(text.contains("sign in first"), "{text}");
    let found = lines(&account(&format!("{at_port}transport = \"tls\"\n")));
    let text = found[0].to_string();
    assert!(
        text.contains("is not TLS; check that this is its port for TLS"),
        "{text}"
    );
    assert!(text.contains("sign in first"), "{text}");
}

#[test]
fn a_connection_that_ends_is_no_cable() {
    let at = tcp_server(b"");
    let found = lines(&account(&format!(
        "registrar = \"{at}\"\ntransport = \"tcp\"\n"
    )));
    let text = found[0].to_string();
    assert!(
        text.contains("ends the connection without an answer"),
        "{text}"
    );
    assert!(text.contains("check the port and the transport"), "{text}");
}

/// A server has to copy the Via: what differs was changed on the way.
#[test]
fn a_router_that_rewrites_sip_is_named() {
    let changed = |change: fn(&str) -> String| {
        let at = registrar(3, move |_, request| {
            let mut ok = Response::reply(request, 200, Some("x"));
            let via = change(request.headers.get("Via").unwrap());
            ok.headers.set("Via", via);
            ok
        });
        lines(&account(&format!("registrar = \"{at}\"\n")))
    };
    let found = changed(|via| via.replace("127.0.0.1", "203.0.113.5"));
    let warning = &found[1];
    assert_eq!(warning.mark, Mark::Warning);
    let text = warning.to_string();
    assert!(
        text.contains("\"SIP ALG\"") && text.contains("came back with 203.0.113.5:"),
        "{text}"
    );
    assert!(text.contains("switch it off in the router"), "{text}");
    let found = changed(|via| via.replace("z9hG4bK", "z9hG4bKx"));
    let text = found[1].to_string();
    assert!(
        text.contains("\"SIP ALG\"") && text.contains("branch"),
        "{text}"
    );
    // What a server adds is no change.
    let found = changed(|via| format!("{via};received=127.0.0.1"));
    assert!(found.iter().all(|f| f.mark == Mark::Good), "{found:?}");
}

#[test]
fn other_devices_of_the_account_are_counted() {
    let with = |others: usize| {
        let at = registrar(3, move |_, request| {
            let mut ok = Response::reply(request, 200, Some("x"));
            ok.headers.copy(&request.headers, "Contact");
            for number in 0..others {
                ok.headers
                    .push("Contact", format!("<sip:101@192.0.2.{number}>"));
            }
            ok
        });
        lines(&account(&format!("registrar = \"{at}\"\n")))[0].clone()
    };
    let text = with(1).to_string();
    assert!(text.contains("1 other device is registered"), "{text}");
    assert_eq!(with(5).mark, Mark::Good);
    let many = with(6);
    assert_eq!(many.mark, Mark::Warning);
    assert!(many.to_string().contains("old registrations"), "{many}");
}

#[tokio::test]
async fn the_server_that_takes_over_is_asked_too() {
    let alive = registrar(1, |_, request| {
        assert_eq!(request.method, sip::message::Method::Options);
        Response::reply(request, 200, Some("x"))
    });
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut tls = Tls::new(tls::settings(&Config::default()), None);
    let ask = async |tls: &mut Tls, address| {
        let target = Target {
            transport: Transport::Udp,
            address,
        };
        let mut found = Vec::new();
        try_others("desk", &[target], &[], tls, &mut |finding| {
            found.push(finding);
        })
        .await;
        one(found)
    };
    let finding = ask(&mut tls, alive).await;
    assert_eq!(finding.mark, Mark::Good);
    assert!(finding.text.contains("takes over"), "{finding}");
    let finding = ask(&mut tls, closed).await;
    assert_eq!(finding.mark, Mark::Warning);
    assert!(
        finding.to_string().contains("correct its DNS record"),
        "{finding}"
    );
}

/// A name server with one domain: NAPTR leads to SRV records of another name, those to a host.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let query = DnsMessage::from_vec(&bytes[..length]).unwrap();
            let asked = query.queries[0].clone();
            let name = |text| Name::from_ascii(text).unwrap();
            let text = |text: &str| text.as_bytes().to_vec().into_boxed_slice();
            let question = format!("{} {}", asked.query_type, asked.name);
            let data = match question.as_str() {
                "NAPTR pbx.example.org." => Some(RData::NAPTR(NAPTR::new(
                    10,
                    10,
                    text("s"),
                    text("SIPS+D2T"),
                    text(""),
                    name("_sips._tcp.cloud.example.org."),
                ))),
                "SRV _sips._tcp.cloud.example.org." => {
                    Some(RData::SRV(SRV::new(1, 1, 5071, name("a.example.org."))))
                }
                "A a.example.org." | "A office.home.example." => {
                    Some(RData::A(A("127.0.0.9".parse().unwrap())))
                }
                _ => None,
            };
            let mut reply = DnsMessage::new(
                query.metadata.id,
                MessageType::Response,
                query.metadata.op_code,
            );
            if let Some(data) = data {
                reply.add_answer(Record::from_rdata(asked.name.clone(), 60, data));
            }
            reply.add_query(asked);
            let _ = socket.send_to(&reply.to_vec().unwrap(), from);
        }
    });
    at
}

/// Where `names::find` leads, and what it says.
async fn found_by_name(account: &Account) -> (Vec<SocketAddr>, String) {
    let system = System {
        servers: vec![name_server()],
        search: vec!["home.example".into()],
        ..System::default()
    };
    let name = ServerName::of(account).unwrap();
    let mut found = Vec::new();
    let targets = names::find("desk", &name, &system, &mut |finding| found.push(finding)).await;
    let targets = targets.unwrap_or_else(|| panic!("{found:?}"));
    let addresses = targets.into_iter().map(|target| target.address);
    (addresses.collect(), one(found).to_string())
}

/// The questions of the check are those of the phone.
#[tokio::test]
async fn a_domain_is_found_as_the_phone_finds_it() {
    let at: SocketAddr = "127.0.0.9:5071".parse().unwrap();
    let (targets, text) = found_by_name(&account("transport = \"tls\"\n")).await;
    assert_eq!(targets, [at], "{text}");
    let asked = "NAPTR pbx.example.org: _sips._tcp.cloud.example.org; SRV \
                 _sips._tcp.cloud.example.org: a.example.org:5071; A a.example.org: 127.0.0.9";
    assert!(text.contains(asked), "{text}");
    // A name without a dot, with the domain of this network behind it.
    let short = account("registrar = \"office\"\n");
    let (targets, text) = found_by_name(&short).await;
    let at: SocketAddr = "127.0.0.9:5060".parse().unwrap();
    assert_eq!(targets, [at], "{text}");
    assert!(text.contains("A office.home.example: 127.0.0.9"), "{text}");
}
