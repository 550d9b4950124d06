//! Whatever alsa-lib reaches: hardware, `PulseAudio`, snd-aloop, the tests' virtual card.
//!
//! ```text
//! capture PCM ─avail ≥ period?─▶ readi ─▶ to_mono ─▶ owner          the capture clock drives
//! owner ─▶ write_mono ─▶ slip (± 1 frame) ─▶ writei ─▶ playback PCM   kept `periods` ahead
//! EPIPE, ESTRPIPE ─▶ drop, prepare, prefill, start both ─▶ Period::Xrun
//! ENODEV … ─▶ AudioError::Lost
//! ```
//!
//! Both directions are started together, playback prefilled with silence: linked where the driver
//! can (`snd_pcm_link` is ENOSYS on plugins), one right after the other elsewhere. `readi`/`writei`
//! and not mmap: the status page cannot be mapped on ARM.
//!
//! The amount queued for playback is looked at before each write. Empty means that the card plays
//! ahead of us, which a linked start can do without ever reporting an underrun: it is prefilled
//! again. [`queue`] interprets every other amount.

mod open;
mod output;
mod queue;

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use alsa::Direction;
use alsa::pcm::{PCM, State};
use alsa::poll::{Descriptors, Flags, pollfd};
use types::MicrophoneChannel;

pub use self::output::AlsaOutput;

use self::open::{OpenProblem, common_rate, configure, is_sound_server};
use self::queue::{Queue, Slip};
use super::layout::Layout;
use super::{AudioDevice, AudioError, AudioFormat, AudioRequest, Period, ahead_frames};

/// Most poll descriptors of a PCM we take.
const MAX_POLL_FDS: usize = 4;
/// Sound kept ahead for a sound server: it fetches lumps of about 40 ms.
const SERVER_AHEAD_MS: u32 = 80;
/// Shortest period of a sound server, in ms: what it keeps ahead is longer, so shorter ones only
/// cost wake-ups.
const SERVER_PERIOD_MS: u32 = 20;
/// Longest period taken, in ms: a card that cannot do shorter is no telephone.
const LONGEST_PERIOD_MS: u32 = 100;
/// Sound a server may give in one lump, which the capture buffer must hold, in ms.
const SERVER_LUMP_MS: u32 = 500;
/// How long a card may give nothing before it is lost.
const STALL_TIMEOUT: Duration = Duration::from_millis(500);
/// A server may have rendered two seconds ahead, and then gives nothing until they are over.
const SERVER_STALL_TIMEOUT: Duration = Duration::from_secs(3);

/// One direction, opened and configured.
struct Side {
    pcm: PCM,
    layout: Layout,
    buffer: usize,
    period: usize,
    bytes: Vec<u8>,
}

/// Captured frames that are not yet a whole period.
struct Pending {
    frames: Box<[i16]>,
    filled: usize,
}

impl Pending {
    fn new(period: usize) -> Self {
        Self {
            frames: vec![0; 2 * period].into(),
            filled: 0,
        }
    }

    /// Room for at most `frames` more, counted as filled.
    fn room(&mut self, frames: usize) -> &mut [i16] {
        let from = self.filled;
        self.filled = (from + frames.min(self.frames.len() / 2)).min(self.frames.len());
        &mut self.frames[from..self.filled]
    }

    /// Takes a whole period out, if there is one.
    fn take(&mut self, period: &mut [i16]) -> bool {
        let taken = period.len();
        if self.filled < taken {
            return false;
        }
        period.copy_from_slice(&self.frames[..taken]);
        self.frames.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        true
    }
}

