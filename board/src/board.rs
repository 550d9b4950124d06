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

/// The hook switch's table.
const HOOK: &str = "[hook]";
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
    /// left out and reported by [`Board::poll_fault`] and [`Board::failed`]: a phone without its lamp
    /// is still a phone. An error is a system that has no descriptors left.
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
            (HOOK, open_hook(profile, now)),
            ("[flash]", open_flash(profile, now)),
            ("[rotary]", open_rotary(profile, now)),
            ("[keypad]", open_keypad(profile, now)),
            ("[input]", open_input_devices(profile, now)),
        ] {
            if !matches!(opened, Ok(None)) {
                wanted_inputs.push(table);
            }
            let device = or_fault(opened, &mut faults);
            inputs.extend(device.map(|device| (table, device)));
        }
        let has_hook = inputs.iter().any(|(table, _)| *table == HOOK);
        let ringer = or_fault(open_ringer(profile), &mut faults);
        let wanted = [
            (Lamp::Line, &profile.lamps.line),
            (Lamp::InUse, &profile.lamps.in_use),
            (Lamp::Message, &profile.lamps.message),
            (Lamp::Encrypted, &profile.lamps.encrypted),
        ];
        let mut lamps = Vec::new();
        for (name, line) in wanted {
            let lamp = line.as_ref().map(|line| open_lamp(profile, line, now));
            lamps.extend(or_fault(lamp.transpose(), &mut faults).map(|lamp| (name, lamp)));
        }
        let watchdog = or_fault(open_watchdog(profile), &mut faults);

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
        self.inputs.retain_mut(|(_, input)| {
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

type Opened<T> = Result<Option<T>, BoardError>;

/// The device, if it could be opened; its fault goes to the others.
fn or_fault<T>(opened: Opened<T>, faults: &mut VecDeque<BoardError>) -> Option<T> {
    opened.unwrap_or_else(|fault| {
        faults.push_back(fault);
        None
    })
}

fn find(profile: &Profile, device: &str, line: &GpioLine) -> Result<FoundLine, BoardError> {
    gpio::find(device, &profile.gpio.chip, &line.name)
}

/// What the decoder has to debounce itself: nothing where the kernel does it.
fn remaining_debounce(line: &EdgeInput, debounce: Duration) -> Duration {
    if line.is_debounced() {
        Duration::ZERO
    } else {
        debounce
    }
}

fn open_hook(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(hook) = &profile.hook else {
        return Ok(None);
    };
    let debounce = ms(hook.debounce_ms);
    let line = edges(
        &find(profile, "[hook]", &hook.line)?,
        hook.closed,
        hook.bias,
        debounce,
    )?;
    let own_debounce = remaining_debounce(&line, debounce);
    let hook = HookSwitch::new(line, hook.contact, own_debounce, now)?;
    Ok(Some(Box::new(hook)))
}

fn open_flash(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(key) = &profile.flash else {
        return Ok(None);
    };
    let debounce = ms(key.debounce_ms);
    let line = edges(
        &find(profile, "[flash]", &key.line)?,
        key.pressed,
        key.bias,
        debounce,
    )?;
    let own_debounce = remaining_debounce(&line, debounce);
    Ok(Some(Box::new(flash::FlashKey::new(
        line,
        own_debounce,
        now,
    )?)))
}

fn open_rotary(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(rotary) = &profile.rotary else {
        return Ok(None);
    };
    // Not debounced by the kernel: the decoder wants the moment a contact really moved.
    let contact = |line: &GpioLine, active| {
        let line = find(profile, "[rotary]", line)?;
        edges(&line, active, rotary.bias, Duration::ZERO)
    };
    let pulse = contact(&rotary.pulse, rotary.pulse_closed)?;
    let off_normal = rotary
        .off_normal
        .as_ref()
        .map(|line| contact(line, rotary.off_normal_away))
        .transpose()?;
    let dial = RotaryDial::new(pulse, off_normal, rotary.numbering, now)?;
    Ok(Some(Box::new(dial)))
}

fn open_keypad(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(keypad) = &profile.keypad else {
        return Ok(None);
    };
    let rows = keypad.rows.iter().map(|row| {
        gpio::output(
            &find(profile, "[keypad] rows", row)?,
            keypad.drive,
            ActiveLevel::High,
        )
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let columns = keypad.columns.iter().map(|column| {
        gpio::input(
            &find(profile, "[keypad] columns", column)?,
            Some(keypad.bias),
        )
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let decoder = KeypadDecoder::new(keypad.labels(), ms(keypad.debounce_ms));
    let keypad = Keypad::new(rows, columns, decoder, ms(keypad.step_ms), now)?;
    Ok(Some(Box::new(keypad)))
}

fn open_input_devices(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(input) = &profile.input else {
        return Ok(None);
    };
    let devices = InputDevices::open(
        "/dev/input".as_ref(),
        input.devices.clone(),
        input.grab,
        input.mappings(),
        now,
    )?;
    Ok(Some(Box::new(devices)))
}

fn open_ringer(profile: &Profile) -> Opened<Ringer<BellLines>> {
    let Some(ringer) = &profile.ringer else {
        return Ok(None);
    };
    let lines = ringer
        .lines
        .iter()
        .map(|line| find(profile, "[ringer]", line))
        .collect::<Result<Vec<FoundLine>, _>>()?;
    let Some((a, rest)) = lines.split_first() else {
        return Ok(None);
    };
    let sequencer = RingSequencer::new(ringer.kind, ringer.frequency_hz);
    Ringer::new(BellLines::open(a, rest.first())?, sequencer).map(Some)
}

fn open_lamp(
    profile: &Profile,
    line: &GpioLine,
    now: Instant,
) -> Result<LampDriver<GpioPin>, BoardError> {
    let line = find(profile, "[lamps]", line)?;
    let pin = gpio::output(&line, Drive::PushPull, profile.lamps.lit)?;
    LampDriver::new(pin, now)
}

fn open_watchdog(profile: &Profile) -> Opened<Box<dyn Watchdog>> {
    let Some(watchdog) = &profile.watchdog else {
        return Ok(None);
    };
    let timeout = Duration::from_secs(u64::from(watchdog.timeout_s));
    Ok(Some(Box::new(LinuxWatchdog::open(
        &watchdog.device,
        timeout,
    )?)))
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
        let mut board = Board::open(&profile, Instant::now()).unwrap();
        let text = board.poll_fault().unwrap().to_string();
        assert!(
            text.starts_with("[hook]: GPIO line 17 of chip `no-such-chip`: there "),
            "{text}"
        );
        assert!(text.contains("; "), "{text}");
        assert_eq!(board.poll_fault(), None);
    }

    /// A profile in which every device is on a chip or at a path that does not exist.
    const ALL_MISSING: &str = r#"
name = "x"
[gpio]
chip = "no-such-chip"
[hook]
line = 17
[flash]
line = 1
[rotary]
pulse = 2
[keypad]
rows = [3]
columns = [4]
keys = ["1"]
[ringer]
kind = "bell"
lines = [5, 8]
[lamps]
line = 6
message = 7
[watchdog]
device = "/dev/no-such-watchdog"
timeout_s = 15
"#;

    #[test]
    fn missing_devices_are_reported_and_left_out() {
        let profile = Profile::parse(Path::new("x"), ALL_MISSING).unwrap();
        let now = Instant::now();
        let mut board = Board::open(&profile, now).unwrap();
        let failed: Vec<_> = board.failed().iter().map(ToString::to_string).collect();
        let of = |device: &str| failed.iter().filter(|text| text.contains(device)).count();
        for (device, count) in [
            ("[hook]", 1),
            ("[flash]", 1),
            ("[rotary]", 1),
            ("[keypad]", 1),
            ("[ringer]", 1),
            ("[lamps]", 2),
            ("watchdog /dev/no-such-watchdog", 1),
        ] {
            assert_eq!(of(device), count, "{device}: {failed:#?}");
        }
        let reported: Vec<_> = std::iter::from_fn(|| board.poll_fault()).collect();
        assert_eq!(reported, board.failed());
        // What is left is a phone by `ctl` and by its sound card.
        board.handle_ready(now);
        assert_eq!(board.poll_event(), Some(BoardEvent::Hook(false)));
        board.ring(Some(&[1000, 4000]), now);
        board.lamp(Lamp::Line, LampState::On, now);
        assert_eq!(board.feed_watchdog(now), None);
        board.shutdown().unwrap();
    }

    /// A watchdog that takes no food.
    struct Refusing;

    impl Watchdog for Refusing {
        fn timeout(&self) -> Duration {
            Duration::from_secs(15)
        }
        fn feed(&mut self, _now: Instant) -> Result<(), BoardError> {
            Err(BoardError::Gone {
                device: "watchdog".to_owned(),
                problem: "EIO".to_owned(),
            })
        }
        fn disarm(&mut self) -> Result<(), BoardError> {
            self.feed(Instant::now())
        }
    }

    /// A watchdog that refuses some feeds; it remembers what it was asked.
    #[derive(Clone)]
    struct Moody {
        refuses: std::rc::Rc<std::cell::Cell<bool>>,
        disarmed: std::rc::Rc<std::cell::Cell<bool>>,
    }

    impl Watchdog for Moody {
        fn timeout(&self) -> Duration {
            Duration::from_secs(15)
        }
        fn feed(&mut self, _now: Instant) -> Result<(), BoardError> {
            if self.refuses.get() {
                return Refusing.feed(Instant::now());
            }
            Ok(())
        }
        fn disarm(&mut self) -> Result<(), BoardError> {
            self.disarmed.set(true);
            Ok(())
        }
    }

    #[test]
    fn a_watchdog_that_refuses_a_feed_is_fed_again() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let t0 = Instant::now();
        let at = |s: u64| t0 + Duration::from_secs(s);
        let mut board = Board::open(&profile, t0).unwrap();
        let moody = Moody {
            refuses: std::rc::Rc::default(),
            disarmed: std::rc::Rc::default(),
        };
        board.set_watchdog(Box::new(moody.clone()));
        assert!(board.feed_watchdog(at(0)).is_some());
        moody.refuses.set(true);
        assert_eq!(
            (board.feed_watchdog(at(1)), board.failed().len()),
            (None, 1)
        );
        assert_eq!(
            (board.feed_watchdog(at(5)), board.failed().len()),
            (None, 1)
        );
        moody.refuses.set(false);
        assert!(board.feed_watchdog(at(6)).is_some(), "given up");
        assert_eq!((board.failed(), moody.disarmed.get()), (&[][..], false));
        // One that takes none for half its time is switched off before it resets the board.
        moody.refuses.set(true);
        for second in 10..=16 {
            board.feed_watchdog(at(second));
            assert!(!moody.disarmed.get(), "{second}");
        }
        board.feed_watchdog(at(18));
        assert!(moody.disarmed.get());
        assert_eq!(board.failed().len(), 1);
        moody.refuses.set(false);
        assert_eq!(board.feed_watchdog(at(19)), None);
    }

    #[test]
    fn inputs_that_work_are_listed_apart() {
        let profile = Profile::parse(Path::new("x"), ALL_MISSING).unwrap();
        let board = Board::open(&profile, Instant::now()).unwrap();
        assert_eq!(
            board.wanted_inputs(),
            ["[hook]", "[flash]", "[rotary]", "[keypad]"]
        );
        assert!(board.working_inputs().is_empty());
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let board = Board::open(&profile, Instant::now()).unwrap();
        assert!(board.wanted_inputs().is_empty());
    }

    #[test]
    fn a_watchdog_that_fails_later_is_listed_once() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let now = Instant::now();
        let mut board = Board::open(&profile, now).unwrap();
        assert_eq!(board.failed(), []);
        board.set_watchdog(Box::new(Refusing));
        board.feed_watchdog(now);
        board.feed_watchdog(now);
        assert_eq!(board.failed().len(), 1);
        assert_eq!(board.poll_fault().as_ref(), board.failed().first());
    }
}
