//! Provisioning over the network, and every way to be led astray by it (case S23 of the security
//! catalogue): the old configuration stays.

use std::fs;
use std::process::Output;
use std::time::Duration;

use crate::machine::{Machine, until, words};
use crate::server::{Authority, Server};

/// A machine whose card names our CA, the CA, and a server it vouches for.
fn world(name: &str) -> (Machine, Authority, Server) {
    let machine = Machine::new(name);
    let authority = Authority::new(&machine.path("card"), "ca.pem");
    let server = Server::start(Some((&authority, "127.0.0.1")));
    machine.card("[provision]\nca = \"ca.pem\"\n");
    (machine, authority, server)
}

fn fetch(machine: &Machine, url: &str) -> Output {
    let file = machine.path("run/file");
    machine
        .command(&["fetch", url, file.to_str().unwrap()])
        .output()
        .unwrap()
}

/// It did not work, for this reason, and nothing is left.
fn refused(machine: &Machine, url: &str, why: &str) {
    let output = fetch(machine, url);
    assert_eq!(output.status.code(), Some(1), "{url} was taken");
    assert!(words(&output).contains(why), "{url}: {}", words(&output));
    for name in ["run/file", "run/file.part", "run/file.etag"] {
        assert!(!machine.path(name).exists(), "{url}: {name} is left");
    }
}

#[test]
fn a_file_is_fetched_once_while_it_does_not_change() {
    let (machine, _authority, server) = world("fetch");
    server.body("/a", "one");
    let code = || fetch(&machine, &server.url("/a")).status.code();
    assert_eq!(code(), Some(0));
    assert_eq!(fs::read_to_string(machine.path("run/file")).unwrap(), "one");
    assert_eq!(code(), Some(3), "the same again");
    server.body("/a", "another");
    assert_eq!(code(), Some(0));
    assert_eq!(
        fs::read_to_string(machine.path("run/file")).unwrap(),
        "another"
    );
    assert!(
        server.asked()[1]
            .to_lowercase()
            .contains("if-none-match: \"v3\"")
    );
    // Another place with the same name of a version is another file.
    server.body("/b", "one more");
    server.answer(
        "/b",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"v7\"\r\n\r\ntwo",
    );
    assert_eq!(fetch(&machine, &server.url("/b")).status.code(), Some(0));
}

#[test]
fn only_a_server_that_proves_its_name_is_trusted() {
    let (machine, authority, server) = world("trust");
    let mallory = Authority::new(&machine.path("run"), "mallory.pem");
    let foreign = Server::start(Some((&mallory, "127.0.0.1")));
    let other = Server::start(Some((&authority, "other.example")));
    for server in [&foreign, &other] {
        server.body("/a", "evil");
        refused(&machine, &server.url("/a"), "certificate");
        assert!(
            server.asked().is_empty(),
            "it was asked before it proved its name"
        );
    }
    let plain = Server::start(None);
    plain.body("/a", "evil");
    refused(&machine, &plain.url("/a"), "http is not allowed");
    assert!(plain.asked().is_empty());
    // Our own authority is the only one: the system's are not asked.
    server.body("/a", "fine");
    assert_eq!(fetch(&machine, &server.url("/a")).status.code(), Some(0));
    fs::remove_file(machine.path("card/ca.pem")).unwrap();
    fs::remove_file(machine.path("run/file")).unwrap();
    fs::remove_file(machine.path("run/file.etag")).unwrap();
    refused(&machine, &server.url("/a"), "ca.pem");
}

#[test]
fn no_way_leads_out_of_the_encryption() {
    let (machine, authority, server) = world("redirect");
    let plain = Server::start(None);
    plain.body("/evil", "evil");
    let redirect =
        |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    server.answer("/out", redirect(&plain.url("/evil")));
    refused(&machine, &server.url("/out"), "not encrypted: refused");
    // Not even where plain http is allowed.
    machine.card("[provision]\nca = \"ca.pem\"\nallow_http = true\n");
    refused(&machine, &server.url("/out"), "not encrypted: refused");
    assert!(plain.asked().is_empty());
    server.answer("/round", redirect("/round"));
    refused(&machine, &server.url("/round"), "redirects too often");
    let second = Server::start(Some((&authority, "127.0.0.1")));
    second.body("/there", "found");
    server.answer("/on", redirect(&second.url("/there")));
    assert_eq!(fetch(&machine, &server.url("/on")).status.code(), Some(0));
    assert_eq!(
        fs::read_to_string(machine.path("run/file")).unwrap(),
        "found"
    );
}

#[test]
fn too_much_too_little_and_packed_is_refused() {
    let (machine, _authority, server) = world("bounds");
    let head = |more: &str| format!("HTTP/1.1 200 OK\r\n{more}\r\n\r\n[phone]\n");
    server.answer("/50mb", head("Content-Length: 52428800"));
    refused(&machine, &server.url("/50mb"), "longer than 1048576 bytes");
    server.answer(
        "/endless",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<endless>",
    );
    refused(
        &machine,
        &server.url("/endless"),
        "longer than 1048576 bytes",
    );
    server.answer("/short", head("Content-Length: 500"));
    refused(&machine, &server.url("/short"), "ended in the middle");
    server.answer(
        "/cut",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    );
    refused(&machine, &server.url("/cut"), "ended in the middle");
    server.answer("/unknown", head("Connection: close"));
    refused(&machine, &server.url("/unknown"), "does not say how long");
    server.answer("/bomb", head("Content-Encoding: gzip\r\nContent-Length: 8"));
    refused(&machine, &server.url("/bomb"), "compressed");
    refused(&machine, &server.url("/nowhere"), "404");
}

