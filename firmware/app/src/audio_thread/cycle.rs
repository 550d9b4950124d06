//! One turn of the audio loop.
//!
//! ```text
//! poll ─▶ commands ─▶ packets in (bounded) ─▶ card: read ─▶ engine.process ─▶ write ─▶ packets out ─▶ reports
//!            └─ STUN, DTLS to be sent  └─ STUN, DTLS ──────────────────────────────────────────────────▶ to the control thread
//! ```
//!
//! It sleeps until the card (or the timer in its place) or the control thread wants something, not
//! until a datagram comes: none is heard before the next period, and the kernel stamps each with
//! its true arrival. So a call wakes the thread no more often than silence does, and a flood not
//! at all.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use board::audio::{AudioDevice, Period};
use heapless::Vec as Fixed;
use media::Engine;
use media::MAX_STREAMS;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::further::{FurtherCard, FurtherCards, MAX_FURTHER};
use super::guard::WakeGuard;
use super::link::{AudioCommand, AudioEnd, AudioReport, AudioSide, Datagram, LossReason};
use super::wake_ups::{SocketWatch, WakeUps};
use crate::net::media_sockets::{Inbox, Received, SocketPair, wall_clock};

/// Stream sockets held at once: those in the engine, and as many on their way in or out.
pub(super) const MAX_PAIRS: usize = 2 * MAX_STREAMS;
/// Packets taken off one socket in one turn: four streams' worth of a stall, and no flood can take
/// more of a period.
const PACKETS_A_TURN: usize = 32;
/// Commands taken in one turn.
const COMMANDS_A_TURN: usize = 64;
/// Periods done in one turn; a sound card that asks for more has lost count.
const PERIODS_A_TURN: usize = 8;
/// Queue slots kept for what must be freed: figures may not take them.
const RESERVED: usize = 32;
/// Things that wait to go back while the queue is full.
const MAX_OVERFLOW: usize = 32;
/// Longest sleep of a loop that plays, and of one that has nothing to do (the watchdog takes it for
/// dead after two seconds).
const AWAKE: Duration = Duration::from_millis(20);
const ASLEEP: Duration = Duration::from_millis(500);
/// How long after the last sound the card is stopped: what is queued in it is heard first.
const REST_AFTER: Duration = Duration::from_secs(2);
/// Longest frame block in samples: 20 ms at 48 kHz, the longest period the configuration allows,
/// and a half more.
const MAX_PERIOD: usize = 1440;

/// The loop's whole state; moves into the audio thread.
pub struct AudioLoop {
    end: AudioEnd,
    engine: Box<Engine>,
    /// How long the engine's period is.
    period: Duration,
    card: Option<Box<dyn AudioDevice>>,
    further: FurtherCards,
    pairs: Fixed<Box<SocketPair>, MAX_PAIRS>,
    inbox: Inbox,
    overflow: Fixed<AudioReport, MAX_OVERFLOW>,
    wake_ups: WakeUps,
    sockets: SocketWatch,
    capture: [i16; MAX_PERIOD],
    playback: [i16; MAX_PERIOD],
    guard: WakeGuard,
    /// The card is stopped, because there is nothing to hear and no one to hear it.
    asleep: bool,
    /// Since when there is nothing to hear.
    idle_since: Option<Instant>,
    /// Paces the engine while there is no card.
    timer: TimerFd,
    next_silent: Instant,
    /// When the card last gave sound, or was given to us.
    last_period: Instant,
    /// The period before this one was done without a gap of our own making, so that a late one can
    /// be noticed.
    steady: bool,
    notify: bool,
    running: bool,
    /// STUN and DTLS datagrams that the engine had no room for, as far as they were counted.
    non_media_dropped: u64,
}

