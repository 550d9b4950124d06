//! The phone's spoken words: made from their texts by espeak-ng, and compared with them.
//!
//! ```text
//! Word::text ─▶ espeak-ng ─▶ 16 kHz, trimmed, level ─┬▶ Opus ─▶ firmware/control/speech/*.words  (OFFHOOK_WRITE_PAGES=1)
//!                                                    └▶ compared with what is in the file, by correlation
//! ```
//!
//! Another release of espeak-ng speaks a little differently: what is committed must be alike, not
//! the same.

use std::process::Command;

use control::speech::vocabulary::{self, BUDGET};
use control::speech::words::Word;
use media::codec::EncoderOptions;
use media::codec::opus::Encoder;
use media::resample::Push;
use testkit::process::TestDir;
use types::Language;

use crate::repository;

const RATE: u32 = 16_000;
/// Samples of one packet: 60 ms, the fewest bytes.
const FRAME: usize = 960;
const BITRATE: u32 = 9_500;
/// Loudest sample.
const PEAK: f64 = 16_000.0;
/// What is softer than this part of the loudest sample is silence at the ends.
const SILENCE: f64 = 0.01;
/// Silence that is left at both ends, in samples.
const MARGIN: usize = 320;
/// Furthest shift that is tried, in samples.
const LAG: usize = 160;
/// How alike a word and its source must be.
const ALIKE: f64 = 0.6;

fn voice(language: Language) -> &'static str {
    match language {
        Language::English => "en-us+f2",
        Language::German => "de+f2",
    }
}

/// A word as espeak-ng speaks it.
fn spoken(dir: &TestDir, language: Language, word: Word) -> Vec<i16> {
    let path = dir.join("word.wav");
    let status = Command::new("espeak-ng")
        .args(["-v", voice(language), "-s", "165", "-w"])
        .arg(&path)
        .arg(word.text(language))
        .status()
        .unwrap();
    assert!(status.success(), "espeak-ng speaks {}", word.name());
    let mut reader = hound::WavReader::open(&path).unwrap();
    let from = reader.spec().sample_rate;
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    let mut resampler = Push::new(from, RATE, 48_000).unwrap();
    let mut sound = Vec::new();
    for block in samples.chunks(4800) {
        let mut out = vec![0; resampler.output_max(block.len())];
        let length = resampler.process(block, &mut out);
        sound.extend_from_slice(&out[..length]);
    }
    let loudest = sound.iter().map(|sample| sample.unsigned_abs()).max();
    let loudest = f64::from(loudest.unwrap().max(1));
    let audible = |sample: &i16| f64::from(sample.unsigned_abs()) > loudest * SILENCE;
    let first = sound.iter().position(audible).unwrap();
    let last = sound.iter().rposition(audible).unwrap();
    let sound = &sound[first.saturating_sub(MARGIN)..(last + MARGIN).min(sound.len())];
    let level = |sample: &i16| (f64::from(*sample) * PEAK / loudest) as i16;
    sound.iter().map(level).collect()
}

fn encoded(sound: &[i16]) -> Vec<Vec<u8>> {
    let options = EncoderOptions {
        card_rate_hz: RATE,
        fec: false,
        dtx: false,
        bitrate: Some(BITRATE),
        band: types::OpusBand::Wide,
    };
    let mut encoder = Encoder::new(options).unwrap();
    // Opus' own delay is cut off by the decoder: what it holds back is pushed out by silence.
    let padded = sound.len() + 104;
    let frames = padded.div_ceil(FRAME);
    (0..frames)
        .map(|frame| {
            let mut samples = [0; FRAME];
            let from = frame * FRAME;
            let part = &sound[from.min(sound.len())..(from + FRAME).min(sound.len())];
            samples[..part.len()].copy_from_slice(part);
            let mut packet = [0; 1275];
            let length = encoder.encode(&samples, &mut packet).unwrap();
            packet[..length].to_vec()
        })
        .collect()
}

/// Correlation of two sounds at the lag where it is highest, 0 to 1.
fn correlation(left: &[i16], right: &[i16]) -> f64 {
    let energy = |sound: &[i16]| -> f64 { sound.iter().map(|x| f64::from(*x).powi(2)).sum() };
    let product = |left: &[i16], right: &[i16]| -> f64 {
        let pairs = left.iter().zip(right);
        pairs.map(|(l, r)| f64::from(*l) * f64::from(*r)).sum()
    };
    let best = (0..LAG)
        .flat_map(|lag| {
            let later = |sound: &[i16]| sound.len().min(lag);
            [
                product(&left[later(left)..], right),
                product(left, &right[later(right)..]),
            ]
        })
        .fold(0.0, f64::max);
    best / (energy(left) * energy(right)).sqrt().max(1.0)
}

fn path(language: Language) -> std::path::PathBuf {
    let name = format!("firmware/control/speech/{}.words", language.as_str());
    repository().join(name)
}

/// A file of these words with their packets.
fn to_file<'w>(words: impl IntoIterator<Item = (&'w str, Vec<Vec<u8>>)>) -> Vec<u8> {
    let mut file = Vec::new();
    for (name, packets) in words {
        // Names and packets are far shorter than these numbers can say.
        file.push(name.len() as u8);
        file.extend_from_slice(name.as_bytes());
        file.extend_from_slice(&(packets.len() as u16).to_be_bytes());
        for packet in packets {
            file.extend_from_slice(&(packet.len() as u16).to_be_bytes());
            file.extend_from_slice(&packet);
        }
    }
    file
}

#[test]
fn every_word_is_like_its_source() {
    let dir = TestDir::new("spoken-words");
    let mut bytes = 0;
    for language in Language::ALL {
        let sources: Vec<Vec<i16>> = Word::ALL
            .iter()
            .map(|word| spoken(&dir, language, *word))
            .collect();
        if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
            let words = Word::ALL.iter().zip(&sources);
            let words = words.map(|(word, source)| (word.name(), encoded(source)));
            let file = to_file(words);
            bytes += file.len();
            std::fs::write(path(language), file).unwrap();
            continue;
        }
        bytes += vocabulary::file(language).len();
        for (index, word) in Word::ALL.iter().enumerate() {
            let name = word.name();
            let packets = vocabulary::packets(language, *word)
                .unwrap_or_else(|| panic!("{}: no {name}; make docs", language.as_str()));
            let sound = media::speech::decode(packets.into_iter(), RATE).unwrap();
            let own = correlation(&sound, &sources[index]);
            let other = correlation(&sound, &sources[(index + 1) % sources.len()]);
            println!(
                "{} {name}: {own:.2}, another word {other:.2}",
                language.as_str()
            );
            assert!(
                own > ALIKE,
                "{} {name}: {own:.2}; make docs",
                language.as_str()
            );
            // "J" and "K" are alike; still each is more like itself.
            assert!(
                other + 0.1 < own,
                "{} {name}: {own:.2}, the next word {other:.2}",
                language.as_str()
            );
        }
    }
    println!("{bytes} bytes of {BUDGET}");
    assert!(bytes <= BUDGET, "{bytes} bytes, {BUDGET} are allowed");
}
