//! A phone that has given up its rights: what it does by itself, what its broker does for it, and
//! whose it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine::{Machine, Phone, until};

/// A user that this machine does not have.
const USER: (u32, u32) = (61_234, 61_235);

/// A phone with no more rights than it needs, listening.
fn confined(machine: &Machine) -> Phone {
    listening(machine, &mut machine.command(&["run", "--confine"]))
}

fn listening(machine: &Machine, command: &mut Command) -> Phone {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(machine.path("log"))
        .unwrap();
    let child = command.stderr(log).spawn().unwrap();
    let phone = Phone {
        child,
        socket: machine.path("run/ctl.sock"),
    };
    until("the phone listens", || {
        UnixStream::connect(&phone.socket).is_ok()
    });
    // The socket is there before the rights are gone; who answers has given them up.
    let reply = phone.ask(r#"{"cmd":"status"}"#);
    assert_eq!(reply["state"], "idle", "{reply}");
    phone
}

/// The same on a system that has the user `offhook`; `None` where only root could show it.
fn confined_as_user(machine: &Machine) -> Option<Phone> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        println!("SKIPPED: a phone of its own user: only root starts one");
        return None;
    }
    let known = fs::read_to_string("/etc/passwd").unwrap();
    let others = known.lines().filter(|line| !line.starts_with("offhook:"));
    let own = format!("offhook:*:{}:{}::/:/bin/false", USER.0, USER.1);
    let passwd: Vec<&str> = others.chain([own.as_str()]).collect();
    fs::write(machine.path("passwd"), passwd.join("\n") + "\n").unwrap();
    let phone = machine.command(&["run", "--confine"]);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/passwd && exec \"$@\"")
        .arg(machine.path("passwd"))
        .arg(phone.get_program())
        .args(phone.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Some(listening(machine, &mut command))
}

fn owner(path: &Path) -> (u32, u32, u32) {
    let about = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (about.uid(), about.gid(), about.mode() & 0o7777)
}

