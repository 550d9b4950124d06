//! Home automation by mosquitto: the phone's state is there, orders that are listed are done and
//! others are not, a broker that is killed is found again, and what is wrong is said in one
//! sentence.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use offhook_tests::certificates::{Authority, Issued, Wish, self_signed};
use offhook_tests::desk_phone::{DeskPhone, Setup};
use serde_json::{Value, json};
use testkit::process::{ChildProcess, TestDir, port_block};

/// Who watches, and the phone; each user's password is `secret` and the name.
const USERS: [&str; 2] = ["watcher", "phone"];

/// A running mosquitto.
struct Broker {
    port: u16,
    dir: PathBuf,
    process: ChildProcess,
}

impl Broker {
    fn start(dir: &TestDir, certificate: Option<&Issued>) -> Self {
        let dir = dir.join("mosquitto");
        std::fs::create_dir_all(&dir).unwrap();
        let port = port_block();
        let passwords = dir.join("passwords");
        File::create(&passwords).unwrap();
        for user in USERS {
            let status = Command::new("mosquitto_passwd")
                .arg("-b")
                .arg(&passwords)
                .args([user, &format!("secret{user}")])
                .status();
            assert!(status.unwrap().success());
        }
        let mut config = format!(
            "per_listener_settings false\nallow_anonymous false\npassword_file {}\n\
             user root\nlistener {port} 127.0.0.1\n",
            passwords.display()
        );
        if let Some(issued) = certificate {
            let (port, chain, key) = (port + 1, issued.chain.display(), issued.key.display());
            writeln!(
                config,
                "listener {port} 127.0.0.1\ncertfile {chain}\nkeyfile {key}"
            )
            .unwrap();
        }
        std::fs::write(dir.join("mosquitto.conf"), config).unwrap();
        let process = Self::spawn(&dir);
        let broker = Self { port, dir, process };
        broker.wait_up();
        broker
    }

    fn spawn(dir: &Path) -> ChildProcess {
        let mut command = Command::new("mosquitto");
        command.arg("-v").arg("-c").arg(dir.join("mosquitto.conf"));
        ChildProcess::start(&mut command, &dir.join("log"))
    }

