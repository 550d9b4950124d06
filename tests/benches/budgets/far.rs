//! The far end of the virtual card: speaks into the phone's microphone and listens at its earpiece,
//! on one clock.

use std::time::{Duration, Instant};

use board::audio::{AudioDevice, AudioRequest, Period, open};
use testkit::measure::{Clip, align};

/// The card's rate in Hz.
pub(crate) const RATE: u32 = 48_000;

/// A tone is far louder than this, silence is nothing at all.
const HEARD: u16 = 500;

/// The far end, opened.
pub(crate) struct Far {
    card: Box<dyn AudioDevice>,
}

/// Sound that was said and heard on one clock.
pub(crate) struct Talk {
    /// What the earpiece gave, from the moment `said` began to be written.
    pub(crate) heard: Vec<i16>,
    /// Frames by which a sample is heard later here because it waits in our own playback queue.
    pub(crate) own_frames: usize,
}

impl Far {
    pub(crate) fn open() -> Self {
        let card = open(&AudioRequest {
            capture: "far".into(),
            playback: "far".into(),
            rate_hz: RATE,
            codec_rate_hz: RATE,
            period_ms: 5,
            periods: 3,
            microphone_channel: types::MicrophoneChannel::Mix,
        })
        .unwrap_or_else(|error| panic!("the far end of the card: {error}"));
        Self { card }
    }

    /// Says this and listens for `seconds`. `None`: the machine was late, and the recording has a
    /// hole.
    pub(crate) fn talk(&mut self, said: &[i16], seconds: f64) -> Option<Talk> {
        let format = self.card.format();
        let frames = format.period_frames;
        let mut period = vec![0; frames];
        let wanted = (seconds * f64::from(RATE)) as usize;
        let (mut heard, mut spoken, mut whole, mut flushed) =
            (Vec::with_capacity(wanted), 0, true, false);
        let end = Instant::now() + Duration::from_secs_f64(seconds + 5.0);
        while heard.len() < wanted && Instant::now() < end {
            match self.card.read(&mut period).unwrap() {
                Period::Ready => {}
                Period::NotYet => {
                    flushed = true;
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Period::Xrun { .. } => {
                    whole &= heard.is_empty();
                    continue;
                }
            }
            // What lay in the card since the last talk is no answer to this one.
            if flushed {
                heard.extend_from_slice(&period);
                let left = said.get(spoken..).unwrap_or_default();
                let count = left.len().min(frames);
                period[..count].copy_from_slice(&left[..count]);
                period[count..].fill(0);
                spoken += count;
            } else {
                period.fill(0);
            }
            if let Period::Xrun { .. } = self.card.write(&period).unwrap() {
                whole &= heard.len() <= frames;
            }
        }
        whole.then_some(Talk {
            heard,
            own_frames: format.playback_delay_frames + frames,
        })
    }

    /// The next period that is there; `None`: the card has gone.
    fn next_period(&mut self, period: &mut [i16]) -> Option<bool> {
        match self.card.read(period).ok()? {
            Period::Ready => {}
            Period::NotYet => {
                std::thread::sleep(Duration::from_micros(500));
                return Some(false);
            }
            Period::Xrun { .. } => return Some(false),
        }
        let loud = period.iter().any(|sample| sample.unsigned_abs() > HEARD);
        period.fill(0);
        self.card.write(period).ok()?;
        Some(loud)
    }

    /// Nothing is heard for 100 ms.
    pub(crate) fn is_silent(&mut self) -> bool {
        let mut period = vec![0; self.card.format().period_frames];
        let mut quiet_since = Instant::now();
        let end = quiet_since + Duration::from_secs(2);
        while Instant::now() < end {
            match self.next_period(&mut period) {
                Some(true) => quiet_since = Instant::now(),
                Some(false) if quiet_since.elapsed() > Duration::from_millis(100) => return true,
                Some(false) => {}
                None => return false,
            }
        }
        false
    }

    /// When the first sound was heard, if before `end`.
    pub(crate) fn heard_by(&mut self, end: Instant) -> Option<Instant> {
        let mut period = vec![0; self.card.format().period_frames];
        while Instant::now() < end {
            if self.next_period(&mut period)? {
                return Some(Instant::now());
            }
        }
        None
    }
}

/// A chirp of 60 ms, 300 to 3400 Hz, twice a second.
pub(crate) fn chirps(seconds: usize) -> Vec<i16> {
    let mut sound = vec![0; seconds * RATE as usize];
    let length = RATE as usize * 60 / 1000;
    for start in (0..sound.len() - length).step_by(RATE as usize / 2) {
        for n in 0..length {
            let t = n as f64 / f64::from(RATE);
            let whole = length as f64 / f64::from(RATE);
            let phase = std::f64::consts::TAU * (300.0 * t + 3100.0 * t * t / (2.0 * whole));
            let window = (std::f64::consts::PI * n as f64 / length as f64).sin();
            sound[start + n] = (9000.0 * window * phase.sin()) as i16;
        }
    }
    sound
}

/// Mouth to ear in ms of each chirp that came back whole, the first two seconds left out.
pub(crate) fn mouth_to_ear_ms(said: &[i16], talk: &Talk) -> Option<Vec<f64>> {
    let (step, window) = (RATE as usize / 2, RATE as usize * 46 / 100);
    let piece = RATE as usize * 60 / 1000;
    let own = talk.own_frames as f64 * 1000.0 / f64::from(RATE);
    let delays: Vec<f64> = (4..said.len() / step)
        .map(|n| n * step)
        .take_while(|at| at + window + piece <= said.len().min(talk.heard.len()))
        .filter_map(|at| {
            let clip = |samples: &[i16]| Clip {
                rate_hz: RATE,
                samples: samples.to_vec(),
            };
            let found = align(
                &clip(&said[at..at + piece]),
                &clip(&talk.heard[at..at + window + piece]),
                0.46,
            );
            (found.correlation > 0.7).then_some(found.delay_s * 1000.0 - own)
        })
        .collect();
    (delays.len() >= 5).then_some(delays)
}
