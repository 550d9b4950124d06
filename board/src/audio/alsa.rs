//! Whatever alsa-lib reaches: hardware, `PulseAudio`, snd-aloop, the tests' virtual card.
//!
//! ```text
//! capture PCM ─avail ≥ period?─▶ readi ─▶ to_mono ─▶ owner          the capture clock drives
//! owner ─▶ spread ─▶ slip (± 1 frame) ─▶ writei ─▶ playback PCM   kept `periods` ahead
//! EPIPE, ESTRPIPE ─▶ drop, prepare, prefill, start both ─▶ Period::Xrun
//! ENODEV … ─▶ AudioError::Lost
//! ```
//!
//! Both directions are started together, playback prefilled with silence: linked where the driver can (`snd_pcm_link` is ENOSYS on
//! plugins), one right after the other elsewhere. `readi`/`writei` and not mmap: the status page cannot be mapped on ARM.
//!
//! The amount queued for playback is looked at before each write. Empty means that the card plays ahead of us, which a linked start
//! can do without ever reporting an underrun: it is prefilled again. Slowly growing or shrinking means that capture and playback run
//! on two clocks (a USB microphone, an I²S speaker): one frame a period is dropped or repeated until it is back where it began.

use super::layout::{Layout, Sample};
use super::{AudioDevice, AudioError, AudioFormat, AudioRequest, Period, cards};
use alsa::pcm::{Access, Format, HwParams, PCM};
use alsa::poll::{Descriptors, pollfd};
use alsa::{Direction, ValueOr};
use std::os::fd::RawFd;
use std::time::Instant;

/// Rates tried after the one asked for, best first.
const RATES: [u32; 8] = [48_000, 16_000, 8000, 44_100, 32_000, 96_000, 24_000, 192_000];
/// Most poll descriptors of a PCM we take.
const MOST_FDS: usize = 4;
/// Sound kept ahead for a sound server: it fetches lumps of about 40 ms.
const SERVER_AHEAD_MS: u32 = 80;
/// Longest period taken, in ms: a card that cannot do shorter is no telephone.
const LONGEST_PERIOD_MS: u32 = 100;
/// Periods over which the usual playback queue is learnt after a start.
const LEARN: u32 = 64;

/// One direction, opened and configured.
struct Side {
    pcm: PCM,
    layout: Layout,
    buffer: usize,
    period: usize,
    bytes: Vec<u8>,
}

/// A duplex ALSA card.
pub struct AlsaCard {
    /// `capture / playback`, taken by the one error that tells of its loss.
    name: String,
    capture: Side,
    playback: Side,
    format: AudioFormat,
    linked: bool,
    /// Frames of silence played before the first write.
    prefill: usize,
    fds: [RawFd; MOST_FDS],
    polls: [pollfd; MOST_FDS],
    fd_count: usize,
    /// When the last period was read: how much an overrun lost.
    last_read: Instant,
    /// One period and one frame, for slipping.
    slipped: Vec<i16>,
    queue: Queue,
}

/// What the playback queue usually holds, and whether it wanders off.
#[derive(Debug, Clone, Copy)]
struct Queue {
    /// Frames queued before a write, smoothed.
    level: f32,
    /// Where it should stay; learnt in the first periods.
    target: f32,
    /// How far off is worth a slip.
    tolerance: f32,
    periods: u32,
}

/// What to do with one frame of this period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slip {
    None,
    Drop,
    Repeat,
}

impl Queue {
    fn new(expected: usize, tolerance: usize) -> Self {
        Self {
            level: expected as f32,
            target: expected as f32,
            tolerance: tolerance as f32,
            periods: 0,
        }
    }

    /// Begins to learn anew.
    fn restart(&mut self, expected: usize) {
        *self = Self::new(expected, self.tolerance as usize);
    }

    /// Takes the frames queued before a write; tells whether it has wandered off.
    fn observe(&mut self, queued: usize) -> Slip {
        self.level += (queued as f32 - self.level) / 32.0;
        if self.periods < LEARN {
            self.periods += 1;
            self.target = self.level;
            return Slip::None;
        }
        let off = self.level - self.target;
        if off > self.tolerance {
            Slip::Drop
        } else if off < -self.tolerance {
            Slip::Repeat
        } else {
            Slip::None
        }
    }
}

