//! HTTP requests of `[actions]` against a real server, also a hostile one. Wall clock: real
//! sockets.

use testkit::http::{Answer, HttpServer};

use super::*;

/// Waits until this holds, 10 s at most.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 10 s: {what}");
}

#[tokio::test]
async fn an_address_is_fetched_once_with_what_stands_in_it() {
    let server = HttpServer::start(&[("/ring?from=0301", Answer::Text("ok".to_owned()))]);
    let requests = ActionRequests::new(Trust::load(None));
    requests.fetch(server.url("/ring?from=0301"));
    until("the request", || !server.seen().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.seen(), ["/ring?from=0301"]);
    // No one is there: nothing happens, and the next one goes out.
    requests.fetch("http://127.0.0.1:1/".to_owned());
    requests.fetch(server.url("/gone"));
    until("the next", || server.seen().len() == 2).await;
}

#[tokio::test]
async fn hostile_answers_hold_no_more_than_a_few_requests_for_a_while() {
    let server = HttpServer::start(&[
        ("/silence", Answer::Silence),
        ("/huge", Answer::Bytes(300 * 1024 * 1024)),
        ("/endless", Answer::Endless),
        ("/garbage", Answer::Garbage),
        ("/round", Answer::Redirect("/round".to_owned())),
    ]);
    let requests = ActionRequests::new(Trust::load(None));
    for path in ["/huge", "/endless", "/garbage", "/round"] {
        requests.fetch(server.url(path));
    }
    let all_free = || requests.permits.available_permits() == AT_ONCE;
    until("each is over", all_free).await;
    let most = 2 * MAX_BYTES + 16 * 1024 * 1024;
    assert!(server.sent() < most, "{} bytes", server.sent());
    // Those that are never answered: as many as may wait, and no more.
    for _ in 0..10 {
        requests.fetch(server.url("/silence"));
    }
    let silent = || {
        server
            .seen()
            .iter()
            .filter(|path| *path == "/silence")
            .count()
    };
    until("the requests", || silent() == AT_ONCE).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(silent(), AT_ONCE);
    tokio::time::sleep(DEADLINE).await;
    until("they are given up", all_free).await;
}

/// A server of TLS with a certificate that no one vouches for, and what it read of requests.
async fn unverified_server() -> (u16, Arc<std::sync::Mutex<Vec<u8>>>, Arc<Semaphore>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let handshakes = Arc::new(Semaphore::new(0));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (kept, counted) = (Arc::clone(&seen), Arc::clone(&handshakes));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            if let Ok(mut tls) = acceptor.accept(stream).await {
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut tls, &mut bytes).await;
            }
            kept.lock().unwrap().extend(bytes);
            counted.add_permits(1);
        }
    });
    (port, seen, handshakes)
}

#[tokio::test]
async fn a_server_with_a_wrong_certificate_gets_nothing_and_is_named() {
    let (port, seen, handshakes) = unverified_server().await;
    let url = format!("https://localhost:{port}/door?token=t0ken");
    let request = FetchRequest {
        url: url.clone(),
        allow_http: true,
        etag: None,
        max_bytes: MAX_BYTES,
    };
    let mut thrown_away = |_: &[u8]| Ok(());
    let refused = fetch::fetch(&request, &Trust::load(None), &mut thrown_away).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.starts_with("localhost: "), "{said}");
    assert!(
        said.contains("the certificate must be for this name and signed by"),
        "{said}"
    );
    assert!(!said.contains("t0ken"), "{said}");
    // The same as an action.
    ActionRequests::new(Trust::load(None)).fetch(url);
    until("both handshakes", || handshakes.available_permits() == 2).await;
    assert!(seen.lock().unwrap().is_empty(), "a request was sent");
}
