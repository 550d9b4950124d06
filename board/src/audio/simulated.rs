//! A sound card made of files: one WAV file is what the microphone hears, another one records what
//! is played (the ear), and a timerfd paces both in real time.
//!
//! ```text
//! monotonic clock ─▶ periods due ─▶ read: next period of the microphone file (after its end: silence)
//!                                   write: appended to the ear file
//! timerfd ─▶ poll wakes
//! ```
//!
//! It behaves like a real card. The ear file begins with `periods` periods of silence, the
//! prefill a real card's buffer holds: a sample's place in the file is the moment it is heard, on
//! the same clock as its place in the microphone file. A reader that stays away longer than the
//! card's buffer (250 ms) loses that sound, in both files, and gets [`Period::Xrun`]. Writing the
//! file is a system call on the audio thread, which only this card makes; it allocates nothing.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::wav::{Recording, WavError, WavWriter};
use super::{AudioDevice, AudioError, AudioFormat, AudioRequest, Period, ahead_frames};

/// Sound the capture side holds for a late reader, in ms.
const BUFFER_MS: u64 = 250;

/// A duplex card in real time: WAV files, or silence to capture and nowhere to play.
pub struct SimulatedCard {
    name: String,
    format: AudioFormat,
    timer: TimerFd,
    fds: [RawFd; 1],
    /// When frame 0 was captured.
    start: Instant,
    /// Periods read or lost so far.
    done: u64,
    buffered: u64,
    microphone: Vec<i16>,
    ear: Option<WavWriter>,
    silence: Vec<i16>,
}

/// Lets the timer expire once a period.
fn set_pace(timer: &TimerFd, format: AudioFormat) -> nix::Result<()> {
    let tick = TimeSpec::from_duration(Duration::from_nanos(
        format.period_frames as u64 * 1_000_000_000 / u64::from(format.rate_hz),
    ));
    timer.set(Expiration::Interval(tick), TimerSetTimeFlags::empty())
}