/// What an error of a running PCM means.
enum Trouble {
    /// Over- or underrun, or a suspend that is over: restart.
    Xrun,
    /// Nothing to read or no room now.
    Again,
    /// No way back.
    Lost,
}

fn trouble(error: alsa::Error, pcm: &PCM) -> Trouble {
    match error.errno().abs() {
        libc::EAGAIN | libc::EINTR => Trouble::Again,
        libc::EPIPE => Trouble::Xrun,
        libc::ESTRPIPE => match pcm.resume() {
            Err(e) if e.errno().abs() == libc::EAGAIN => Trouble::Again,
            // A card that cannot resume is restarted as after an overrun.
            Ok(()) | Err(_) => Trouble::Xrun,
        },
        _ => Trouble::Lost,
    }
}

impl AlsaCard {
    /// Opens both PCMs, finds a rate both can do, starts them.
    pub fn open(request: &AudioRequest) -> Result<Self, AudioError> {
        // alsa-lib writes its reasons to stderr unless they are collected; the handler stays with this thread.
        let reasons = alsa::Output::local_error_handler().ok();
        let done = Self::negotiate(request).map_err(|(device, problem)| {
            let told = reasons.as_ref().map(|output| output.borrow().to_string()).unwrap_or_default();
            let mend = problem.mend(&device);
            let detail = told.lines().last().map(|line| format!(" ({line})")).unwrap_or_default();
            AudioError::Open {
                device,
                problem: format!("{problem}{detail}"),
                mend,
            }
        });
        let _ = alsa::Output::local_error_handler();
        done
    }

