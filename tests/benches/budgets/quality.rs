//! Speech through losses: what a caller says, some of its packets never sent, and how it sounds at
//! the ear; and what the same losses do to the delay.
//!
//! ```text
//! sentences ─▶ encode ─▶ packets, n % lost | lost in bursts | late ─▶ phone ─▶ its earpiece ─▶ PESQ against the sentences
//! chirps ─▶ microphone ─▶ phone ─▶ echo, n % lost ─▶ phone ─▶ its earpiece ─▶ mouth to ear
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use media::Codec;
use testkit::recorded::{Arrival, arrivals, erased_frames, loss_percent, without};

use crate::caller::Caller;
use crate::far::{Far, RATE, chirps, mouth_to_ear_ms};
use crate::figures::phone_options;
use crate::subject::{Kind, Subject, has_module, python};
use crate::table::{Page, figure, spread};

/// What is said; loss hits another sound in each.
const SENTENCES: &str = "The quick brown fox jumps over the lazy dog. She had your dark suit in \
                         greasy wash water all year. \
    A rod is used to catch pink salmon. The source of the huge river is the clear spring. Help the \
    woman get back to her feet.";
/// Per cent of packets lost, each by itself.
const LOSSES: [u8; 4] = [0, 3, 5, 10];
/// Erasure patterns of ITU-T G.191, of 1000 frames each.
const PATTERNS: [&str; 2] = ["patb3pct", "patb5pct"];
/// A recorded call in packets of 20 ms that come late, in bursts and in another order.
const TRACE: &str = "webrtc-stereo_pcmu_jitter";
/// Its RTP clock.
const TRACE_CLOCK_HZ: u32 = 8000;
const CODECS: [Codec; 3] = [Codec::Pcmu, Codec::G722, Codec::Opus];
/// How long mouth to ear is measured at each loss, in seconds.
const ECHOED_S: usize = 10;

/// What happens to the packets of a caller.
struct Network {
    /// As a row says it.
    name: String,
    arrivals: Vec<Arrival>,
}

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

/// The networks that so many packets go through.
fn networks(packets: u32, page: &mut Page) -> Vec<Network> {
    let single = LOSSES.map(|percent| Network {
        name: format!("speech at {percent} % loss"),
        arrivals: without(packets, lost(percent)),
    });
    let mut all = Vec::from(single);
    for pattern in PATTERNS {
        let file = format!("jitter/g191-eid/{pattern}.ref");
        let Some(bits) = testkit::data::read("loss in bursts", &file) else {
            page.skip("speech, lost in bursts", &format!("no test data {file}"));
            continue;
        };
        let erased = erased_frames(&bits);
        let arrivals = without(packets, |packet| erased[packet as usize % erased.len()]);
        let percent = loss_percent(&arrivals, packets);
        all.push(Network {
            name: format!("speech, {percent:.1} % lost in bursts (G.191 {pattern})"),
            arrivals,
        });
    }
    let file = format!("jitter/csv/{TRACE}.csv");
    match testkit::data::read_text("a recorded network", &file) {
        Some(trace) => {
            let arrivals = arrivals(&trace, TRACE_CLOCK_HZ, packets);
            let percent = loss_percent(&arrivals, packets);
            all.push(Network {
                name: format!("speech, recorded jitter, {percent:.1} % lost ({TRACE})"),
                arrivals,
            });
        }
        None => page.skip("speech, recorded jitter", &format!("no test data {file}")),
    }
    all
}

/// Rate of a codec's sound, in Hz.
fn rate_hz(codec: Codec) -> u32 {
    match codec {
        Codec::Pcmu | Codec::Pcma => 8000,
        Codec::G722 => 16_000,
        Codec::Opus => 48_000,
    }
}

/// The band of PESQ that a codec is judged in: its name, its mode and its rate in Hz.
fn band(codec: Codec) -> (&'static str, &'static str, u32) {
    match codec {
        Codec::Pcmu | Codec::Pcma => ("NB", "nb", 8000),
        Codec::G722 | Codec::Opus => ("WB", "wb", 16_000),
    }
}

/// The rows of the page.
pub(crate) fn rows(folder: &Path, far: &mut Far, page: &mut Page) {
    for codec in CODECS {
        for percent in LOSSES {
            let cells = Kind::ALL.map(|kind| delay(folder, far, kind, codec, percent));
            page.row(
                format!("one-way delay mouth to ear at {percent} % loss, {codec:?}"),
                "below every peer",
                cells,
            );
        }
    }
    if !has_module("pesq") {
        return page.skip(
            "speech quality under loss",
            "no Python module pesq (it is installed by scripts/bench where PyPI can be reached)",
        );
    }
    let Some((_, said)) = speech(folder, 8000) else {
        return page.skip("speech quality under loss", "espeak-ng and sox are needed");
    };
    let networks = networks(said.len() as u32 * 50 / 8000, page);
    for codec in CODECS {
        let Some((reference, sound)) = speech(folder, rate_hz(codec)) else {
            continue;
        };
        for network in &networks {
            let cells = Kind::ALL.map(|kind| {
                let heard = listen(folder, far, kind, codec, &sound, network)?;
                figure(pesq(&reference, &heard, codec), 2, "")
            });
            let (name, band) = (&network.name, band(codec).0);
            page.row(
                format!("{name}, {codec:?}, PESQ {band}"),
                "above every peer",
                cells,
            );
        }
    }
}

/// Mouth to ear with so many packets lost on the way back.
fn delay(folder: &Path, far: &mut Far, kind: Kind, codec: Codec, percent: u8) -> Option<String> {
    if kind == Kind::Pjsua || kind.missing().is_some() {
        return None;
    }
    let said = chirps(ECHOED_S);
    // A machine that was late spoils the recording: once more, twice at most.
    for _ in 0..3 {
        let subject = Subject::start(folder, &phone_options(kind, codec))?;
        subject.ready();
        let mut caller = Caller::invite(subject.sip, codec);
        caller.answered()?;
        let echo = caller.echo(lost(percent));
        let talk = far.talk(&said, ECHOED_S as f64);
        drop(echo);
        caller.hang_up();
        if let Some(delays) = talk.and_then(|talk| mouth_to_ear_ms(&said, &talk)) {
            return spread(&delays, 1, "ms");
        }
    }
    None
}

/// Plays it to the phone; what its ear heard, as a file.
fn listen(
    folder: &Path,
    far: &mut Far,
    kind: Kind,
    codec: Codec,
    sound: &[i16],
    network: &Network,
) -> Option<PathBuf> {
    for _ in 0..3 {
        let subject = Subject::start(folder, &phone_options(kind, codec))?;
        subject.ready();
        let mut caller = Caller::invite(subject.sip, codec);
        caller.answered()?;
        let deaf = caller.deaf();
        let played = caller.play(codec, sound, network.arrivals.clone());
        let seconds = sound.len() as f64 / f64::from(rate_hz(codec));
        let heard = folder.join(format!("heard-{kind:?}-{codec:?}.wav"));
        let whole = match kind {
            // Its card is its own: it records by itself.
            Kind::Pjsua => {
                std::thread::sleep(Duration::from_secs_f64(seconds + 0.5));
                true
            }
            Kind::Offhook | Kind::Baresip | Kind::Linphone => far
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
            Kind::Offhook | Kind::Baresip | Kind::Linphone if whole => return Some(heard),
            Kind::Offhook | Kind::Baresip | Kind::Linphone => {}
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
    let (_, mode, rate) = band(codec);
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
