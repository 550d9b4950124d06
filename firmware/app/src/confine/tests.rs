//! What a phone that was taken over can no longer do. Each attempt runs on a thread of its own that
//! is confined as the phone's are: a thread cannot lead back.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use testkit::process::TestDir;

use super::*;

/// Runs on a confined thread of a machine with a card, a state directory and somebody else's key.
fn confined<T: Send>(name: &str, attempt: impl FnOnce(&Path) -> T + Send) -> T {
    confined_as(name, None, attempt)
}

/// The same, as another user.
fn confined_as<T: Send>(
    name: &str,
    user: Option<User>,
    attempt: impl FnOnce(&Path) -> T + Send,
) -> T {
    let folder = TestDir::on_disk(&format!("confine-{name}"));
    for part in ["card", "state", "run", "tmp", "other"] {
        fs::create_dir_all(folder.join(part)).unwrap();
        fs::write(folder.join(part).join("file"), "secret").unwrap();
    }
    let reach = Reach {
        read: vec![folder.join("card")],
        state_dir: folder.join("state"),
        scratch: folder.join("tmp"),
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            assert!(enter(&reach, user).unwrap(), "this kernel has no Landlock");
            attempt(&folder)
        });
        thread.join().unwrap()
    })
}

fn is_denied<T>(result: io::Result<T>) -> bool {
    // Landlock answers EXDEV to a link from elsewhere.
    let denied = [libc::EACCES, libc::EPERM, libc::EXDEV].map(Some);
    result.is_err_and(|error| denied.contains(&error.raw_os_error()))
}

#[test]
fn a_confined_phone_reads_and_writes_its_own_files_only() {
    confined("files", |folder| {
        assert_eq!(fs::read(folder.join("card/file")).unwrap(), b"secret");
        fs::write(folder.join("state/new"), "kept").unwrap();
        fs::rename(folder.join("state/new"), folder.join("state/file")).unwrap();
        fs::remove_file(folder.join("tmp/file")).unwrap();
        assert!(is_denied(fs::write(folder.join("run/ctl.sock"), "x")));
        assert!(is_denied(fs::remove_file(folder.join("run/file"))));
        assert!(is_denied(fs::read(folder.join("other/file"))));
        assert!(is_denied(fs::read("/etc/shadow")));
        assert!(is_denied(fs::write(folder.join("card/file"), "x")));
        assert!(is_denied(fs::remove_file(folder.join("card/file"))));
        assert!(is_denied(fs::write(folder.join("other/new"), "x")));
        assert!(is_denied(std::os::unix::fs::symlink(
            "/",
            folder.join("state/link")
        )));
        // Nor by a link that was there before.
        assert!(is_denied(fs::hard_link(
            folder.join("other/file"),
            folder.join("state/link")
        )));
    });
}

/// As a display: opened before, written and set as long as the phone runs, and not opened again.
#[test]
fn a_confined_phone_keeps_the_devices_it_has_and_opens_no_other() {
    let path = "/dev/full";
    let mut device = fs::OpenOptions::new().write(true).open(path).unwrap();
    confined("devices", move |_| {
        let written = io::Write::write_all(&mut device, b"x");
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
        // SAFETY: FBIOBLANK with a number only, to a device that knows no such request.
        #[expect(unsafe_code, reason = "see SAFETY above")]
        let set = unsafe { libc::ioctl(device.as_raw_fd(), 0x4611, 0) };
        let error = io::Error::last_os_error().raw_os_error();
        assert_eq!((set, error), (-1, Some(libc::ENOTTY)));
        assert!(is_denied(fs::File::open(path)));
    });
}

#[test]
fn a_confined_phone_executes_nothing() {
    confined("exec", |_| {
        let started = Command::new("/bin/true").status();
        assert!(is_denied(started));
    });
}

#[test]
fn a_confined_phone_traces_and_mounts_nothing() {
    use nix::mount::{MsFlags, mount};
    let parent = nix::unistd::getppid();
    confined("kernel", |folder| {
        assert!(is_denied(
            nix::sys::ptrace::attach(parent).map_err(io::Error::from)
        ));
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
        let none = None::<&str>;
        let card = folder.join("card");
        let mounted = mount(none, &card, none, flags, none);
        assert!(is_denied(mounted.map_err(io::Error::from)));
        let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
        assert!(is_denied(unshared.map_err(io::Error::from)));
        let memory = format!("/proc/{parent}/mem");
        assert!(is_denied(fs::File::open(memory)));
    });
}

