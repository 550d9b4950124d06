//! The network changes under a phone that is in use: a call that goes on over another interface,
//! name servers that change, media that goes through Debian's rtpengine.
//!
//! Wall clock: processes on real sockets, and sound in real time.

use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use offhook_tests::kamailio::{Kamailio, KamailioSetup};
use offhook_tests::speech::{Speaker, is_heard_soon, speech};
use testkit::namespace::Namespace;
use testkit::process::{ChildProcess, TestDir};

/// Address of the servers, behind every network of the test.
const SERVER: &str = "10.9.0.1";
const FAR: &str = "10.9.0.2";

/// A desk with a cable and Wi-Fi, and what both lead to.
fn lay(test: &str) -> Option<(Namespace, Namespace)> {
    let Some((desk, lan)) = Namespace::new().zip(Namespace::new()) else {
        testkit::skipped(test, "no network namespaces here");
        return None;
    };
    desk.cable("eth0", &lan, "lan0");
    desk.cable("wlan0", &lan, "air0");
    desk.ip("addr add 10.1.0.20/24 dev eth0");
    desk.ip("addr add 10.2.0.20/24 dev wlan0");
    lan.ip("addr add 10.1.0.1/24 dev lan0");
    lan.ip("addr add 10.2.0.1/24 dev air0");
    for server in [SERVER, FAR] {
        lan.ip(&format!("addr add {server}/32 dev lo"));
    }
    desk.ip("route add default via 10.1.0.1 metric 10");
    desk.ip("route add default via 10.2.0.1 metric 20");
    Some((desk, lan))
}

fn registered(phone: &DeskPhone) {
    phone.wait("registered", Duration::from_secs(10), |status| {
        status["lines"][0]["registered"] == true
    });
}

/// Two phones at one kamailio: the one that moves, and one that stays.
struct Office {
    kamailio: Kamailio,
    desk: DeskPhone,
    far: DeskPhone,
    alice: std::path::PathBuf,
    bob: std::path::PathBuf,
}

fn office(dir: &TestDir, desk: &Namespace, lan: &Namespace, setup: &KamailioSetup<'_>) -> Office {
    let kamailio = Kamailio::start_as(dir, setup);
    let alice = speech(dir, Speaker::Alice, 16000, 1);
    let bob = speech(dir, Speaker::Bob, 16000, 1);
    let phone = |user: &str, namespace: &Namespace, bind: &str, says: &Path| {
        let setup = Setup {
            bind: bind.into(),
            direct: Some(false),
            microphone: Some(says.to_owned()),
            command: Some(namespace.command(binary())),
            more: kamailio.account(user, &format!("secret{user}"), "udp"),
            ..Setup::default()
        };
        let phone = DeskPhone::start(dir, user, setup);
        registered(&phone);
        phone
    };
    Office {
        desk: phone("101", desk, "::", &alice),
        far: phone("102", lan, FAR, &bob),
        kamailio,
        alice,
        bob,
    }
}

impl Office {
    fn talk(&self) {
        self.desk.lift();
        self.desk.wait_state("dial_tone");
        self.desk.press("102#");
        self.far.wait_state("ringing");
        self.far.lift();
        self.desk.wait_state("talking");
        self.far.wait_state("talking");
        // The last four seconds of what is heard are compared.
        std::thread::sleep(Duration::from_secs(6));
    }

    /// Both hear each other, from some moment before the limit on.
    fn assert_sound(&self, dir: &TestDir, limit: Duration) {
        let far = || self.far.ear_now();
        let desk = || self.desk.ear_now();
        assert!(
            is_heard_soon(dir, "the desk, at the far end", &self.alice, limit, far),
            "{:#}",
            self.desk.status()
        );
        assert!(
            is_heard_soon(dir, "the far end, at the desk", &self.bob, limit, desk),
            "{:#}",
            self.desk.status()
        );
    }