/// A duplex ALSA card.
pub struct AlsaCard {
    /// `capture / playback`, moved into the one error that reports its loss.
    name: String,
    capture: Side,
    playback: Side,
    format: AudioFormat,
    linked: bool,
    /// Frames of silence played before the first write.
    prefill: usize,
    fds: [RawFd; MAX_POLL_FDS],
    polls: [pollfd; MAX_POLL_FDS],
    fd_count: usize,
    /// Of a sound server: what was read and is not yet a whole period.
    pending: Option<Pending>,
    /// When the last period was read: how much an overrun lost.
    last_read: Instant,
    /// Frames that waited when it was read, without it; `None`: not known.
    left: Option<usize>,
    /// One period and one frame, for slipping.
    slipped: Vec<i16>,
    queue: Queue,
    stall_timeout: Duration,
    /// Writes in a row for which there was no room, and when playback stood still the last time.
    refused: usize,
    stood_still: Option<Instant>,
}

/// What an error of a running PCM means.
enum PcmFault {
    /// Over- or underrun, or a suspend that is over: restart.
    Xrun,
    /// Nothing to read or no room now.
    Again,
    /// No way back.
    Lost,
}

fn fault(error: alsa::Error, pcm: &PCM) -> PcmFault {
    match error.errno().abs() {
        libc::EAGAIN | libc::EINTR => PcmFault::Again,
        libc::EPIPE => PcmFault::Xrun,
        libc::ESTRPIPE => match pcm.resume() {
            Err(e) if e.errno().abs() == libc::EAGAIN => PcmFault::Again,
            // A card that cannot resume is restarted as after an overrun.
            Ok(()) | Err(_) => PcmFault::Xrun,
        },
        _ => PcmFault::Lost,
    }
}

/// A card that starts again after an over- or underrun, and is lost where it cannot.
trait Recover {
    fn name_mut(&mut self) -> &mut String;

    fn restart(&mut self) -> Result<Period, AudioError>;

    /// Moves the name out, so that losing a card does not allocate.
    fn lost(&mut self) -> AudioError {
        AudioError::Lost(std::mem::take(self.name_mut()))
    }

    fn recover(&mut self, fault: &PcmFault) -> Result<Period, AudioError> {
        match fault {
            PcmFault::Again => Ok(Period::NotYet),
            PcmFault::Xrun => self.restart(),
            PcmFault::Lost => Err(self.lost()),
        }
    }
}

/// Opens something; an error has what alsa-lib had to say of it.
fn collecting_reasons<T>(
    open: impl FnOnce() -> Result<T, (String, OpenProblem)>,
) -> Result<T, AudioError> {
    // alsa-lib writes its reasons to stderr unless they are collected; the handler stays with
    // this thread.
    let reasons = alsa::Output::local_error_handler().ok();
    let done = open().map_err(|(device, problem)| {
        let collected = reasons
            .as_ref()
            .map(|output| output.borrow().to_string())
            .unwrap_or_default();
        let help = problem.help(&device);
        let detail = collected
            .lines()
            .last()
            .map(|line| format!(" ({line})"))
            .unwrap_or_default();
        AudioError::Open {
            device,
            problem: format!("{problem}{detail}"),
            help,
        }
    });
    let _ = alsa::Output::local_error_handler();
    done
}

impl AlsaCard {
    /// Opens both PCMs, finds a rate both can do, starts them.
    pub fn open(request: &AudioRequest) -> Result<Self, AudioError> {
        collecting_reasons(|| Self::negotiate(request))
    }

