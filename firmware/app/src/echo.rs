//! A sound card that records what it played: the echo phone's.
//!
//! ```text
//! write(period n) ─▶ one period stored ─▶ read(period n+1)
//! ```
//!
//! What is written in one period is read in the next: no sooner than with any real card.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use board::audio::{AudioDevice, AudioError, AudioFormat, Period};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Periods this far behind are skipped: the machine slept.
const MAX_BEHIND: u32 = 20;

/// A duplex card without a card.
pub(crate) struct EchoCard {
    format: AudioFormat,
    timer: TimerFd,
    fds: [RawFd; 1],
    period: Duration,
    next: Instant,
    stored: Vec<i16>,
}

impl EchoCard {
    /// A card of this rate and period, paced by the kernel's monotonic clock.
    pub(crate) fn open(rate_hz: u32, period_ms: u32) -> Result<Self, AudioError> {
        let refused = |problem: String| AudioError::Open {
            device: "echo".into(),
            problem,
            help: "use 8000 to 48000 Hz and 2 to 20 ms".into(),
        };
        if !(8000..=48_000).contains(&rate_hz) || !(2..=20).contains(&period_ms) {
            return Err(refused(format!(
                "{rate_hz} Hz with periods of {period_ms} ms"
            )));
        }
        let period_frames = rate_hz as usize * period_ms as usize / 1000;
        let period = Duration::from_millis(u64::from(period_ms));
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )
        .and_then(|timer| {
            timer.set(
                Expiration::Interval(TimeSpec::from_duration(period)),
                TimerSetTimeFlags::empty(),
            )?;
            Ok(timer)
        })
        .map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            format: AudioFormat {
                rate_hz,
                period_frames,
                playback_delay_frames: period_frames,
            },
            fds: [timer.as_fd().as_raw_fd()],
            timer,
            period,
            next: Instant::now() + period,
            stored: vec![0; period_frames],
        })
    }
}

impl AudioDevice for EchoCard {
    fn format(&self) -> AudioFormat {
        self.format
    }

    fn poll_fds(&self) -> &[RawFd] {
        &self.fds
    }

    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        let now = Instant::now();
        if now < self.next {
            let _ = self.timer.wait();
            return Ok(Period::NotYet);
        }
        let behind = now.saturating_duration_since(self.next);
        if behind > self.period * MAX_BEHIND {
            self.next = now + self.period;
            self.stored.fill(0);
            let lost_frames = (behind.as_secs_f64() * f64::from(self.format.rate_hz)) as usize;
            return Ok(Period::Xrun { lost_frames });
        }
        self.next += self.period;
        for (to, from) in capture.iter_mut().zip(&self.stored) {
            *to = *from;
        }
        Ok(Period::Ready)
    }

    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        for (to, from) in self.stored.iter_mut().zip(playback) {
            *to = *from;
        }
        Ok(Period::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_played_is_heard_one_period_later() {
        let mut card = EchoCard::open(8000, 2).unwrap();
        let frames = card.format().period_frames;
        let mut heard = vec![1; frames];
        let wait = |card: &mut EchoCard, heard: &mut [i16]| {
            // Wall clock: the echo card paces itself by it.
            while card.read(heard).unwrap() != Period::Ready {
                std::thread::sleep(Duration::from_micros(200));
            }
        };
        wait(&mut card, &mut heard);
        assert_eq!(heard, vec![0; frames], "nothing was played before");
        card.write(&vec![7; frames]).unwrap();
        wait(&mut card, &mut heard);
        assert_eq!(heard, vec![7; frames]);
    }

    #[test]
    fn figures_no_card_has_are_refused() {
        assert!(EchoCard::open(96_000, 5).is_err());
        assert!(EchoCard::open(8000, 0).is_err());
    }
}