impl AudioLoop {
    /// A loop about to start, with the card it has, if any.
    pub fn new(
        side: AudioSide,
        engine: Box<Engine>,
        card: Option<Box<dyn AudioDevice>>,
        now: Instant,
    ) -> io::Result<Self> {
        let mut audio = Self {
            end: side.0,
            period: period_of(&engine),
            engine,
            card: None,
            further: FurtherCards::new(MAX_PERIOD),
            pairs: Fixed::new(),
            inbox: Inbox::new(),
            overflow: Fixed::new(),
            wake_ups: WakeUps::new(),
            sockets: SocketWatch::new()?,
            capture: [0; MAX_PERIOD],
            playback: [0; MAX_PERIOD],
            guard: WakeGuard::new(),
            asleep: false,
            idle_since: None,
            timer: TimerFd::new(
                ClockId::CLOCK_MONOTONIC,
                TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
            )?,
            next_silent: now,
            last_period: now,
            steady: false,
            notify: false,
            running: true,
            non_media_dropped: 0,
        };
        match card {
            Some(card) => audio.take_card(card, None),
            None => audio.pace_by_timer(now),
        }
        Ok(audio)
    }

    /// What its engine runs at.
    pub(super) fn engine(&self) -> media::EngineConfig {
        self.engine.config()
    }

    /// One turn; `false`: the loop is over.
    pub fn turn(&mut self) -> bool {
        // A failing poll would be a mistake of ours (a closed descriptor); the loop stays alive and
        // the next turn tries again.
        let (polled, woken) = self.sleep();
        self.end.shared.beat();
        self.take_commands(polled);
        self.send_datagrams();
        // One look at the clock serves the whole turn: what came before it is heard in it.
        let now = Instant::now();
        self.take_packets(now);
        self.wake_or_rest(now);
        let periods = self.run_card(Some(now));
        self.serve_further(periods, now);
        self.send_packets();
        self.report();
        if self.guard.turn(woken, periods, now) {
            self.end.shared.count_useless_wakes();
        }
        self.running
    }

    /// Sleeps until something is to be done: whether the descriptors were looked at, and whether
    /// the card (or a poll that fails) was what ended it.
    fn sleep(&mut self) -> (bool, bool) {
        let longest = if self.asleep {
            ASLEEP
        } else if self.guard.backs_off() {
            self.period
        } else {
            AWAKE
        };
        match self.wake_ups.poll(self.guard.backs_off(), longest) {
            Ok(woken) => (true, woken),
            Err(_) if self.guard.backs_off() => {
                let _ = crate::realtime::poll(&mut [], longest);
                (false, true)
            }
            Err(_) => (false, true),
        }
    }

    /// Stops the card where it is silent and no one listens, and starts it where there is something
    /// to hear again: in between nothing wakes the thread but commands.
    fn wake_or_rest(&mut self, now: Instant) {
        if !self.engine.is_idle() || !self.pairs.is_empty() {
            self.idle_since = None;
            if self.asleep {
                self.wake(now);
            }
            return;
        }
        let since = *self.idle_since.get_or_insert(now);
        if self.asleep {
            // An unplugged card is noticed in its sleep, too.
            if let Some(Err(error)) = self.card.as_mut().map(|card| card.check()) {
                self.asleep = false;
                self.lose_card(LossReason::Failed(error));
            }
        } else if now.saturating_duration_since(since) > REST_AFTER {
            self.rest();
        }
    }

    fn rest(&mut self) {
        let paused = self
            .card
            .as_mut()
            .map_or_else(|| self.timer.unset().is_ok(), |card| card.pause());
        if !paused {
            return;
        }
        self.asleep = true;
        self.further.rest();
        self.watch();
    }

    fn wake(&mut self, now: Instant) {
        self.asleep = false;
        self.engine.handle_discontinuity(0);
        self.steady = false;
        self.last_period = now;
        match self.card.as_mut().map(|card| card.resume()) {
            Some(Ok(())) => self.watch(),
            Some(Err(error)) => self.lose_card(LossReason::Failed(error)),
            None => self.pace_by_timer(now),
        }
    }

    fn frames(&self) -> usize {
        self.engine.config().period_frames.min(MAX_PERIOD)
    }