    fn negotiate(request: &AudioRequest) -> Result<Self, (String, OpenProblem)> {
        let at = |name: &str| {
            let name = name.to_owned();
            move |e: alsa::Error| (name, OpenProblem::System(e))
        };
        let capture =
            PCM::new(&request.capture, Direction::Capture, true).map_err(at(&request.capture))?;
        let playback = PCM::new(&request.playback, Direction::Playback, true)
            .map_err(at(&request.playback))?;
        let served = is_sound_server(&capture) || is_sound_server(&playback);
        let (asked_hz, shortest_ms) = if served {
            (request.rate_hz.min(request.codec_rate_hz), SERVER_PERIOD_MS)
        } else {
            (request.rate_hz, 1)
        };
        let rate_hz = common_rate(&capture, &playback, asked_hz, request)?;
        let period_ms = request.period_ms.clamp(shortest_ms, LONGEST_PERIOD_MS);
        let wanted = (rate_hz * period_ms / 1000) as usize;
        let (least, lump) = if served {
            (
                SERVER_AHEAD_MS.div_ceil(period_ms),
                SERVER_LUMP_MS.div_ceil(period_ms),
            )
        } else {
            (2, 8)
        };
        let periods = request.periods.clamp(2, 16).max(least) as usize;
        let channel = request.microphone_channel;
        let capture = configure(capture, rate_hz, wanted, lump as usize, channel)
            .map_err(|e| (request.capture.clone(), e))?;
        // Room above the prefill for a late write and for a queue that wanders: two periods; a
        // server takes its lumps when it likes.
        let room = if served { periods } else { 2 };
        let all = MicrophoneChannel::Mix;
        let playback = configure(playback, rate_hz, capture.period, periods + room, all)
            .map_err(|e| (request.playback.clone(), e))?;
        let period = capture.period;
        let prefill = ahead_frames(periods, period, rate_hz).min(playback.buffer);
        if playback.buffer < 2 * period {
            return Err((
                request.playback.clone(),
                OpenProblem::Period(period, rate_hz),
            ));
        }

        let mut polls = [pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        }; MAX_POLL_FDS];
        let fd_count = capture.pcm.count();
        if fd_count == 0 || fd_count > MAX_POLL_FDS {
            return Err((request.capture.clone(), OpenProblem::Descriptors(fd_count)));
        }
        capture
            .pcm
            .fill(&mut polls[..fd_count])
            .map_err(at(&request.capture))?;
        let fds = polls.map(|poll| poll.fd);
        for poll in &mut polls[..fd_count] {
            poll.revents = libc::POLLIN;
        }

        let linked = capture.pcm.link(&playback.pcm).is_ok();
        let mut card = Self {
            name: format!("{} / {}", request.capture, request.playback),
            format: AudioFormat {
                rate_hz,
                period_frames: period,
                playback_delay_frames: prefill - period,
            },
            slipped: vec![0; period + 1],
            queue: if served {
                Queue::server(prefill - period, period, rate_hz)
            } else {
                Queue::card(prefill - period, period / 2)
            },
            stall_timeout: if served {
                SERVER_STALL_TIMEOUT
            } else {
                STALL_TIMEOUT
            },
            refused: 0,
            stood_still: None,
            capture,
            playback,
            linked,
            prefill,
            fds,
            polls,
            fd_count,
            pending: served.then(|| Pending::new(period)),
            last_read: Instant::now(),
            left: None,
        };
        card.start().map_err(at(&request.playback))?;
        Ok(card)
    }

    /// Prefills and starts both. Both are prepared.
    fn start(&mut self) -> alsa::Result<()> {
        write_silence(&mut self.playback, self.prefill)?;
        self.capture.pcm.start()?;
        if !self.linked {
            start_playback(&self.playback)?;
        }
        if let Some(pending) = &mut self.pending {
            pending.filled = 0;
        }
        self.last_read = Instant::now();
        self.left = None;
        self.refused = 0;
        self.queue.restart(self.prefill - self.format.period_frames);
        Ok(())
    }

    /// Playback had no room again. If that lasts as long as a card may give nothing, it stands
    /// still, whatever it says (a server forgot the stream, say): it is restarted, and if that
    /// was tried recently, the card is reopened.
    fn handle_full_playback(&mut self) -> Result<Period, AudioError> {
        self.refused += 1;
        let limit = (self.stall_timeout.as_millis() as usize * self.format.rate_hz as usize / 1000)
            / self.format.period_frames;
        if self.refused > limit {
            let lately = self.stood_still.replace(self.last_read);
            if lately.is_some_and(|at| self.last_read.duration_since(at) < 4 * self.stall_timeout) {
                return Err(self.lost());
            }
            return self.restart();
        }
        // A server that has not begun to play may have no room: not an error, nothing was
        // heard. Else the buffer is full: the rest is given up, or it would be delay for ever. The
        // microphone lost nothing.
        Ok(if self.queue.is_before_playback() {
            Period::Ready
        } else {
            Period::Xrun { lost_frames: 0 }
        })
    }

    /// A plugin takes the readiness of its descriptors back here, which costs it calls into the
    /// kernel: only once all is read that was there. Whether more came meanwhile.
    fn has_more_capture(&self) -> bool {
        let events = self.capture.pcm.revents(&self.polls[..self.fd_count]);
        events.is_ok_and(|events| events.contains(Flags::IN))
    }

    /// A sound server gives fragments that are no periods. Its plugin calls the microphone ready as
    /// long as a part of a fragment is left, even if no period can be made of it: so everything is
    /// taken that is there, and the rest of a period waits here.
    fn read_from_server(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        let period = self.format.period_frames.min(capture.len());
        let mut asked = false;
        loop {
            let Some(pending) = &mut self.pending else {
                return Ok(Period::NotYet);
            };
            if pending.take(&mut capture[..period]) {
                self.last_read = Instant::now();
                return Ok(Period::Ready);
            }
            let done = match self.capture.pcm.avail_update() {
                Ok(avail) if avail > 0 => {
                    let room = pending.room(avail as usize);
                    self.capture.read(room)
                }
                Ok(_) if !asked && self.has_more_capture() => {
                    asked = true;
                    continue;
                }
                Ok(_) => return Ok(Period::NotYet),
                Err(e) => Err(fault(e, &self.capture.pcm)),
            };
            if let Err(fault) = done {
                return self.recover(&fault);
            }
        }
    }

    /// Frames written and not yet played.
    fn queued(&mut self) -> Result<usize, PcmFault> {
        match self.playback.pcm.avail_update() {
            Ok(avail) => Ok(self.playback.buffer.saturating_sub(avail.max(0) as usize)),
            Err(e) => Err(fault(e, &self.playback.pcm)),
        }
    }
}

