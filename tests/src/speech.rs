//! Speech to play into a call, and the comparison of a recording with what was played.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::measure::{Clip, Match, align, median};
use testkit::process::TestDir;

use crate::desk_phone::DeskPhone;

/// What the two sides say: different words, so that an echo of oneself is not taken for the other.
#[derive(Clone, Copy)]
pub enum Speaker {
    /// A woman's voice.
    Alice,
    /// A man's voice.
    Bob,
    /// Another man's voice.
    Carl,
}

/// A minute of speech as a WAV file at this rate; made once a run by espeak-ng.
pub fn speech(dir: &TestDir, speaker: Speaker, rate: u32, channels: u32) -> PathBuf {
    let (voice, text) = match speaker {
        Speaker::Alice => (
            "en+f3",
            "The quick brown fox jumps over the lazy dog. She had your dark suit in greasy wash \
             water all year. A rod is used to catch pink salmon. \
             The source of the huge river is the clear spring. Kick the ball straight and follow \
             through. Help the woman get back to her feet.",
        ),
        Speaker::Bob => (
            "en-us+m3",
            "Four hours of steady work faced us. A large size in stockings is hard to sell. The \
             boy was there when the sun rose. \
             Don't ask me to carry an oily rag like that. The birch canoe slid on the smooth \
             planks. Glue the sheet to the dark blue background.",
        ),
        Speaker::Carl => (
            "en-sc+m5",
            "The juice of lemons makes fine punch. The hogs were fed chopped corn and garbage. \
             Rice is often served in round bowls. The box was thrown beside the parked truck. \
             Two blue fish swam in the tank. Her purse was full of useless trash.",
        ),
    };
    let name = format!("speech-{}-{rate}-{channels}.wav", voice.replace('+', "-"));
    let path = dir.join(&name);
    if path.exists() {
        return path;
    }
    let raw = dir.join("raw.wav");
    run(Command::new("espeak-ng")
        .args(["-v", voice, "-s", "150", "-w"])
        .arg(&raw)
        .arg(text));
    // −12 dB of peak leaves room for codecs; `repeat` makes it outlast any call here.
    run(Command::new("sox")
        .arg("-R")
        .arg(&raw)
        .args([
            "-r",
            &rate.to_string(),
            "-c",
            &channels.to_string(),
            "-b",
            "16",
        ])
        .arg(&path)
        .args(["norm", "-12", "repeat", "2"]));
    path
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// How a recording compares with what was said.
#[derive(Debug)]
pub struct Likeness {
    /// Median normalised cross-correlation of the loud 0.4 s parts of the recording's last four
    /// seconds with what was said. Parts, because a jitter buffer may rightly stretch speech
    /// between them; the median, because a part may hold such a place.
    pub correlation: f64,
    /// Median level of those parts against the same parts of the original, in dB.
    pub level_db: f64,
}

/// Compares a recording with what was said; both may have any rate.
pub fn compare(dir: &TestDir, said: &Path, heard: &Path) -> Likeness {
    const PART: f64 = 0.4;
    let said = samples_8k(dir, said);
    let heard = samples_8k(dir, heard);
    let coarse = at_2k(&said);
    let length = heard.samples.len() as f64 / 8000.0;
    assert!(length > 3.0, "the recording is only {length:.1} s long");
    // The last four seconds but one: the call is established, and is past its beginning.
    let parts = (0..9)
        .map(|n| length - 1.0 - PART * f64::from(n + 1))
        .filter(|&from| from > 0.0);
    let mut found: Vec<_> = parts
        .map(|from| Clip {
            rate_hz: 8000,
            samples: heard.part(from, PART).to_vec(),
        })
        .filter(|part| part.level_dbfs() > said.level_dbfs() - 12.0)
        .map(|part| find(&part, &said, &coarse))
        .collect();
    if found.len() < 3 {
        return Likeness {
            correlation: 0.0,
            level_db: -120.0,
        };
    }
    found.sort_by(|a, b| a.correlation.total_cmp(&b.correlation));
    let correlation = found[found.len() / 2].correlation;
    Likeness {
        correlation,
        level_db: -median(found.iter().map(|m| m.gain_db)),
    }
}

/// Where in what was said does a part of what was heard lie? So the roles are exchanged, and the
/// gain with them. A minute is searched at a quarter of the rate first: 16 times as fast, and what
/// is compared in the end is the full sound.
fn find(part: &Clip, said: &Clip, coarse: &Clip) -> Match {
    const AROUND: f64 = 0.02;
    let (small, length) = (at_2k(part), part.samples.len() as f64 / 8000.0);
    let found = align(
        &small,
        coarse,
        coarse.samples.len() as f64 / 2000.0 - length,
    )
    .delay_s;
    let from = (found - AROUND).max(0.0);
    let around = Clip {
        rate_hz: said.rate_hz,
        samples: said.part(from, length + 2.0 * AROUND).to_vec(),
    };
    align(part, &around, around.samples.len() as f64 / 8000.0 - length)
}

/// Every four samples as one.
fn at_2k(clip: &Clip) -> Clip {
    let mean = |four: &[i16]| (four.iter().map(|&s| i32::from(s)).sum::<i32>() / 4) as i16;
    Clip {
        rate_hz: clip.rate_hz / 4,
        samples: clip.samples.chunks_exact(4).map(mean).collect(),
    }
}

/// Two connected desk phones speak for five seconds, and the second hangs up. Each is given with
/// what is said into it, and must have heard the other.
pub fn talk(dir: &TestDir, l: (&DeskPhone, &Path), r: (&DeskPhone, &Path)) {
    let ((l, said_by_l), (r, said_by_r)) = (l, r);
    l.wait_state("talking");
    r.wait_state("talking");
    std::thread::sleep(Duration::from_secs(5));
    let (ear_of_l, ear_of_r) = (l.ear_now(), r.ear_now());
    r.hang_up();
    l.wait_state("congestion");
    l.hang_up();
    l.assert_usable();
    r.assert_usable();
    assert_heard(dir, "r heard l", said_by_l, &ear_of_r);
    assert_heard(dir, "l heard r", said_by_r, &ear_of_l);
}

/// Asserts that what was said was heard, at its level.
pub fn assert_heard(dir: &TestDir, what: &str, said: &Path, heard: &Path) {
    let result = compare(dir, said, heard);
    println!(
        "{what}: correlation {:.3}, level {:+.1} dB",
        result.correlation, result.level_db
    );
    assert!(
        result.correlation > 0.8,
        "{what}: the speech did not arrive: {result:?}"
    );
    assert!(
        result.level_db.abs() < 3.0,
        "{what}: wrong level: {result:?}"
    );
}

/// Whether, while a call goes on, what was said is heard as it should be for four seconds on end,
/// some time before `limit`. `recording` is what was heard so far.
pub fn is_heard_soon(
    dir: &TestDir,
    what: &str,
    said: &Path,
    limit: Duration,
    recording: impl Fn() -> PathBuf,
) -> bool {
    let end = Instant::now() + limit;
    loop {
        let result = compare(dir, said, &recording());
        println!(
            "{what}: correlation {:.3}, level {:+.1} dB",
            result.correlation, result.level_db
        );
        if result.correlation > 0.8 && result.level_db.abs() < 3.0 {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Reads a WAV file, also one whose header was never finished, as 8 kHz mono.
fn samples_8k(dir: &TestDir, path: &Path) -> Clip {
    let out = dir.join("compare.wav");
    run(Command::new("sox")
        .arg("--ignore-length")
        .arg(path)
        .args(["-r", "8000", "-c", "1", "-b", "16", "-e", "signed"])
        .arg(&out));
    let samples = hound::WavReader::open(&out)
        .unwrap()
        .into_samples::<i16>()
        .map(Result::unwrap)
        .collect();
    Clip {
        rate_hz: 8000,
        samples,
    }
}
