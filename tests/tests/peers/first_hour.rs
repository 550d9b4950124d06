//! The first hour of an owner: from a password on paper to a registered phone with `offhook setup`
//! alone, and the sentence that leads to the fix when something is wrong.
//!
//! ```text
//! offhook setup ─▶ offhook.toml ─▶ offhook check --try ═▶ kamailio      offhook run ═▶ kamailio
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::pty::openpty;

use offhook_tests::certificates::{Authority, Wish};
use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use offhook_tests::kamailio::Kamailio;
use testkit::process::{ChildProcess, TestDir, port_block};

pub(crate) fn offhook(arguments: &[&str]) -> (bool, String) {
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
pub(crate) fn file(dir: &TestDir, account: &str) -> PathBuf {
    let path = dir.join("offhook.toml");
    let text = format!(
        "[network]\nbind = \"127.0.0.1\"\n[control]\nsocket = \"{0}/ctl.sock\"\n\
         state_dir = \"{0}/state\"\n[board]\nprofile = \"sim\"\n{account}",
        dir.path().display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) fn tried(path: &Path) -> (bool, String) {
    offhook(&["check", path.to_str().unwrap(), "--try"])
}

/// Something is wrong, and this is said about it.
pub(crate) fn assert_fault(path: &Path, what: &str, help: &str) {
    let (good, said) = tried(path);
    assert!(!good, "a fault and exit code 0:\n{said}");
    let line = said.lines().find(|line| line.starts_with('✗'));
    let line = line.unwrap_or_else(|| panic!("no line with ✗:\n{said}"));
    assert!(line.contains(what), "{what:?} is not in {line:?}");
    assert!(line.contains(help), "{help:?} is not in {line:?}");
    assert!(!said.contains("secret101"), "a password shows:\n{said}");
}

/// What `offhook setup` says of user 101 whose password is in a file with this text. It writes
/// `offhook.toml`.
pub(crate) fn set_up(dir: &TestDir, provider: &str, server: &str, password: &str) -> String {
    let file = dir.join("password.txt");
    std::fs::write(&file, password).unwrap();
    let output = dir.join("offhook.toml");
    let (good, said) = offhook(&[
        "setup",
        "--provider",
        provider,
        "--server",
        server,
        "--user",
        "101",
        "--password-file",
        file.to_str().unwrap(),
        "--board",
        "sim",
        "--country",
        "de",
        "--output",
        output.to_str().unwrap(),
    ]);
    assert!(good, "{said}");
    said
}

/// What `offhook setup` says, and the account it writes, by a recipe and nothing else.
pub(crate) fn account_by_setup(dir: &TestDir, provider: &str, server: &str) -> (String, String) {
    let said = set_up(dir, provider, server, "secret101\n");
    let written = std::fs::read_to_string(dir.join("offhook.toml")).unwrap();
    let account = written.split("[[account]]").nth(1).unwrap();
    let account = account.split("\n[").next().unwrap();
    (said, format!("[[account]]{account}\n"))
}

#[test]
fn setup_alone_leads_to_a_registered_phone() {
    let dir = TestDir::new("first-hour");
    let kamailio = Kamailio::start(&dir, "SHA-256");
    let server = format!("127.0.0.1:{}", kamailio.port);
    let (said, account) = account_by_setup(&dir, "Kamailio", &server);
    assert!(
        said.contains("✓ 101@127.0.0.1: registered at 127.0.0.1:"),
        "{said}"
    );
    assert!(said.contains("digest SHA-256, and removed again"), "{said}");
    // The same account in a phone.
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            more: account,
            ..Setup::default()
        },
    );
    desk.wait("registration", Duration::from_secs(8), |status| {
        status["lines"][0]["registered"] == true
    });
    let output = dir.join("offhook.toml");
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
        // No one has these ports.
        let server = format!("127.0.0.1:{}", port_block());
        let account = format!(
            "[[account]]\nuser = \"101\"\ndomain = \"127.0.0.1\"\npassword = \"secret101\"\n\
             registrar = {server:?}\noutbound_proxy = {server:?}\ntransport = {transport:?}\n"
        );
        let path = file(&dir, &account);
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
    let (_, said) = tried(&path);
    assert!(!said.contains("a SIP server answers"), "{said}");
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
    // Board and sound card are this machine's stand-ins, which is said.
    let (stand_ins, account) = marks.split_at(2);
    assert!(stand_ins.iter().all(|mark| *mark == "warning"), "{json}");
    assert!(account.iter().all(|mark| *mark == "good"), "{json}");
}