    fn end(&self) {
        self.far.hang_up();
        self.desk.wait_state("congestion");
        self.desk.hang_up();
        self.far.wait_state("idle");
        self.desk.wait_state("idle");
        self.desk.assert_usable();
    }
}

#[test]
fn a_call_goes_on_over_another_interface() {
    let Some((desk, lan)) = lay("a_call_goes_on_over_another_interface") else {
        return;
    };
    let dir = TestDir::new("roaming-call");
    let setup = KamailioSetup {
        address: SERVER,
        namespace: Some(&lan),
        ..KamailioSetup::default()
    };
    let office = office(&dir, &desk, &lan, &setup);
    office.talk();
    office.assert_sound(&dir, Duration::from_secs(12));

    // From the cable to Wi-Fi.
    desk.ip("link set eth0 down");
    let address = |status: &serde_json::Value| {
        status["calls"][0]["rtp"]["sent"]
            .as_u64()
            .unwrap_or_default()
    };
    let sent = address(&office.desk.status());
    // The last four seconds are compared: by then nothing of before the change is among them.
    std::thread::sleep(Duration::from_secs(6));
    assert!(
        address(&office.desk.status()) > sent + 150,
        "no sound is sent"
    );
    office.assert_sound(&dir, Duration::from_secs(12));
    assert_eq!(office.desk.state(), "talking");

    // And back; the far end hangs up by the new way.
    desk.ip("link set eth0 up");
    desk.ip("addr replace 10.1.0.20/24 dev eth0");
    desk.ip("route replace default via 10.1.0.1 metric 10");
    std::thread::sleep(Duration::from_secs(6));
    office.assert_sound(&dir, Duration::from_secs(12));
    office.end();
    drop(office.kamailio);
}

#[test]
fn sound_goes_through_rtpengine() {
    let test = "sound_goes_through_rtpengine";
    let Some((desk, lan)) = lay(test) else {
        return;
    };
    let dir = TestDir::new("rtpengine");
    let mut command = lan.command("rtpengine");
    // In user space: --table=-1 wants no kernel module.
    command.args([
        "--foreground",
        "--log-stderr",
        "--log-level=5",
        "--table=-1",
        &format!("--interface={SERVER}"),
        &format!("--listen-ng={SERVER}:2223"),
        "--port-min=30000",
        "--port-max=30999",
        "--config-file=none",
        &format!("--pidfile={}", dir.join("rtpengine.pid").display()),
    ]);
    let mut relay = ChildProcess::start(&mut command, &dir.join("rtpengine.log"));
    let setup = KamailioSetup {
        address: SERVER,
        namespace: Some(&lan),
        rtpengine: format!("{SERVER}:2223").parse().ok(),
        ..KamailioSetup::default()
    };
    let office = office(&dir, &desk, &lan, &setup);
    // Nothing goes from the desk to the far end but by the relay.
    let mut firewall = lan.command("iptables");
    let rule = firewall.args(["-A", "INPUT", "-i", "lan0", "-d", FAR, "-j", "DROP"]);
    assert!(rule.status().unwrap().success(), "no packet filter here");
    office.talk();
    office.assert_sound(&dir, Duration::from_secs(12));
    assert!(!relay.has_ended(), "rtpengine ended");
    office.end();
}

/// A name server of the test: an address for every name, nothing else; or silence.
struct NameServer {
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    /// Answers with this address; `None`: never.
    fn start(namespace: &Namespace, at: &str, answer: Option<[u8; 4]>) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let at = format!("{at}:53");
        let socket = std::thread::scope(|scope| {
            let opened = scope.spawn(|| {
                namespace.enter();
                UdpSocket::bind(at).unwrap()
            });
            opened.join().unwrap()
        });
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                counted.fetch_add(1, Ordering::Relaxed);
                if let Some(reply) = answer.and_then(|ip| reply(&query[..length], ip)) {
                    socket.send_to(&reply, from).ok();
                }
            }
        });
        Self { asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// The answer to a question (RFC 1035 section 4.1): the address to one for A, none to any other.
fn reply(query: &[u8], ip: [u8; 4]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let name = query.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let end = HEADER + name + 1 + 4;
    let kind = query.get(end - 4..end - 2)?;
    let is_address = kind == [0, 1];
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]);
    reply.extend(query.get(HEADER..end)?);
    if is_address {
        // The name of the question, A, IN, 60 s, four bytes.
        reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(ip);
    }
    Some(reply)
}