    fn negotiate(request: &AudioRequest) -> Result<Self, (String, OpenProblem)> {
        let at = |name: &str| {
            let name = name.to_owned();
            move |e: alsa::Error| (name, OpenProblem::System(e))
        };
        let capture = PCM::new(&request.capture, Direction::Capture, true).map_err(at(&request.capture))?;
        let playback = PCM::new(&request.playback, Direction::Playback, true).map_err(at(&request.playback))?;
        let rate_hz = common_rate(&capture, &playback, request)?;
        let wanted = (rate_hz * request.period_ms.clamp(1, LONGEST_PERIOD_MS) / 1000) as usize;
        let served = is_sound_server(&capture) || is_sound_server(&playback);
        let least = if served {
            SERVER_AHEAD_MS.div_ceil(request.period_ms.clamp(1, LONGEST_PERIOD_MS))
        } else {
            2
        };
        let periods = request.periods.clamp(2, 16).max(least) as usize;
        let capture = configure(capture, rate_hz, wanted, 8).map_err(|e| (request.capture.clone(), e))?;
        // Room above the prefill for a late write and for a queue that wanders: two periods; a server takes its lumps when it likes.
        let room = if served { periods } else { 2 };
        let playback = configure(playback, rate_hz, capture.period, periods + room).map_err(|e| (request.playback.clone(), e))?;
        let period = capture.period;
        let prefill = (periods * period).min(playback.buffer);
        if playback.buffer < 2 * period {
            return Err((request.playback.clone(), OpenProblem::Period(period, rate_hz)));
        }

        let mut polls = [pollfd {
            fd: -1,
            events: 0,
            revents: 0,
        }; MOST_FDS];
        let fd_count = capture.pcm.count();
        if fd_count == 0 || fd_count > MOST_FDS {
            return Err((request.capture.clone(), OpenProblem::Descriptors(fd_count)));
        }
        capture.pcm.fill(&mut polls[..fd_count]).map_err(at(&request.capture))?;
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
            // A server's queue jumps by a lump; that is no drift.
            queue: Queue::new(prefill - period, if served { 3 * period } else { period / 2 }),
            capture,
            playback,
            linked,
            prefill,
            fds,
            polls,
            fd_count,
            last_read: Instant::now(),
        };
        card.start().map_err(at(&request.playback))?;
        Ok(card)
    }

    /// Prefills and starts both. Both are prepared.
    fn start(&mut self) -> alsa::Result<()> {
        write_silence(&mut self.playback, self.prefill)?;
        self.capture.pcm.start()?;
        if !self.linked {
            // A plugin may have started by itself when its buffer filled.
            match self.playback.pcm.start() {
                Err(e) if e.errno().abs() != libc::EBADFD => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        self.last_read = Instant::now();
        self.queue.restart(self.prefill - self.format.period_frames);
        Ok(())
    }

    /// After an over- or underrun: both from the beginning, so that the delay is again what it was.
    fn restart(&mut self) -> Result<Period, AudioError> {
        let lost = self.last_read.elapsed().as_nanos() * u128::from(self.format.rate_hz) / 1_000_000_000;
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

    /// Takes the name: losing a card allocates nothing.
    fn lost(&mut self) -> AudioError {
        AudioError::Lost(std::mem::take(&mut self.name))
    }

    fn answer(&mut self, trouble: &Trouble) -> Result<Period, AudioError> {
        match trouble {
            Trouble::Again => Ok(Period::NotYet),
            Trouble::Xrun => self.restart(),
            Trouble::Lost => Err(self.lost()),
        }
    }

    /// Frames written and not yet played.
    fn queued(&mut self) -> Result<usize, Trouble> {
        match self.playback.pcm.avail_update() {
            Ok(avail) => Ok(self.playback.buffer.saturating_sub(avail.max(0) as usize)),
            Err(e) => Err(trouble(e, &self.playback.pcm)),
        }
    }
}

impl AudioDevice for AlsaCard {
    fn format(&self) -> AudioFormat {
        self.format
    }

    fn poll_fds(&self) -> &[RawFd] {
        &self.fds[..self.fd_count]
    }

    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        let period = self.format.period_frames;
        // A plugin takes the readiness of its descriptors back here.
        let _ = self.capture.pcm.revents(&self.polls[..self.fd_count]);
        let ready = self.capture.pcm.avail_update();
        match ready {
            Ok(avail) if (avail.max(0) as usize) < period => return Ok(Period::NotYet),
            Ok(_) => {}
            Err(e) => {
                let trouble = trouble(e, &self.capture.pcm);
                return self.answer(&trouble);
            }
        }
        if let Err(trouble) = self.capture.read(&mut capture[..]) {
            return self.answer(&trouble);
        }
        self.last_read = Instant::now();
        Ok(Period::Ready)
    }

    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        let period = self.format.period_frames;
        let queued = match self.queued() {
            Ok(queued) => queued,
            Err(trouble) => return self.answer(&trouble),
        };
        let mut refilled = 0;
        if queued == 0 {
            refilled = self.prefill - period;
            if let Err(e) = write_silence(&mut self.playback, refilled) {
                let trouble = trouble(e, &self.playback.pcm);
                return self.answer(&trouble);
            }
            self.queue.restart(refilled);
        }
        let slip = if refilled == 0 { self.queue.observe(queued) } else { Slip::None };
        let whole = playback.len().min(period);
        self.slipped[..whole].copy_from_slice(&playback[..whole]);
        let frames = match slip {
            Slip::None => whole,
            Slip::Drop => whole.saturating_sub(1),
            Slip::Repeat => {
                self.slipped[whole] = playback[..whole].last().copied().unwrap_or(0);
                whole + 1
            }
        };
        match self.playback.write(&self.slipped[..frames]) {
            Ok(written) if written >= frames && refilled == 0 => Ok(Period::Ready),
            // The buffer is full: the rest is given up, or it would be delay for ever.
            Ok(written) => Ok(Period::Xrun {
                lost_frames: (frames - written.min(frames)).max(refilled),
            }),
            Err(Trouble::Again) => Ok(Period::Xrun { lost_frames: frames }),
            Err(other @ (Trouble::Xrun | Trouble::Lost)) => self.answer(&other),
        }
    }
}

