//! More that goes wrong in the first hour of an owner: each leads to its sentence.
//!
//! ```text
//! a fault of certificate · network · DNS · server · device · file ─▶ offhook check --try ─▶ "✗ what; help"
//! ```

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use offhook_tests::certificates::{Authority, Wish, self_signed};
use offhook_tests::desk_phone::binary;
use offhook_tests::kamailio::Kamailio;
use testkit::process::TestDir;

use crate::first_hour::{
    NAMED, assert_fault, file, name_server, offhook, tried, tried_with_name_server,
};

const DOMAIN: &str = "pbx.example.org";

/// A kamailio with such a certificate of a trusted CA, and what is said about it.
fn assert_certificate(name: &str, wish: &Wish, what: &str, help: &str) {
    let dir = TestDir::new(name);
    let authority = Authority::new(&dir.join("certificates"), "good");
    let kamailio = Kamailio::start_tls(&dir, "SHA-256", &authority.issue("server", wish));
    let account = kamailio.account_tls("101", DOMAIN);
    let path = file(
        &dir,
        &format!("{account}[tls]\nca = {:?}\n", authority.file()),
    );
    assert_fault(&path, what, help);
    let (_, said) = tried(&path);
    assert!(!said.contains("a SIP server answers"), "{said}");
}

#[test]
fn a_certificate_of_another_name_leads_to_both_names() {
    assert_certificate(
        "first-hour-other-name",
        &Wish::dns("other.example.org"),
        "is for other.example.org, not for pbx.example.org",
        "its operator must issue it for that SIP domain (no wildcard), or correct account.domain",
    );
}

#[test]
fn a_certificate_of_the_future_leads_to_the_clock() {
    assert_certificate(
        "first-hour-not-yet",
        &Wish::dns(DOMAIN).years(2080, 2090),
        "is not valid before 2080-01-01",
        "its operator must renew it",
    );
}

/// As `openssl req -x509` makes it, the first certificate of many a PBX: trusted once it is named.
#[test]
fn a_self_signed_certificate_leads_to_tls_ca() {
    for is_ca in [true, false] {
        let dir = TestDir::new("first-hour-self-signed");
        let wish = Wish {
            common_name: Some(DOMAIN.to_owned()),
            is_ca,
            ..Wish::dns(DOMAIN)
        };
        let own = self_signed(&dir.join("certificates"), "own", &wish);
        let kamailio = Kamailio::start_tls(&dir, "SHA-256", &own);
        let account = kamailio.account_tls("101", DOMAIN);
        assert_fault(
            &file(&dir, &account),
            "is signed by itself, it is not signed by a CA this phone trusts",
            "if it is your own PBX's, set tls.ca to a file with that certificate",
        );
        let trusting = format!("{account}[tls]\nca = {:?}\n", own.chain);
        let (good, said) = tried(&file(&dir, &trusting));
        assert!(good && said.contains("registered at"), "{said}");
    }
}

#[test]
fn a_server_for_tls_only_leads_to_the_transport() {
    let dir = TestDir::new("first-hour-tls-only");
    let authority = Authority::new(&dir.join("certificates"), "good");
    let wish = Wish::dns(DOMAIN);
    let kamailio = Kamailio::start_tls(&dir, "SHA-256", &authority.issue("server", &wish));
    let account = kamailio.account_tls("101", DOMAIN);
    let trusting = format!("[tls]\nca = {:?}\n", authority.file());
    for wrong in ["udp", "tcp"] {
        let account = account.replace("\"tls\"", &format!("{wrong:?}"));
        let (good, said) = tried(&file(&dir, &(account + &trusting)));
        assert!(!good, "{said}");
        assert!(
            said.contains(" by TLS; write transport = \"tls\" in this account"),
            "{said}"
        );
    }
}

/// Answers whatever comes by TCP with 200, as long as the test lasts.
pub(crate) fn tcp_server(listener: TcpListener) -> std::net::SocketAddr {
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    at
}

