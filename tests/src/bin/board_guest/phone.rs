//! `offhook` processes inside the guest and their control sockets.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub(crate) fn binary() -> String {
    std::env::var("OFFHOOK_BIN").unwrap()
}

/// A running `offhook`.
pub(crate) struct Phone {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    events: Option<BufReader<UnixStream>>,
}

impl Phone {
    /// Starts it with these arguments and waits until its socket answers.
    pub(crate) fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut phone = Self::launch(dir, arguments);
        let end = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&phone.socket).is_err() {
            let over = phone.child.try_wait().unwrap();
            assert!(
                over.is_none() && Instant::now() < end,
                "offhook does not start ({over:?}):\n{}",
                phone.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut events = UnixStream::connect(&phone.socket).unwrap();
        writeln!(events, "{{\"cmd\":\"events\"}}").unwrap();
        events
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        phone.events = Some(BufReader::new(events));
        // Requests are answered in their order: after this reply the events are listened to.
        phone.status();
        phone
    }

    /// Starts it and waits for nothing.
    pub(crate) fn launch(dir: &Path, arguments: &[&str]) -> Self {
        fs::create_dir_all(dir).unwrap();
        let log = dir.join("log");
        let out = File::create(&log).unwrap();
        let child = Command::new(binary())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self {
            child,
            socket: dir.join("ctl.sock"),
            log,
            events: None,
        }
    }

    /// Its log so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks the control socket.
    pub(crate) fn ask(&self, request: &str) -> Value {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        writeln!(stream, "{request}").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{request}: {e}: {line}"))
    }

    /// The status object.
    pub(crate) fn status(&self) -> Value {
        self.ask("{\"cmd\":\"status\"}")
    }

    /// Waits for an event that `wanted` accepts; those before it are passed over.
    pub(crate) fn expect(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.seen(Duration::from_secs(15), wanted)
            .unwrap_or_else(|passed| {
                panic!(
                    "no {what}; instead:\n{passed}log:\n{}status: {}",
                    self.said(),
                    self.status()
                )
            })
    }

    /// The next event that `wanted` accepts; else those that came within this time.
    pub(crate) fn seen(
        &mut self,
        within: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let end = Instant::now() + within;
        let mut passed = Vec::new();
        let mut line = String::new();
        while Instant::now() < end {
            // A read that times out keeps what it has: the line goes on with the next.
            match self.events.as_mut().unwrap().read_line(&mut line) {
                Ok(0) => break,
                Ok(_) if line.ends_with('\n') => {
                    let event: Value =
                        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
                    if wanted(&event) {
                        return Ok(event);
                    }
                    passed.push(std::mem::take(&mut line));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Err(passed.concat())
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended(&mut self, most: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + most;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Orders it to shut down, and sees it go.
    pub(crate) fn quit(mut self) {
        self.ask("{\"cmd\":\"quit\"}");
        let status = self.ended(Duration::from_secs(5));
        assert!(
            status.is_some_and(|status| status.success()),
            "an orderly end was {status:?}:\n{}",
            self.said()
        );
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        // Gone already, after `quit`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
