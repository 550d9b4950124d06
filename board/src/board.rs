//! The whole board but its sound card, behind one descriptor.
//!
//! ```text
//!              ┌ hook, flash, keypad, rotary, input devices ─▶ poll_event ─▶ owner
//! epoll fd ◀───┤ timerfd (debounce, scans, bell halves, lamps)
//!              └ ringer, lamps, watchdog ◀── ring, lamp, feed_watchdog ── owner
//! ```
//!
//! The board has no thread and never blocks. Its descriptor is readable whenever there is something
//! to do, timers included:
//!
//! ```no_run
//! # use board::{Board, Profile}; use std::os::fd::AsFd; use std::time::Instant;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut board = Board::open(&Profile::load("board/profiles".as_ref(), "sim")?, Instant::now())?;
//! loop {
//!     // wait until `board.as_fd()` is readable (with tokio: AsyncFd::new(board), readable_mut().await, clear_ready() at the end)
//!     board.handle_ready(Instant::now());
//!     while let Some(event) = board.poll_event() { /* to the phone */ }
//!     while let Some(fault) = board.poll_fault() { /* to the log */ }
//! # break;
//! }
//! # Ok(()) }
//! ```
//!
//! Call [`Board::handle_ready`] once right after opening: it reports the hook's state (a board
//! without a hook switch says "on hook" once). Between a call and the next nothing is lost; the
//! kernel queues the edges.

mod open;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use types::{Lamp, LampState};

use crate::gpio::{BellLines, GpioPin};
use crate::lamp::LampDriver;
use crate::profile::{FunctionKeys, Profile};
use crate::ringer::Ringer;
use crate::watchdog::Watchdog;
use crate::{BoardError, BoardEvent, Input};

use open::or_fault;

/// The hook switch's table.
const HOOK: &str = "[hook]";
/// The rotary dial's table.
const ROTARY: &str = "[rotary]";
/// The table of keys beside the keypad.
const KEYS: &str = "[keys]";
/// Events kept for an owner who does not fetch them; further ones are dropped.
const MAX_EVENTS: usize = 256;

