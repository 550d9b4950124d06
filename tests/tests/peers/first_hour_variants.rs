//! Set-ups that are wrong in ways of their own, and right ones that look odd: each leads to its
//! sentence, or works.
//!
//! ```text
//! an odd account · network · router ─▶ offhook setup, check --try ─▶ "✗ what; help", or ✓
//! ```
//!
//! Wall clock: a mapping of a router is watched for half a minute.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use offhook_tests::kamailio::{Kamailio, KamailioSetup};
use testkit::namespace::Namespace;
use testkit::process::TestDir;

use crate::first_hour::{assert_fault, file, offhook, set_up, tried};
use crate::first_hour_faults::{FAR, in_network, tcp_server};

/// What `offhook check` says of such an account, which is wrong.
fn refused(dir: &TestDir, account: &str) -> String {
    let path = file(dir, account);
    let (good, said) = offhook(&["check", path.to_str().unwrap()]);
    assert!(!good, "{account}: {said}");
    said
}

/// What is wrong in the file is said with its line, before anything is sent.
#[test]
fn odd_values_lead_to_how_they_are_written() {
    let dir = TestDir::new("first-hour-values");
    let account = |user: &str, server: &str, more: &str| {
        format!("[[account]]\nuser = {user}\ndomain = {server}\npassword = \"x\"\n{more}")
    };
    for (text, help) in [
        (
            account("\"101@pbx.example.org\"", "\"pbx.example.org\"", ""),
            "write the part before the `@` of the SIP address",
        ),
        (
            account("\"101\"", "\"pbx.example.org \"", ""),
            "there is a space in it",
        ),
        (
            account("\"101\"", "\"https://pbx.example.org/\"", ""),
            "a host is written without `http://`",
        ),
        (
            account("\"101\"", "\"pbx.example.org\"", "port = 5070\n"),
            "write the port behind the host: registrar = \"pbx.example.org:5070\"",
        ),
        (
            account("\"101\"", "\"pbx.example.org\"", "registrar = \"5070\"\n"),
            "this is not an IPv4 address",
        ),
        (
            account("\"101\"", "\"pbx.example.org\"", "auth_user = \"a\"b\"\n"),
            "a quotation mark inside \"…\" is written \\\"",
        ),
        (
            "[[account]]\nuser = \"101\"\nserver = \"pbx.example.org\"\n".to_owned(),
            "write `domain`",
        ),
    ] {
        let said = refused(&dir, &text);
        let line = said.lines().find(|line| line.contains(help));
        let line = line.unwrap_or_else(|| panic!("{help:?} is not in\n{said}"));
        let place = line.split_once("offhook.toml:").map(|(_, place)| place);
        let number = place.and_then(|place| place.split(':').next()?.parse::<usize>().ok());
        assert!(number.is_some(), "no line number: {line}");
    }
}

#[test]
fn a_password_may_have_any_character() {
    let dir = TestDir::new("first-hour-password-characters");
    let secret = "pä\"ß'\\ #€";
    let setup = KamailioSetup {
        secret,
        algorithm: "SHA-256",
        ..KamailioSetup::default()
    };
    let kamailio = Kamailio::start_as(&dir, &setup);
    // As an editor leaves it: with a line end.
    let said = set_up(
        &dir,
        "kamailio",
        &kamailio.at(),
        &format!("{secret}101\r\n"),
    );
    assert!(
        said.contains("registered at") && !said.contains(secret),
        "{said}"
    );
}

/// A port that was written into the domain leads to the server all the same.
#[test]
fn a_port_in_the_domain_leads_to_the_server() {
    let dir = TestDir::new("first-hour-domain-port");
    let kamailio = Kamailio::start(&dir, "MD5");
    let account = format!(
        "[[account]]\nuser = \"101\"\ndomain = \"{}\"\npassword = \"secret101\"\n",
        kamailio.at()
    );
    let (good, said) = tried(&file(&dir, &account));
    assert!(good && said.contains("registered at"), "{said}");
}

#[test]
fn udp_that_is_blocked_leads_to_tcp() {
    let dir = TestDir::new("first-hour-udp-blocked");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = tcp_server(listener);
    // Bound, and never read.
    let _silent = UdpSocket::bind(at).unwrap();
    let account = format!(
        "[[account]]\nuser = \"101\"\ndomain = \"127.0.0.1\"\npassword = \"secret101\"\n\
         registrar = \"{at}\"\ntransport = \"udp\"\n"
    );
    let path = file(&dir, &account);
    assert_fault(
        &path,
        &format!("nothing answers at {at} (UDP)"),
        "no firewall stands between",
    );
    let (_, said) = tried(&path);
    assert!(
        said.contains("by TCP; write transport = \"tcp\" in this account"),
        "{said}"
    );
}

