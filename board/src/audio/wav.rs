//! WAV files for the simulated card: any common file becomes mono i16 at the card's rate, and what
//! is played is recorded to a file that is valid at every moment, even after `kill -9`.
//!
//! ```text
//! FILE ─hound─▶ frames ─mix to mono─▶ f32 ─windowed sinc─▶ card rate ─▶ Recording
//! played periods ─pwrite─▶ FILE (header rewritten every 100 ms)
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Longest file played as capture, in seconds: an hour.
const MAX_SECONDS: u32 = 3600;
/// Bytes of the canonical RIFF header.
const HEADER: u64 = 44;
/// Most sample bytes a RIFF header can state.
const MAX_DATA: u64 = u32::MAX as u64 - HEADER;

/// Why a WAV file cannot be used for capture or playback.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The file cannot be opened or created.
    #[error("{problem}")]
    File {
        /// What the system said.
        problem: String,
    },
    /// It is no WAV file, or a damaged one.
    #[error("not a WAV file that can be read ({problem})")]
    Malformed {
        /// What the parser said.
        problem: String,
    },
    /// An unsupported sample format, rate or channel count.
    #[error("unsupported: {problem}")]
    Unsupported {
        /// Which.
        problem: String,
    },
}

impl WavError {
    /// What would help.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::File { .. } => "check the path and its permissions",
            Self::Malformed { .. } | Self::Unsupported { .. } => {
                "make one with `sox IN -r 48000 -c 1 -b 16 OUT.wav` (PCM or float, 8 to 96 kHz, up \
                 to 8 channels, up to an hour)"
            }
        }
    }
}

/// Sound in memory, mono.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Samples, i16 full scale.
    pub samples: Vec<i16>,
    /// Frames a second.
    pub rate_hz: u32,
}

impl Recording {
    /// Reads a WAV file (8, 16, 24, 32 bit PCM or 32 bit float, any channel count up to 8) and
    /// mixes it to mono.
    pub fn load(path: &Path) -> Result<Self, WavError> {
        let file = crate::files::open(path, u64::MAX).map_err(|e| WavError::File {
            problem: e.to_string(),
        })?;
        let about = file.metadata().map_err(|e| WavError::File {
            problem: e.to_string(),
        })?;
        if about.is_dir() {
            return Err(WavError::File {
                problem: "is a directory".to_owned(),
            });
        }
        let length = about.len() as usize;
        Self::parse(io::BufReader::new(file), length, MAX_SECONDS)
    }

    /// Reads a WAV file of so many bytes, and refuses one that is longer than `most_s` seconds.
    pub fn parse(reader: impl io::Read, length: usize, most_s: u32) -> Result<Self, WavError> {
        let malformed = |e: hound::Error| match e {
            hound::Error::Unsupported => WavError::Unsupported {
                problem: "sample format (compressed or unusual)".to_owned(),
            },
            hound::Error::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                WavError::Malformed {
                    problem: "it ends too early".to_owned(),
                }
            }
            other => WavError::Malformed {
                problem: other.to_string(),
            },
        };
        let mut reader = hound::WavReader::new(reader).map_err(malformed)?;
        let spec = reader.spec();
        if !(1..=8).contains(&spec.channels) {
            return Err(WavError::Unsupported {
                problem: format!("{} channels", spec.channels),
            });
        }
        if !(4000..=192_000).contains(&spec.sample_rate) {
            return Err(WavError::Unsupported {
                problem: format!("{} Hz", spec.sample_rate),
            });
        }
        if reader.duration() / spec.sample_rate >= most_s {
            return Err(WavError::Unsupported {
                problem: format!("longer than {most_s} s"),
            });
        }
        let channels = usize::from(spec.channels);
        if !(8..=32).contains(&spec.bits_per_sample) {
            return Err(WavError::Unsupported {
                problem: format!("{} bits a sample", spec.bits_per_sample),
            });
        }
        // The header's length is a claim; the file's own length bounds what is reserved for it.
        let mut mono = Vec::with_capacity((reader.duration() as usize).min(length));
        let (mut sum, mut in_frame) = (0.0f32, 0);
        let mut put = |sample: f32| {
            sum += sample;
            in_frame += 1;
            if in_frame == channels {
                mono.push(to_i16(sum / channels as f32));
                (sum, in_frame) = (0.0, 0);
            }
        };
        match spec.sample_format {
            hound::SampleFormat::Float => {
                for sample in reader.samples::<f32>() {
                    let sample = sample.map_err(malformed)?;
                    put(if sample.is_finite() {
                        sample * 32768.0
                    } else {
                        0.0
                    });
                }
            }
            hound::SampleFormat::Int => {
                let scale = 32768.0 / (1u64 << (spec.bits_per_sample - 1)) as f32;
                for sample in reader.samples::<i32>() {
                    put(sample.map_err(malformed)? as f32 * scale);
                }
            }
        }
        Ok(Self {
            samples: mono,
            rate_hz: spec.sample_rate,
        })
    }

    /// The same sound at another rate (windowed sinc, done once at load; not for the audio thread).
    #[must_use]
    pub fn at_rate(self, rate_hz: u32) -> Self {
        if rate_hz == self.rate_hz || self.samples.is_empty() {
            return Self {
                samples: self.samples,
                rate_hz,
            };
        }
        let (from, to) = (u64::from(self.rate_hz), u64::from(rate_hz));
        let filter = PhaseFilter::new(self.rate_hz, rate_hz);
        let frames = self.samples.len() as u64 * to / from;
        let samples = (0..frames)
            .map(|n| {
                let (before, rest) = (n * from / to, n * from % to);
                to_i16(filter.at(&self.samples, before as usize, rest as u32))
            })
            .collect();
        Self { samples, rate_hz }
    }
}