/// The dialogue at a terminal: each question is answered as a person would.
#[test]
fn the_dialogue_leads_to_a_registered_phone() {
    let dir = TestDir::new("first-hour-dialogue");
    let kamailio = Kamailio::start(&dir, "MD5");
    let output = dir.join("offhook.toml");
    let terminal = openpty(None, None).unwrap();
    let mut child = Command::new(binary())
        .args([
            "setup",
            "--board",
            "sim",
            "--sound",
            "hw:NoSuchCard",
            "--output",
        ])
        .arg(&output)
        .stdin(Stdio::from(terminal.slave.try_clone().unwrap()))
        .stdout(Stdio::from(terminal.slave.try_clone().unwrap()))
        .stderr(Stdio::from(terminal.slave))
        .spawn()
        .unwrap();
    let mut master = std::fs::File::from(terminal.master);
    let mut said = String::new();
    let server = format!("127.0.0.1:{}", kamailio.port);
    for (question, answer) in [
        ("number or name: ", "0"),
        ("country, for tones and emergency numbers", "uk"),
        ("address or SIP domain of the server: ", server.as_str()),
        ("user name, often the extension: ", "101"),
        ("password: ", "secret101"),
        ("ringer, empty: what the board has: ", ""),
    ] {
        while !said.contains(question) || !said.ends_with(": ") {
            let mut bytes = [0; 1024];
            let length = master.read(&mut bytes).unwrap();
            said.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        said.clear();
        master.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    let status = child.wait().unwrap();
    // What is left is read without waiting: the child is gone.
    let mut bytes = [0; 8192];
    while let Ok(length @ 1..) = master.read(&mut bytes) {
        said.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    assert!(!said.contains("secret101"), "the password shows:\n{said}");
    // There is no such sound card: only the account is tried for real.
    assert!(
        said.contains("registered at 127.0.0.1:"),
        "{status:?}\n{said}"
    );
    let written = std::fs::read_to_string(&output).unwrap();
    assert!(written.contains("country = \"uk\""), "{written}");
    assert!(
        written.lines().any(|line| line.starts_with("# ")),
        "{written}"
    );
}

/// A name server at this address that answers every question with this code, and those for an
/// address with this machine's where it is `known`.
pub(crate) fn name_server(address: &str, code: u8, known: bool) {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            bytes[2] |= 0x80;
            bytes[3] = (bytes[3] & 0xF0) | code;
            let name = bytes[12..length]
                .iter()
                .position(|byte| *byte == 0)
                .unwrap();
            let end = 12 + name + 5;
            // Other sections than the question are left out.
            bytes[8..12].fill(0);
            let mut response = bytes[..end].to_vec();
            let kind = u16::from_be_bytes([bytes[end - 4], bytes[end - 3]]);
            if known && kind == 1 {
                response[7] = 1;
                response.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&response, from);
        }
    });
}

/// [`tried`] for a domain that only this name server can find: the program has a
/// `/etc/resolv.conf` of its own. `None` where that is not allowed here.
pub(crate) fn tried_with_name_server(dir: &TestDir, server: &str) -> Option<(bool, String)> {
    let path = file(dir, NAMED);
    let resolv_conf = dir.join("resolv.conf");
    std::fs::write(
        &resolv_conf,
        format!("nameserver {server}\noptions timeout:1 attempts:1\n"),
    )
    .unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c"]);
    unshare.arg("mount --bind \"$0\" /etc/resolv.conf || exit 77; exec \"$@\"");
    let arguments = ["check", path.to_str().unwrap(), "--try"];
    let done = unshare
        .arg(&resolv_conf)
        .arg(binary())
        .args(arguments)
        .output();
    let done = done.ok().filter(|done| done.status.code() != Some(77));
    let Some(done) = done else {
        testkit::skip::skipped(
            "first_hour: name servers",
            "no mount namespace is allowed here",
        );
        return None;
    };
    let said =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    println!("{said}");
    Some((done.status.success(), said))
}

pub(crate) const NAMED: &str =
    "[[account]]\nuser = \"101\"\ndomain = \"pbx.example.org\"\npassword = \"secret101\"\n";

#[test]
fn a_dead_name_server_leads_to_cable_and_dns() {
    let dir = TestDir::new("first-hour-dns");
    // Nothing listens on port 53 of this address.
    let Some((good, said)) = tried_with_name_server(&dir, "127.0.0.99") else {
        return;
    };
    assert!(!good, "{said}");
    assert!(
        said.contains("no name server answers (asked 127.0.0.99)")
            && said.contains("check cable, Wi-Fi and router, or set [network] dns"),
        "{said}"
    );
}