impl SimulatedCard {
    /// Loads the microphone file, creates the ear file, starts the clock. The card's rate is the
    /// one asked for, within 8 to 96 kHz.
    pub fn open(request: &AudioRequest) -> Result<Self, AudioError> {
        let rate_hz = request.rate_hz.clamp(8000, 96_000);
        let period_frames = (rate_hz * request.period_ms.clamp(1, 100) / 1000) as usize;
        let ahead = ahead_frames(
            request.periods.clamp(1, 16) as usize,
            period_frames,
            rate_hz,
        );
        let wrong = |device: &str, e: &WavError| AudioError::open(device, &e.to_string(), e.help());
        let microphone = match request.capture.strip_prefix("wav:") {
            Some(path) => {
                Recording::load(&PathBuf::from(path))
                    .map_err(|e| wrong(&request.capture, &e))?
                    .at_rate(rate_hz)
                    .samples
            }
            None if request.capture == "silence" => Vec::new(),
            None => {
                return Err(AudioError::open(
                    &request.capture,
                    "is not a capture device",
                    "use wav:FILE or silence for capture",
                ));
            }
        };
        let silence = vec![0; period_frames];
        let ear = match request.playback.strip_prefix("wav:") {
            Some(path) => {
                let cannot = |e: std::io::Error| {
                    AudioError::open(&request.playback, &e.to_string(), "free some space")
                };
                let mut ear = WavWriter::create(&PathBuf::from(path), rate_hz, period_frames)
                    .map_err(|e| wrong(&request.playback, &e))?;
                for ahead in vec![0; ahead].chunks(period_frames) {
                    ear.append(ahead).map_err(cannot)?;
                }
                Some(ear)
            }
            None if request.playback == "null" => None,
            None => {
                return Err(AudioError::open(
                    &request.playback,
                    "is not a playback device",
                    "use wav:FILE or null for playback",
                ));
            }
        };
        let name = format!("{} / {}", request.capture, request.playback);
        let no_timer = |e: nix::Error| {
            AudioError::open(
                &name,
                &format!("no timer: {e}"),
                "raise the limit on open files",
            )
        };
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )
        .map_err(no_timer)?;
        let format = AudioFormat {
            rate_hz,
            period_frames,
            playback_delay_frames: ahead,
        };
        set_pace(&timer, format).map_err(no_timer)?;
        Ok(Self {
            fds: [timer.as_fd().as_raw_fd()],
            buffered: (BUFFER_MS * u64::from(rate_hz) / 1000 / period_frames as u64).max(2),
            name,
            format,
            timer,
            start: Instant::now(),
            done: 0,
            microphone,
            ear,
            silence,
        })
    }

    /// Whole periods captured since the start.
    fn captured(&self) -> u64 {
        let frames =
            self.start.elapsed().as_nanos() * u128::from(self.format.rate_hz) / 1_000_000_000;
        (frames / self.format.period_frames as u128) as u64
    }

    fn record(
        ear: &mut Option<WavWriter>,
        samples: &[i16],
        name: &mut String,
    ) -> Result<(), AudioError> {
        match ear.as_mut().map(|ear| ear.append(samples)) {
            // A full disk is a card that died. The name was made at open: nothing is allocated
            // here.
            Some(Err(_)) => Err(AudioError::Lost(std::mem::take(name))),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl AudioDevice for SimulatedCard {
    fn format(&self) -> AudioFormat {
        self.format
    }

    fn poll_fds(&self) -> &[RawFd] {
        &self.fds
    }

    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        let due = self.captured().saturating_sub(self.done);
        if due == 0 {
            // Drained only now: while periods are due the descriptor stays ready, so none is
            // forgotten.
            let _ = self.timer.wait();
            return Ok(Period::NotYet);
        }
        if due > self.buffered {
            for _ in 0..due {
                Self::record(&mut self.ear, &self.silence, &mut self.name)?;
            }
            self.done += due;
            return Ok(Period::Xrun {
                lost_frames: due as usize * self.format.period_frames,
            });
        }
        let from = self.done as usize * self.format.period_frames;
        let left = self.microphone.get(from..).unwrap_or(&[]);
        let sound = left.len().min(capture.len()).min(self.format.period_frames);
        capture[..sound].copy_from_slice(&left[..sound]);
        capture[sound..].fill(0);
        self.done += 1;
        Ok(Period::Ready)
    }

    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        Self::record(&mut self.ear, playback, &mut self.name)?;
        Ok(Period::Ready)
    }

    fn pause(&mut self) -> bool {
        self.timer.unset().is_ok()
    }

    /// The files go on with true time: what was not heard meanwhile is silence in the ear's.
    fn resume(&mut self) -> Result<(), AudioError> {
        let due = self.captured().saturating_sub(self.done);
        for _ in 0..due {
            Self::record(&mut self.ear, &self.silence, &mut self.name)?;
        }
        self.done += due;
        set_pace(&self.timer, self.format)
            .map_err(|_| AudioError::Lost(std::mem::take(&mut self.name)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::BorrowedFd;
    use std::path::Path;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use testkit::process::TestDir;

    use super::super::open;
    use super::*;

    fn request(capture: &str, playback: &str) -> AudioRequest {
        AudioRequest {
            capture: capture.to_owned(),
            playback: playback.to_owned(),
            rate_hz: 16_000,
            codec_rate_hz: 16_000,
            period_ms: 5,
            periods: 2,
            microphone_channel: types::MicrophoneChannel::Mix,
        }
    }

    fn wait(card: &dyn AudioDevice) {
        // SAFETY: the descriptor outlives the borrow, because the card holds it.
        #[expect(unsafe_code, reason = "see SAFETY above")]
        let fd = unsafe { BorrowedFd::borrow_raw(card.poll_fds()[0]) };
        poll(
            &mut [PollFd::new(fd, PollFlags::POLLIN)],
            PollTimeout::from(1000u16),
        )
        .unwrap();
    }

    /// Runs the card as a wire from microphone to ear; `None` when the machine stalled.
    fn play(mic: &Path, ear: &Path) -> Option<Vec<i16>> {
        let mut card = open(&request(
            &format!("wav:{}", mic.display()),
            &format!("wav:{}", ear.display()),
        ))
        .unwrap();
        assert_eq!(
            card.format(),
            AudioFormat {
                rate_hz: 16_000,
                period_frames: 80,
                playback_delay_frames: 160
            }
        );
        let mut period = [0; 80];
        let (mut heard, mut idle) = (Vec::new(), 0);
        while heard.len() < 2400 {
            match card.read(&mut period).unwrap() {
                Period::Ready => {
                    heard.extend_from_slice(&period);
                    assert_eq!(card.write(&period).unwrap(), Period::Ready);
                }
                Period::NotYet => {
                    idle += 1;
                    wait(card.as_ref());
                }
                Period::Xrun { .. } => return None,
            }
        }
        assert!(idle > 0, "a paced card makes its reader wait");
        Some(heard)
    }

    #[test]
    fn samples_pass_unchanged_then_silence() {
        let folder = TestDir::new("card");
        let mic = folder.join("mic.wav");
        let ear = folder.join("ear.wav");
        let wave: Vec<i16> = (0..1600).map(|n| (n * 17 % 9973) as i16 + 1).collect();
        WavWriter::create(&mic, 16_000, 80)
            .unwrap()
            .append(&wave)
            .unwrap();
        // A machine too busy to run the test for 250 ms loses sound, as it should; then it is
        // played again.
        let heard = (0..20).find_map(|_| play(&mic, &ear)).unwrap();
        assert_eq!(heard[..1600], wave[..]);
        assert!(
            heard[1600..].iter().all(|&s| s == 0),
            "after the end of the file: silence, never a loop"
        );
        let ear = Recording::load(&ear).unwrap();
        assert!(ear.samples[..160].iter().all(|&s| s == 0), "prefill");
        assert_eq!(ear.samples[160..], heard[..]);
    }

    #[test]
    fn a_late_reader_gets_an_xrun() {
        let mut card = SimulatedCard::open(&request("silence", "null")).unwrap();
        let mut period = [0; 80];
        card.start = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        let Period::Xrun { lost_frames } = card.read(&mut period).unwrap() else {
            panic!("two seconds fit no buffer")
        };
        assert!((32_000..40_000).contains(&lost_frames), "{lost_frames}");
        // And no old sound is delivered later: the delay is what it was before.
        assert_eq!(card.read(&mut period).unwrap(), Period::NotYet);
    }

    #[test]
    fn unusable_device_pairs_are_refused_by_name() {
        for (capture, playback, what) in [
            (
                "wav:/nowhere/mic.wav",
                "null",
                "wav:/nowhere/mic.wav: No such file",
            ),
            (
                "silence",
                "wav:/nowhere/ear.wav",
                "wav:/nowhere/ear.wav: No such file",
            ),
            ("null", "null", "null: is not a capture device"),
            ("silence", "silence", "silence: is not a playback device"),
            (
                "silence",
                "hw:0",
                "hw:0: cannot be paired with capture device `silence`",
            ),
        ] {
            let Err(error) = open(&request(capture, playback)) else {
                panic!("{capture} with {playback} opened")
            };
            let text = error.to_string();
            assert!(text.starts_with(what), "{text}");
            assert!(text.contains("; "), "no help in: {text}");
        }
    }
}