/// As the image mounts the card and makes the folder of crash logs.
fn for_its_group(path: &Path, mode: u32) {
    chown(path, Some(0), Some(USER.1)).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_confined_phone_is_a_user_of_its_own() {
    let machine = Machine::new("confined-user");
    machine.card("[security]\nmove_secrets = true\n[phone]\nname = \"x\"\n");
    let text = fs::read_to_string(machine.path("card/offhook.toml")).unwrap();
    let account = "[[account]]\nuser = \"1\"\ndomain = \"127.0.0.1\"\npassword = \"hunter2\"\n\
                   register = false\n";
    fs::write(machine.path("card/offhook.toml"), text + account).unwrap();
    fs::create_dir(machine.path("state/crash")).unwrap();
    fs::write(machine.path("state/crash/1"), "boom").unwrap();
    let Some(mut phone) = confined_as_user(&machine) else {
        return;
    };
    for_its_group(&machine.path("card"), 0o750);
    for_its_group(&machine.path("card/offhook.toml"), 0o640);
    for_its_group(&machine.path("state/crash"), 0o750);
    for_its_group(&machine.path("state/crash/1"), 0o640);
    let status = fs::read_to_string(format!("/proc/{}/status", phone.child.id())).unwrap();
    let uid = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    assert_eq!(uid.split_whitespace().nth(1), Some("61234"));
    // What it keeps, and what root made for it, is its own, the folder and the crash logs are not.
    for file in ["last-good.toml", "secrets.toml"] {
        let path = machine.path("state").join(file);
        // The last good configuration is written once the phone runs.
        until(file, || path.exists());
        let (uid, gid, mode) = owner(&path);
        assert_eq!((uid, gid, mode), (USER.0, USER.1, 0o600), "{file}");
    }
    assert_eq!(owner(&machine.path("state")), (0, USER.1, 0o1770));
    assert_eq!(owner(&machine.path("state/crash")).0, 0);
    assert_eq!(owner(&machine.path("run")).0, 0);
    // It writes its state, and reads the crash logs.
    let bundle = machine.path("state/bundle.tar.gz");
    let asked = format!(r#"{{"cmd":"bundle","file":"{}"}}"#, bundle.display());
    let reply = phone.ask(&asked);
    assert_eq!(reply["ok"], true, "{reply}");
    assert_eq!(owner(&bundle).0, USER.0);
    let list = Command::new("tar")
        .arg("tzf")
        .arg(&bundle)
        .output()
        .unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.contains("crash/1"), "{list}");
    // The broker is root, and writes the card.
    until("status.txt", || machine.status_file().contains("on box"));
    assert_eq!(owner(&machine.path("card/status.txt")).0, 0);
    // The self-test is asked for by the broker, too; the next phone is root for it and then not.
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.send(r#"{"cmd":"press","keys":"*95#"}"#);
    assert_eq!(phone.exit_code(), 10);
    let log = fs::read_to_string(machine.path("log")).unwrap();
    assert!(machine.path("run/self-test").exists(), "{log}");
    assert_eq!(owner(&machine.path("run/self-test")).0, 0);
    let mut phone = confined_as_user(&machine).unwrap();
    for_its_group(&machine.path("card/offhook.toml"), 0o640);
    assert!(!machine.path("run/self-test").exists());
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.send(r#"{"cmd":"press","keys":"*99*7378#"}"#);
    assert_eq!(phone.exit_code(), 11);
    assert!(!machine.path("state/last-good.toml").exists());
}

/// Of a group's own address: two sockets listen to it, one after the other.
fn listens_to(process: u32, port: u16) -> bool {
    let known = fs::read_to_string(format!("/proc/{process}/net/udp")).unwrap();
    // 239.77.1.1, as the kernel writes it on a little-endian machine.
    known.contains(&format!("01014DEF:{port:04X}"))
}

#[test]
fn a_phone_of_its_own_user_rings_hears_pages_and_exports() {
    let machine = Machine::new("confined-more");
    let port = testkit::process::free_port() & !1;
    machine.card(&format!(
        "[audio]\nring_sound = \"shut.wav\"\nring_sounds = {{ 2 = \"ring.wav\" }}\n\
         [paging]\ngroups = {{ 1 = \"239.77.1.1:{port}\" }}\n"
    ));
    for_its_group(&machine.path("card"), 0o750);
    for_its_group(&machine.path("card/offhook.toml"), 0o640);
    for name in ["ring.wav", "shut.wav"] {
        fs::copy(crate::orders::speech(), machine.path("card").join(name)).unwrap();
    }
    for_its_group(&machine.path("card/ring.wav"), 0o640);
    // Not as the image mounts the card: what is root's alone is not the phone's to read.
    fs::set_permissions(
        machine.path("card/shut.wav"),
        PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let Some(mut phone) = confined_as_user(&machine) else {
        return;
    };
    let log = || fs::read_to_string(machine.path("log")).unwrap();
    until("the ring sounds are read", || {
        log().contains("ring sound shut.wav")
    });
    assert!(!log().contains("ring sound ring.wav"), "{}", log());
    until("the group", || listens_to(phone.child.id(), port));
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.ask(r#"{"cmd":"press","keys":"*59#"}"#);
    let table = machine.path("card/history.csv");
    until("the table on the card", || table.exists());
    assert_eq!(owner(&table).0, 0);
    let csv = phone.ask(r#"{"cmd":"history","csv":true}"#);
    assert_eq!(csv["csv"], fs::read_to_string(table).unwrap());
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
}

#[test]
fn a_confined_phone_writes_its_card_by_the_broker() {
    let machine = Machine::new("confined");
    machine.card("");
    let mut phone = confined(&machine);
    // Rights are held by each thread for itself.
    let threads = fs::read_dir(format!("/proc/{}/task", phone.child.id())).unwrap();
    for thread in threads.flatten() {
        // One may end meanwhile.
        let Ok(status) = fs::read_to_string(thread.path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let held = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
        assert_eq!(
            held & !(1 << 10 | 1 << 14 | 1 << 23),
            0,
            "{held:x}: {status}"
        );
        assert_eq!(
            (field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()),
            ("1", "2"),
            "{status}"
        );
    }
    until("status.txt", || machine.status_file().contains("on box"));
    // Where the image's scripts keep their files the phone writes nothing by itself.
    let bundle = machine.path("run/bundle.tar.gz");
    let reply = phone.ask(&format!(
        r#"{{"cmd":"bundle","file":"{}"}}"#,
        bundle.display()
    ));
    assert_eq!(reply["ok"], false, "{reply}");
    let bundle = machine.path("state/bundle.tar.gz");
    let reply = phone.ask(&format!(
        r#"{{"cmd":"bundle","file":"{}"}}"#,
        bundle.display()
    ));
    assert_eq!(reply["ok"], true, "{reply}");
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.ask(r#"{"cmd":"press","keys":"*94#"}"#);
    until("the bundle on the card", || {
        machine.path("card/offhook-support.tar.gz").exists()
    });
    phone.ask(r#"{"cmd":"quit"}"#);
    assert_eq!(phone.exit_code(), 0);
    // The broker goes with its phone.
    let broker = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let card = machine.path("card").display().to_string();
        processes
            .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains(&card))
    };
    until("the broker is gone", || !broker());
}

#[test]
fn a_confined_phone_resets_by_the_broker() {
    let machine = Machine::new("confined-reset");
    machine.card("[phone]\nname = \"x\"\n");
    let mut phone = confined(&machine);
    phone.ask(r#"{"cmd":"lift"}"#);
    phone.send(r#"{"cmd":"press","keys":"*99*7378#"}"#);
    assert_eq!(phone.exit_code(), 11);
    assert!(!machine.path("state/last-good.toml").exists());
    let card = fs::read_to_string(machine.path("card/offhook.toml")).unwrap();
    assert!(!card.contains("name = \"x\""), "{card}");
}
