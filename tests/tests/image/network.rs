//! The network of an emulated phone: a tap device to this machine with a DHCP server at its end,
//! and an HTTP server there.
//!
//! ```text
//!  phone ◀─ tap ─▶ 10.77.N.1: offhook, kamailio, udhcpd, serve()
//! ```

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use testkit::process::{ChildProcess, TestDir};

/// A tap device of its own, in the test's network namespace.
pub(crate) struct TestNetwork {
    pub(crate) tap: String,
    /// This machine's address on it.
    pub(crate) host: String,
    /// The address DHCP gives the phone.
    pub(crate) phone: String,
    number: u8,
    dhcp: Option<ChildProcess>,
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

impl TestNetwork {
    /// Makes it, or says why it cannot be made here.
    pub(crate) fn new(number: u8) -> Result<Self, String> {
        let tap = format!("offhook{number}");
        let host = format!("10.77.{number}.1");
        ip(&["tuntap", "add", &tap, "mode", "tap"])?;
        ip(&["addr", "add", &format!("{host}/24"), "dev", &tap])?;
        ip(&[
            "addr",
            "add",
            &format!("fd77:{number}::1/64"),
            "dev",
            &tap,
            "nodad",
        ])?;
        ip(&["link", "set", &tap, "up"])?;
        Ok(Self {
            tap,
            host,
            phone: format!("10.77.{number}.20"),
            number,
            dhcp: None,
        })
    }

    /// A DHCP server that gives the phone its address, and these lines besides.
    pub(crate) fn serve_dhcp(&mut self, folder: &TestDir, more: &str) {
        let file = folder.join(format!("udhcpd-{}.conf", self.number));
        let text = format!(
            "interface {tap}\nstart {phone}\nend {phone}\nlease_file {dir}/leases\n\
             pidfile {dir}/udhcpd.pid\nmin_lease 60\n\
             opt subnet 255.255.255.0\nopt router {host}\nopt dns {host}\nopt lease 3600\n{more}",
            tap = self.tap,
            phone = self.phone,
            host = self.host,
            dir = folder.path().display(),
        );
        std::fs::write(&file, text).unwrap();
        std::fs::write(folder.join("leases"), "").unwrap();
        self.dhcp = Some(ChildProcess::start(
            Command::new("busybox").args(["udhcpd", "-f"]).arg(&file),
            &folder.join("udhcpd.log"),
        ));
    }
}

impl Drop for TestNetwork {
    fn drop(&mut self) {
        ip(&["link", "del", &self.tap]).ok();
    }
}

/// The hardware address QEMU gives the phone.
const MAC: &str = "525400123456";

/// A server that has one file and knows its version. Counted: it gave the file, it said that there
/// is nothing new, it was asked for another. `{mac}` in the name is the phone's own address.
pub(crate) fn serve(address: &str, name: &str, body: Vec<u8>) -> (String, Arc<[AtomicU32; 3]>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let url = format!("http://{}/{name}", listener.local_addr().unwrap());
    let counts: Arc<[AtomicU32; 3]> = Arc::default();
    let (counted, wanted) = (
        Arc::clone(&counts),
        format!("get /{} ", name.replace("{mac}", MAC)),
    );
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n")
                && stream.read(&mut byte).is_ok_and(|count| count == 1)
            {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let (what, answer) = if !head.starts_with(&wanted) {
                (
                    2,
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                )
            } else if head.contains("if-none-match: \"v1\"") {
                (
                    1,
                    "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n".to_owned(),
                )
            } else {
                (
                    0,
                    format!(
                        "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    ),
                )
            };
            counted[what].fetch_add(1, Ordering::SeqCst);
            // A machine whose power is cut does not listen to the end.
            let _ = stream.write_all(answer.as_bytes());
            if what == 0 {
                let _ = stream.write_all(&body);
            }
        }
    });
    (url, counts)
}

/// What a recording holds from `from` seconds on, at 8 kHz.
pub(crate) fn samples_8k(recording: &Path) -> Vec<i16> {
    let out = recording.with_extension("8k.wav");
    let done = Command::new("sox")
        .arg("--ignore-length")
        .arg(recording)
        .args(["-r", "8000", "-c", "1", "-b", "16", "-e", "signed"])
        .arg(&out)
        .output()
        .expect("sox runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    hound::WavReader::open(&out)
        .unwrap()
        .into_samples::<i16>()
        .map(Result::unwrap)
        .collect()
}
