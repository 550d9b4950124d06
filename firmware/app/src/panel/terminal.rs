//! The terminal: keys one by one, a screen of our own, and everything as it was afterwards,
//! whatever happens.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};

/// Another screen, cursor hidden.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// Back again.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// How the terminal was, for whoever must put it back: us, or the panic hook (a release build
/// aborts without dropping anything).
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// The terminal while the panel has it.
pub(super) struct Terminal {
    frame: u64,
}

impl Terminal {
    /// Whether both ends are a terminal.
    pub(super) fn is_here() -> bool {
        io::stdin().is_terminal() && io::stdout().is_terminal()
    }

    /// Takes the terminal.
    pub(super) fn open() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut raw = before.clone();
        raw.local_flags
            .remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                previous(info);
            }));
        });
        tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &raw)?;
        super::put(ENTER)?;
        Ok(Self { frame: 0 })
    }

    /// How many times it was drawn.
    pub(super) fn frame(&self) -> u64 {
        self.frame
    }

    /// Draws the lines over the old ones.
    pub(super) fn show(&mut self, lines: &[String]) -> io::Result<()> {
        self.frame += 1;
        let mut text = String::from("\x1b[H");
        for line in lines {
            text.push_str(line);
            text.push_str("\x1b[0m\x1b[K\r\n");
        }
        text.push_str("\x1b[J");
        super::put(&text)
    }

    /// The next key until then.
    pub(super) fn key(until: Instant) -> Option<char> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                return None;
            }
            let stdin = io::stdin();
            let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            match poll(&mut fds, timeout) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(_) => continue,
            }
            let mut byte = [0];
            match stdin.lock().read(&mut byte) {
                Ok(1) => return Some(char::from(byte[0])),
                // The terminal is gone: as if `q` were pressed.
                Ok(_) | Err(_) => return Some('q'),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // Nothing more can be done for a terminal that refuses.
        let _ = super::put(LEAVE);
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &before);
    }
}