fn to_i16(sample: f32) -> i16 {
    // `as` saturates: a float file above full scale clips, as a card would.
    sample.round() as i16
}

/// A low-pass of 16 zero crossings a side, with its weights at each position between two samples
/// that occurs: 6 of them from 8 to 48 kHz, 160 from 44.1 to 48 kHz. Where there are more than
/// [`PhaseFilter::MOST`], the weights between two of 256 positions are interpolated.
struct PhaseFilter {
    /// For each phase, weights of the samples from `half` before the position to `half` after it.
    weights: Vec<f32>,
    half: usize,
    phases: u32,
    /// The new rate in Hz.
    rate_hz: u32,
}

impl PhaseFilter {
    const CROSSINGS: f64 = 16.0;
    /// Most phases that each have weights of their own: a few hundred KB of them.
    const MOST: u32 = 640;
    const INTERPOLATED: u32 = 256;

    /// Rates in Hz.
    fn new(from: u32, to: u32) -> Self {
        let exact = to / greatest_common_divisor(from, to);
        let phases = if exact <= Self::MOST {
            exact
        } else {
            Self::INTERPOLATED
        };
        // The lower of both Nyquist frequencies.
        let cutoff = (f64::from(to) / f64::from(from)).min(1.0);
        let reach = Self::CROSSINGS / cutoff;
        let half = reach.ceil() as usize;
        // One more, where the next sample is: what the last is interpolated with.
        let weights = (0..=phases)
            .flat_map(|phase| {
                let position = half as f64 + f64::from(phase) / f64::from(phases);
                (0..=2 * half).map(move |k| weight(k as f64 - position, reach, cutoff))
            })
            .collect();
        Self {
            weights,
            half,
            phases,
            rate_hz: to,
        }
    }

    /// The sound between sample `before` and the next, `rest` (in one out of the new rate) after
    /// it. Beyond the ends there is silence.
    fn at(&self, samples: &[i16], before: usize, rest: u32) -> f32 {
        let position = u64::from(rest) * u64::from(self.phases);
        let rate_hz = u64::from(self.rate_hz);
        let phase = (position / rate_hz) as usize;
        let one = self.at_phase(samples, before, phase);
        let between = position % rate_hz;
        if between == 0 {
            return one;
        }
        let next = self.at_phase(samples, before, phase + 1);
        one + (next - one) * (between as f32 / rate_hz as f32)
    }

    fn at_phase(&self, samples: &[i16], before: usize, phase: usize) -> f32 {
        let length = 2 * self.half + 1;
        let weights = &self.weights[phase * length..][..length];
        let first = before.saturating_sub(self.half);
        let last = (before + self.half + 1).min(samples.len());
        let weights = &weights[first + self.half - before..];
        let products = samples[first..last].iter().zip(weights);
        products
            .map(|(&sample, weight)| f32::from(sample) * weight)
            .sum()
    }
}

