//! The hardware watchdog: resets a board whose phone has stopped.
//!
//! ```text
//! owner (audio and control thread both alive?) ─▶ Watchdog::feed ─┬▶ LinuxWatchdog      /dev/watchdog
//!                                                                 └▶ SimulatedWatchdog  records, and reports when it would expire
//! ```
//!
//! It is fed only when its owner says so; there is no timer in here. An orderly shutdown disarms it
//! by [`Watchdog::disarm`] (the "magic close": a `V` before the close). Dropped without that, it
//! stays armed and the board resets, which is the point.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::BoardError;

// nix generates the ioctl wrapper; the kernel reads and writes one int.
mod ioctl {
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
    nix::ioctl_read!(keep_alive, b'W', 5, libc::c_int);
    nix::ioctl_read!(set_options, b'W', 4, libc::c_int);
}

/// `WDIOS_DISABLECARD`
const DISABLE: libc::c_int = 1;

/// An armed watchdog.
pub trait Watchdog {
    /// Unfed for this long, the board resets. Feed it three times as often.
    fn timeout(&self) -> Duration;
    /// Restarts its timer.
    fn feed(&mut self, now: Instant) -> Result<(), BoardError>;
    /// Switches it off: for an orderly shutdown only. A driver built with "no way out" stays armed.
    fn disarm(&mut self) -> Result<(), BoardError>;
}

/// The kernel's.
#[derive(Debug)]
pub struct LinuxWatchdog {
    device: File,
    timeout: Duration,
}

impl LinuxWatchdog {
    /// Opens and so arms the watchdog. The timeout is what the driver makes of it, see
    /// [`Watchdog::timeout`].
    pub fn open(path: &Path, timeout: Duration) -> Result<Self, BoardError> {
        let refused = |error: std::io::Error| BoardError::Device {
            device: format!("watchdog {}", path.display()),
            help: match error.kind() {
                ErrorKind::NotFound => "leave [watchdog] out of hardware.toml, or load its driver",
                _ => {
                    "another program holds it (systemd: RuntimeWatchdogSec=0), and the phone needs \
                     the right to open it"
                }
            }
            .to_owned(),
            problem: error.to_string(),
        };
        let device = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(refused)?;
        let mut seconds = timeout.as_secs().clamp(1, 3600) as libc::c_int;
        // SAFETY: the descriptor is open and `seconds` lives through the call. A driver with a
        // fixed timeout refuses; it stays as it was.
        #[expect(unsafe_code, reason = "see SAFETY above")]
        let set = unsafe { ioctl::set_timeout(device.as_raw_fd(), &raw mut seconds) };
        let timeout = if set.is_ok() {
            Duration::from_secs(seconds.max(1) as u64)
        } else {
            timeout
        };
        Ok(Self { device, timeout })
    }

    fn write(&mut self, byte: &[u8]) -> Result<(), BoardError> {
        self.device.write_all(byte).map_err(|e| BoardError::Gone {
            device: "watchdog".to_owned(),
            problem: e.to_string(),
        })
    }
}

impl Watchdog for LinuxWatchdog {
    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn feed(&mut self, _now: Instant) -> Result<(), BoardError> {
        self.write(b"\0").or_else(|refused| {
            let mut unused = 0;
            // SAFETY: the descriptor is open and `unused` lives through the call.
            #[expect(unsafe_code, reason = "see SAFETY above")]
            let fed = unsafe { ioctl::keep_alive(self.device.as_raw_fd(), &raw mut unused) };
            fed.map(drop).map_err(|_| refused)
        })
    }

    fn disarm(&mut self) -> Result<(), BoardError> {
        self.write(b"V").or_else(|refused| {
            let mut options = DISABLE;
            // SAFETY: the descriptor is open and `options` lives through the call.
            #[expect(unsafe_code, reason = "see SAFETY above")]
            let off = unsafe { ioctl::set_options(self.device.as_raw_fd(), &raw mut options) };
            off.map(drop).map_err(|_| refused)
        })
    }
}

/// One that resets nothing. Clones share it, so that a test can look while its owner feeds.
#[derive(Debug, Clone)]
pub struct SimulatedWatchdog {
    timeout: Duration,
    fed: Rc<Cell<Instant>>,
    armed: Rc<Cell<bool>>,
}

impl SimulatedWatchdog {
    /// Armed at `now`.
    pub fn new(timeout: Duration, now: Instant) -> Self {
        Self {
            timeout,
            fed: Rc::new(Cell::new(now)),
            armed: Rc::new(Cell::new(true)),
        }
    }

    /// When it would reset the board if it is not fed again; `None`: it is disarmed.
    pub fn expires_at(&self) -> Option<Instant> {
        self.armed.get().then(|| self.fed.get() + self.timeout)
    }
}

impl Watchdog for SimulatedWatchdog {
    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn feed(&mut self, now: Instant) -> Result<(), BoardError> {
        self.fed.set(now);
        Ok(())
    }

    fn disarm(&mut self) -> Result<(), BoardError> {
        self.armed.set(false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn feeding_and_magic_close_write_the_right_bytes() {
        let folder = TestDir::new("watchdog");
        let path = folder.join("watchdog0");
        std::fs::write(&path, "").unwrap();
        let now = Instant::now();
        let mut watchdog = LinuxWatchdog::open(&path, Duration::from_secs(15)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"", "not fed by opening");
        watchdog.feed(now).unwrap();
        watchdog.feed(now).unwrap();
        drop(watchdog);
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"\0\0",
            "dropped without disarming: it stays armed"
        );
        std::fs::write(&path, "").unwrap();
        LinuxWatchdog::open(&path, Duration::from_secs(15))
            .unwrap()
            .disarm()
            .unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"V");
        std::fs::remove_file(&path).unwrap();
        let error = LinuxWatchdog::open(&path, Duration::from_secs(15))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("watchdog0") && error.contains("leave [watchdog] out"),
            "{error}"
        );
    }

    #[test]
    fn the_simulated_watchdog_expires_after_its_timeout() {
        let t0 = Instant::now();
        let seen = SimulatedWatchdog::new(Duration::from_secs(15), t0);
        let mut watchdog = seen.clone();
        watchdog.feed(t0 + Duration::from_secs(5)).unwrap();
        assert_eq!(seen.expires_at(), Some(t0 + Duration::from_secs(20)));
        watchdog.disarm().unwrap();
        assert_eq!(seen.expires_at(), None);
    }
}