    fn take_commands(&mut self, awake: bool) {
        // A system call that returns nothing is saved, here and at the sockets.
        if !awake || self.wake_ups.has_commands() {
            let _ = self.end.wake_audio.read();
        }
        for _ in 0..COMMANDS_A_TURN {
            // What the commands give back needs room.
            if self.overflow.len() + 2 > MAX_OVERFLOW {
                break;
            }
            let Some(command) = self.end.commands.dequeue() else {
                break;
            };
            let now = Instant::now();
            match command {
                AudioCommand::Media(command) => self.engine.handle_command(command, now),
                AudioCommand::Sockets(pair) => {
                    // Sockets that cannot be listened to, or are too many, are of no use here.
                    let listens = self.sockets.add(&pair);
                    let taken = if listens {
                        self.pairs.push(pair)
                    } else {
                        Err(pair)
                    };
                    if let Err(pair) = taken {
                        self.return_sockets(pair);
                    }
                }
                AudioCommand::CloseSockets(stream) => {
                    if let Some(index) = self.pairs.iter().position(|pair| pair.stream == stream) {
                        let pair = self.pairs.swap_remove(index);
                        self.return_sockets(pair);
                    }
                }
                AudioCommand::Card(card, engine) => self.take_card(card, engine),
                AudioCommand::Further(card) => self.take_further(card),
                AudioCommand::Quit => self.running = false,
            }
        }
    }

    /// Sends what the control thread has to say on media sockets. After the commands, so that the
    /// socket is here.
    fn send_datagrams(&mut self) {
        while let Some(datagram) = self.end.datagrams_out.dequeue() {
            match self
                .pairs
                .iter()
                .find(|pair| pair.stream == datagram.stream)
            {
                Some(pair) => {
                    if pair
                        .send(datagram.socket, &datagram.bytes, datagram.peer)
                        .is_err()
                    {
                        self.end.shared.count_send_error();
                    }
                }
                None => self.end.shared.count_datagram_dropped(),
            }
        }
    }

    /// Passes STUN and DTLS on to the control thread.
    fn forward_non_media(&mut self) {
        while let Some(datagram) = self.engine.poll_non_media() {
            // MAX_PACKET is the most a datagram here has.
            let Ok(bytes) = Fixed::from_slice(datagram.bytes) else {
                continue;
            };
            let datagram = Datagram {
                stream: datagram.stream,
                socket: datagram.socket,
                peer: datagram.from,
                bytes,
            };
            if self.end.datagrams_in.enqueue(datagram).is_ok() {
                self.notify = true;
            } else {
                self.end.shared.count_datagram_dropped();
            }
        }
        let dropped = self.engine.non_media_dropped();
        for _ in self.non_media_dropped..dropped {
            self.end.shared.count_datagram_dropped();
        }
        self.non_media_dropped = dropped;
    }

    fn take_card(&mut self, card: Box<dyn AudioDevice>, engine: Option<Box<Engine>>) {
        if let Some(engine) = engine {
            self.period = period_of(&engine);
            let old = std::mem::replace(&mut self.engine, engine);
            self.non_media_dropped = self.engine.non_media_dropped();
            self.return_for_drop(AudioReport::EngineReturned(old));
            while let Some(further) = self.further.take_any() {
                self.return_for_drop(AudioReport::FurtherReturned(further, LossReason::Replaced));
            }
        }
        let format = card.format();
        self.further
            .set_handset(format.playback_delay_frames, format.period_frames);
        if let Some(old) = self.card.replace(card) {
            self.return_for_drop(AudioReport::CardReturned(old, LossReason::Replaced));
        }
        self.last_period = Instant::now();
        self.steady = false;
        self.guard = WakeGuard::new();
        (self.asleep, self.idle_since) = (false, None);
        let _ = self.timer.unset();
        self.watch();
    }

    fn take_further(&mut self, card: Box<FurtherCard>) {
        if let Err(card) = self.further.add(card) {
            self.return_for_drop(AudioReport::FurtherReturned(card, LossReason::Replaced));
        }
        if self.asleep {
            self.further.rest();
        }
    }