#[test]
fn a_domain_that_does_not_exist_leads_to_the_domain() {
    let dir = TestDir::new("first-hour-nxdomain");
    name_server("127.0.0.53", 3, false);
    let Some((good, said)) = tried_with_name_server(&dir, "127.0.0.53") else {
        return;
    };
    assert!(!good, "{said}");
    assert!(
        said.contains("there is no host pbx.example.org, or it has no address")
            && said.contains("A pbx.example.org: none; AAAA pbx.example.org: none)")
            && said.contains("correct `domain` of this account"),
        "{said}"
    );
}

/// An echo phone at the same server: sound goes there and comes back.
#[test]
fn the_echo_test_shows_that_sound_goes_both_ways() {
    let dir = TestDir::new("first-hour-echo");
    let kamailio = Kamailio::start(&dir, "MD5");
    let port = port_block();
    let echo = dir.join("echo.toml");
    let text = format!(
        "[network]\nbind = \"127.0.0.1\"\nsip_port = {port}\nrtp_ports = [{}, {}]\n\
         [control]\nsocket = \"{2}/echo.sock\"\nstate_dir = \"{2}/echo\"\n{3}",
        port + 10,
        port + 59,
        dir.path().display(),
        kamailio.account("102", "secret102", "udp")
    );
    std::fs::write(&echo, text).unwrap();
    let mut command = Command::new(binary());
    command.args(["echo", "--config"]).arg(&echo);
    let _echo = ChildProcess::start(&mut command, &dir.join("echo.log"));
    let account = kamailio.account("101", "secret101", "udp");
    let path = file(&dir, &format!("[dial]\necho_test = \"102\"\n{account}"));
    // The echo phone registers meanwhile.
    let end = Instant::now() + Duration::from_secs(10);
    let said = loop {
        let (good, said) = tried(&path);
        if good && said.contains("sound goes both ways") {
            break said;
        }
        assert!(Instant::now() < end, "{said}");
        std::thread::sleep(Duration::from_millis(300));
    };
    assert!(
        said.contains("echo test 102: sound goes both ways, back after "),
        "{said}"
    );
    // A number no one has is a setting to correct, and no fault of the account.
    let path = file(&dir, &format!("[dial]\necho_test = \"199\"\n{account}"));
    let (good, said) = tried(&path);
    assert!(
        good && said.contains("! 101@127.0.0.1: echo test 199"),
        "{said}"
    );
    assert!(said.contains("correct `dial.echo_test`"), "{said}");
    // Nothing is sent unencrypted by an account that forbids it.
    let path = file(
        &dir,
        &format!("[dial]\necho_test = \"102\"\n[encryption]\nmode = \"required\"\n{account}"),
    );
    let (_, said) = tried(&path);
    assert!(said.contains("the echo test is not tried"), "{said}");
}

pub(crate) fn ask(socket: &Path, request: &str) -> serde_json::Value {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_default()
}

