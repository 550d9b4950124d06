//! What is spoken: a recording, or something with the shape of speech.

use std::path::Path;
use std::time::Duration;

use super::DemoError;

/// The rate the microphone file is written at.
pub(super) const RATE: u32 = 48_000;
/// Most speech taken from a file.
const MAX_SECONDS: usize = 60;

/// Mono sound at [`RATE`].
pub(super) struct Speech {
    samples: Vec<i16>,
    /// What it is, in words.
    pub(super) what: String,
}

impl Speech {
    /// Reads a WAV file of any common kind.
    pub(super) fn read(path: &Path) -> Result<Self, DemoError> {
        let mut recording = board::audio::Recording::load(path)
            .map_err(|source| DemoError::Recording {
                path: path.to_owned(),
                source,
            })?
            .at_rate(RATE);
        recording.samples.truncate(MAX_SECONDS * RATE as usize);
        if recording.samples.len() < 2 * RATE as usize {
            return Err(DemoError::TooShort(path.to_owned()));
        }
        Ok(Self {
            samples: recording.samples,
            what: path.display().to_string(),
        })
    }

    /// Eight seconds with the shape of speech: a gliding voice with harmonics through two moving
    /// resonances, in syllables, with breath between the phrases. Deterministic.
    pub(super) fn generated() -> Self {
        let rate = f64::from(RATE);
        let mut samples = Vec::with_capacity(8 * RATE as usize);
        let (mut phase, mut noise) = (0.0_f64, 0x2545_f491_u32);
        for frame in 0..8 * RATE as usize {
            let t = frame as f64 / rate;
            // Pitch glides between 90 and 160 Hz and never quite repeats, so that only one delay
            // fits.
            let pitch = 120.0 + 25.0 * (1.7 * t).sin() + 12.0 * (0.61 * t * t).sin();
            phase += pitch / rate;
            let (first, second) = (
                500.0 + 250.0 * (2.3 * t).sin(),
                1500.0 + 600.0 * (1.3 * t + 1.0).sin(),
            );
            let mut voice = 0.0;
            for harmonic in 1..=24 {
                let hz = pitch * f64::from(harmonic);
                let resonance = |at: f64, width: f64| 1.0 / (1.0 + ((hz - at) / width).powi(2));
                let strength = resonance(first, 120.0) + 0.5 * resonance(second, 180.0) + 0.02;
                voice += strength * (std::f64::consts::TAU * phase * f64::from(harmonic)).sin();
            }
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let breath = (f64::from(noise) / f64::from(u32::MAX) - 0.5) * 0.06;
            // Four syllables a second, a pause every two seconds.
            let syllable = (std::f64::consts::PI * 4.0 * t).sin().powi(2).sqrt();
            let phrase = if t % 2.0 < 1.7 { 1.0 } else { 0.02 };
            samples.push(
                (4200.0 * phrase * (syllable * voice + breath)).clamp(-30_000.0, 30_000.0) as i16,
            );
        }
        Self {
            samples,
            what: "a generated, speech-like signal (no recording was named)".into(),
        }
    }

    /// Its length.
    pub(super) fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(RATE)
    }

    /// Writes the microphone file: silence, the speech, silence.
    pub(super) fn write(
        &self,
        path: &Path,
        lead: Duration,
        tail: Duration,
    ) -> Result<(), DemoError> {
        let wrong = |source| DemoError::Microphone {
            path: path.to_owned(),
            source,
        };
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(path, spec).map_err(wrong)?;
        let silence = |time: Duration| (time.as_secs_f64() * f64::from(RATE)) as usize;
        let quiet = |frames: usize| std::iter::repeat_n(0, frames);
        for sample in quiet(silence(lead))
            .chain(self.samples.iter().copied())
            .chain(quiet(silence(tail)))
        {
            file.write_sample(sample).map_err(wrong)?;
        }
        file.finalize().map_err(wrong)
    }
}