#[test]
fn a_confined_phone_opens_no_other_family_of_sockets() {
    confined("sockets", |_| {
        let open = |family: i32, kind: i32, protocol: i32| {
            // SAFETY: numbers only; what is opened is closed at the end of the process.
            #[expect(unsafe_code, reason = "see SAFETY above")]
            let socket = unsafe { libc::socket(family, kind, protocol) };
            if socket < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(socket)
            }
        };
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
            assert!(!is_denied(open(family, libc::SOCK_DGRAM, 0)), "{family}");
        }
        assert!(open(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE).is_ok());
        let audit = 9;
        assert!(is_denied(open(libc::AF_NETLINK, libc::SOCK_RAW, audit)));
        for family in [
            libc::AF_PACKET,
            libc::AF_ALG,
            libc::AF_VSOCK,
            libc::AF_BLUETOOTH,
        ] {
            assert!(is_denied(open(family, libc::SOCK_RAW, 0)), "{family}");
        }
        assert!(is_denied(open(
            libc::AF_INET,
            libc::SOCK_RAW,
            libc::IPPROTO_UDP
        )));
    });
}

#[test]
fn a_confined_phone_has_three_capabilities_at_most() {
    let status = confined("capabilities", |_| {
        fs::read_to_string("/proc/thread-self/status").unwrap()
    });
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    for name in ["CapEff:", "CapPrm:", "CapInh:"] {
        let held = u64::from_str_radix(&field(name), 16).unwrap();
        assert_eq!(held & !(1 << 10 | 1 << 14 | 1 << 23), 0, "{name}");
    }
    assert_eq!(
        (field("NoNewPrivs:").as_str(), field("Seccomp:").as_str()),
        ("1", "2")
    );
}

/// Without Landlock: the phone's user, by itself, is kept away from what is root's.
#[test]
fn a_phone_of_its_own_user_reads_no_files_of_root() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: another user: only root becomes one");
        return;
    }
    let user = User {
        uid: 61_234,
        gid: 61_235,
    };
    let folder = TestDir::new("user");
    fs::create_dir_all(folder.join("state")).unwrap();
    fs::write(folder.join("state/file"), "own").unwrap();
    fs::write(folder.join("key"), "root's").unwrap();
    fs::set_permissions(
        folder.join("key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    user.own_folder(&folder.join("state")).unwrap();
    std::thread::scope(|scope| {
        let attempt = scope.spawn(|| {
            capabilities::keep_of_phone(Some(user)).unwrap();
            assert_eq!(fs::read(folder.join("state/file")).unwrap(), b"own");
            fs::write(folder.join("state/new"), "x").unwrap();
            assert!(is_denied(fs::read(folder.join("key"))));
            assert!(is_denied(fs::write(folder.join("other"), "x")));
            // Nor is any process of root's, this one's other threads included, its to end.
            let parent = nix::unistd::getppid();
            let signalled = nix::sys::signal::kill(parent, None).map_err(io::Error::from);
            assert!(is_denied(signalled));
        });
        attempt.join().unwrap();
    });
}

#[test]
fn a_confined_phone_is_no_longer_root() {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: another user: only root becomes one");
        return;
    }
    let user = User {
        uid: 61_234,
        gid: 61_235,
    };
    let status = confined_as("is-user", Some(user), |folder| {
        fs::write(folder.join("state/new"), "kept").unwrap();
        assert!(is_denied(fs::write("/tmp/../etc/offhook-test", "x")));
        fs::read_to_string("/proc/thread-self/status").unwrap()
    });
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(field("Uid:"), "61234 61234 61234 61234");
    assert_eq!(field("Gid:"), "61235 61235 61235 61235");
    assert_eq!(field("Groups:"), "");
    let held = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
    assert_ne!(held, 0, "the three rights of a phone are gone with root");
    assert_eq!(held & !(1 << 10 | 1 << 14 | 1 << 23), 0);
}