impl Side {
    /// Reads one period of mono; `avail` has promised it.
    fn read(&mut self, mono: &mut [i16]) -> Result<(), Trouble> {
        let (frame, period) = (self.layout.frame(), self.period);
        let mut done = 0;
        while done < period {
            let got = self.pcm.io_bytes().readi(&mut self.bytes[done * frame..period * frame]);
            match got.map_err(|e| trouble(e, &self.pcm))? {
                0 => break,
                frames => done += frames,
            }
        }
        // What a broken plugin left out is silence.
        self.bytes[done * frame..period * frame].fill(0);
        self.layout.to_mono(&self.bytes, mono);
        Ok(())
    }

    /// Writes mono; tells how many frames the buffer took.
    fn write(&mut self, mono: &[i16]) -> Result<usize, Trouble> {
        let bytes = mono.len() * self.layout.frame();
        self.layout.spread(mono, &mut self.bytes[..bytes]);
        let written = self.pcm.io_bytes().writei(&self.bytes[..bytes]);
        written.map_err(|e| trouble(e, &self.pcm))
    }
}

/// Writes silence, a period at a time.
fn write_silence(side: &mut Side, frames: usize) -> alsa::Result<()> {
    let frame = side.layout.frame();
    side.bytes.fill(0);
    let most = side.bytes.len() / frame;
    let mut left = frames;
    while left > 0 {
        match side.pcm.io_bytes().writei(&side.bytes[..left.min(most) * frame])? {
            0 => break,
            written => left -= written.min(left),
        }
    }
    Ok(())
}

/// Why a PCM cannot be used.
enum OpenProblem {
    System(alsa::Error),
    Format,
    Channels(u32, u32),
    Rate(String),
    Period(usize, u32),
    Descriptors(usize),
}

impl std::fmt::Display for OpenProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System(e) => write!(f, "{}", std::io::Error::from_raw_os_error(e.errno().abs())),
            Self::Format => f.write_str("offers none of S16_LE, S32_LE, S24_LE, S24_3LE"),
            Self::Channels(from, to) => write!(f, "wants {from} to {to} channels"),
            Self::Rate(wanted) => write!(f, "shares no sample rate with `{wanted}`"),
            Self::Period(frames, rate) => write!(
                f,
                "cannot do periods below {} ms",
                *frames as u64 * 1000 / u64::from((*rate).max(1))
            ),
            Self::Descriptors(count) => write!(f, "has {count} poll descriptors"),
        }
    }
}

impl OpenProblem {
    fn mend(&self, device: &str) -> String {
        match self {
            Self::System(e) => match e.errno().abs() {
                libc::ENOENT | libc::ENODEV | libc::ENXIO => {
                    format!(
                        "{}; set [board.audio] capture and playback to one of them (`aplay -L` lists all names)",
                        cards()
                    )
                }
                libc::EBUSY => {
                    format!("another program holds it: `fuser -v /dev/snd/*` names it; stop it, or use another card than {device}")
                }
                libc::EACCES | libc::EPERM => "the phone needs the right to open it (group `audio`)".to_owned(),
                _ => "try it with `arecord`/`aplay -D`; a `plughw:` name converts what the card cannot".to_owned(),
            },
            Self::Format | Self::Channels(..) | Self::Rate(_) => {
                "use the `plughw:` or `plug:` form of its name: alsa-lib converts".to_owned()
            }
            Self::Period(..) | Self::Descriptors(_) => "use the `hw:` device itself, not a plugin in front of it".to_owned(),
        }
    }
}

/// `PulseAudio` or `PipeWire`, not a card: alsa-lib says so only in its description of the PCM.
fn is_sound_server(pcm: &PCM) -> bool {
    let Ok(mut text) = alsa::Output::buffer_open() else { return false };
    pcm.dump(&mut text).is_ok() && ["PulseAudio", "PipeWire"].iter().any(|name| text.to_string().contains(name))
}

/// The rate asked for if both can do it, else the first of the usual ones.
fn common_rate(capture: &PCM, playback: &PCM, request: &AudioRequest) -> Result<u32, (String, OpenProblem)> {
    let params = |pcm, name: &str| HwParams::any(pcm).map_err(|e| (name.to_owned(), OpenProblem::System(e)));
    let (c, p) = (params(capture, &request.capture)?, params(playback, &request.playback)?);
    // Plugins that can convert are told not to: a rate the hardware has is always there among the usual ones.
    let _ = c.set_rate_resample(false);
    let _ = p.set_rate_resample(false);
    std::iter::once(request.rate_hz)
        .chain(RATES)
        .find(|&rate| c.test_rate(rate).is_ok() && p.test_rate(rate).is_ok())
        .ok_or_else(|| (request.capture.clone(), OpenProblem::Rate(request.playback.clone())))
}