impl Recover for AlsaCard {
    fn name_mut(&mut self) -> &mut String {
        &mut self.name
    }

    /// Both from the beginning, so that the delay is again what it was.
    fn restart(&mut self) -> Result<Period, AudioError> {
        let lost =
            self.last_read.elapsed().as_nanos() * u128::from(self.format.rate_hz) / 1_000_000_000;
        // A stream that has stopped already refuses to be stopped.
        let _ = self.capture.pcm.drop();
        let _ = self.playback.pcm.drop();
        let prepared = self
            .capture
            .pcm
            .prepare()
            .and_then(|()| self.playback.pcm.prepare())
            .and_then(|()| self.start());
        match prepared {
            Ok(()) => Ok(Period::Xrun {
                lost_frames: lost.min(u128::from(u32::MAX)) as usize,
            }),
            Err(_) => Err(self.lost()),
        }
    }
}

impl AudioDevice for AlsaCard {
    fn format(&self) -> AudioFormat {
        self.format
    }

    fn stall_timeout(&self) -> Duration {
        self.stall_timeout
    }

    fn poll_fds(&self) -> &[RawFd] {
        &self.fds[..self.fd_count]
    }

    fn pause(&mut self) -> bool {
        // A stream that has stopped already refuses to be stopped.
        let _ = self.capture.pcm.drop();
        let _ = self.playback.pcm.drop();
        true
    }

    fn resume(&mut self) -> Result<(), AudioError> {
        self.restart().map(|_| ())
    }