    /// What the further cards have ready, after so many periods of the handset's.
    fn serve_further(&mut self, periods: u32, now: Instant) {
        if self.further.is_empty() {
            return;
        }
        let mut lost = Fixed::<_, MAX_FURTHER>::new();
        for _ in 0..self.further.serve(&self.engine, periods, now, &mut lost) {
            self.end.shared.count_xrun();
        }
        for (card, reason) in lost {
            self.return_for_drop(AudioReport::FurtherReturned(card, reason));
        }
    }

    fn lose_card(&mut self, reason: LossReason) {
        if let Some(card) = self.card.take() {
            self.return_for_drop(AudioReport::CardReturned(card, reason));
            self.pace_by_timer(Instant::now());
        }
    }

    fn pace_by_timer(&mut self, now: Instant) {
        self.next_silent = now + self.period;
        // A timer that cannot be set leaves the poll's own 20 ms as the pace.
        let _ = self.timer.set(
            Expiration::Interval(TimeSpec::from_duration(self.period)),
            TimerSetTimeFlags::empty(),
        );
        self.watch();
    }

    /// Rebuilds the list of descriptors to sleep on.
    fn watch(&mut self) {
        let commands = self.end.wake_audio.as_fd().as_raw_fd();
        match &self.card {
            _ if self.asleep => self.wake_ups.watch(commands, &[]),
            Some(card) => self.wake_ups.watch(commands, card.poll_fds()),
            None => self
                .wake_ups
                .watch(commands, &[self.timer.as_fd().as_raw_fd()]),
        }
    }

    fn take_packets(&mut self, now: Instant) {
        if self.pairs.is_empty() {
            return;
        }
        let ready = self.sockets.due(&self.pairs);
        if ready.is_empty() {
            self.sockets.turn_is_over(false);
            return;
        }
        let mut got = false;
        for (stream, kind) in ready {
            let Some(pair) = self.pairs.iter().find(|pair| pair.stream == stream) else {
                continue;
            };
            // An error of the socket is reported, too: it is cleared by receiving.
            for taken in 0.. {
                if taken == PACKETS_A_TURN {
                    self.end.shared.count_flood();
                    break;
                }
                match self.inbox.receive(pair.socket(kind)) {
                    Received::Packet(packet) => {
                        got = true;
                        let is_fresh = now.duration_since(packet.arrival) < self.period;
                        if self.end.shared.captures() {
                            let way = (packet.from, pair.local(kind));
                            self.notify |= self.end.capture(packet.at, way, packet.bytes);
                        }
                        self.engine.handle_packet(
                            pair.stream,
                            kind,
                            packet.from,
                            packet.bytes,
                            packet.arrival,
                        );
                        if is_fresh && self.sockets.is_one_enough() {
                            break;
                        }
                    }
                    Received::Nothing => {}
                    Received::Empty => break,
                }
            }
        }
        self.sockets.turn_is_over(got);
        self.forward_non_media();
    }

    /// Does every period the card has ready, and says how many.
    fn run_card(&mut self, mut woken: Option<Instant>) -> u32 {
        if self.asleep {
            return 0;
        }
        let (frames, long) = (self.frames(), 2 * self.period);
        let mut done = 0;
        for _ in 0..PERIODS_A_TURN {
            let Some(card) = self.card.as_mut() else {
                return done + self.run_silent();
            };
            let capture = &mut self.capture[..frames];
            let read = card.read(capture);
            let now = woken.take().unwrap_or_else(Instant::now);
            match read {
                Ok(Period::Ready) => {}
                Ok(Period::NotYet) => {
                    if now.saturating_duration_since(self.last_period) > card.stall_timeout() {
                        self.lose_card(LossReason::Silent);
                    }
                    return done;
                }
                Ok(Period::Xrun { lost_frames }) => {
                    self.end.shared.count_xrun();
                    self.engine.handle_discontinuity(lost_frames as i64);
                    self.last_period = now;
                    self.steady = false;
                    continue;
                }
                Err(error) => {
                    self.lose_card(LossReason::Failed(error));
                    return done;
                }
            }
            done += 1;
            let late = self.steady && now.saturating_duration_since(self.last_period) > long;
            self.last_period = now;
            self.steady = true;
            let playback = &mut self.playback[..frames];
            self.further
                .process(&mut self.engine, capture, playback, now);
            self.end.shared.count_wake_up(self.engine.late_ms());
            match card.write(playback) {
                Ok(Period::Ready | Period::NotYet) => {}
                Ok(Period::Xrun { lost_frames }) => {
                    self.end.shared.count_xrun();
                    self.engine.handle_discontinuity(lost_frames as i64);
                }
                Err(error) => {
                    self.lose_card(LossReason::Failed(error));
                    return done;
                }
            }
            if late {
                self.end.shared.count_late();
                self.engine.handle_late_period();
            }
        }
        done
    }