fn answer(mut stream: std::net::TcpStream) {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        while let Some((request, rest)) = text.split_once("\r\n\r\n") {
            let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"];
            let lines = request.lines();
            let lines = lines.filter(|line| copied.iter().any(|name| line.starts_with(name)));
            let lines: Vec<&str> = lines.collect();
            let response = format!(
                "SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n",
                lines.join("\r\n")
            );
            if stream.write_all(response.as_bytes()).is_err() {
                return;
            }
            text = rest.to_owned();
        }
    }
}

#[test]
fn a_server_for_tcp_only_leads_to_the_transport() {
    let dir = TestDir::new("first-hour-tcp-only");
    let at = tcp_server(TcpListener::bind("127.0.0.1:0").unwrap());
    let account = format!(
        "[[account]]\nuser = \"101\"\ndomain = \"127.0.0.1\"\npassword = \"secret101\"\n\
         registrar = \"{at}\"\ntransport = "
    );
    let path = file(&dir, &format!("{account}\"udp\"\n"));
    assert_fault(&path, "no server listens at", "check the port");
    let (_, said) = tried(&path);
    assert!(
        said.contains("by TCP; write transport = \"tcp\" in this account"),
        "{said}"
    );
    let (good, said) = tried(&file(&dir, &format!("{account}\"tcp\"\n")));
    assert!(good && said.contains("registered at"), "{said}");
}

/// Runs the check in a network of its own, made by these commands.
pub(crate) fn in_network(commands: &str, path: &Path) -> Option<String> {
    let mut unshare = Command::new("unshare");
    unshare.args(["-n", "sh", "-c"]);
    unshare.arg(format!("({commands}) || exit 77; exec \"$@\""));
    unshare.arg("sh").arg(binary()).arg("check").arg(path);
    let done = unshare.arg("--try").output().unwrap();
    let said =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    if done.status.code() == Some(77) || said.contains("unshare failed") {
        testkit::skip::skipped(
            "first_hour_faults: networks",
            "no namespace is allowed here",
        );
        return None;
    }
    println!("{said}");
    assert!(!done.status.success(), "{said}");
    Some(said)
}

/// An account at an address that is not in this network.
pub(crate) const FAR: &str =
    "[[account]]\nuser = \"101\"\ndomain = \"198.51.100.7\"\npassword = \"secret101\"\n";

#[test]
fn no_network_at_all_leads_to_the_cable() {
    let dir = TestDir::new("first-hour-no-network");
    let Some(said) = in_network("true", &file(&dir, FAR)) else {
        return;
    };
    assert!(
        said.contains("198.51.100.7:5060 cannot be reached (UDP): Network is unreachable"),
        "{said}"
    );
    assert!(said.contains("check cable or Wi-Fi"), "{said}");
    let Some(said) = in_network("true", &file(&dir, NAMED)) else {
        return;
    };
    assert!(
        said.contains("pbx.example.org cannot be looked up")
            && said.contains("check cable, Wi-Fi and"),
        "{said}"
    );
}

#[test]
fn a_firewall_that_drops_leads_to_the_firewall() {
    let dir = TestDir::new("first-hour-firewall");
    // What goes there comes back to a machine that is not meant, and is dropped without a word.
    let network = "ip link set lo up && ip address add 192.0.2.1/32 dev lo \
                   && ip route add 198.51.100.0/24 dev lo src 192.0.2.1";
    for (transport, port) in [("udp", 5060), ("tls", 5061)] {
        let path = file(&dir, &format!("{FAR}transport = {transport:?}\n"));
        let Some(said) = in_network(network, &path) else {
            return;
        };
        assert!(
            said.contains(&format!("nothing answers at 198.51.100.7:{port}"))
                && said.contains("check the address and that no firewall stands between"),
            "{said}"
        );
    }
}

#[test]
fn a_failing_name_server_leads_to_another_one() {
    let dir = TestDir::new("first-hour-servfail");
    name_server("127.0.0.54", 2, false);
    let Some((good, said)) = tried_with_name_server(&dir, "127.0.0.54") else {
        return;
    };
    assert!(!good, "{said}");
    assert!(
        said.contains("the name server answers Server Failure when asked for pbx.example.org")
            && said.contains("use another name server ([network] dns)"),
        "{said}"
    );
}

