//! Digits at the limits of ITU-T Q.24, beyond them, and talk.

use super::*;

/// A digit: its event, how far its frequencies are off, levels, length, noise.
#[derive(Debug, Clone, Copy)]
struct Digit {
    event: u8,
    /// Deviation of the low and the high frequency.
    off: (f32, f32),
    /// High group over low group, dB.
    twist_db: f32,
    /// Level of the stronger one, dBm0.
    level_dbm0: f32,
    ms: f32,
    /// Noise below the two tones together, dB; none: no noise.
    snr_db: Option<f32>,
    /// When it begins, in samples at 8 kHz.
    at: f32,
}

const NOTHING: [u8; 0] = [];

const PLAIN: Digit = Digit {
    event: 5,
    off: (0.0, 0.0),
    twist_db: 0.0,
    level_dbm0: -10.0,
    ms: 40.0,
    snr_db: None,
    at: 800.0,
};

/// Amplitude of a sine: 0 dBm0 is 3.14 dB below full scale.
fn amplitude(dbm0: f32) -> f32 {
    32_767.0 * 10f32.powf((dbm0 - crate::level::FULL_SCALE_DBM0) / 20.0)
}

struct Noise(u32);

impl Noise {
    /// Nearly normal, of power 1.
    fn next(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..12 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += (self.0 >> 8) as f32 / (1 << 24) as f32;
        }
        sum - 6.0
    }
}

impl Digit {
    fn sound(&self, rate_hz: u32, seed: u32) -> Vec<i16> {
        let (row, column) = (0..4)
            .flat_map(|row| (0..4).map(move |column| (row, column)))
            .find(|&(row, column)| EVENTS[row][column] == self.event)
            .unwrap();
        let (low, high) = (
            TONES_HZ[row] * (1.0 + self.off.0),
            TONES_HZ[GROUP + column] * (1.0 + self.off.1),
        );
        let (low_dbm0, high_dbm0) = (
            self.level_dbm0 - self.twist_db.max(0.0),
            self.level_dbm0 + self.twist_db.min(0.0),
        );
        let (a, b) = (amplitude(low_dbm0), amplitude(high_dbm0));
        let power = f32::midpoint(a * a, b * b);
        let mut noise = Noise(seed);
        // White over the whole band, so that what lies in the band of a telephone is so far down.
        let wide = rate_hz as f32 / 8_000.0;
        let level = self
            .snr_db
            .map_or(0.0, |db| (power * wide * 10f32.powf(-db / 10.0)).sqrt());
        let begin = self.at / 8_000.0;
        let phase = (noise.next(), noise.next());
        (0..rate_hz as usize / 4)
            .map(|n| {
                let t = n as f32 / rate_hz as f32 - begin;
                let tones = if (0.0..self.ms / 1000.0).contains(&t) {
                    a * (TAU * low * t + phase.0).sin() + b * (TAU * high * t + phase.1).sin()
                } else {
                    0.0
                };
                (tones + level * noise.next()).clamp(-32_768.0, 32_767.0) as i16
            })
            .collect()
    }

    fn heard(&self, rate_hz: u32, seed: u32) -> Vec<u8> {
        hear(&self.sound(rate_hz, seed), rate_hz)
    }
}

fn hear(sound: &[i16], rate_hz: u32) -> Vec<u8> {
    let mut detector = Detector::new();
    let frame = rate_hz as usize / 50;
    sound
        .chunks(frame)
        .filter_map(|frame| detector.push(frame, rate_hz))
        .collect()
}

/// Every digit, 1.5 % off either way, 4 dB and −8 dB of twist, 40 ms, noise 15 dB below, loud and
/// soft, wherever it begins.
#[test]
fn all_digits_at_the_limits() {
    let (mut tried, mut missed) = (0, Vec::new());
    for event in 0..16 {
        for off in [
            (0.0, 0.0),
            (0.015, 0.015),
            (-0.015, -0.015),
            (0.015, -0.015),
        ] {
            for twist_db in [-8.0, 0.0, 4.0] {
                for level_dbm0 in [-3.0, -24.0] {
                    for at in [800.0, 811.0, 823.0, 837.0] {
                        let digit = Digit {
                            event,
                            off,
                            twist_db,
                            level_dbm0,
                            snr_db: Some(15.0),
                            at,
                            ..PLAIN
                        };
                        tried += 1;
                        if digit.heard(8_000, tried) != [event] {
                            missed.push((digit, digit.heard(8_000, tried)));
                        }
                    }
                }
            }
        }
    }
    assert!(
        missed.is_empty(),
        "{} of {tried}: {:?}",
        missed.len(),
        missed.first()
    );
}

#[test]
fn at_every_rate_of_a_codec() {
    for rate_hz in [8_000, 12_000, 16_000, 24_000, 48_000] {
        for event in 0..16 {
            let digit = Digit {
                event,
                snr_db: Some(15.0),
                ..PLAIN
            };
            assert_eq!(digit.heard(rate_hz, 3), [event], "{rate_hz} Hz");
        }
    }
}

