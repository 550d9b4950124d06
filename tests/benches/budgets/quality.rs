//! Speech through losses: what a caller says, some of its packets never sent, and how it sounds at
//! the ear.
//!
//! ```text
//! sentences ─▶ encode ─▶ packets, n % lost ─▶ phone ─▶ its earpiece ─▶ PESQ against the sentences
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use media::Codec;

use crate::caller::Caller;
use crate::far::{Far, RATE};
use crate::figures::phone_options;
use crate::subject::{Kind, Subject, has_module, python};
use crate::table::{Page, figure};

/// What is said; loss hits another sound in each.
const SENTENCES: &str = "The quick brown fox jumps over the lazy dog. She had your dark suit in \
                         greasy wash water all year. \
    A rod is used to catch pink salmon. The source of the huge river is the clear spring. Help the \
    woman get back to her feet.";
/// Per cent of packets lost.
const LOSSES: [u8; 4] = [0, 3, 5, 10];

/// Speech as a WAV file and as samples at this rate; `None` without espeak-ng and sox.
pub(crate) fn speech(folder: &Path, rate: u32) -> Option<(PathBuf, Vec<i16>)> {
    let path = folder.join(format!("speech-{rate}.wav"));
    let raw = folder.join("speech-raw.wav");
    let spoken = Command::new("espeak-ng")
        .args(["-v", "en+f3", "-s", "150", "-w"])
        .arg(&raw)
        .arg(SENTENCES)
        .status();
    let made = spoken.is_ok_and(|status| status.success())
        && Command::new("sox")
            .arg("-R")
            .arg(&raw)
            .args(["-r", &rate.to_string(), "-c", "1", "-b", "16"])
            .arg(&path)
            .args(["norm", "-9", "pad", "0.5", "1"])
            .status()
            .is_ok_and(|status| status.success());
    if !made {
        return None;
    }
    let reader = hound::WavReader::open(&path).ok()?;
    Some((
        path.clone(),
        reader
            .into_samples::<i16>()
            .filter_map(Result::ok)
            .collect(),
    ))
}

/// Which packets are lost: the same ones for every phone, drawn from a seed.
fn lost(percent: u8) -> impl Fn(u32) -> bool + Send + 'static {
    move |packet| {
        let mut x = u64::from(packet).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0FF_400C;
        x ^= x >> 31;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 29;
        packet > 10 && x % 1000 < u64::from(percent) * 10
    }
}

/// The rows of the page.
pub(crate) fn rows(folder: &Path, far: &mut Far, page: &mut Page) {
    if !has_module("pesq") {
        return page.skip(
            "speech quality under loss",
            "no Python module pesq (it is installed by scripts/bench where PyPI can be reached)",
        );
    }
    for codec in [Codec::Pcmu, Codec::Opus] {
        let rate = if codec == Codec::Opus { 48_000 } else { 8000 };
        let Some((reference, sound)) = speech(folder, rate) else {
            return page.skip("speech quality under loss", "espeak-ng and sox are needed");
        };
        for percent in LOSSES {
            let cells = Kind::ALL.map(|kind| {
                let heard = listen(folder, far, kind, codec, &sound, percent)?;
                figure(pesq(&reference, &heard, codec), 2, "")
            });
            page.row(
                format!(
                    "speech at {percent} % loss, {codec:?}, PESQ {}",
                    if codec == Codec::Opus { "WB" } else { "NB" }
                ),
                "above every peer",
                cells,
            );
        }
    }
}

/// Plays it to the phone; what its ear heard, as a file.
fn listen(
    folder: &Path,
    far: &mut Far,
    kind: Kind,
    codec: Codec,
    sound: &[i16],
    percent: u8,
) -> Option<PathBuf> {
    for _ in 0..3 {
        let subject = Subject::start(folder, &phone_options(kind, codec))?;
        subject.ready();
        let mut caller = Caller::invite(subject.sip, codec);
        caller.answered()?;
        let deaf = caller.deaf();
        let played = caller.play(codec, sound.to_vec(), percent, lost(percent));
        let seconds = sound.len() as f64
            / if codec == Codec::Opus {
                48_000.0
            } else {
                8000.0
            };
        let heard = folder.join(format!("heard-{kind:?}-{codec:?}-{percent}.wav"));
        let whole = match kind {
            // Its card is its own: it records by itself.
            Kind::Pjsua => {
                std::thread::sleep(Duration::from_secs_f64(seconds + 0.5));
                true
            }
            Kind::Offhook | Kind::Baresip => far
                .talk(&[], seconds + 0.5)
                .is_some_and(|talk| write_wav(&heard, RATE, &talk.heard)),
        };
        played.finish();
        drop(deaf);
        caller.hang_up();
        let own = subject.ear.clone();
        drop(subject);
        match kind {
            Kind::Pjsua => return Some(own),
            Kind::Offhook | Kind::Baresip if whole => return Some(heard),
            Kind::Offhook | Kind::Baresip => {}
        }
    }
    None
}

/// Writes a mono WAV file.
pub(crate) fn write_wav(path: &Path, rate_hz: u32, samples: &[i16]) -> bool {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate_hz,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for &sample in samples {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().is_ok()
}

/// PESQ of a recording against what was said; the tool aligns them.
fn pesq(reference: &Path, heard: &Path, codec: Codec) -> Option<f64> {
    let (rate, mode) = if codec == Codec::Opus {
        (16_000, "wb")
    } else {
        (8000, "nb")
    };
    let at_rate = |path: &Path| -> Option<PathBuf> {
        let out = path.with_extension("pesq.wav");
        let done = Command::new("sox")
            .arg("--ignore-length")
            .arg(path)
            .args([
                "-r",
                &rate.to_string(),
                "-c",
                "1",
                "-b",
                "16",
                "-e",
                "signed",
            ])
            .arg(&out)
            .status();
        done.is_ok_and(|status| status.success()).then_some(out)
    };
    let script = "import sys, scipy.io.wavfile as w, pesq\n\
                  r, a = w.read(sys.argv[1]); _, b = w.read(sys.argv[2])\n\
                  print(pesq.pesq(r, a, b, sys.argv[3]))";
    let done = Command::new(python()?)
        .args(["-c", script])
        .arg(at_rate(reference)?)
        .arg(at_rate(heard)?)
        .arg(mode)
        .output()
        .ok()?;
    String::from_utf8_lossy(&done.stdout).trim().parse().ok()
}
