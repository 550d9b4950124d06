//! The first hour of an owner: from a password on paper to a registered phone with `offhook setup`
//! alone, and the sentence that leads to the fix when something is wrong.
//!
//! ```text
//! offhook setup ─▶ offhook.toml ─▶ offhook check --try ═▶ kamailio      offhook run ═▶ kamailio
//! ```

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use offhook_tests::certificates::{Authority, Wish};
use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use offhook_tests::kamailio::Kamailio;
use testkit::process::TestDir;

fn offhook(arguments: &[&str]) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(binary()).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    println!("offhook {}\n{said}", arguments.join(" "));
    (status.success(), said)
}

/// A configuration as `setup` would have it, on a board that every machine has.
fn file(dir: &TestDir, account: &str) -> PathBuf {
    let path = dir.join("offhook.toml");
    let text = format!(
        "[network]\nbind = \"127.0.0.1\"\n[control]\nsocket = \"{0}/ctl.sock\"\n\
         state_dir = \"{0}/state\"\n[board]\nprofile = \"sim\"\n{account}",
        dir.path().display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn tried(path: &Path) -> (bool, String) {
    offhook(&["check", path.to_str().unwrap(), "--try"])
}

/// Something is wrong, and this is said about it.
fn assert_fault(path: &Path, what: &str, help: &str) {
    let (good, said) = tried(path);
    assert!(!good, "a fault and exit code 0:\n{said}");
    let line = said.lines().find(|line| line.starts_with('✗'));
    let line = line.unwrap_or_else(|| panic!("no line with ✗:\n{said}"));
    assert!(line.contains(what), "{what:?} is not in {line:?}");
    assert!(line.contains(help), "{help:?} is not in {line:?}");
    assert!(!said.contains("secret101"), "a password shows:\n{said}");
}

#[test]
fn setup_alone_leads_to_a_registered_phone() {
    let dir = TestDir::new("first-hour");
    let kamailio = Kamailio::start(&dir, "SHA-256");
    let password = dir.join("password.txt");
    std::fs::write(&password, "secret101\n").unwrap();
    let output = dir.join("offhook.toml");
    let (good, said) = offhook(&[
        "setup",
        "--provider",
        "kamailio",
        "--server",
        &format!("127.0.0.1:{}", kamailio.port),
        "--user",
        "101",
        "--password-file",
        password.to_str().unwrap(),
        "--board",
        "sim",
        "--output",
        output.to_str().unwrap(),
    ]);
    assert!(good, "{said}");
    assert!(
        said.contains("✓ 101@127.0.0.1: registered at 127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("digest SHA-256, and removed again"), "{said}");
    // The same account in a phone.
    let written = std::fs::read_to_string(&output).unwrap();
    let account = written.split("[[account]]").nth(1).unwrap();
    let account = account.split("\n[").next().unwrap();
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            more: format!("[[account]]{account}\n"),
            ..Setup::default()
        },
    );
    desk.wait("registration", Duration::from_secs(8), |status| {
        status["lines"][0]["registered"] == true
    });
    // What is there is not overwritten.
    let (good, said) = offhook(&["setup", "--output", output.to_str().unwrap()]);
    assert!(!good && said.contains("--force"), "{said}");
}

#[test]
fn a_wrong_password_leads_to_the_password() {
    let dir = TestDir::new("first-hour-password");
    let kamailio = Kamailio::start(&dir, "MD5");
    let path = file(&dir, &kamailio.account("101", "not-this", "udp"));
    assert_fault(
        &path,
        "refuses user 101 with this password",
        "correct `password`",
    );
}

#[test]
fn a_wrong_domain_leads_to_the_domain() {
    let dir = TestDir::new("first-hour-domain");
    let _kamailio = Kamailio::start(&dir, "MD5");
    // No one answers for names here: the hosts file does, and only for the host itself.
    let account =
        "[[account]]\nuser = \"101\"\ndomain = \"localhosst\"\npassword = \"secret101\"\n";
    let (good, said) = tried(&file(&dir, account));
    assert!(!good, "{said}");
    assert!(said.contains("localhosst cannot be looked up"), "{said}");
}

#[test]
fn a_closed_port_leads_to_the_port() {
    for transport in ["udp", "tcp"] {
        let dir = TestDir::new("first-hour-port");
        let mut kamailio = Kamailio::start(&dir, "MD5");
        kamailio.stop();
        let path = file(&dir, &kamailio.account("101", "secret101", transport));
        assert_fault(&path, "no server listens at 127.0.0.1:", "check the port");
    }
}

#[test]
fn an_expired_certificate_leads_to_its_operator() {
    let dir = TestDir::new("first-hour-tls");
    let authority = Authority::new(&dir.join("certificates"), "good");
    let wish = Wish::dns("pbx.example.org").years(2001, 2020);
    let kamailio = Kamailio::start_tls(&dir, "SHA-256", &authority.issue("server", &wish));
    let account = kamailio.account_tls("101", "pbx.example.org");
    let trusting = format!("[tls]\nca = {:?}\n", authority.file());
    let path = file(&dir, &(account + &trusting));
    assert_fault(&path, "expired on 2020-12-31", "renew it");
}

#[test]
fn a_good_certificate_is_described() {
    let dir = TestDir::new("first-hour-good-tls");
    let authority = Authority::new(&dir.join("certificates"), "good");
    let wish = Wish::dns("pbx.example.org");
    let kamailio = Kamailio::start_tls(&dir, "SHA-256", &authority.issue("server", &wish));
    let account = kamailio.account_tls("101", "pbx.example.org");
    let trusting = format!("[tls]\nca = {:?}\n", authority.file());
    let (good, said) = tried(&file(&dir, &(account + &trusting)));
    assert!(good, "{said}");
    assert!(
        said.contains("certificate for pbx.example.org, valid until 2098-12-31"),
        "{said}"
    );
    assert!(said.contains("signed by good test authority"), "{said}");
    let path = dir.join("offhook.toml");
    let (good, json) = offhook(&["check", path.to_str().unwrap(), "--try", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        good && json["errors"].as_array().unwrap().is_empty(),
        "{json}"
    );
    let marks: Vec<_> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["mark"])
        .collect();
    assert!(marks.iter().all(|mark| *mark == "good"), "{json}");
}