#[test]
fn a_domain_without_srv_is_found_by_its_address() {
    let dir = TestDir::new("first-hour-no-srv");
    name_server("127.0.0.55", 0, true);
    let Some((_, said)) = tried_with_name_server(&dir, "127.0.0.55") else {
        return;
    };
    assert!(
        said.contains(
            "pbx.example.org is 127.0.0.1:5060, says name server 127.0.0.55 (SRV \
             _sip._udp.pbx.example.org: none; A pbx.example.org: 127.0.0.1"
        ),
        "{said}"
    );
}

#[test]
fn a_sound_card_that_is_not_there_leads_to_the_cards() {
    let dir = TestDir::new("first-hour-no-card");
    let path = file(
        &dir,
        "[board.audio]\ncapture = \"hw:NoSuchCard\"\nplayback = \"hw:NoSuchCard\"\n",
    );
    let (good, said) = tried(&path);
    let line = said.lines().find(|line| line.starts_with("✗ sound card"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    assert!(
        !good && line.contains("hw:NoSuchCard: No such device"),
        "{said}"
    );
    let helps = [
        "there is no sound card at all: plug it in",
        "the cards on this machine are ",
        "this user has no right to open it",
    ];
    assert!(helps.iter().any(|help| line.contains(help)), "{line}");
}

#[test]
fn a_file_that_cannot_be_read_or_written_says_which() {
    let dir = TestDir::new("first-hour-files");
    let arguments = |output: &str| {
        let output = output.to_owned();
        [
            "setup",
            "--output",
            &output,
            "--provider",
            "kamailio",
            "--server",
            "127.0.0.1",
            "--user",
            "101",
            "--country",
            "de",
            "--no-try",
        ]
        .map(ToOwned::to_owned)
    };
    let run = |output: &str| {
        let arguments = arguments(output);
        offhook(&arguments.each_ref().map(String::as_str))
    };
    // Nothing is asked first: there is no password here, and that is not what is said.
    let (good, said) = run("/proc/none/offhook.toml");
    assert!(
        !good && said.contains("name a file in a folder that is there and can be written"),
        "{said}"
    );
    let folder = dir.join("read-only");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    let output = folder.join("offhook.toml");
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--clear-groups"])
        .arg(binary());
    command.args(arguments(output.to_str().unwrap()));
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    // Who is not root here cannot become another user, and need not.
    let (good, said) = if said.contains("setpriv:") {
        run(output.to_str().unwrap())
    } else {
        (done.status.success(), said)
    };
    assert!(
        !good && said.contains("Permission denied") && said.contains("can be written: --output"),
        "{said}"
    );
    let (good, said) = offhook(&["check", dir.join("none.toml").to_str().unwrap()]);
    assert!(
        !good && said.contains("name a file that can be read"),
        "{said}"
    );
}

/// As Windows' editors save it.
#[test]
fn files_of_windows_load_or_say_how_to_save_them() {
    let dir = TestDir::new("first-hour-windows");
    let text = format!("[phone]\ncountry = \"de\"\n{NAMED}");
    let crlf = text.replace('\n', "\r\n");
    let utf16 =
        |order: fn(u16) -> [u8; 2]| -> Vec<u8> { crlf.encode_utf16().flat_map(order).collect() };
    let path = dir.join("offhook.toml");
    let check = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        offhook(&["check", path.to_str().unwrap()])
    };
    for good in [
        crlf.clone(),
        format!("\u{feff}{crlf}"),
        format!("\u{feff}{text}"),
    ] {
        let (good, said) = check(good.as_bytes());
        assert!(good, "{said}");
    }
    let marked = [&[0xFF, 0xFE][..], &utf16(u16::to_le_bytes)].concat();
    for bytes in [marked, utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        let (good, said) = check(&bytes);
        assert!(
            !good && said.contains("UTF-16 text; save it as UTF-8"),
            "{said}"
        );
    }
    // A word processor's quotation marks, and a mistyped key.
    let (good, said) = check(text.replace("\"secret101\"", "“secret101”").as_bytes());
    assert!(
        !good && said.contains("write plain quotation marks"),
        "{said}"
    );
    let (good, said) = check(text.replace("password", "pasword").as_bytes());
    assert!(!good && said.contains("did you mean `password`?"), "{said}");
}
