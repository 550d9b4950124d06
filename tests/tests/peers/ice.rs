//! Behind a NAT with real servers: coturn for STUN and TURN, baresip as the far end of ICE.
//!
//! ```text
//! desk (192.168.77.2) ── NAT (203.0.113.2, nftables masquerade) ── far (203.0.113.1): coturn, and another phone or baresip
//! ```
//!
//! Wall clock: processes on real sockets, and their sound is in real time.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use offhook_tests::certificates::{Authority, Issued, Wish};
use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use offhook_tests::null_sink::NullSink;
use offhook_tests::speech::{Speaker, assert_heard, speech};
use testkit::namespace::Namespace;
use testkit::process::{ChildProcess, TestDir};

use crate::baresip::Baresip;

/// Long enough for two seconds of undisturbed speech at the end of each recording.
const TALK: Duration = Duration::from_secs(5);
pub(crate) const FAR: &str = "203.0.113.1";
const OUTER: &str = "203.0.113.2";

/// The networks of this page.
pub(crate) struct Networks {
    pub(crate) home: Namespace,
    router: Namespace,
    pub(crate) far: Namespace,
    _coturn: ChildProcess,
}

/// What the router does with ports: it keeps them, or draws another one for each far end (symmetric
/// NAT).
const KEEPS: Nat = Nat {
    masquerade: "masquerade",
    // Else a packet that comes before ours takes the port we would have had.
    input: "udp dport 1024-65535 drop;",
};
const SYMMETRIC: Nat = Nat {
    masquerade: "masquerade fully-random",
    input: "",
};

struct Nat {
    masquerade: &'static str,
    /// What happens to packets for the router itself.
    input: &'static str,
}

/// Those with a router that draws another port for each far end.
pub(crate) fn symmetric_nat(dir: &TestDir) -> Option<Networks> {
    networks(dir, &SYMMETRIC)
}

/// Lays them, and starts coturn; none where this machine does not allow it.
fn networks(dir: &TestDir, nat: &Nat) -> Option<Networks> {
    networks_with(dir, nat, None)
}

/// The same, where coturn has this certificate.
fn networks_with(dir: &TestDir, nat: &Nat, tls: Option<&Issued>) -> Option<Networks> {
    let (home, router, far) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
    home.cable("h0", &router, "r0");
    router.cable("r1", &far, "f0");
    home.ip("address add 192.168.77.2/24 dev h0");
    router.ip("address add 192.168.77.1/24 dev r0");
    router.ip(&format!("address add {OUTER}/24 dev r1"));
    far.ip(&format!("address add {FAR}/24 dev f0"));
    home.ip("route add default via 192.168.77.1");
    router.sysctl("net/ipv4/ip_forward", "1");
    let Nat { masquerade, input } = nat;
    let rules = format!(
        "table ip nat {{ chain post {{ type nat hook postrouting priority 100; \
         ip saddr 192.168.77.0/24 {masquerade}; }}; \
         chain in {{ type filter hook input priority 0; {input} }}; }}"
    );
    let loaded = router.command("nft").arg(rules).status().unwrap();
    assert!(loaded.success(), "nft: {loaded}");
    let coturn = coturn(dir, &far, tls);
    Some(Networks {
        home,
        router,
        far,
        _coturn: coturn,
    })
}

/// STUN and TURN at the far address, and waits until they answer.
fn coturn(dir: &TestDir, far: &Namespace, tls: Option<&Issued>) -> ChildProcess {
    let mut command = far.command("turnserver");
    command.args(["-n", "--listening-ip", FAR, "--relay-ip", FAR]);
    command.args(["--listening-port", "3478", "--lt-cred-mech"]);
    command.args(["--user", "desk:secret", "--realm", "example.net"]);
    match tls {
        Some(Issued { chain, key, .. }) => {
            command.args(["--tls-listening-port", "5349"]);
            command.arg("--cert").arg(chain).arg("--pkey").arg(key)
        }
        None => command.arg("--no-tls"),
    };
    command.args(["--no-dtls", "--no-cli", "--simple-log"]);
    command.args(["--min-port", "50000", "--max-port", "50099"]);
    command.args(["--log-file", "stdout", "--verbose"]);
    command.arg("--userdb").arg(dir.join("turndb"));
    command.arg("--pidfile").arg(dir.join("turn.pid"));
    let process = ChildProcess::start(&mut command, &dir.join("coturn.log"));
    let answers = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            far.enter();
            let socket = UdpSocket::bind((FAR, 0)).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
            request.extend([7; 12]);
            let end = Instant::now() + Duration::from_secs(10);
            while Instant::now() < end {
                socket.send_to(&request, (FAR, 3478)).unwrap();
                if socket.recv(&mut [0; 200]).is_ok() {
                    return true;
                }
            }
            false
        });
        asked.join().unwrap()
    });
    let log = || std::fs::read_to_string(dir.join("coturn.log")).unwrap_or_default();
    assert!(answers, "coturn does not answer\n{}", log());
    process
}