pub(crate) fn until(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An image's phone with an empty card is set up by its keypad alone: the voice asks, the keys
/// answer, the file is on the card, and the next start has the account.
#[test]
fn an_empty_card_is_set_up_by_keypad() {
    let dir = TestDir::new("first-hour-keypad");
    let at = |part: &str| dir.join(part);
    for part in ["run/offhook", "lib/offhook", "card"] {
        std::fs::create_dir_all(at(part)).unwrap();
    }
    std::fs::write(at("card/offhook.toml"), "# nothing is set\n").unwrap();
    let start = |log: &str| {
        // Where an image has its own files, and a network without anybody.
        let mut command = Command::new("unshare");
        command.args(["-mn", "sh", "-c"]).arg(
            "ip link set lo up; mount --bind \"$0/run\" /run && mount --bind \"$0/lib\" /var/lib \
             || exit 77; exec \"$@\"",
        );
        command.arg(dir.path()).arg(binary());
        command
            .args(["run", "--board", "sim", "--card"])
            .arg(at("card"));
        ChildProcess::start(&mut command, &at(log))
    };
    let socket = at("run/offhook/ctl.sock");
    let mut phone = start("first.log");
    let log = || std::fs::read_to_string(at("first.log")).unwrap_or_default();
    let end = Instant::now() + Duration::from_secs(10);
    while UnixStream::connect(&socket).is_err() {
        if phone.has_ended() {
            testkit::skip::skipped("first_hour: keypad", "no mount namespace is allowed here");
            return;
        }
        assert!(Instant::now() < end, "{}", log());
        std::thread::sleep(Duration::from_millis(100));
    }
    ask(&socket, r#"{"cmd":"lift"}"#);
    until("the voice asks", Duration::from_secs(8), || {
        ask(&socket, r#"{"cmd":"status"}"#)["state"] == "set_up"
    });
    // No network: Wi-Fi by letters, each two keys: "Ab1", and eight digits as its password.
    let wifi = ["1", "252210#", "1020304050607080#"];
    let account = ["10*0*0*2#", "101#", "4711#", "1"];
    for keys in ["2", "49#"].iter().chain(&wifi).chain(&account) {
        ask(
            &socket,
            &format!("{{\"cmd\":\"press\",\"keys\":\"{keys}\"}}"),
        );
    }
    let card = || std::fs::read_to_string(at("card/offhook.toml")).unwrap();
    until("the file is written", Duration::from_secs(5), || {
        card().contains("user = \"101\"")
    });
    assert!(card().contains("country = \"de\"") && card().contains("domain = \"10.0.0.2\""));
    assert!(card().contains("ssid = \"Ab1\"") && card().contains("password = \"12345678\""));
    assert!(
        card().lines().any(|line| line.starts_with("# ")),
        "commented"
    );
    ask(&socket, r#"{"cmd":"hang-up"}"#);
    until("the phone restarts", Duration::from_secs(8), || {
        phone.has_ended()
    });
    // As the image's init does.
    let _again = start("second.log");
    until("the account is there", Duration::from_secs(10), || {
        UnixStream::connect(&socket).is_ok()
            && ask(&socket, r#"{"cmd":"status"}"#)["lines"][0]["uri"] == "sip:101@10.0.0.2"
    });
}

/// Waits for the minute after which the phone tries an account that does not register.
#[test]
fn an_account_that_does_not_register_is_explained_on_the_card() {
    let dir = TestDir::new("first-hour-card");
    let kamailio = Kamailio::start(&dir, "MD5");
    let card = dir.join("card");
    std::fs::create_dir_all(&card).unwrap();
    let port = port_block();
    let text = format!(
        "[network]\nbind = \"127.0.0.1\"\nsip_port = {port}\nrtp_ports = [{}, {}]\n\
         [control]\nsocket = \"{2}/ctl.sock\"\nstate_dir = \"{2}/state\"\n{3}",
        port + 10,
        port + 59,
        dir.path().display(),
        kamailio.account("101", "not-this", "udp")
    );
    std::fs::write(card.join("offhook.toml"), text).unwrap();
    let mut command = Command::new(binary());
    command.args(["run", "--board", "sim", "--card"]).arg(&card);
    let _phone = ChildProcess::start(&mut command, &dir.join("log"));
    let status = || std::fs::read_to_string(card.join("status.txt")).unwrap_or_default();
    until("status.txt explains it", Duration::from_secs(80), || {
        status().contains("refuses user 101 with this password")
    });
    assert!(status().contains("correct `password`"), "{}", status());
    assert!(!status().contains("not-this"), "a password shows");
}

/// Each `offhook ctl …` of the guide, asked of a running phone.
#[test]
fn the_guides_questions_to_a_phone_are_answered() {
    let dir = TestDir::new("first-hour-ctl");
    let desk = DeskPhone::start(&dir, "desk", Setup::default());
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/src");
    let mut verbs = Vec::new();
    for page in std::fs::read_dir(pages).unwrap().flatten() {
        let text = std::fs::read_to_string(page.path()).unwrap_or_default();
        let lines = text.lines();
        verbs.extend(lines.filter_map(|line| Some(line.strip_prefix("offhook ctl ")?.to_owned())));
    }
    // What ends the phone comes last.
    verbs.sort_by_key(|verb| verb == "quit");
    for verb in &verbs {
        let socket = desk.socket().display().to_string();
        let mut arguments = vec!["ctl", "--socket", socket.as_str()];
        arguments.extend(verb.split_whitespace());
        let mut command = Command::new(binary());
        command.args(&arguments).current_dir(dir.path());
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned()
            + &String::from_utf8_lossy(&done.stderr);
        // There is no call to verify here: the phone says so.
        let expected = done.status.success() || said.contains("there is no call");
        assert!(expected, "{verb}: {said}");
    }
    assert!(verbs.len() >= 4, "{verbs:?}");
}