#[test]
fn beyond_the_limits_nothing_is_heard() {
    for event in 0..16 {
        for (n, beyond) in [
            Digit {
                off: (0.035, 0.0),
                ..PLAIN
            },
            Digit {
                off: (-0.035, 0.0),
                ..PLAIN
            },
            Digit {
                off: (0.0, 0.035),
                ..PLAIN
            },
            Digit {
                off: (0.0, -0.035),
                ..PLAIN
            },
            Digit {
                off: (0.05, 0.05),
                ..PLAIN
            },
            Digit {
                twist_db: 9.0,
                ..PLAIN
            },
            Digit {
                twist_db: -13.0,
                ..PLAIN
            },
            Digit { ms: 20.0, ..PLAIN },
            Digit {
                level_dbm0: -55.0,
                ..PLAIN
            },
            Digit {
                snr_db: Some(0.0),
                ..PLAIN
            },
        ]
        .into_iter()
        .enumerate()
        {
            for length in [40.0, 200.0] {
                let ms = if beyond.ms < 40.0 { beyond.ms } else { length };
                let digit = Digit {
                    event,
                    ms,
                    ..beyond
                };
                assert_eq!(digit.heard(8_000, 7), NOTHING, "{n}: {digit:?}");
            }
        }
    }
}

#[test]
fn one_press_is_one_digit_and_two_are_two() {
    let mut sound = Vec::new();
    let piece = |ms: f32| {
        let digit = Digit {
            ms,
            at: 0.0,
            ..PLAIN
        };
        digit.sound(8_000, 1)[..(ms * 8.0) as usize].to_vec()
    };
    // Long, with an interruption of 10 ms: one.
    sound.extend(piece(200.0));
    sound.extend([0; 80]);
    sound.extend(piece(200.0));
    assert_eq!(hear(&sound, 8_000), [5]);
    // 40 ms on, 40 ms off.
    let mut sound = vec![0; 100];
    for _ in 0..5 {
        sound.extend(piece(40.0));
        sound.extend([0; 320]);
    }
    assert_eq!(hear(&sound, 8_000), [5; 5]);
}

#[test]
fn single_tones_and_noise_are_no_digits() {
    for hz in (300..3400).step_by(7) {
        let sound: Vec<i16> = (0..8_000)
            .map(|n| (8_000.0 * (TAU * hz as f32 * n as f32 / 8_000.0).sin()) as i16)
            .collect();
        assert_eq!(hear(&sound, 8_000), NOTHING, "{hz} Hz");
    }
    let mut noise = Noise(9);
    let sound: Vec<i16> = (0..480_000)
        .map(|_| (3_000.0 * noise.next()) as i16)
        .collect();
    assert_eq!(hear(&sound, 8_000), NOTHING);
}

/// Talk-off: recorded speech, all there is, at its own rate.
#[test]
fn speech_is_no_digit() {
    for name in ["m1_8k.wav", "f1_8k.wav", "m1_16k.wav", "f1_16k.wav"] {
        let Some(said) =
            testkit::data::read_wav("speech_is_no_digit", &format!("speech/core/{name}"))
        else {
            return;
        };
        let rate_hz = if name.contains("16k") { 16_000 } else { 8_000 };
        for gain in [0.1, 1.0, 3.0] {
            let said: Vec<i16> = said.iter().map(|&x| (f32::from(x) * gain) as i16).collect();
            assert_eq!(hear(&said, rate_hz), NOTHING, "{name} × {gain}");
        }
    }
}

/// A recorded voice at 8 kHz, talking so much faster: its partials then lie elsewhere.
fn voice(path: &std::path::Path, speed_percent: u32) -> Vec<i16> {
    let mut wav = hound::WavReader::open(path).unwrap();
    let spec = wav.spec();
    let channels = usize::from(spec.channels);
    // Some files end before their header says.
    let samples = wav.samples::<i16>().map_while(Result::ok);
    let said: Vec<i16> = samples.step_by(channels.max(1)).collect();
    let mut convert = crate::resample::Push::new(
        // A whole number of steps: the filter's table stays small.
        (spec.sample_rate * speed_percent / 100).next_multiple_of(200),
        8_000,
        said.len().min(48_000),
    )
    .unwrap();
    let mut heard = Vec::new();
    for block in said.chunks(48_000) {
        let mut out = vec![0; convert.output_max(block.len())];
        let made = convert.process(block, &mut out);
        heard.extend_from_slice(&out[..made]);
    }
    heard
}

/// Talk-off: in an hour of talk one false digit at most. Each voice there is talks at many speeds
/// and levels until the time is over; `make test-long` takes hours of it.
#[test]
fn talk_makes_at_most_one_digit_an_hour() {
    let name = "talk_makes_at_most_one_digit_an_hour";
    let hours = std::env::var("OFFHOOK_TALK_OFF_HOURS");
    let hours: f64 = hours.map_or(0.1, |text| text.parse().unwrap());
    let Some(folder) = testkit::data::find(name, "speech") else {
        return;
    };
    let is_voice = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|end| end == "wav")
            && !path.to_string_lossy().contains("noise")
    };
    let voices: Vec<_> = testkit::data::files(&folder)
        .into_iter()
        .filter(is_voice)
        .collect();
    assert!(voices.len() > 10, "{voices:?}");
    let (mut samples, mut digits) = (0, Vec::new());
    let speeds = (0..).map(|n: u32| 100 + n * 37 % 71);
    'talk: for speed in speeds {
        for path in &voices {
            let gain = [0.2, 1.0, 2.5][(speed as usize + samples) % 3];
            let said: Vec<i16> = voice(path, speed)
                .into_iter()
                .map(|x| (f32::from(x) * gain) as i16)
                .collect();
            let heard = hear(&said, 8_000);
            if !heard.is_empty() {
                println!("{}, {speed} %: {heard:?}", path.display());
                digits.extend(heard);
            }
            samples += said.len();
            if samples as f64 >= hours * 3_600.0 * 8_000.0 {
                break 'talk;
            }
        }
    }
    let talked = samples as f64 / 8_000.0 / 3_600.0;
    println!("{} false digits in {talked:.2} hours of talk", digits.len());
    assert!(digits.len() as f64 <= talked, "{digits:?}");
}