fn phone(
    dir: &TestDir,
    name: &str,
    (network, address): (&Namespace, &str),
    lines: &'static str,
    microphone: &Path,
    speed: Vec<(String, String)>,
) -> DeskPhone {
    let setup = Setup {
        microphone: Some(microphone.to_owned()),
        bind: address.to_owned(),
        command: Some(network.command(binary())),
        network: lines,
        speed,
        ..Setup::default()
    };
    DeskPhone::start(dir, name, setup)
}

const ICE: &str = "ice = true\nstun = \"203.0.113.1\"\n";
const ICE_AND_TURN: &str = "ice = true\nstun = \"203.0.113.1\"\nturn = \"203.0.113.1\"\n\
                            turn_user = \"desk\"\nturn_password = \"secret\"\n";

#[test]
fn sound_passes_by_coturn_where_nothing_else_does() {
    let dir = TestDir::new("ice-coturn");
    let Some(networks) = networks(&dir, &SYMMETRIC) else {
        return println!("no network namespace is allowed here");
    };
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let bob = speech(&dir, Speaker::Bob, 48000, 1);
    let far = phone(&dir, "far", (&networks.far, FAR), "", &bob, vec![]);
    // Nothing comes from outside to the far phone's sound.
    let (first, last) = far.rtp_ports;
    let rules = format!(
        "table ip closed {{ chain input {{ type filter hook input priority 0; \
         iifname \"f0\" udp dport {first}-{last} drop; }}; }}"
    );
    let loaded = networks.far.command("nft").arg(rules).status().unwrap();
    assert!(loaded.success(), "nft: {loaded}");
    let speed = vec![("1".into(), format!("sip:phone@{FAR}:{}", far.sip_port))];
    let home = (&networks.home, "192.168.77.2");
    let desk = phone(&dir, "desk", home, ICE_AND_TURN, &alice, speed);
    desk.lift();
    desk.press("1#");
    far.wait_state("ringing");
    far.lift();
    desk.wait_state("talking");
    std::thread::sleep(TALK);
    let status = desk.status();
    let call = &status["calls"][0];
    assert!(call["rtp"]["received"].as_u64() > Some(100), "{status:#}");
    let (ours, theirs) = (desk.ear_now(), far.ear_now());
    desk.hang_up();
    desk.wait_state("idle");
    far.hang_up();
    far.wait_state("idle");
    assert_heard(&dir, "the far phone heard us", &alice, &theirs);
    assert_heard(&dir, "we heard the far phone", &bob, &ours);
    let log = std::fs::read_to_string(dir.join("coturn.log")).unwrap();
    for done in [
        "ALLOCATE processed, success",
        "CHANNEL_BIND processed, success",
    ] {
        assert!(log.contains(done), "{done}: {log}");
    }
}

#[test]
fn sound_passes_by_coturn_over_tls_where_no_udp_does() {
    let dir = TestDir::new("ice-coturn-tls");
    let authority = Authority::new(&dir.join("ca"), "turn");
    let issued = authority.issue(
        "turn",
        &Wish {
            addresses: vec![FAR.to_owned()],
            ..Wish::default()
        },
    );
    let Some(networks) = networks_with(&dir, &SYMMETRIC, Some(&issued)) else {
        return println!("no network namespace is allowed here");
    };
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let bob = speech(&dir, Speaker::Bob, 48000, 1);
    let far = phone(&dir, "far", (&networks.far, FAR), "", &bob, vec![]);
    // From home nothing but signalling comes by UDP, neither to the far phone nor to coturn.
    let rules = format!(
        "table ip closed {{ chain input {{ type filter hook input priority 0; \
         iifname \"f0\" udp dport != {} drop; }}; }}",
        far.sip_port
    );
    let loaded = networks.far.command("nft").arg(rules).status().unwrap();
    assert!(loaded.success(), "nft: {loaded}");
    let setup = Setup {
        microphone: Some(alice.clone()),
        bind: "192.168.77.2".into(),
        command: Some(networks.home.command(binary())),
        network: "ice = true\nturn = \"203.0.113.1\"\nturn_transport = \"tls\"\n\
                  turn_user = \"desk\"\nturn_password = \"secret\"\n",
        speed: vec![("1".into(), format!("sip:phone@{FAR}:{}", far.sip_port))],
        more: format!("[tls]\nca = {:?}\n", authority.file()),
        ..Setup::default()
    };
    let desk = DeskPhone::start(&dir, "desk", setup);
    desk.lift();
    desk.press("1#");
    far.wait_state("ringing");
    far.lift();
    desk.wait_state("talking");
    std::thread::sleep(TALK);
    let (ours, theirs) = (desk.ear_now(), far.ear_now());
    desk.hang_up();
    desk.wait_state("idle");
    far.hang_up();
    far.wait_state("idle");
    let log = || std::fs::read_to_string(dir.join("coturn.log")).unwrap();
    assert!(
        log().contains("CHANNEL_BIND processed, success"),
        "{}",
        log()
    );
    assert_heard(&dir, "the far phone heard us", &alice, &theirs);
    assert_heard(&dir, "we heard the far phone", &bob, &ours);
}