/// A phone with a configuration in use from the network, that then finds this there.
fn stays(name: &str, spoil: impl Fn(&Server, &str), why: &str) {
    let (machine, _authority, server) = world(name);
    let provision = format!(
        "[provision]\nca = \"ca.pem\"\nurl = \"{}\"\n",
        server.url("/phone.toml")
    );
    machine.card(&provision);
    fs::write(
        machine.path("state/network.toml"),
        "[phone]\nuser = \"net\"\n",
    )
    .unwrap();
    spoil(&server, "/phone.toml");
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"refresh"}"#);
    until("the word of it in status.txt", || {
        phone.ask(r#"{"cmd":"refresh"}"#);
        machine.status_file().contains(why)
    });
    assert_eq!(
        fs::read_to_string(machine.path("state/network.toml")).unwrap(),
        "[phone]\nuser = \"net\"\n",
        "{name}"
    );
    assert!(
        phone.child.try_wait().unwrap().is_none(),
        "{name}: the phone ended"
    );
}

#[test]
fn what_cannot_be_used_leaves_the_old_one_in_use() {
    stays(
        "spoiled",
        |server, path| server.body(path, "[phone]\nusr = \"bad\"\n"),
        "not taken, what was in use stays: network configuration:2:1: there is no key `usr`",
    );
    stays(
        "nested",
        |server, path| server.body(path, &"[".repeat(100_000)),
        "not taken",
    );
    stays(
        "files",
        |server, path| server.body(path, "[control]\nstate_dir = \"/etc\"\n"),
        "is only allowed on the card",
    );
    stays(
        "truncated",
        |server, path| {
            server.answer(
                path,
                "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[phone]\nuser = \"half\"\n",
            );
        },
        "ended in the middle",
    );
}

#[test]
fn a_new_one_is_used_when_no_one_is_on_the_phone() {
    let (machine, _authority, server) = world("apply");
    machine.card(&format!(
        "[provision]\nca = \"ca.pem\"\nurl = \"{}\"\n",
        server.url("/{mac}.toml")
    ));
    let mac = mac();
    let path = format!("/{mac}.toml");
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"lift"}"#);
    server.body(&path, "[phone]\nname = \"From the network\"\n");
    phone.ask(r#"{"cmd":"refresh"}"#);
    until("it is kept", || machine.path("state/network.toml").exists());
    // Off hook: nothing happens, however long; here for longer than an idle phone would wait.
    std::thread::sleep(Duration::from_secs(4));
    assert!(
        phone.child.try_wait().unwrap().is_none(),
        "the phone went away under the hand that holds it"
    );
    assert_eq!(phone.ask(r#"{"cmd":"status"}"#)["hook"], "off");
    phone.ask(r#"{"cmd":"hang-up"}"#);
    assert_eq!(phone.exit_code(), 10, "start me again");

    // What init does then; the same file again changes nothing.
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"refresh"}"#);
    until("asked with its ETag", || {
        server
            .asked()
            .last()
            .is_some_and(|head| head.to_lowercase().contains("if-none-match"))
    });
    std::thread::sleep(Duration::from_secs(3));
    assert!(phone.child.try_wait().unwrap().is_none(), "nothing is new");
    phone.ask(r#"{"cmd":"refresh"}"#);
    until("status.txt", || {
        machine.status_file().contains("From the network: in use")
    });
}

#[test]
fn a_dhcp_offer_is_followed_only_to_a_verified_server() {
    let (machine, authority, server) = world("dhcp");
    server.body("/d.toml", "[phone]\nname = \"DHCP\"\n");
    let offer = format!("option160={}\n", server.url("/d.toml"));
    fs::write(machine.path("run/dhcp"), &offer).unwrap();
    // No one vouches: not even asked.
    machine.card("");
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"refresh"}"#);
    until("status.txt", || {
        phone.ask(r#"{"cmd":"refresh"}"#);
        machine
            .status_file()
            .contains("provision.ca does not say who vouches for it")
    });
    assert!(server.asked().is_empty());
    for evil in [
        "option66=tftp://127.0.0.1/x\n",
        "option43=x\noption66=127.0.0.1:1/../../etc\n",
        "option43=0103ff0a\n",
    ] {
        fs::write(machine.path("run/dhcp"), evil).unwrap();
        phone.ask(r#"{"cmd":"refresh"}"#);
    }
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
    // With our CA.
    fs::write(machine.path("run/dhcp"), &offer).unwrap();
    assert!(authority.file.exists());
    machine.card("[provision]\nca = \"ca.pem\"\n");
    let mut phone = machine.start();
    phone.ask(r#"{"cmd":"refresh"}"#);
    assert_eq!(phone.exit_code(), 10);
    assert!(
        fs::read_to_string(machine.path("state/network.toml"))
            .unwrap()
            .contains("DHCP")
    );
}

/// The hardware address the phone will take: that of the first interface that has one.
fn mac() -> String {
    let mut names: Vec<_> = fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let address = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path.join("address")).ok()?;
        let digits: String = text
            .trim()
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect();
        (digits.len() == 12 && digits != "000000000000").then_some(digits)
    };
    names.iter().find_map(address).unwrap_or_default()
}
