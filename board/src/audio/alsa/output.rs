//! A card that only plays: a ringer, or a loudspeaker without a microphone.
//!
//! ```text
//! queue below its usual level ─▶ read: a period of silence ─▶ owner ─▶ write ─▶ playback PCM
//! ```
//!
//! It behaves as a duplex card does whose microphone hears nothing, so that one loop drives both.

use std::os::fd::RawFd;
use std::time::Duration;

use alsa::Direction;
use alsa::pcm::{HwParams, PCM, State};
use types::MicrophoneChannel;

use super::open::{OpenProblem, RATES, configure};
use super::{
    AudioDevice, AudioError, AudioFormat, AudioRequest, LONGEST_PERIOD_MS, Period, Recover, Side,
    collecting_reasons, fault, start_playback, write_silence,
};

/// Periods kept ahead.
const PERIODS: std::ops::RangeInclusive<u32> = 2..=16;

/// Playback of a card.
pub struct AlsaOutput {
    /// Moved into the one error that reports its loss.
    name: String,
    playback: Side,
    format: AudioFormat,
    prefill: usize,
}

impl AlsaOutput {
    /// Opens the request's playback, at a rate it can do, and starts it.
    pub fn open(request: &AudioRequest) -> Result<Self, AudioError> {
        collecting_reasons(|| Self::negotiate(request))
    }

    fn negotiate(request: &AudioRequest) -> Result<Self, (String, OpenProblem)> {
        let name = &request.playback;
        let at = |problem: OpenProblem| (name.clone(), problem);
        let system = |e: alsa::Error| at(OpenProblem::System(e));
        let pcm = PCM::new(name, Direction::Playback, true).map_err(system)?;
        let rate_hz = {
            let params = HwParams::any(&pcm).map_err(system)?;
            let _ = params.set_rate_resample(false);
            std::iter::once(request.rate_hz)
                .chain(RATES)
                .find(|&rate| params.test_rate(rate).is_ok())
                .ok_or_else(|| at(OpenProblem::Rate(name.clone())))?
        };
        let wanted = (rate_hz * request.period_ms.clamp(1, LONGEST_PERIOD_MS) / 1000) as usize;
        let periods = request.periods.clamp(*PERIODS.start(), *PERIODS.end()) as usize;
        let all = MicrophoneChannel::Mix;
        let playback = configure(pcm, rate_hz, wanted, periods + 2, all).map_err(at)?;
        let period = playback.period;
        if playback.buffer < 2 * period {
            return Err(at(OpenProblem::Period(period, rate_hz)));
        }
        let prefill = (periods * period).min(playback.buffer);
        let mut card = Self {
            name: name.clone(),
            format: AudioFormat {
                rate_hz,
                period_frames: period,
                playback_delay_frames: prefill - period,
            },
            playback,
            prefill,
        };
        card.start().map_err(system)?;
        Ok(card)
    }

    /// Prefills and starts; it is prepared.
    fn start(&mut self) -> alsa::Result<()> {
        write_silence(&mut self.playback, self.prefill)?;
        start_playback(&self.playback)
    }
}

impl Recover for AlsaOutput {
    fn name_mut(&mut self) -> &mut String {
        &mut self.name
    }

    fn restart(&mut self) -> Result<Period, AudioError> {
        let _ = self.playback.pcm.drop();
        let prepared = self.playback.pcm.prepare().and_then(|()| self.start());
        match prepared {
            Ok(()) => Ok(Period::Xrun { lost_frames: 0 }),
            Err(_) => Err(self.lost()),
        }
    }
}

impl AudioDevice for AlsaOutput {
    fn format(&self) -> AudioFormat {
        self.format
    }

    /// None: its owner looks at it once a period of its own.
    fn poll_fds(&self) -> &[RawFd] {
        &[]
    }

    fn stall_timeout(&self) -> Duration {
        super::STALL_TIMEOUT
    }

    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        let avail = match self.playback.pcm.avail_update() {
            Ok(avail) => avail.max(0) as usize,
            Err(e) => {
                let fault = fault(e, &self.playback.pcm);
                return self.recover(&fault);
            }
        };
        let queued = self.playback.buffer.saturating_sub(avail);
        if queued + self.format.period_frames > self.prefill {
            return Ok(Period::NotYet);
        }
        capture.fill(0);
        Ok(Period::Ready)
    }

    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        let whole = playback.len().min(self.format.period_frames);
        match self.playback.write(&playback[..whole]) {
            Ok(_) => Ok(Period::Ready),
            Err(fault) => self.recover(&fault),
        }
    }

    fn pause(&mut self) -> bool {
        let _ = self.playback.pcm.drop();
        true
    }

    fn resume(&mut self) -> Result<(), AudioError> {
        self.restart().map(|_| ())
    }

    fn check(&mut self) -> Result<(), AudioError> {
        if self.playback.pcm.state() == State::Disconnected {
            return Err(self.lost());
        }
        Ok(())
    }
}