#[test]
fn the_address_that_stun_finds_is_named() {
    let dir = TestDir::new("stun-coturn");
    let Some(networks) = networks(&dir, &SYMMETRIC) else {
        return println!("no network namespace is allowed here");
    };
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let socket = std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            networks.far.enter();
            UdpSocket::bind((FAR, 5060)).unwrap()
        });
        opened.join().unwrap()
    });
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let speed = vec![("1".into(), format!("sip:bob@{FAR}"))];
    let home = (&networks.home, "192.168.77.2");
    let desk = phone(
        &dir,
        "desk",
        home,
        "stun = \"203.0.113.1\"\n",
        &alice,
        speed,
    );
    desk.lift();
    desk.press("1#");
    let mut invite = [0; 4000];
    let length = socket.recv(&mut invite).unwrap();
    let invite = String::from_utf8_lossy(&invite[..length]);
    assert!(
        invite.contains(&format!("c=IN IP4 {OUTER}\r\n")),
        "{invite}"
    );
    let line = invite
        .lines()
        .find(|line| line.starts_with("m=audio "))
        .unwrap();
    let port: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
    let (first, last) = desk.rtp_ports;
    // The router draws its ports at random.
    assert!(!(first..=last).contains(&port), "{line}");
    desk.hang_up();
}

/// A call between a phone with ICE and baresip, with the speech compared at both ends.
fn call_baresip(from_baresip: bool) {
    let dir = TestDir::new(&format!("ice-baresip-{from_baresip}"));
    // baresip answers no check from an address that is none of our candidates.
    let nat = if from_baresip { SYMMETRIC } else { KEEPS };
    let Some(networks) = networks(&dir, &nat) else {
        return println!("no network namespace is allowed here");
    };
    let sound = NullSink::start(&dir);
    let alice = speech(&dir, Speaker::Alice, 48000, 1);
    let bob = speech(&dir, Speaker::Bob, 8000, 1);
    let mut baresip = Baresip::start_at(
        Some((&networks.far, FAR)),
        &dir,
        "PCMU/8000/1",
        &bob,
        &sound,
        &format!(";medianat=ice;stunserver=\"stun:{FAR}:3478\""),
        "module stun.so\nmodule ice.so\nice_turn no\nice_debug yes\nice_nomination regular\n\
         ice_mode full\n",
    );
    // A call to a phone behind NAT would need a registrar: baresip calls one that is outside.
    let at = if from_baresip {
        (&networks.router, OUTER)
    } else {
        (&networks.home, "192.168.77.2")
    };
    let speed = vec![("1".into(), format!("sip:bob@{FAR}:{}", baresip.sip_port))];
    let desk = phone(&dir, "desk", at, ICE, &alice, speed);
    if from_baresip {
        baresip.command("dial", &format!("sip:phone@{OUTER}:{}", desk.sip_port));
        desk.wait_state("ringing");
        desk.lift();
        desk.wait_state("talking");
    } else {
        desk.call("1#");
    }
    baresip.wait_event("CALL_ESTABLISHED", Duration::from_secs(8));
    std::thread::sleep(TALK);
    let status = desk.status();
    let call = &status["calls"][0];
    assert!(call["rtp"]["received"].as_u64() > Some(100), "{status:#}");
    let ear = desk.ear_now();
    let log = desk.log();
    assert!(
        log.contains("media goes to"),
        "no way was found by checks: {log}"
    );
    desk.hang_up();
    baresip.wait_event("CALL_CLOSED", Duration::from_secs(5));
    desk.wait_state("idle");
    baresip.quit();
    assert_heard(&dir, "baresip heard us", &alice, &baresip.heard());
    assert_heard(&dir, "we heard baresip", &bob, &ear);
}

#[test]
fn we_call_baresip_by_ice_from_behind_a_nat() {
    call_baresip(false);
}

#[test]
fn baresip_calls_us_by_ice() {
    call_baresip(true);
}