    fn wait_up(&self) {
        let end = Instant::now() + Duration::from_secs(8);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "mosquitto does not start:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn restart(&mut self) {
        self.process = Self::spawn(&self.dir);
        self.wait_up();
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-V", "5", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-u", "watcher", "-P", "secretwatcher"]);
        command
    }

    /// Publishes to a topic of the phone.
    fn order(&self, entity: &str, payload: &str, retained: bool) {
        let mut command = self.client("mosquitto_pub");
        command.args([
            "-t",
            &format!("offhook/kitchen/{entity}/set"),
            "-m",
            payload,
        ]);
        if retained {
            command.arg("-r");
        }
        assert!(command.status().unwrap().success());
    }

    /// What the broker keeps of this topic, if anything.
    fn kept(&self, topic: &str) -> Option<String> {
        let output = self
            .client("mosquitto_sub")
            .args(["-t", topic, "-C", "1", "-W", "1", "--retained-only"])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.trim_end().to_owned())
    }

    /// A topic of the phone says this within some seconds.
    fn expect(&self, entity: &str, wanted: &str) {
        let topic = format!("offhook/kitchen/{entity}");
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let found = self.kept(&topic);
            if found.as_deref() == Some(wanted) {
                return;
            }
            assert!(Instant::now() < end, "{topic}: {found:?}, not {wanted}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// A phone without account whose `[mqtt]` is this besides.
fn phone(dir: &TestDir, broker: u16, more: &str) -> DeskPhone {
    let setup = Setup {
        more: format!(
            "[mqtt]\nbroker = \"127.0.0.1:{broker}\"\nname = \"kitchen\"\nuser = \"phone\"\n{more}"
        ),
        ..Setup::default()
    };
    DeskPhone::start(dir, "phone", setup)
}

const LOGIN: &str = "password = \"secretphone\"\n";

fn connected(status: &Value) -> bool {
    status["mqtt"]["connected"] == true
}

/// The one sentence that status has of a broker that cannot be used.
fn error(desk: &DeskPhone) -> String {
    let status = desk.wait("an error of MQTT", Duration::from_secs(25), |status| {
        status["mqtt"]["error"].is_string()
    });
    assert_eq!(status["mqtt"]["connected"], false, "{status}");
    desk.assert_usable();
    status["mqtt"]["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn mosquitto_has_the_state_and_orders_only_what_is_listed() {
    let dir = TestDir::new("mqtt-orders");
    let broker = Broker::start(&dir, None);
    // Orders that lie there from before, as a broker keeps them.
    broker.order("dnd", "ON", true);
    let more = format!("tls = false\norders = [\"ring\", \"dnd\"]\n{LOGIN}");
    let desk = phone(&dir, broker.port, &more);
    desk.wait("the broker", Duration::from_secs(10), connected);
    broker.expect("availability", "online");
    broker.expect("in_use", "OFF");
    broker.expect("dnd", "OFF");
    desk.lift();
    broker.expect("in_use", "ON");
    broker.expect("state", "dial_tone");
    desk.hang_up();
    broker.expect("in_use", "OFF");

    let discovery = broker.kept("homeassistant/switch/offhook_kitchen/dnd/config");
    let discovery: Value = serde_json::from_str(&discovery.unwrap()).unwrap();
    assert_eq!(discovery["command_topic"], "offhook/kitchen/dnd/set");
    assert_eq!(discovery["state_topic"], "offhook/kitchen/dnd");
    assert!(
        broker
            .kept("homeassistant/number/offhook_kitchen/ringer_volume/config")
            .is_none()
    );

    broker.order("dnd", "ON", false);
    broker.expect("dnd", "ON");
    // Kept by the broker, and given now: it is not meant for now.
    broker.order("dnd", "OFF", true);
    // Not listed.
    broker.order("ringer_volume", "6", false);
    broker.order("dial", "200", false);
    broker.order("dnd", "OFF", false);
    broker.expect("dnd", "OFF");
    let status = desk.status();
    assert_eq!(status["sound"]["ringer_db"], 0, "{status}");
    let log = desk.log();
    for refused in [
        "(offhook/kitchen/dnd/set) is refused: the broker kept it",
        "(offhook/kitchen/ringer_volume/set) is refused: `mqtt.orders` does not list \"volume\"",
        "(offhook/kitchen/dial/set) is refused: `mqtt.orders` does not list \"dial\"",
    ] {
        assert!(log.contains(refused), "{refused}:\n{log}");
    }
    broker.order("ring", "PRESS", false);
    let end = Instant::now() + Duration::from_secs(10);
    while !desk.log().contains("ordered over MQTT: ring") {
        assert!(Instant::now() < end, "{}", desk.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(desk.state(), "idle");
    assert!(!log.contains("secretphone"), "no password in the log");
    // In good order: offline at once, without a last will.
    desk.ctl(&json!({ "cmd": "quit" }));
    broker.expect("availability", "offline");
}

#[test]
fn a_killed_mosquitto_is_found_again_and_a_killed_phone_is_offline() {
    let dir = TestDir::new("mqtt-killed");
    let mut broker = Broker::start(&dir, None);
    let desk = phone(&dir, broker.port, &format!("tls = false\n{LOGIN}"));
    desk.wait("the broker", Duration::from_secs(10), connected);
    broker.expect("in_use", "OFF");
    broker.process.kill();
    let said = error(&desk);
    assert!(
        said.contains("is gone") || said.contains("cannot be reached"),
        "{said}"
    );
    desk.lift();
    desk.wait_state("dial_tone");
    broker.restart();
    desk.wait("the broker again", Duration::from_secs(30), connected);
    // It had kept nothing: all of it was said again, and what changed meanwhile is right.
    broker.expect("in_use", "ON");
    broker.expect("availability", "online");
    desk.hang_up();
    broker.expect("in_use", "OFF");
    // Dropped is killed: the broker says so by the last will.
    drop(desk);
    broker.expect("availability", "offline");
}

#[test]
fn a_wrong_password_is_said_in_one_sentence() {
    let dir = TestDir::new("mqtt-password");
    let broker = Broker::start(&dir, None);
    let desk = phone(&dir, broker.port, "tls = false\npassword = \"wrong\"\n");
    let said = error(&desk);
    let wanted = format!(
        "the broker 127.0.0.1:{} refuses the login; correct mqtt.user and mqtt.password",
        broker.port
    );
    assert_eq!(said, wanted);
    assert!(!desk.log().contains("\"wrong\""), "no password in the log");
    assert!(broker.kept("offhook/kitchen/availability").is_none());
}

/// A phone and a broker with this certificate; what status says.
fn over_tls(
    name: &str,
    certificate: impl Fn(&Authority, &Path) -> Issued,
    more: impl Fn(&Authority, &Issued) -> String,
) -> Result<(), String> {
    let dir = TestDir::new(&format!("mqtt-{name}"));
    let folder = dir.join("certificates");
    let authority = Authority::new(&folder, "good");
    let issued = certificate(&authority, &folder);
    let broker = Broker::start(&dir, Some(&issued));
    let more = format!("{LOGIN}{}", more(&authority, &issued));
    let desk = phone(&dir, broker.port + 1, &more);
    let status = desk.wait("an end of it", Duration::from_secs(25), |status| {
        connected(status) || status["mqtt"]["error"].is_string()
    });
    if connected(&status) {
        broker.expect("availability", "online");
        return Ok(());
    }
    // Nothing was said to a broker that is not who it should be.
    let log = std::fs::read_to_string(broker.dir.join("log")).unwrap();
    assert!(!log.contains("offhook_kitchen"), "{log}");
    Err(error(&desk))
}

fn address() -> Wish {
    Wish {
        addresses: vec!["127.0.0.1".to_owned()],
        ..Wish::default()
    }
}

fn trusting(authority: &Authority, _: &Issued) -> String {
    format!("ca = {:?}\n", authority.file())
}

#[test]
fn mosquitto_over_tls_by_ca_or_fingerprint() {
    let good = |authority: &Authority, _: &Path| authority.issue("broker", &address());
    assert_eq!(over_tls("ca", good, trusting), Ok(()));
    let own = |_: &Authority, folder: &Path| self_signed(folder, "broker", &Wish::dns("other"));
    let pinned =
        |_: &Authority, issued: &Issued| format!("fingerprint = {:?}\n", issued.fingerprint);
    assert_eq!(over_tls("pinned", own, pinned), Ok(()));
}

#[test]
fn a_wrong_certificate_is_said_in_one_sentence_and_gets_no_password() {
    let good = |authority: &Authority, _: &Path| authority.issue("broker", &address());
    let nothing = |_: &Authority, _: &Issued| String::new();
    let said = over_tls("unknown-ca", good, nothing).unwrap_err();
    assert!(
        said.contains("is not signed by a CA this phone trusts; set mqtt.ca"),
        "{said}"
    );

    let own = |_: &Authority, folder: &Path| {
        let mut wish = address();
        wish.is_ca = true;
        self_signed(folder, "broker", &wish)
    };
    let said = over_tls("self-signed", own, nothing).unwrap_err();
    assert!(said.contains("mqtt.fingerprint"), "{said}");

    let other = |authority: &Authority, _: &Path| authority.issue("broker", &Wish::dns("other"));
    let said = over_tls("other-name", other, trusting).unwrap_err();
    assert!(
        said.contains("a certificate for another name; correct mqtt.broker"),
        "{said}"
    );

    let old =
        |authority: &Authority, _: &Path| authority.issue("broker", &address().years(2001, 2002));
    let said = over_tls("expired", old, trusting).unwrap_err();
    assert!(said.contains("not valid at this time"), "{said}");

    let zeros = |_: &Authority, _: &Issued| format!("fingerprint = {:?}\n", ["00"; 32].join(":"));
    let said = over_tls("not-pinned", good, zeros).unwrap_err();
    assert!(said.contains("which is not mqtt.fingerprint"), "{said}");
}

/// A file outside of the test's folder, gone with the test.
struct RemovedFile(PathBuf);

impl Drop for RemovedFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What may be needed of the system for it is left to a phone that gives up all other rights:
/// its CA, from a folder of its own, TLS, another connection after the first, and a URL of
/// `[actions]`.
#[test]
fn a_confined_phone_reaches_its_broker_again_and_again_and_action_urls() {
    let dir = TestDir::new("mqtt-confined");
    let folder = dir.join("certificates");
    let authority = Authority::new(&folder, "good");
    let issued = authority.issue("broker", &address());
    let mut broker = Broker::start(&dir, Some(&issued));
    // Where nothing but `mqtt.ca` lets it read: /tmp is everyone's.
    let elsewhere = PathBuf::from(format!("/var/tmp/offhook-{}-ca.pem", std::process::id()));
    let elsewhere = RemovedFile(elsewhere);
    std::fs::copy(authority.file(), &elsewhere.0).unwrap();
    let action_server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/quiet", action_server.local_addr().unwrap());
    let setup = Setup {
        confined: true,
        more: format!(
            "[mqtt]\nbroker = \"127.0.0.1:{}\"\nname = \"kitchen\"\nuser = \"phone\"\n\
             orders = [\"dnd\"]\n{LOGIN}ca = {:?}\n[actions]\ndnd_on = {url:?}\n",
            broker.port + 1,
            elsewhere.0,
        ),
        ..Setup::default()
    };
    let desk = DeskPhone::start(&dir, "phone", setup);
    let rights = std::fs::read_to_string(format!("/proc/{}/status", desk.pid())).unwrap();
    for wanted in ["NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(rights.contains(wanted), "{wanted}:\n{rights}");
    }
    desk.wait("the broker", Duration::from_secs(10), connected);
    broker.expect("availability", "online");
    broker.order("dnd", "ON", false);
    broker.expect("dnd", "ON");
    let (mut asked, _) = action_server.accept().unwrap();
    let mut request = [0; 10];
    asked.read_exact(&mut request).unwrap();
    assert_eq!(&request, b"GET /quiet");
    drop(asked);
    broker.process.kill();
    error(&desk);
    broker.restart();
    desk.wait("the broker again", Duration::from_secs(30), connected);
    broker.expect("dnd", "ON");
    let log = desk.log();
    assert!(
        !log.contains("not permitted") && !log.contains("denied"),
        "{log}"
    );
}

/// Brokers of before 2018: one says that it does not know the version, another only hangs up.
#[test]
fn a_broker_of_mqtt_3_only_is_said_in_one_sentence_with_what_to_do() {
    let dir = TestDir::new("mqtt-3");
    for (name, answer) in [("says", &[0x20, 2, 0, 1][..]), ("hangs-up", &[])] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut connect = [0; 12];
                stream.read_exact(&mut connect).unwrap();
                // The name of the protocol and its version.
                assert_eq!(&connect[4..9], b"MQTT\x05", "{connect:?}");
                stream.write_all(answer).unwrap();
            }
        });
        let setup = Setup {
            more: format!("[mqtt]\nbroker = \"127.0.0.1:{port}\"\ntls = false\n"),
            ..Setup::default()
        };
        let desk = DeskPhone::start(&dir, name, setup);
        let said = error(&desk);
        assert!(said.contains("must speak MQTT 5.0 on this port"), "{said}");
        assert!(said.contains("mosquitto"), "{said}");
    }
}

#[test]
fn a_broker_without_tls_on_that_port_is_said_in_one_sentence() {
    let dir = TestDir::new("mqtt-no-tls");
    let broker = Broker::start(&dir, None);
    let desk = phone(&dir, broker.port, LOGIN);
    let said = error(&desk);
    assert!(
        said.contains("TLS") && said.contains("mqtt.tls = false"),
        "{said}"
    );
    let log = std::fs::read_to_string(broker.dir.join("log")).unwrap();
    assert!(!log.contains("offhook_kitchen"), "{log}");
}
