//! What lies where a file should: FIFOs, devices, files larger than the memory, lines written in
//! every way TOML allows. The phone starts whatever it finds, and says what is wrong.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::machine::{Machine, Phone, until, words};

fn fifo(path: &Path) {
    let _ = fs::remove_file(path);
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

fn config_of(phone: &Phone) -> String {
    let status = phone.ask(r#"{"cmd":"status"}"#);
    status["config"].as_str().unwrap_or_default().to_owned()
}

/// The most memory a process has had, in kB.
fn peak_kb(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let digits: String = line.unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn a_fifo_in_place_of_any_file_holds_no_start() {
    let machine = Machine::new("fifos");
    machine.card("[provision]\nurl = \"https://127.0.0.1:9/x\"\n[phone]\nuser = \"good\"\n");
    for name in [
        "state/last-good.toml",
        "state/last-good.new",
        "state/network.toml",
        "state/network.etag",
        "state/secrets.toml",
        "state/identity.pem",
        "state/known-phones.json",
        "card/status.txt",
        "card/status.txt.new",
        "run/image",
        "run/dhcp",
    ] {
        fifo(&machine.path(name));
    }
    let mut phone = machine.start();
    let config = config_of(&phone);
    assert!(
        config.contains("network configuration") && config.contains("this is a FIFO"),
        "{config}"
    );
    let began = Instant::now();
    let status = phone.ask(r#"{"cmd":"status"}"#);
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(status["hook"], "on");
    until("status.txt", || {
        machine.path("card/status.txt").is_file()
            && machine.status_file().contains("this is a FIFO")
    });
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
}

/// What else may lie where a file belongs: each kind in place of all of them at once, on the card,
/// in the state directory and in the image's.
#[test]
fn whatever_lies_in_place_of_a_file_costs_no_start() {
    type Make = fn(&Path);
    const FILES: [&str; 20] = [
        "state/last-good.toml",
        "state/network.toml",
        "state/network-good.toml",
        "state/network.etag",
        "state/secrets.toml",
        "state/identity.pem",
        "state/known-phones.json",
        "state/features.json",
        "state/history.jsonl",
        "state/wiring.toml",
        "card/status.txt",
        "card/contacts.vcf",
        "card/ring.wav",
        "card/ca.pem",
        "card/history.csv",
        "card/wiring.txt",
        "card/offhook-support.tar.gz",
        "run/image",
        "run/dhcp",
        "run/slot-good",
    ];
    let kinds: [(&str, Make); 6] = [
        ("a FIFO", fifo),
        ("a folder with a file", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("x"), "x").unwrap();
        }),
        ("a link to a device", |path| {
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        }),
        ("a link to itself", |path| {
            std::os::unix::fs::symlink(path, path).unwrap();
        }),
        ("300 MB", |path| {
            fs::File::create(path).unwrap().set_len(300 << 20).unwrap();
        }),
        ("rubbish", |path| {
            fs::write(path, [0xff, 0, b'"', b'\n', 0x80].repeat(20_000)).unwrap();
        }),
    ];
    for (kind, make) in kinds {
        let machine = Machine::new("instead");
        machine.card(concat!(
            "[audio]\nring_sound = \"ring.wav\"\n[tls]\nca = \"ca.pem\"\n",
            "[provision]\nurl = \"https://127.0.0.1:9/x\"\nca = \"ca.pem\"\n",
        ));
        for name in FILES {
            make(&machine.path(name));
        }
        let mut phone = machine.start();
        for request in ["lift", "hang-up", "history", "codes", "refresh", "status"] {
            let began = Instant::now();
            let reply = phone.ask(&format!("{{\"cmd\":\"{request}\"}}"));
            assert!(reply.get("error").is_none(), "{kind}, {request}: {reply}");
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "{kind}, {request}: {took:?}");
        }
        let peak = peak_kb(phone.child.id());
        assert!(peak < 100_000, "{kind}: {peak} kB");
        phone.send(r#"{"cmd":"quit"}"#);
        assert_eq!(phone.exit_code(), 0, "{kind}");
    }
}

#[test]
fn a_fifo_in_place_of_the_card_file_is_reported() {
    let machine = Machine::new("fifo-card");
    fifo(&machine.path("card/offhook.toml"));
    let output = machine
        .command(&[
            "provision",
            "--emit",
            machine.path("run/system").to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let text = words(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("offhook.toml cannot be read") && text.contains("offhook.toml:1:1: "),
        "{text}"
    );
}

#[test]
fn a_file_larger_than_memory_is_not_read() {
    let machine = Machine::new("large");
    machine.card("");
    let card = machine.path("card/offhook.toml");
    let output = |path: &Path| {
        let began = Instant::now();
        let arguments = ["provision", "--emit", path.to_str().unwrap()];
        let output = machine.command(&arguments).output();
        assert!(began.elapsed() < Duration::from_secs(5), "read after all");
        words(&output.unwrap())
    };
    let system = machine.path("run/system");
    assert_eq!(output(&system), "");
    let file = fs::File::options().write(true).open(&card).unwrap();
    file.set_len(300 << 20).unwrap();
    let text = output(&system);
    assert!(text.contains("it has 314572800 bytes"), "{text}");
}

#[test]
fn a_certificate_file_without_end_is_reported_and_not_read() {
    let machine = Machine::new("endless");
    machine.card(concat!(
        "[tls]\nca = \"/dev/zero\"\n[provision]\nurl = \"https://127.0.0.1:9/x\"\n\
         ca = \"/dev/zero\"\n",
        "[[account]]\nuser = \"1\"\ndomain = \"127.0.0.1\"\npassword = \"x\"\ntransport = \"tls\"\n"
    ));
    let phone = machine.start();
    let config = config_of(&phone);
    assert!(
        config.contains("`tls.ca`") && config.contains("this is a device"),
        "{config}"
    );
    phone.ask(r#"{"cmd":"refresh"}"#);
    until("the look is over", || {
        machine
            .status_file()
            .contains("this is a device and not a file")
    });
    std::thread::sleep(Duration::from_secs(1));
    let peak = peak_kb(phone.child.id());
    assert!(peak < 100_000, "{peak} kB");
}

#[test]
fn a_comment_behind_the_state_directory_changes_nothing() {
    let machine = Machine::new("comment");
    machine.card(concat!(
        "[security]\nmove_secrets = true\n",
        "[[account]]\nuser = \"101\"\ndomain = \"127.0.0.1\"\npassword = \"hunter2\"\n"
    ));
    let card = machine.path("card/offhook.toml");
    let state = machine.path("state");
    let text = fs::read_to_string(&card).unwrap().replace(
        &format!("state_dir = \"{}\"", state.display()),
        &format!(
            "state_dir = \"{}\"   # on the data partition",
            state.display()
        ),
    );
    assert!(text.contains("# on the data"), "{text}");
    fs::write(&card, text).unwrap();
    for start in ["first", "second", "third"] {
        let mut phone = machine.start();
        let status = phone.ask(r#"{"cmd":"status"}"#);
        assert!(status.get("config").is_none(), "{start}: {status}");
        assert_eq!(status["lines"][0]["account"], "101@127.0.0.1", "{start}");
        phone.ask(r#"{"cmd":"quit"}"#);
        assert_eq!(phone.exit_code(), 0);
        let text = fs::read_to_string(&card).unwrap();
        assert!(
            !text.contains("hunter2") && text.contains("# on the data"),
            "{text}"
        );
    }
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_offhook"))
        .arg("check")
        .arg(&card)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", words(&checked));
}
