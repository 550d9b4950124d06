//! The phone book of a server that works, and of servers that do not. Wall clock: real sockets.

use control::phone_book::PhoneBook;
use testkit::http::{Answer, HttpServer};

use super::*;

const VCARD: &str = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Anna Berg\r\nTEL:0301234567\r\nEND:VCARD\r\n";
const YEALINK: &str = "<YealinkIPPhoneDirectory><DirectoryEntry><Name>Bo</Name>\
                       <Telephone>205</Telephone></DirectoryEntry></YealinkIPPhoneDirectory>";
const GRANDSTREAM: &str = "<AddressBook><Contact><FirstName>Cy</FirstName><Phone>\
                           <phonenumber>206</phonenumber></Phone></Contact></AddressBook>";

/// What the driver is given within this time; `None`: nothing.
async fn fetched(url: String, allow_http: bool, within: Duration) -> Option<Vec<u8>> {
    let (events, mut own) = mpsc::channel(1);
    start(url, allow_http, Trust::load(None), events);
    match tokio::time::timeout(within, own.recv()).await {
        Ok(Some(DriverEvent::PhoneBook(bytes))) => Some(bytes),
        Ok(Some(_)) => panic!("another event"),
        Ok(None) | Err(_) => None,
    }
}

const SOON: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn vcard_and_the_xml_of_two_makers_give_names() {
    let server = HttpServer::start(&[
        ("/a.vcf", Answer::Text(VCARD.to_owned())),
        ("/b.xml", Answer::Text(YEALINK.to_owned())),
        ("/c.xml", Answer::Text(GRANDSTREAM.to_owned())),
        ("/moved", Answer::Redirect("/b.xml".to_owned())),
    ]);
    for (path, number, name) in [
        ("/a.vcf", "0301234567", "Anna Berg"),
        ("/b.xml", "205", "Bo"),
        ("/c.xml", "206", "Cy"),
        ("/moved", "205", "Bo"),
    ] {
        let bytes = fetched(server.url(path), true, SOON).await;
        let mut book = PhoneBook::new(&config::Config::default());
        assert_eq!(book.read(&bytes.unwrap()).unwrap(), 1, "{path}");
        assert_eq!(book.name_of(number), Some(name), "{path}");
    }
}

#[tokio::test]
async fn hostile_servers_give_nothing_and_cost_little() {
    const HUGE: u64 = 300 * 1024 * 1024;
    let server = HttpServer::start(&[
        ("/huge", Answer::Bytes(HUGE)),
        ("/endless", Answer::Endless),
        ("/trickle", Answer::Trickle),
        ("/silence", Answer::Silence),
        ("/garbage", Answer::Garbage),
        ("/round", Answer::Redirect("/round".to_owned())),
        ("/file", Answer::Redirect("file:///etc/passwd".to_owned())),
        ("/fine", Answer::Text(VCARD.to_owned())),
    ]);
    let paths = [
        "/huge", "/endless", "/trickle", "/silence", "/garbage", "/round", "/file", "/missing",
    ];
    let all = paths.map(|path| fetched(server.url(path), true, NEVER));
    for (path, bytes) in paths.into_iter().zip(futures_of(all).await) {
        assert_eq!(bytes, None, "{path}");
    }
    // What is on its way in the kernel's buffers is the server's to count, too.
    let most = MAX_BYTES as u64 + 16 * 1024 * 1024;
    assert!(server.sent() < most, "{} bytes", server.sent());
    let rounds = server
        .seen()
        .iter()
        .filter(|path| *path == "/round")
        .count();
    assert!(rounds <= 5, "{rounds} redirections");
    // Not without encryption unless the owner says so.
    assert_eq!(fetched(server.url("/fine"), false, NEVER).await, None);
    assert!(!server.seen().iter().any(|path| path == "/fine"));
    // A server that speaks no TLS.
    let https = server.url("/fine").replace("http://", "https://");
    assert_eq!(fetched(https, true, NEVER).await, None);
}

/// All of these, beside one another.
async fn futures_of<T: Send + 'static>(
    all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = all.into_iter().map(tokio::spawn).collect();
    let mut out = Vec::new();
    for task in tasks {
        out.push(task.await.unwrap());
    }
    out
}
