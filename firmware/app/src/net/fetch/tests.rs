use tokio::io::AsyncWriteExt as _;

use super::*;

#[test]
fn redirects_never_leave_https() {
    let from = Url::parse("https://a.example:8443/x").unwrap();
    assert!(matches!(
        from.redirected("http://a.example/x"),
        Err(FetchError::Downgrade { .. })
    ));
    assert!(matches!(
        from.redirected("ftp://a.example/x"),
        Err(FetchError::Url(_))
    ));
    assert!(matches!(from.redirected(""), Err(FetchError::Url(_))));
    assert_eq!(
        from.redirected("/y?z").unwrap().uri.to_string(),
        "https://a.example:8443/y?z"
    );
    assert_eq!(from.redirected("https://b.example/y").unwrap().port, 443);
    assert!(
        Url::parse("http://a.example/")
            .unwrap()
            .redirected("https://a.example/")
            .unwrap()
            .secure
    );
    assert!(Url::parse("https://user:password@a.example/").is_err());
}

#[test]
fn nothing_behind_the_host_is_shown() {
    for (url, seen) in [
        ("https://p.example/t0ken/x.toml", "https://p.example/…"),
        (
            "https://p.example:8443?token=t0ken",
            "https://p.example:8443/…",
        ),
        ("https://user:t0ken@p.example/", "https://p.example"),
        ("https://p.example", "https://p.example"),
        (
            "http://[2001:db8::1]:80/#t0ken",
            "http://[2001:db8::1]:80/…",
        ),
        ("t0ken", "a URL without a scheme"),
    ] {
        assert_eq!(shown(url), seen);
    }
}

#[test]
fn a_trickle_is_too_slow_and_a_slow_line_is_not() {
    let t0 = Instant::now();
    let run = |bytes: u64, every: Duration| {
        let mut rate = Rate::new(LIMITS, t0);
        (1..200).all(|step| rate.handle(bytes, t0 + every * step))
    };
    assert!(
        !run(1, Duration::from_secs(3)),
        "one byte each three seconds"
    );
    assert!(!run(1000, Duration::from_secs(3)));
    assert!(run(1400, Duration::from_secs(1)), "a slow line");
    assert!(run(64 * 1024, Duration::from_millis(10)));
    assert!(LIMITS.deadline(1024 * 1024) < Duration::from_secs(1200));
}

/// Limits that a test can wait for. Wall clock: the server and the phone talk over real sockets.
const SHORT: Limits = Limits {
    step: Duration::from_secs(5),
    window: Duration::from_millis(300),
    least: 100,
    overall: Duration::from_secs(1),
};

/// What comes of a server that sends `head`, and then a byte now and then.
async fn fetched_from(head: &'static str) -> FetchError {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = stream.write_all(head.as_bytes()).await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            sent = stream.write_all(b"x").await;
        }
    });
    let request = FetchRequest {
        url: format!("http://127.0.0.1:{port}/x.toml"),
        allow_http: true,
        etag: None,
        max_bytes: 250,
    };
    let outcome = fetch_within(&SHORT, &request, &Trust::load(None), &mut |_| Ok(())).await;
    // It sees that no one listens any more.
    server.await.unwrap();
    outcome.unwrap_err()
}

#[tokio::test]
async fn a_server_that_sends_a_byte_now_and_then_holds_no_fetch() {
    let body = fetched_from("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n").await;
    let FetchError::Body { what, .. } = &body else {
        panic!("{body}");
    };
    assert!(what.contains("less than 100 bytes"), "{what}");
}

#[tokio::test]
async fn headers_without_an_end_end_with_the_time_of_the_whole_fetch() {
    let head = fetched_from("HTTP/1.1 200 OK\r\nX-Long: ").await;
    let FetchError::Deadline { limit, .. } = head else {
        panic!("{head}");
    };
    assert_eq!(limit, Duration::from_millis(1900));
}