/// Settles format, channels, period and buffer of one direction.
fn configure(pcm: PCM, rate_hz: u32, period: usize, periods: usize) -> Result<Side, OpenProblem> {
    let layout;
    let (got_period, got_buffer);
    {
        let hw = HwParams::any(&pcm).map_err(OpenProblem::System)?;
        let _ = hw.set_rate_resample(false);
        hw.set_access(Access::RWInterleaved).map_err(OpenProblem::System)?;
        let formats = [
            (Format::S16LE, Sample::S16),
            (Format::S32LE, Sample::S32),
            (Format::S24LE, Sample::S24),
            (Format::S243LE, Sample::S24In3),
        ];
        let (format, sample) = formats
            .into_iter()
            .find(|(format, _)| hw.test_format(*format).is_ok())
            .ok_or(OpenProblem::Format)?;
        hw.set_format(format).map_err(OpenProblem::System)?;
        let channels = (1..=8)
            .find(|&channels| hw.test_channels(channels).is_ok())
            .ok_or_else(|| OpenProblem::Channels(hw.get_channels_min().unwrap_or_default(), hw.get_channels_max().unwrap_or_default()))?;
        hw.set_channels(channels).map_err(OpenProblem::System)?;
        hw.set_rate(rate_hz, ValueOr::Nearest).map_err(OpenProblem::System)?;
        got_period = hw
            .set_period_size_near(period as _, ValueOr::Nearest)
            .map_err(OpenProblem::System)? as usize;
        hw.set_buffer_size_near((got_period.max(period) * periods) as _)
            .map_err(OpenProblem::System)?;
        pcm.hw_params(&hw).map_err(OpenProblem::System)?;
        got_buffer = hw.get_buffer_size().map_err(OpenProblem::System)? as usize;
        layout = Layout {
            sample,
            channels: channels as usize,
        };
    }
    if got_period == 0 || got_period as u64 * 1000 > u64::from(LONGEST_PERIOD_MS) * u64::from(rate_hz) {
        return Err(OpenProblem::Period(got_period, rate_hz));
    }
    {
        let sw = pcm.sw_params_current().map_err(OpenProblem::System)?;
        // Only `start` starts it: the prefill must not.
        let never = sw.get_boundary().map_err(OpenProblem::System)?;
        sw.set_start_threshold(never).map_err(OpenProblem::System)?;
        sw.set_avail_min(got_period.min(period) as _).map_err(OpenProblem::System)?;
        pcm.sw_params(&sw).map_err(OpenProblem::System)?;
    }
    let bytes = vec![0; (got_period.max(period) + 1) * layout.frame()];
    Ok(Side {
        pcm,
        layout,
        buffer: got_buffer,
        period: got_period,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_are_held_together_by_slips() {
        for ppm in [-200.0, 200.0] {
            let mut queued = 240.0;
            let mut queue = Queue::new(240, 120);
            let mut far = 0.0f64;
            // An hour of 5 ms periods: without slips 200 ppm make 0.72 s.
            for _ in 0..720_000 {
                queued -= 240.0 * (1.0 + ppm * 1e-6);
                let written = match queue.observe((queued + 240.0) as usize) {
                    Slip::None => 240.0,
                    Slip::Drop => 239.0,
                    Slip::Repeat => 241.0,
                };
                queued += written;
                far = far.max((queued - 240.0f64).abs());
            }
            assert!(far < 240.0, "{ppm} ppm: the queue wandered {far} frames");
        }
    }

    #[test]
    fn a_steady_queue_with_jitter_is_left_alone() {
        let mut queue = Queue::new(240, 120);
        for i in 0..10_000usize {
            let queued = 240 + (i * 7919 % 97) - 48;
            assert_eq!(queue.observe(queued), Slip::None);
        }
    }
}
