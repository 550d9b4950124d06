//! Network namespaces with cables between them that a test plugs and pulls.
//!
//! The namespace lives as long as the process that holds it; `nsenter` puts programs into it, and
//! [`Namespace::enter`] the calling thread.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, setns};

/// A network namespace of its own, with its loopback up.
#[derive(Debug)]
pub struct Namespace {
    holder: std::process::Child,
}

impl Namespace {
    /// Makes one; none where this machine does not allow it.
    pub fn new() -> Option<Self> {
        let mut unshare = Command::new("unshare");
        if nix::unistd::geteuid().is_root() {
            unshare.arg("-n");
        } else {
            unshare.arg("-Urn");
        }
        let holder = unshare
            .args(["sleep", "2147483647"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let namespace = Self { holder };
        // The holder is in its namespace once it runs `sleep`.
        let name = format!("/proc/{}/comm", namespace.pid());
        for _ in 0..200 {
            if std::fs::read_to_string(&name).is_ok_and(|comm| comm.trim() == "sleep") {
                let up = namespace
                    .command("ip")
                    .args(["link", "set", "lo", "up"])
                    .status();
                return up.is_ok_and(|status| status.success()).then_some(namespace);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        None
    }

    fn pid(&self) -> u32 {
        self.holder.id()
    }

    /// A program that will run in it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid().to_string(), "-n"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["-U", "--preserve-credentials"]);
        }
        command.arg("--").arg(program);
        command
    }

    /// `ip …` in it.
    pub fn ip(&self, arguments: &str) {
        let status = self
            .command("ip")
            .args(arguments.split_ascii_whitespace())
            .status()
            .unwrap();
        assert!(status.success(), "ip {arguments}: {status}");
    }

    /// A setting of the kernel in it: `net/ipv6/conf/all/accept_dad`.
    pub fn sysctl(&self, name: &str, value: &str) {
        let script = format!("echo {value} > /proc/sys/{name}");
        let status = self.command("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success(), "{name} = {value}: {status}");
    }

    /// A cable between this namespace and another: the interface of each end.
    pub fn cable(&self, name: &str, other: &Self, other_name: &str) {
        let (here, there) = (self.pid(), other.pid());
        let status = Command::new("ip")
            .args(
                format!(
                    "link add {name} netns {here} type veth peer name {other_name} netns {there}"
                )
                .split_ascii_whitespace(),
            )
            .status()
            .unwrap();
        assert!(status.success(), "veth {name} – {other_name}: {status}");
        for (end, name) in [(self, name), (other, other_name)] {
            // Addresses count at once, without looking for duplicates.
            end.sysctl(&format!("net/ipv6/conf/{name}/accept_dad"), "0");
            end.ip(&format!("link set {name} up"));
        }
    }

    /// Puts the calling thread into it: sockets opened from then on are of this namespace.
    pub fn enter(&self) {
        let path = PathBuf::from(format!("/proc/{}/ns/net", self.pid()));
        let file = std::fs::File::open(path).unwrap();
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}