/// The phone in a file system of its own, where `/etc` is a folder of the test.
fn with_etc(namespace: &Namespace, etc: &Path) -> Command {
    let mut command = namespace.command("unshare");
    let script = "mount --bind \"$0\" /etc && exec \"$@\"";
    command
        .args(["-m", "bash", "-c", script])
        .arg(etc)
        .arg(binary());
    command
}

#[test]
fn new_name_servers_are_asked_at_once() {
    let test = "new_name_servers_are_asked_at_once";
    let Some((desk, lan)) = lay(test) else {
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        return testkit::skipped(test, "only root gives a process an /etc of its own");
    }
    let dir = TestDir::new("name-servers");
    let kamailio = Kamailio::start_as(
        &dir,
        &KamailioSetup {
            address: SERVER,
            namespace: Some(&lan),
            ..KamailioSetup::default()
        },
    );
    let right = [10, 9, 0, 1];
    let dead = NameServer::start(&lan, "10.1.0.1", None);
    let good = NameServer::start(&lan, "10.2.0.1", Some(right));
    let better = NameServer::start(&lan, SERVER, Some(right));
    let etc = dir.join("etc");
    std::fs::create_dir_all(&etc).unwrap();
    let file = etc.join("resolv.conf");
    std::fs::write(&file, "nameserver 10.1.0.1\n").unwrap();
    let account = kamailio.account("101", "secret101", "udp");
    let phone = DeskPhone::start(
        &dir,
        "desk",
        Setup {
            bind: "::".into(),
            direct: Some(false),
            command: Some(with_etc(&desk, &etc)),
            more: account.replace(&format!("\"{SERVER}:"), "\"pbx.example:"),
            ..Setup::default()
        },
    );
    let status = phone.wait(
        "the dead name server is named",
        Duration::from_secs(12),
        |s| s["lines"][0]["error"].is_string(),
    );
    let error = status["lines"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("10.1.0.1") && error.contains("pbx.example"),
        "{error}"
    );
    assert!(dead.asked() > 0);

    // As a DHCP client writes it: a new file in place of the old one.
    let replace = |text: &str| {
        let fresh = etc.join("resolv.conf.new");
        let mut out = std::fs::File::create(&fresh).unwrap();
        out.write_all(text.as_bytes()).unwrap();
        std::fs::rename(&fresh, &file).unwrap();
    };
    let changed = Instant::now();
    replace("nameserver 10.2.0.1\n");
    registered(&phone);
    println!("registered {:?} after the change", changed.elapsed());
    assert!(
        changed.elapsed() < Duration::from_secs(3),
        "{:?}",
        changed.elapsed()
    );
    assert!(good.asked() > 0);

    // And again, in place; the watch must have followed the new file.
    std::fs::write(&file, "nameserver 10.9.0.1\n").unwrap();
    let end = Instant::now() + Duration::from_secs(3);
    while better.asked() == 0 {
        assert!(Instant::now() < end, "the third name server is not asked");
        std::thread::sleep(Duration::from_millis(50));
    }
    registered(&phone);
    phone.assert_usable();

    // The same text again, as with each renewed lease, is no change.
    let before = better.asked();
    for _ in 0..3 {
        replace("nameserver 10.9.0.1\n");
        std::thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(better.asked(), before, "asked again though nothing changed");
}