    /// No card: the engine goes on with silence, so that calls, RTP, RTCP and DTMF outlive an
    /// unplugged cable.
    fn run_silent(&mut self) -> u32 {
        let _ = self.timer.wait();
        let mut done = 0;
        let (now, period, frames) = (Instant::now(), self.period, self.frames());
        for _ in 0..PERIODS_A_TURN {
            if now < self.next_silent {
                return done;
            }
            self.capture[..frames].fill(0);
            let (capture, playback) = (&mut self.capture[..frames], &mut self.playback[..frames]);
            self.further
                .process(&mut self.engine, capture, playback, now);
            self.next_silent += period;
            done += 1;
        }
        // Further behind than a turn may catch up: go on from here.
        let behind = now.saturating_duration_since(self.next_silent);
        if behind > period {
            let rate = f64::from(self.engine.config().rate_hz);
            self.engine
                .handle_discontinuity((behind.as_secs_f64() * rate) as i64);
            self.next_silent = now + period;
        }
        done
    }

    fn send_packets(&mut self) {
        while let Some(packet) = self.engine.poll_transmit() {
            let Some(pair) = self.pairs.iter().find(|pair| pair.stream == packet.stream) else {
                continue;
            };
            if pair.send(packet.socket, packet.bytes, packet.to).is_err() {
                self.end.shared.count_send_error();
            }
            if self.end.shared.captures() {
                let way = (pair.local(packet.socket), packet.to);
                self.notify |= self.end.capture(wall_clock(), way, packet.bytes);
            }
        }
    }

    /// Passes on what the engine reports. Figures are dropped when the queue is full; what must be
    /// freed waits.
    fn report(&mut self) {
        while let Some(waiting) = self.overflow.pop() {
            if let Err(waiting) = self.end.reports.enqueue(waiting) {
                // It was taken from there this moment, so there is room.
                let _ = self.overflow.push(waiting);
                break;
            }
            self.notify = true;
        }
        while self.overflow.len() < MAX_OVERFLOW {
            let Some(event) = self.engine.poll_event() else {
                break;
            };
            if event.owns_memory() {
                self.return_for_drop(AudioReport::Media(event));
                continue;
            }
            let room = self.end.reports.capacity() - self.end.reports.len();
            if room > RESERVED && self.end.reports.enqueue(AudioReport::Media(event)).is_ok() {
                self.notify = true;
            } else {
                self.end.shared.count_dropped();
            }
        }
        if self.notify {
            self.notify = false;
            let _ = self.end.wake_control.write(1);
        }
    }

    /// A socket is closed elsewhere, so it must be taken off the list here.
    fn return_sockets(&mut self, pair: Box<SocketPair>) {
        self.sockets.remove(&pair);
        self.return_for_drop(AudioReport::SocketsReturned(pair));
    }

    fn return_for_drop(&mut self, report: AudioReport) {
        match self.end.reports.enqueue(report) {
            Ok(()) => self.notify = true,
            Err(report) => {
                // Commands and events are taken only while the overflow has room; the last resort
                // is a leak, never a free on this thread.
                if let Err(report) = self.overflow.push(report) {
                    std::mem::forget(report);
                }
            }
        }
    }
}

/// How long an engine's period is.
fn period_of(engine: &Engine) -> Duration {
    let config = engine.config();
    Duration::from_secs_f64(config.period_frames as f64 / f64::from(config.rate_hz.max(1)))
}
