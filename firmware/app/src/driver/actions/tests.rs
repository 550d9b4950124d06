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
