//! Phones that are set up without a word on their card: a server that is keyed, a server that the
//! network names, a switch that names the VLAN and asks who is there.

use std::fs;
use std::process::Command;

use crate::machine::{Machine, Phone, until};
use crate::server::{Authority, Server};

/// A server that no one vouches for, with one file for every phone.
fn server(machine: &Machine, number: u8) -> Server {
    let authority = Authority::new(&machine.path("run"), &format!("own-{number}.pem"));
    let server = Server::start(Some((&authority, "127.0.0.1")));
    server.any(&format!("[phone]\nname = \"Server {number}\"\n"));
    server
}

fn key(phone: &Phone, server: &Server) {
    phone.ask(r#"{"cmd":"lift"}"#);
    let keys = format!("**73887*127*0*0*1*{}#", server.port);
    phone.ask(&format!(r#"{{"cmd":"press","keys":"{keys}"}}"#));
    phone.ask(r#"{"cmd":"hang-up"}"#);
}

#[test]
fn a_keyed_server_is_known_by_its_first_certificate() {
    let machine = Machine::new("keyed");
    machine.card("");
    let one = server(&machine, 1);
    let mut phone = machine.start();
    key(&phone, &one);
    assert_eq!(phone.exit_code(), 10, "its configuration is in use");
    let network = || fs::read_to_string(machine.path("state/network.toml")).unwrap();
    assert!(network().contains("Server 1"));
    let kept = fs::read_to_string(machine.path("state/setup-server")).unwrap();
    let (url, known) = kept.split_once('\n').unwrap();
    assert_eq!(url, one.url("/"));
    assert_eq!(known.trim().len(), 95, "SHA-256: {known}");

    // The person reads the fingerprint, to compare it.
    let mut phone = machine.start();
    until("status.txt", || {
        phone.ask(r#"{"cmd":"refresh"}"#);
        let status = machine.status_file();
        status.contains("taken at first use") && status.contains(known.trim())
    });
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);

    // Somebody else at that place shows another certificate: nothing is asked of it.
    let two = server(&machine, 2);
    fs::write(
        machine.path("state/setup-server"),
        format!("{}\n{known}", two.url("/")),
    )
    .unwrap();
    let mut phone = machine.start();
    until("status.txt", || {
        phone.ask(r#"{"cmd":"refresh"}"#);
        machine
            .status_file()
            .contains("the certificate has fingerprint")
    });
    assert!(two.asked().is_empty() && network().contains("Server 1"));

    // Keyed again it is the new one.
    key(&phone, &two);
    assert_eq!(phone.exit_code(), 10);
    assert!(network().contains("Server 2"));
    let now = fs::read_to_string(machine.path("state/setup-server")).unwrap();
    assert!(!now.contains(known.trim()), "{now}");
}

#[test]
fn an_authority_on_the_card_judges_a_keyed_server_too() {
    let machine = Machine::new("keyed-ca");
    Authority::new(&machine.path("card"), "ca.pem");
    machine.card("[provision]\nca = \"ca.pem\"\n");
    let foreign = server(&machine, 1);
    let phone = machine.start();
    key(&phone, &foreign);
    until("status.txt", || {
        phone.ask(r#"{"cmd":"refresh"}"#);
        machine.status_file().contains("provision.ca")
    });
    assert!(foreign.asked().is_empty());
}

#[test]
fn a_configured_server_is_not_replaced_by_keys() {
    let machine = Machine::new("keyed-url");
    machine.card("[provision]\nurl = \"https://127.0.0.1:9/{mac}.toml\"\n");
    let other = server(&machine, 1);
    let mut phone = machine.start();
    key(&phone, &other);
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
    assert!(!machine.path("state/setup-server").exists() && other.asked().is_empty());
}

/// A script of `tests/image` in a network of its own.
fn in_its_own_network(script: &str) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let output = Command::new(format!("{root}/scripts/netns"))
        .arg(format!("{root}/tests/image/{script}"))
        .arg(env!("CARGO_BIN_EXE_offhook"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        println!("SKIPPED: {script}: {}", said.trim());
        return;
    }
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_switch_names_the_vlan_and_asks_who_is_there() {
    in_its_own_network("cable_test.sh");
}

#[test]
fn a_server_of_the_link_is_found_and_judged() {
    in_its_own_network("link_test.sh");
}