/// Hook, keys, dial, ringer, lamps and watchdog of one board.
pub struct Board {
    epoll: Epoll,
    timer: TimerFd,
    /// Each with its table of `hardware.toml`.
    inputs: Vec<(&'static str, Box<dyn Input>)>,
    /// The tables of inputs that the profile has.
    wanted_inputs: Vec<&'static str>,
    ringer: Option<Ringer<BellLines>>,
    lamps: Vec<(Lamp, LampDriver<GpioPin>)>,
    watchdog: Option<Box<dyn Watchdog>>,
    /// The watchdog refuses to be fed, since then.
    refused: Option<(Instant, BoardError)>,
    events: VecDeque<BoardEvent>,
    faults: VecDeque<BoardError>,
    /// Every device that is not in use because of this fault.
    failed: Vec<BoardError>,
}

impl Board {
    /// Takes every device the profile names. A device that cannot be had, or only a part of it, is
    /// left out and reported by [`Board::poll_fault`] and [`Board::failed`]: a phone without its
    /// lamp is still a phone. An error is a system that has no descriptors left.
    pub fn open(profile: &Profile, now: Instant) -> Result<Self, BoardError> {
        let system = |e: nix::Error| BoardError::Device {
            device: "board".to_owned(),
            problem: format!("no epoll or timer: {e}"),
            help: "raise the limit on open files".to_owned(),
        };
        let mut faults = VecDeque::new();
        let mut inputs: Vec<(&'static str, Box<dyn Input>)> = Vec::new();
        let mut wanted_inputs = Vec::new();
        for (table, opened) in [
            (HOOK, open::open_hook(profile, now)),
            ("[flash]", open::open_flash(profile, now)),
            (ROTARY, open::open_rotary(profile, now)),
            ("[keypad]", open::open_keypad(profile, now)),
            ("[input]", open::open_input_devices(profile, now)),
        ] {
            if !matches!(opened, Ok(None)) {
                wanted_inputs.push(table);
            }
            let device = or_fault(opened, &mut faults);
            inputs.extend(device.map(|device| (table, device)));
        }
        for (key, line) in profile.keys.iter().flat_map(FunctionKeys::wired) {
            let opened = open::open_key(profile, key, line, now).map(Some);
            let device = or_fault(opened, &mut faults);
            inputs.extend(device.map(|device| (KEYS, device)));
        }
        if profile.keys.is_some() {
            wanted_inputs.push(KEYS);
        }
        let has_hook = inputs.iter().any(|(table, _)| *table == HOOK);
        let ringer = or_fault(open::open_ringer(profile), &mut faults);
        let mut lamps = Vec::new();
        for (name, line) in profile.lamps.wired() {
            let lamp = open::open_lamp(profile, line, now).map(Some);
            lamps.extend(or_fault(lamp, &mut faults).map(|lamp| (name, lamp)));
        }
        let watchdog = or_fault(open::open_watchdog(profile), &mut faults);

        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system)?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )
        .map_err(system)?;
        epoll
            .add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))
            .map_err(system)?;
        for fd in inputs.iter().flat_map(|(_, input)| input.fds()) {
            epoll
                .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
                .map_err(system)?;
        }
        let mut events = VecDeque::new();
        // Without a hook switch nothing else says that the handset is down.
        if !has_hook {
            events.push_back(BoardEvent::Hook(false));
        }
        let mut board = Self {
            epoll,
            timer,
            inputs,
            wanted_inputs,
            ringer,
            lamps,
            watchdog,
            refused: None,
            events,
            failed: faults.iter().cloned().collect(),
            faults,
        };
        board.arm(now);
        Ok(board)
    }

    /// Decodes the lines, advances ringer and lamps. Never blocks.
    pub fn handle_ready(&mut self, now: Instant) {
        // The timer is drained first: if a device asks for a moment already past, it fires again.
        let _ = self.timer.wait();
        let (events, faults, epoll) = (&mut self.events, &mut self.faults, &self.epoll);
        let failed = &mut self.failed;
        self.inputs.retain_mut(|(table, input)| {
            let done = input.handle_ready(now, &mut |event| {
                if events.len() < MAX_EVENTS {
                    events.push_back(event);
                }
            });
            for fault in std::iter::from_fn(|| input.poll_fault()) {
                // A dial that is wired the wrong way round stays so.
                if *table == ROTARY && !failed.contains(&fault) {
                    failed.push(fault.clone());
                }
                faults.push_back(fault);
            }
            let Err(fault) = done else { return true };
            // A line that failed stays readable for ever: let go of it, or the loop would spin.
            for fd in input.fds() {
                let _ = epoll.delete(fd);
            }
            failed.push(fault.clone());
            faults.push_back(fault);
            false
        });
        if let Some(Err(fault)) = self
            .ringer
            .as_mut()
            .map(|ringer| ringer.handle_timeout(now))
        {
            self.fail(fault);
            self.ringer = None;
        }
        for i in (0..self.lamps.len()).rev() {
            if let Err(fault) = self.lamps[i].1.handle_timeout(now) {
                self.fail(fault);
                self.lamps.swap_remove(i);
            }
        }
        self.arm(now);
    }

    /// The next input event.
    pub fn poll_event(&mut self) -> Option<BoardEvent> {
        self.events.pop_front()
    }

    /// The next device that failed; it is not used any more, but for an input device, which is
    /// waited for.
    pub fn poll_fault(&mut self) -> Option<BoardError> {
        self.faults.pop_front()
    }

    /// Something rings: a bell or a buzzer.
    pub fn has_ringer(&self) -> bool {
        self.ringer.is_some()
    }

    /// The tables of `hardware.toml` that name something a person moves.
    pub fn wanted_inputs(&self) -> &[&'static str] {
        &self.wanted_inputs
    }

    /// Those of them whose devices all work now.
    pub fn working_inputs(&self) -> Vec<&'static str> {
        let present = self.inputs.iter().filter(|(_, input)| input.is_present());
        present.map(|(table, _)| *table).collect()
    }

    /// Every device that is not in use, and why: it could not be opened, or failed later.
    pub fn failed(&self) -> &[BoardError] {
        &self.failed
    }

    fn fail(&mut self, fault: BoardError) {
        self.failed.push(fault.clone());
        self.faults.push_back(fault);
    }

    /// When [`Board::handle_ready`] has something to do though no line moves. The descriptor
    /// becomes readable then by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let inputs = self
            .inputs
            .iter()
            .filter_map(|(_, input)| input.poll_timeout());
        let ringer = self.ringer.as_ref().and_then(Ringer::poll_timeout);
        inputs
            .chain(ringer)
            .chain(
                self.lamps
                    .iter()
                    .filter_map(|(_, lamp)| lamp.poll_timeout()),
            )
            .min()
    }

    /// Rings with this cadence (ms on, off, …; repeated), or stops. A board without a ringer does
    /// nothing.
    pub fn ring(&mut self, cadence: Option<&[u16]>, now: Instant) {
        if let Some(Err(fault)) = self.ringer.as_mut().map(|ringer| ringer.ring(cadence, now)) {
            self.fail(fault);
            self.ringer = None;
        }
        self.arm(now);
    }

    /// Shows a pattern on a lamp. A board without that lamp does nothing.
    pub fn lamp(&mut self, name: Lamp, pattern: LampState, now: Instant) {
        if let Some(i) = self.lamps.iter().position(|(lamp, _)| *lamp == name)
            && let Err(fault) = self.lamps[i].1.show(pattern, now)
        {
            self.fail(fault);
            self.lamps.swap_remove(i);
        }
        self.arm(now);
    }

    /// Feeds the hardware watchdog, where there is one; returns its timeout.
    pub fn feed_watchdog(&mut self, now: Instant) -> Option<Duration> {
        let watchdog = self.watchdog.as_mut()?;
        let timeout = watchdog.timeout();
        match (watchdog.feed(now), &self.refused) {
            (Ok(()), None) => Some(timeout),
            (Ok(()), Some((_, fault))) => {
                self.failed.retain(|listed| listed != fault);
                self.refused = None;
                Some(timeout)
            }
            // It may take the next feed: giving it up at once would let it reset the board.
            (Err(fault), None) => {
                self.refused = Some((now, fault.clone()));
                self.fail(fault);
                None
            }
            (Err(_), Some((since, _))) => {
                // Armed and never fed it would reset the board again and again.
                if now.saturating_duration_since(*since) >= timeout / 2 && watchdog.disarm().is_ok()
                {
                    self.watchdog = None;
                }
                None
            }
        }
    }

    /// An orderly end: ringer silent, lamps dark, watchdog disarmed. Dropped without it, the
    /// watchdog stays armed.
    pub fn shutdown(mut self) -> Result<(), BoardError> {
        let now = Instant::now();
        self.ring(None, now);
        // One that fails keeps no other from its end, the watchdog least of all.
        let mut outcome = Ok(());
        for (_, lamp) in &mut self.lamps {
            outcome = outcome.and(lamp.show(LampState::Off, now));
        }
        let disarmed = self.watchdog.as_mut().map_or(Ok(()), |dog| dog.disarm());
        outcome.and(disarmed)
    }

    /// Takes this watchdog in place of the profile's.
    #[cfg(test)]
    pub(crate) fn set_watchdog(&mut self, watchdog: Box<dyn Watchdog>) {
        self.watchdog = Some(watchdog);
    }

    fn arm(&mut self, now: Instant) {
        let set = match self.poll_timeout() {
            Some(at) => {
                let left = at
                    .saturating_duration_since(now)
                    .max(Duration::from_nanos(1));
                self.timer.set(
                    Expiration::OneShot(TimeSpec::from_duration(left)),
                    TimerSetTimeFlags::empty(),
                )
            }
            None => self.timer.unset(),
        };
        if let Err(e) = set {
            self.faults.push_back(BoardError::Gone {
                device: "board timer".to_owned(),
                problem: e.to_string(),
            });
        }
    }
}

impl AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl AsRawFd for Board {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.0.as_raw_fd()
    }
}