#[test]
fn a_network_of_one_family_is_named() {
    let dir = TestDir::new("first-hour-families");
    let six = "ip link set lo up && ip -6 address add 2001:db8::5/64 dev lo \
               && ip -6 route add default dev lo";
    let Some(said) = in_network(six, &file(&dir, FAR)) else {
        return;
    };
    assert!(
        said.contains("198.51.100.7:5060 cannot be reached (UDP): this network has IPv6 only")
            && said.contains("have it get IPv4, or name a server that has an address of IPv6"),
        "{said}"
    );
    let four = "ip link set lo up && ip address add 192.0.2.1/32 dev lo \
                && ip route add default dev lo";
    let account = FAR.replace("198.51.100.7", "[2001:db8:1::7]");
    let Some(said) = in_network(four, &file(&dir, &account)) else {
        return;
    };
    assert!(
        said.contains("[2001:db8:1::7]:5060 cannot be reached (UDP): this network has IPv4 only"),
        "{said}"
    );
}

/// A name of this link is asked of this link, as the phone does, and not of the internet.
#[test]
fn a_name_of_this_link_leads_to_the_device() {
    let dir = TestDir::new("first-hour-local");
    let path = file(&dir, &FAR.replace("198.51.100.7", "pbx.local"));
    let Some(said) = in_network("ip link set lo up", &path) else {
        return;
    };
    assert!(
        said.contains("no device on this network answers to pbx.local")
            && said.contains("or write its address in `domain`"),
        "{said}"
    );
}

#[test]
fn a_second_phone_of_the_account_is_seen() {
    let dir = TestDir::new("first-hour-second");
    let kamailio = Kamailio::start(&dir, "MD5");
    let account = kamailio.account("101", "secret101", "udp");
    let desk = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            more: account.clone(),
            ..Setup::default()
        },
    );
    desk.wait("registration", Duration::from_secs(8), |status| {
        status["lines"][0]["registered"] == true
    });
    let (good, said) = tried(&file(&dir, &account));
    assert!(
        good && said.contains("1 other device is registered with this account and rings, too"),
        "{said}"
    );
    // Only the contact of the check went.
    let (_, again) = tried(&file(&dir, &account));
    assert!(again.contains("1 other device"), "{again}");
}

/// The owner's router behind the provider's: home ─ router ─ provider ─ outside. The provider's
/// forgets within seconds, and gives another port then.
#[test]
fn two_nats_of_which_one_forgets_lead_to_tcp() {
    let test = "two_nats_of_which_one_forgets_lead_to_tcp";
    let all = (0..4).map(|_| Namespace::new()).collect::<Option<Vec<_>>>();
    let Some([home, router, provider, outside]) = all.as_deref() else {
        testkit::skipped(test, "no network namespaces here");
        return;
    };
    home.cable("eth0", router, "lan0");
    router.cable("wan0", provider, "lan0");
    provider.cable("wan0", outside, "eth0");
    home.ip("addr add 192.168.1.20/24 dev eth0");
    router.ip("addr add 192.168.1.1/24 dev lan0");
    router.ip("addr add 100.64.0.2/24 dev wan0");
    provider.ip("addr add 100.64.0.1/24 dev lan0");
    provider.ip("addr add 203.0.113.1/24 dev wan0");
    outside.ip("addr add 203.0.113.9/24 dev eth0");
    home.ip("route add default via 192.168.1.1");
    router.ip("route add default via 100.64.0.1");
    for (nat, mapping_s) in [(router, "120"), (provider, "5")] {
        nat.sysctl("net/ipv4/ip_forward", "1");
        let rule = "-t nat -A POSTROUTING -o wan0 -j MASQUERADE --random-fully";
        let done = nat.command("iptables").args(rule.split(' ')).output();
        if !done.is_ok_and(|done| done.status.success()) {
            testkit::skipped(test, "this kernel translates no addresses");
            return;
        }
        for timeout in ["udp_timeout", "udp_timeout_stream"] {
            nat.sysctl(&format!("net/netfilter/nf_conntrack_{timeout}"), mapping_s);
        }
    }
    let dir = TestDir::new("first-hour-two-nats");
    let setup = KamailioSetup {
        address: "203.0.113.9",
        namespace: Some(outside),
        ..KamailioSetup::default()
    };
    let kamailio = Kamailio::start_as(&dir, &setup);
    let path = file(&dir, &kamailio.account("101", "secret101", "udp"));
    let check = |path: &std::path::Path| {
        let mut command = home.command(binary());
        let done = command.arg("check").arg(path).arg("--try").output();
        String::from_utf8(done.unwrap().stdout).unwrap()
    };
    let said = check(&path);
    println!("{said}");
    assert!(
        said.contains("a NAT stands between: 192.168.1.20:")
            && said.contains("here is 203.0.113.1:"),
        "{said}"
    );
    assert!(
        said.contains("the NAT changed its mapping within 30 s, from 203.0.113.1:")
            && said.contains("write transport = \"tcp\" or \"tls\""),
        "{said}"
    );
    // What the sentence leads to works.
    let path = file(&dir, &kamailio.account("101", "secret101", "tcp"));
    let said = check(&path);
    assert!(
        said.contains("registered at 203.0.113.9:") && said.contains("the connection stays open"),
        "{said}"
    );
}