    fn check(&mut self) -> Result<(), AudioError> {
        let gone = |side: &Side| side.pcm.state() == State::Disconnected;
        if gone(&self.capture) || gone(&self.playback) {
            return Err(self.lost());
        }
        Ok(())
    }

    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        if self.pending.is_some() {
            return self.read_from_server(capture);
        }
        let period = self.format.period_frames;
        // The last read showed that no whole period is left: what came meanwhile is asked for, not
        // the amount again.
        let mut asked = self.left.take().is_some_and(|left| left < period);
        if asked && !self.has_more_capture() {
            return Ok(Period::NotYet);
        }
        let ready = loop {
            match self.capture.pcm.avail_update() {
                Ok(avail) if avail.max(0) as usize >= period => break avail as usize,
                Ok(_) if !asked && self.has_more_capture() => asked = true,
                Ok(_) => return Ok(Period::NotYet),
                Err(e) => {
                    let fault = fault(e, &self.capture.pcm);
                    return self.recover(&fault);
                }
            }
        };
        let frames = period.min(capture.len());
        if let Err(fault) = self.capture.read(&mut capture[..frames]) {
            return self.recover(&fault);
        }
        self.left = Some(ready - period);
        self.last_read = Instant::now();
        Ok(Period::Ready)
    }

    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        let period = self.format.period_frames;
        let queued = match self.queued() {
            Ok(queued) => queued,
            Err(fault) => return self.recover(&fault),
        };
        let mut refilled = 0;
        if self.queue.is_empty(queued) {
            refilled = self.prefill - period;
            if let Err(e) = write_silence(&mut self.playback, refilled) {
                let fault = fault(e, &self.playback.pcm);
                return self.recover(&fault);
            }
            self.queue.restart(refilled);
        }
        let slip = if refilled == 0 {
            self.queue.observe(queued)
        } else {
            Slip::None
        };
        let whole = playback.len().min(period);
        let sound = match slip {
            Slip::None => &playback[..whole],
            Slip::Drop => &playback[..whole.saturating_sub(1)],
            Slip::Repeat => {
                self.slipped[..whole].copy_from_slice(&playback[..whole]);
                self.slipped[whole] = playback[..whole].last().copied().unwrap_or(0);
                &self.slipped[..=whole]
            }
            Slip::Skip => return Ok(Period::Xrun { lost_frames: 0 }),
        };
        match self.playback.write(sound) {
            Ok(written) if written >= sound.len() => {
                self.refused = 0;
                Ok(if refilled == 0 {
                    Period::Ready
                } else {
                    Period::Xrun { lost_frames: 0 }
                })
            }
            Ok(_) | Err(PcmFault::Again) => self.handle_full_playback(),
            Err(other @ (PcmFault::Xrun | PcmFault::Lost)) => self.recover(&other),
        }
    }
}

impl Side {
    /// Reads mono, at most a period; `avail` has promised it.
    fn read(&mut self, mono: &mut [i16]) -> Result<(), PcmFault> {
        let (frame, wanted) = (self.layout.frame(), mono.len().min(self.period));
        let mut done = 0;
        while done < wanted {
            let got = self
                .pcm
                .io_bytes()
                .readi(&mut self.bytes[done * frame..wanted * frame]);
            match got.map_err(|e| fault(e, &self.pcm))? {
                0 => break,
                frames => done += frames,
            }
        }
        // What a broken plugin left out is silence.
        self.bytes[done * frame..wanted * frame].fill(0);
        self.layout.to_mono(&self.bytes, mono);
        Ok(())
    }

    /// Writes mono; returns how many frames the buffer took.
    fn write(&mut self, mono: &[i16]) -> Result<usize, PcmFault> {
        let bytes = mono.len() * self.layout.frame();
        self.layout.write_mono(mono, &mut self.bytes[..bytes]);
        let written = self.pcm.io_bytes().writei(&self.bytes[..bytes]);
        written.map_err(|e| fault(e, &self.pcm))
    }
}

/// Starts playback that is prefilled.
fn start_playback(side: &Side) -> alsa::Result<()> {
    // A plugin may have started by itself when its buffer filled.
    match side.pcm.start() {
        Err(e) if e.errno().abs() != libc::EBADFD => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes silence, a period at a time.
fn write_silence(side: &mut Side, frames: usize) -> alsa::Result<()> {
    let frame = side.layout.frame();
    side.bytes.fill(0);
    let most = side.bytes.len() / frame;
    let mut left = frames;
    while left > 0 {
        match side
            .pcm
            .io_bytes()
            .writei(&side.bytes[..left.min(most) * frame])?
        {
            0 => break,
            written => left -= written.min(left),
        }
    }
    Ok(())
}
