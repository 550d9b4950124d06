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

use crate::gpio::{self, ActiveLevel, BellLines, Drive, EdgeInput, FoundLine, GpioPin};
use crate::hook::HookSwitch;
use crate::input_device::InputDevices;
use crate::keypad::{Keypad, KeypadDecoder};
use crate::lamp::LampDriver;
use crate::profile::{GpioLine, Profile};
use crate::ringer::{RingSequencer, Ringer};
use crate::rotary::RotaryDial;
use crate::watchdog::{LinuxWatchdog, Watchdog};
use crate::{BoardError, BoardEvent, Input, flash};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};
use types::{Lamp, LampState};

/// Events kept for an owner who does not fetch them; further ones are dropped.
const MAX_EVENTS: usize = 256;

/// Hook, keys, dial, ringer, lamps and watchdog of one board.
pub struct Board {
    epoll: Epoll,
    timer: TimerFd,
    inputs: Vec<Box<dyn Input>>,
    ringer: Option<Ringer<BellLines>>,
    lamps: Vec<(Lamp, LampDriver<GpioPin>)>,
    watchdog: Option<Box<dyn Watchdog>>,
    events: VecDeque<BoardEvent>,
    faults: VecDeque<BoardError>,
}

impl Board {
    /// Takes every line the profile names. Nothing is taken if one of them cannot be.
    pub fn open(profile: &Profile, now: Instant) -> Result<Self, BoardError> {
        let system = |e: nix::Error| BoardError::Device {
            device: "board".to_owned(),
            problem: format!("no epoll or timer: {e}"),
            help: "raise the limit on open files".to_owned(),
        };
        let chip = profile.gpio.chip.as_str();
        let find = |device: &str, line: &GpioLine| gpio::find(device, chip, &line.name);
        let mut inputs: Vec<Box<dyn Input>> = Vec::new();

        if let Some(hook) = &profile.hook {
            let debounce = ms(hook.debounce_ms);
            let line = edges(
                &find("[hook]", &hook.line)?,
                hook.closed,
                hook.bias,
                debounce,
            )?;
            let own_debounce = if line.is_debounced() {
                Duration::ZERO
            } else {
                debounce
            };
            inputs.push(Box::new(HookSwitch::new(
                line,
                hook.contact,
                own_debounce,
                now,
            )?));
        }
        if let Some(key) = &profile.flash {
            let debounce = ms(key.debounce_ms);
            let line = edges(
                &find("[flash]", &key.line)?,
                key.pressed,
                key.bias,
                debounce,
            )?;
            let own_debounce = if line.is_debounced() {
                Duration::ZERO
            } else {
                debounce
            };
            inputs.push(Box::new(flash::FlashKey::new(line, own_debounce, now)?));
        }
        if let Some(rotary) = &profile.rotary {
            // Not debounced by the kernel: the decoder wants the moment a contact really moved.
            let pulse = edges(
                &find("[rotary]", &rotary.pulse)?,
                rotary.pulse_closed,
                rotary.bias,
                Duration::ZERO,
            )?;
            let off_normal = match &rotary.off_normal {
                Some(line) => Some(edges(
                    &find("[rotary]", line)?,
                    rotary.off_normal_away,
                    rotary.bias,
                    Duration::ZERO,
                )?),
                None => None,
            };
            inputs.push(Box::new(RotaryDial::new(
                pulse,
                off_normal,
                rotary.numbering,
                now,
            )?));
        }
        if let Some(keypad) = &profile.keypad {
            let rows = keypad.rows.iter().map(|row| {
                gpio::output(
                    &find("[keypad] rows", row)?,
                    keypad.drive,
                    ActiveLevel::High,
                )
            });
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let columns = keypad
                .columns
                .iter()
                .map(|column| gpio::input(&find("[keypad] columns", column)?, Some(keypad.bias)));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let decoder = KeypadDecoder::new(keypad.labels(), ms(keypad.debounce_ms));
            inputs.push(Box::new(Keypad::new(
                rows,
                columns,
                decoder,
                ms(keypad.step_ms),
                now,
            )?));
        }

        if let Some(input) = &profile.input {
            let devices = InputDevices::open(
                "/dev/input".as_ref(),
                input.devices.clone(),
                input.grab,
                input.mappings(),
                now,
            )?;
            inputs.push(Box::new(devices));
        }

        let ringer = match &profile.ringer {
            Some(ringer) => {
                let lines = ringer
                    .lines
                    .iter()
                    .map(|line| find("[ringer]", line))
                    .collect::<Result<Vec<FoundLine>, _>>()?;
                match lines.split_first() {
                    Some((a, rest)) => {
                        let sequencer = RingSequencer::new(ringer.kind, ringer.frequency_hz);
                        Some(Ringer::new(BellLines::open(a, rest.first())?, sequencer)?)
                    }
                    None => None,
                }
            }
            None => None,
        };

        let wanted = [
            (Lamp::Line, &profile.lamps.line),
            (Lamp::InUse, &profile.lamps.in_use),
            (Lamp::Message, &profile.lamps.message),
            (Lamp::Encrypted, &profile.lamps.encrypted),
        ];
        let mut lamps = Vec::new();
        for (name, line) in wanted {
            if let Some(line) = line {
                let line = find("[lamps]", line)?;
                let pin = gpio::output(&line, Drive::PushPull, profile.lamps.lit)?;
                lamps.push((name, LampDriver::new(pin, now)?));
            }
        }

        let watchdog: Option<Box<dyn Watchdog>> = match &profile.watchdog {
            Some(watchdog) => Some(Box::new(LinuxWatchdog::open(
                &watchdog.device,
                Duration::from_secs(u64::from(watchdog.timeout_s)),
            )?)),
            None => None,
        };

        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system)?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )
        .map_err(system)?;
        epoll
            .add(timer.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))
            .map_err(system)?;
        for fd in inputs.iter().flat_map(|input| input.fds()) {
            epoll
                .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
                .map_err(system)?;
        }
        let mut events = VecDeque::new();
        if profile.hook.is_none() {
            events.push_back(BoardEvent::Hook(false));
        }
        let mut board = Self {
            epoll,
            timer,
            inputs,
            ringer,
            lamps,
            watchdog,
            events,
            faults: VecDeque::new(),
        };
        board.arm(now);
        Ok(board)
    }

    /// Decodes the lines, advances ringer and lamps. Never blocks.
    pub fn handle_ready(&mut self, now: Instant) {
        // The timer is drained first: if a device asks for a moment already past, it fires again.
        let _ = self.timer.wait();
        let (events, faults, epoll) = (&mut self.events, &mut self.faults, &self.epoll);
        self.inputs.retain_mut(|input| {
            let done = input.handle_ready(now, &mut |event| {
                if events.len() < MAX_EVENTS {
                    events.push_back(event);
                }
            });
            faults.extend(std::iter::from_fn(|| input.poll_fault()));
            let Err(fault) = done else { return true };
            // A line that failed stays readable for ever: let go of it, or the loop would spin.
            for fd in input.fds() {
                let _ = epoll.delete(fd);
            }
            faults.push_back(fault);
            false
        });
        if let Some(Err(fault)) = self
            .ringer
            .as_mut()
            .map(|ringer| ringer.handle_timeout(now))
        {
            self.faults.push_back(fault);
            self.ringer = None;
        }
        for i in (0..self.lamps.len()).rev() {
            if let Err(fault) = self.lamps[i].1.handle_timeout(now) {
                self.faults.push_back(fault);
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

    /// When [`Board::handle_ready`] has something to do though no line moves. The descriptor
    /// becomes readable then by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let inputs = self.inputs.iter().filter_map(|input| input.poll_timeout());
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
            self.faults.push_back(fault);
            self.ringer = None;
        }
        self.arm(now);
    }

    /// Shows a pattern on a lamp. A board without that lamp does nothing.
    pub fn lamp(&mut self, name: Lamp, pattern: LampState, now: Instant) {
        if let Some(i) = self.lamps.iter().position(|(lamp, _)| *lamp == name)
            && let Err(fault) = self.lamps[i].1.show(pattern, now)
        {
            self.faults.push_back(fault);
            self.lamps.swap_remove(i);
        }
        self.arm(now);
    }

    /// Feeds the hardware watchdog, where there is one; returns its timeout.
    pub fn feed_watchdog(&mut self, now: Instant) -> Option<Duration> {
        let watchdog = self.watchdog.as_mut()?;
        match watchdog.feed(now) {
            Ok(()) => Some(watchdog.timeout()),
            Err(fault) => {
                self.faults.push_back(fault);
                self.watchdog = None;
                None
            }
        }
    }

    /// An orderly end: ringer silent, lamps dark, watchdog disarmed. Dropped without it, the
    /// watchdog stays armed.
    pub fn shutdown(mut self) -> Result<(), BoardError> {
        let now = Instant::now();
        self.ring(None, now);
        for (_, lamp) in &mut self.lamps {
            lamp.show(LampState::Off, now)?;
        }
        self.watchdog
            .as_mut()
            .map_or(Ok(()), |watchdog| watchdog.disarm())
    }

    /// Takes this watchdog in place of the profile's: for boards whose reset is no kernel device,
    /// and for tests.
    pub fn set_watchdog(&mut self, watchdog: Box<dyn Watchdog>) {
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

fn ms(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

fn edges(
    line: &FoundLine,
    active: ActiveLevel,
    bias: Option<gpio::Bias>,
    debounce: Duration,
) -> Result<EdgeInput, BoardError> {
    EdgeInput::open(line, active, bias, debounce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_board_without_lines_reports_on_hook_once() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let now = Instant::now();
        let mut board = Board::open(&profile, now).unwrap();
        board.handle_ready(now);
        assert_eq!(board.poll_event(), Some(BoardEvent::Hook(false)));
        board.ring(Some(&[1000, 4000]), now);
        board.lamp(Lamp::InUse, LampState::Fast, now);
        assert_eq!(
            (board.poll_event(), board.poll_fault(), board.poll_timeout()),
            (None, None, None)
        );
        board.shutdown().unwrap();
    }

    #[test]
    fn a_missing_chip_is_one_clear_error() {
        let text = "name = \"x\"\n[gpio]\nchip = \"no-such-chip\"\n[hook]\nline = 17\n";
        let profile = Profile::parse(Path::new("x"), text).unwrap();
        let Err(error) = Board::open(&profile, Instant::now()) else {
            panic!("opened")
        };
        let text = error.to_string();
        assert!(
            text.starts_with("[hook]: GPIO line 17 of chip `no-such-chip`: there "),
            "{text}"
        );
        assert!(text.contains("; "), "{text}");
    }
}