/// Weight of a sample this far (in samples) from the position.
fn weight(distance: f64, reach: f64, cutoff: f64) -> f32 {
    use std::f64::consts::PI;
    if distance.abs() >= reach {
        return 0.0;
    }
    let window = 0.5 + 0.5 * (PI * distance / reach).cos();
    // 0.95 leaves the filter a slope before the images begin.
    let x = PI * distance * cutoff * 0.95;
    let sinc = if x == 0.0 { 1.0 } else { x.sin() / x };
    (sinc * window * cutoff * 0.95) as f32
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// A WAV file being written, mono i16. Writing allocates nothing; each call is one `pwrite`, and
/// one more for the header now and then.
#[derive(Debug)]
pub(super) struct WavWriter {
    file: File,
    rate_hz: u32,
    /// Sample bytes written.
    data: u64,
    /// Sample bytes stated by the header on disk.
    header_data: u64,
    bytes: Vec<u8>,
}

impl WavWriter {
    /// Creates (and empties) the file. `most` frames are written at once.
    pub(super) fn create(path: &PathBuf, rate_hz: u32, most: usize) -> Result<Self, WavError> {
        let file = File::create(path).map_err(|e| WavError::File {
            problem: e.to_string(),
        })?;
        let mut writer = Self {
            file,
            rate_hz,
            data: 0,
            header_data: 0,
            bytes: Vec::with_capacity(most * 2),
        };
        writer.write_header().map_err(|e| WavError::File {
            problem: e.to_string(),
        })?;
        Ok(writer)
    }

    /// Appends samples; past 4 GB they are dropped, the header cannot state more.
    pub(super) fn append(&mut self, samples: &[i16]) -> io::Result<()> {
        for chunk in samples.chunks(self.bytes.capacity() / 2) {
            if self.data + chunk.len() as u64 * 2 > MAX_DATA {
                return Ok(());
            }
            self.bytes.clear();
            for sample in chunk {
                self.bytes.extend_from_slice(&sample.to_le_bytes());
            }
            self.file.write_all_at(&self.bytes, HEADER + self.data)?;
            self.data += self.bytes.len() as u64;
        }
        // The header lags the samples by at most 100 ms, so a killed process leaves a file any
        // player opens.
        if self.data - self.header_data >= u64::from(self.rate_hz) * 2 / 10 {
            self.write_header()
        } else {
            Ok(())
        }
    }

    fn write_header(&mut self) -> io::Result<()> {
        let data = self.data as u32;
        let mut header = [0u8; HEADER as usize];
        header[0..4].copy_from_slice(b"RIFF");
        header[4..8].copy_from_slice(&(data + 36).to_le_bytes());
        header[8..16].copy_from_slice(b"WAVEfmt ");
        header[16..20].copy_from_slice(&16u32.to_le_bytes());
        header[20..22].copy_from_slice(&1u16.to_le_bytes());
        header[22..24].copy_from_slice(&1u16.to_le_bytes());
        header[24..28].copy_from_slice(&self.rate_hz.to_le_bytes());
        header[28..32].copy_from_slice(&(self.rate_hz * 2).to_le_bytes());
        header[32..34].copy_from_slice(&2u16.to_le_bytes());
        header[34..36].copy_from_slice(&16u16.to_le_bytes());
        header[36..40].copy_from_slice(b"data");
        header[40..44].copy_from_slice(&data.to_le_bytes());
        self.file.write_all_at(&header, 0)?;
        self.header_data = self.data;
        Ok(())
    }
}

impl Drop for WavWriter {
    fn drop(&mut self) {
        // No one can handle the error in drop: at worst the last 100 ms are missing from the
        // header.
        let _ = self.write_header();
    }
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    fn sine(hz: f64, rate: u32, frames: usize) -> Vec<f64> {
        (0..frames)
            .map(|n| (std::f64::consts::TAU * hz * n as f64 / f64::from(rate)).sin())
            .collect()
    }

    /// Level of one frequency in dB against full scale.
    fn level(samples: &[i16], hz: f64, rate: u32) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, &sample) in samples.iter().enumerate() {
            let phase = std::f64::consts::TAU * hz * n as f64 / f64::from(rate);
            re += f64::from(sample) * phase.cos();
            im += f64::from(sample) * phase.sin();
        }
        20.0 * ((re * re + im * im).sqrt() * 2.0 / samples.len() as f64 / 32768.0).log10()
    }

    #[test]
    fn every_common_format_reads_as_the_same_samples() {
        let folder = TestDir::new("wav-formats");
        let wave = sine(1000.0, 16_000, 16_000);
        for (name, bits, format, channels) in [
            ("8", 8, hound::SampleFormat::Int, 1),
            ("16", 16, hound::SampleFormat::Int, 1),
            ("24", 24, hound::SampleFormat::Int, 1),
            ("32", 32, hound::SampleFormat::Int, 1),
            ("float", 32, hound::SampleFormat::Float, 1),
            ("stereo", 16, hound::SampleFormat::Int, 2),
        ] {
            let path = folder.join(format!("{name}.wav"));
            let spec = hound::WavSpec {
                channels,
                sample_rate: 16_000,
                bits_per_sample: bits,
                sample_format: format,
            };
            let mut writer = hound::WavWriter::create(&path, spec).unwrap();
            for &sample in &wave {
                for _ in 0..channels {
                    match format {
                        hound::SampleFormat::Float => {
                            writer.write_sample((sample * 0.5) as f32).unwrap();
                        }
                        hound::SampleFormat::Int => {
                            writer
                                .write_sample(
                                    (sample * 0.5 * f64::from((1u32 << (bits - 1)) - 1)).round()
                                        as i32,
                                )
                                .unwrap();
                        }
                    }
                }
            }
            writer.finalize().unwrap();
            let recording = Recording::load(&path).unwrap();
            assert_eq!(
                (recording.samples.len(), recording.rate_hz),
                (16_000, 16_000),
                "{name}"
            );
            let got = level(&recording.samples, 1000.0, 16_000);
            assert!((got + 6.02).abs() < 0.1, "{name}: {got} dB");
        }
    }

    #[test]
    fn weights_of_any_two_rates_fit_into_a_megabyte() {
        for (from, to) in [
            (8000, 48_000),
            (191_999, 48_000),
            (4001, 44_100),
            (192_000, 8000),
        ] {
            let bytes = 4 * PhaseFilter::new(from, to).weights.len();
            assert!(bytes < 1 << 20, "{from} → {to}: {bytes} bytes");
        }
    }

    #[test]
    fn resampling_keeps_the_tone_without_aliases() {
        for (from, to) in [
            (8000, 48_000),
            (44_100, 48_000),
            (48_000, 8000),
            (48_000, 16_000),
            (16_000, 44_100),
            // Every frame lies at another position between two samples.
            (44_101, 48_000),
        ] {
            let samples: Vec<i16> = sine(1000.0, from, from as usize)
                .iter()
                .map(|s| (s * 16384.0) as i16)
                .collect();
            let got = Recording {
                samples,
                rate_hz: from,
            }
            .at_rate(to);
            assert!(
                got.samples.len().abs_diff(to as usize) <= 1,
                "{from} → {to}: {} frames",
                got.samples.len()
            );
            let tone = level(&got.samples[500..to as usize - 500], 1000.0, to);
            assert!((tone + 6.02).abs() < 0.2, "{from} → {to}: {tone} dB");
        }
        // 7 kHz cannot live at 8 kHz; it must not come back as 1 kHz.
        let samples: Vec<i16> = sine(7000.0, 48_000, 48_000)
            .iter()
            .map(|s| (s * 16384.0) as i16)
            .collect();
        let alias = level(
            &Recording {
                samples,
                rate_hz: 48_000,
            }
            .at_rate(8000)
            .samples,
            1000.0,
            8000,
        );
        assert!(alias < -50.0, "alias at {alias} dB");
    }

    #[test]
    fn a_bad_file_is_one_clear_error() {
        let folder = TestDir::new("wav-bad");
        let text = folder.join("text.wav");
        std::fs::write(&text, "this is no sound").unwrap();
        assert!(matches!(
            Recording::load(&text),
            Err(WavError::Malformed { .. })
        ));
        assert!(matches!(
            Recording::load(&folder.join("absent.wav")),
            Err(WavError::File { .. })
        ));
        assert!(matches!(
            Recording::load(&folder),
            Err(WavError::File { .. })
        ));
        let empty = folder.join("empty.wav");
        std::fs::write(&empty, "").unwrap();
        assert!(matches!(
            Recording::load(&empty),
            Err(WavError::Malformed { .. })
        ));
        // A header that promises more than there is.
        let path = folder.join("cut.wav");
        let mut writer = WavWriter::create(&path, 8000, 80).unwrap();
        writer.append(&[1; 4000]).unwrap();
        drop(writer);
        let bytes = std::fs::read(&path).unwrap();
        for cut in [4, 12, 20, 43] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(
                matches!(Recording::load(&path), Err(WavError::Malformed { .. })),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn damaged_headers_never_panic() {
        let folder = TestDir::new("wav-fuzz");
        let path = folder.join("x.wav");
        let mut writer = WavWriter::create(&path, 8000, 80).unwrap();
        writer.append(&[7; 200]).unwrap();
        drop(writer);
        let good = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for position in 0..44 {
            for value in [0, 1, 3, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[position] = value;
                std::fs::write(&path, &bytes).unwrap();
                match Recording::load(&path) {
                    Ok(recording) => assert!(recording.samples.len() <= bytes.len()),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(
            refused > 50,
            "only {refused} of 264 damaged headers were noticed"
        );
    }

    #[test]
    fn an_open_recording_is_a_valid_file() {
        let folder = TestDir::new("wav-open");
        let path = folder.join("ear.wav");
        let mut writer = WavWriter::create(&path, 48_000, 240).unwrap();
        let wave: Vec<i16> = (0..24_000).map(|n| (n % 251) as i16).collect();
        for period in wave.chunks(240) {
            writer.append(period).unwrap();
        }
        let seen = Recording::load(&path).unwrap();
        assert_eq!(seen.rate_hz, 48_000);
        assert!(
            seen.samples.len() >= 24_000 - 4800,
            "{} frames in the header",
            seen.samples.len()
        );
        assert_eq!(seen.samples[..], wave[..seen.samples.len()]);
        drop(writer);
        assert_eq!(Recording::load(&path).unwrap().samples, wave);
    }
}
