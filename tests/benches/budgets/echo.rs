//! Echo cancellers on the same recordings: what each takes away of the echo, what it leaves of the
//! talk at this end, and what it costs.
//!
//! ```text
//! recorded triples, recorded rooms ─▶ far end, echo, near end
//!     echo alone      ─▶ canceller, 10 ms at a time ─▶ ERLE
//!     echo + near end ─▶ canceller                  ─▶ STOI, PESQ against the near end
//!     near end alone  ─▶ canceller                  ─▶ what is lost of it
//! ```
//!
//! No phone runs here: the cancellers are called in this process. speexdsp has no search for a
//! delay; it is given the far end as late as the card is. The others find that out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use media::{EchoCanceller, EchoMode};
use sonora::{AudioProcessing, Config, StreamConfig};
use testkit::data::read_wav;
use testkit::heap;
use testkit::measure::median;
use testkit::speexdsp;

use crate::quality::write_wav;
use crate::subject::{has_module, python};
use crate::table::{Page, Table, figure};
use crate::work::total;

/// Rate of all sound here, in Hz, and of the period of a board, 10 ms.
const RATE: usize = 16_000;
const HOP: usize = RATE / 100;
/// From writing a sound to the card until it is played, in samples.
const CARD: usize = 2 * HOP;
/// The filter of speexdsp: 200 ms.
const SPEEX_FILTER: usize = RATE / 5;
/// Both talk from here on, in seconds, where a recording does not say it.
const BOTH_FROM_S: usize = 5;
/// Names the canceller and the number of periods where this process is one whose instructions are
/// counted.
pub(crate) const COUNTED: &str = "OFFHOOK_BENCH_ECHO";
/// Periods of the two runs whose difference is counted.
const PERIODS: [usize; 2] = [500, 1500];
/// Runs whose time is measured.
const RUNS: usize = 5;

/// The columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Offhook,
    Speexdsp,
    Sonora,
    Nothing,
}

const COLUMNS: [&str; Kind::ALL.len()] = ["Offhook", "speexdsp", "AEC3 (sonora)", "no canceller"];

impl Kind {
    const ALL: [Kind; 4] = [Kind::Offhook, Kind::Speexdsp, Kind::Sonora, Kind::Nothing];

    fn name(self) -> &'static str {
        match self {
            Kind::Offhook => "offhook",
            Kind::Speexdsp => "speexdsp",
            Kind::Sonora => "sonora",
            Kind::Nothing => "nothing",
        }
    }
}

/// A canceller that runs.
enum Canceller {
    Offhook(Box<EchoCanceller>),
    Speexdsp {
        canceller: speexdsp::Canceller,
        /// What the card has not played yet.
        queued: Vec<i16>,
    },
    Sonora(Box<AudioProcessing>),
    Nothing,
}

impl Canceller {
    /// `None` where it is not installed.
    fn new(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Offhook => {
                let made = EchoCanceller::new(EchoMode::On, RATE as u32, HOP)?;
                Self::Offhook(Box::new(made))
            }
            Kind::Speexdsp => Self::Speexdsp {
                canceller: speexdsp::Canceller::new(RATE as u32, HOP, SPEEX_FILTER)?,
                queued: vec![0; CARD],
            },
            Kind::Sonora => {
                let format = StreamConfig::new(RATE as u32, 1);
                let config = Config {
                    echo_canceller: Some(sonora::config::EchoCanceller::default()),
                    ..Config::default()
                };
                let builder = AudioProcessing::builder().config(config);
                let made = builder.capture_config(format).render_config(format).build();
                Self::Sonora(Box::new(made))
            }
            Kind::Nothing => Self::Nothing,
        })
    }

    /// One period: `microphone` becomes what is sent, `far` is written to the card after it.
    fn process(&mut self, microphone: &mut [i16], far: &[i16]) {
        match self {
            Self::Offhook(canceller) => {
                canceller.process(microphone);
                canceller.written(far);
            }
            Self::Speexdsp { canceller, queued } => {
                queued.extend_from_slice(far);
                let played: Vec<i16> = queued.drain(..HOP).collect();
                let out = canceller.process(microphone, &played);
                microphone.copy_from_slice(&out);
            }
            Self::Sonora(processing) => {
                let mut out = [0; HOP];
                processing.process_render_i16(far, &mut out).unwrap();
                processing
                    .process_capture_i16(microphone, &mut out)
                    .unwrap();
                microphone.copy_from_slice(&out);
            }
            Self::Nothing => {}
        }
    }

    fn run(&mut self, far: &[i16], microphone: &[f32]) -> Vec<f32> {
        let mut heard = Vec::with_capacity(microphone.len());
        for (far, microphone) in far.chunks_exact(HOP).zip(microphone.chunks_exact(HOP)) {
            let mut sound: Vec<i16> = microphone.iter().map(|x| x.round() as i16).collect();
            self.process(&mut sound, far);
            heard.extend(sound.into_iter().map(f32::from));
        }
        heard
    }
}

/// One recording, or far end in a room. Echo and near end are as late as the card makes them.
struct Case {
    name: String,
    far: Vec<i16>,
    echo: Vec<f32>,
    near: Vec<f32>,
    /// From here on double talk is judged, in seconds.
    judged_from_s: usize,
    /// When the way of the echo changes, in seconds.
    changes_s: Option<f64>,
}

fn floats(sound: &[i16]) -> Vec<f32> {
    sound.iter().map(|&x| f32::from(x)).collect()
}

fn later(sound: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; CARD];
    out.extend(sound);
    out
}

fn mixed(a: &[f32], b: &[f32]) -> Vec<f32> {
    let sum = a.iter().zip(b).map(|(a, b)| a + b);
    sum.map(|x| x.clamp(-32_768.0, 32_767.0)).collect()
}

/// Mean square between two moments, in seconds.
fn power(sound: &[f32], from_s: f64, to_s: f64) -> f64 {
    let at = |s: f64| ((s * RATE as f64) as usize).min(sound.len());
    let part = &sound[at(from_s)..at(to_s)];
    part.iter().map(|&x| f64::from(x * x)).sum::<f64>() / part.len().max(1) as f64
}

fn lowered_db(before: &[f32], after: &[f32], from_s: f64, to_s: f64) -> f64 {
    10.0 * (power(before, from_s, to_s).max(1.0) / power(after, from_s, to_s).max(1.0)).log10()
}

/// All cases; those whose files are missing are reported and left out.
fn cases() -> Vec<Case> {
    let wav = |name: &str| read_wav("echo cancellers", &format!("echo/{name}"));
    let mut all = Vec::new();
    let simple = "mediastreamer2";
    if let (Some(far), Some(echo), Some(near)) = (
        wav(&format!("{simple}/farend_simple_talk.wav")),
        wav(&format!("{simple}/echo_simple_talk.wav")),
        wav(&format!("{simple}/nearend_simple_talk.wav")),
    ) {
        all.push(Case {
            name: "mediastreamer2 simple talk".into(),
            far,
            echo: later(&floats(&echo)),
            near: later(&floats(&near)),
            judged_from_s: 1,
            changes_s: None,
        });
    }
    for (name, changes_s) in [
        ("nkf-syn-dt/test99_0.55dB", None),
        ("nkf-syn-dt/test299_9.11dB", None),
        ("nkf-syn-dt-epc/test99_-1.05dB_epc4.21s", Some(4.21)),
        ("nkf-syn-dt-epc/test399_8.36dB_epc4.15s", Some(4.15)),
    ] {
        let part = |what: &str| wav(&format!("{name}__{what}.wav"));
        let (Some(far), Some(microphone), Some(near)) = (part("ref"), part("mic"), part("gt"))
        else {
            continue;
        };
        let echo = microphone.iter().zip(&near);
        let echo: Vec<f32> = echo.map(|(&m, &n)| f32::from(m) - f32::from(n)).collect();
        all.push(Case {
            name: name
                .replace("nkf-syn-dt-epc", "nkf-epc")
                .replace("nkf-syn-dt", "nkf"),
            far,
            echo: later(&echo),
            near: later(&floats(&near)),
            judged_from_s: 1,
            changes_s: changes_s.map(|s| s + CARD as f64 / RATE as f64),
        });
    }
    let talk = |what: &str| wav(&format!("nkf-syn-dt/{what}.wav"));
    let (Some(mut far), Some(more), Some(voice)) = (
        talk("test99_0.55dB__ref"),
        talk("test299_9.11dB__ref"),
        talk("test99_0.55dB__gt"),
    ) else {
        return all;
    };
    far.extend(more);
    for name in ["meeting50", "meeting100", "visio"] {
        let file = format!("echo/rir-stl-mono/{name}.IR");
        let Some(bytes) = testkit::data::read("echo cancellers", &file) else {
            continue;
        };
        let fine: Vec<f32> = bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect();
        all.push(in_room(
            &format!("room {name}"),
            &halved(&fine),
            &far,
            &voice,
        ));
    }
    if let Some(response) = wav("rir-audiomentations/impulse_response_0.wav") {
        all.push(in_room(
            "room audiomentations",
            &floats(&response),
            &far,
            &voice,
        ));
    }
    all
}

/// Every second sample of a response at 32 kHz, low-passed.
fn halved(fine: &[f32]) -> Vec<f32> {
    let tap = |t: i64| {
        let x = std::f32::consts::PI * t as f32 / 2.0;
        let sinc = if t == 0 { 1.0 } else { x.sin() / x };
        sinc * (0.5 + 0.5 * (std::f32::consts::PI * t as f32 / 17.0).cos())
    };
    (0..fine.len() as i64 / 2)
        .map(|n| {
            (-16..=16)
                .filter_map(|t| Some(fine.get(usize::try_from(2 * n + t).ok()?)? * tap(t)))
                .sum()
        })
        .collect()
}

/// The far end in a room that gives back as much as it gets, and a talker as loud as that.
fn in_room(name: &str, response: &[f32], far: &[i16], voice: &[i16]) -> Case {
    let response = &response[..response.len().min(RATE / 5)];
    let energy: f32 = response.iter().map(|x| x * x).sum();
    let mut echo = vec![0.0; far.len() + CARD];
    for (tap, gain) in response.iter().enumerate() {
        let gain = gain / energy.sqrt();
        if gain.abs() < 1e-4 {
            continue;
        }
        for (y, &x) in echo[CARD + tap..].iter_mut().zip(far) {
            *y += gain * f32::from(x);
        }
    }
    let begin = BOTH_FROM_S * RATE;
    let said = voice.iter().map(|&x| f32::from(x)).cycle();
    let mut near = vec![0.0; begin];
    near.extend(said.take(far.len() - begin));
    let end = far.len() as f64 / RATE as f64;
    let from = BOTH_FROM_S as f64;
    let gain = (power(&echo, from, end) / power(&near, from, end)).sqrt() as f32;
    for sample in &mut near {
        *sample *= gain;
    }
    Case {
        name: name.into(),
        far: far.to_vec(),
        echo,
        near,
        judged_from_s: BOTH_FROM_S,
        changes_s: None,
    }
}

/// The rows.
pub(crate) fn rows(folder: &Path, page: &mut Page) {
    let mut table = Table::new(&COLUMNS);
    let cases = cases();
    if cases.is_empty() {
        return page.skip("echo cancellers", "no test data of echoes");
    }
    for kind in Kind::ALL {
        if Canceller::new(kind).is_none() {
            page.skip(kind.name(), "it is not installed");
        }
    }
    if !(has_module("pesq") && has_module("pystoi")) {
        page.skip(
            "STOI and PESQ of double talk",
            "no Python modules pesq and pystoi",
        );
    }
    for case in &cases {
        judge(folder, case, &mut table);
    }
    if let Some(case) = cases.iter().find(|case| case.judged_from_s == 1) {
        without_echo(folder, case, &mut table);
    }
    work(folder, &cases[0], &mut table);
    page.add(
        "Echo cancellers",
        "At 16 kHz in periods of 10 ms, the card 20 ms late; echo return loss enhancement (ERLE) \
         with no one talking at this end; STOI and wideband PESQ of the talk at this end, against \
         the same talk alone. Triples are judged from 1 s on; in rooms both talk from 5 s on, \
         equally loud. The tests' build: what a period costs is to be compared, in release it is \
         less.",
        table,
    );
}

fn judge(folder: &Path, case: &Case, table: &mut Table) {
    let end = case.far.len() as f64 / RATE as f64;
    let alone = Kind::ALL.map(|kind| Some(Canceller::new(kind)?.run(&case.far, &case.echo)));
    let erle = |from: f64, to: f64| {
        let lowered = |out: &Option<Vec<f32>>| {
            let db = lowered_db(&case.echo, out.as_ref()?, from, to);
            // What only rounding has changed is not changed.
            figure(Some(if db.abs() < 0.05 { 0.0 } else { db }), 1, "dB")
        };
        [0, 1, 2, 3].map(|n| lowered(&alone[n]))
    };
    let name = &case.name;
    let early = erle(1.0, 3.0);
    table.row(format!("{name}: ERLE from 1 to 3 s"), "≥ 20 dB", early);
    if let Some(change) = case.changes_s {
        let again = [0, 1, 2, 3].map(|n| {
            let after = again_after_s(&case.echo, alone[n].as_ref()?, change);
            Some(after.map_or_else(|| "never".into(), |s| format!("{s:.2} s")))
        });
        let what = format!("{name}: 20 dB again after the way changed");
        table.row(what, "", again);
        let what = format!("{name}: ERLE from 1 s after the change on");
        table.row(what, "≥ 20 dB", erle(change + 1.0, end));
    } else {
        let late = erle(5.0, end);
        table.row(format!("{name}: ERLE from 5 s on"), "≥ 35 dB", late);
    }
    let both = mixed(&case.echo, &case.near);
    let heard = Kind::ALL.map(|kind| Some(Canceller::new(kind)?.run(&case.far, &both)));
    let from = case.judged_from_s * RATE;
    let scores = scores(folder, &case.near[from..case.far.len()], &heard, from);
    let stoi = cells(&scores, |score| score.stoi, 3, "");
    table.row(format!("{name}: double talk, STOI"), "≥ 0.95", stoi);
    let pesq = cells(&scores, |score| score.pesq, 2, "");
    table.row(format!("{name}: double talk, PESQ"), "", pesq);
}

/// One figure of each canceller.
fn cells(
    scores: &[Option<Score>; Kind::ALL.len()],
    of: fn(&Score) -> f64,
    digits: usize,
    unit: &str,
) -> [Option<String>; Kind::ALL.len()] {
    [0, 1, 2, 3].map(|n| figure(scores[n].as_ref().map(of), digits, unit))
}

/// How long after the change a quarter of a second with echo is 20 dB lower, for the first time.
fn again_after_s(echo: &[f32], out: &[f32], change_s: f64) -> Option<f64> {
    const PART_S: f64 = 0.25;
    let end = out.len() as f64 / RATE as f64;
    let parts = ((end - change_s) / PART_S) as usize;
    (0..parts)
        .map(|n| change_s + n as f64 * PART_S)
        .filter(|&from| power(echo, from, from + PART_S) > 1e4)
        .find(|&from| lowered_db(echo, out, from, from + PART_S) >= 20.0)
        .map(|from| from + PART_S - change_s)
}

/// The near end where there is no echo: the far end silent, and talking into a handset.
fn without_echo(folder: &Path, case: &Case, table: &mut Table) {
    let silence = vec![0; case.far.len()];
    let near = &case.near[..case.far.len()];
    for (what, far) in [("is silent", &silence), ("talks", &case.far)] {
        let heard = Kind::ALL.map(|kind| Some(Canceller::new(kind)?.run(far, near)));
        let scores = scores(folder, &near[RATE..], &heard, RATE);
        let what = format!("no echo, far end {what}");
        let lowered = cells(&scores, |score| score.lowered_db, 2, "dB");
        table.row(format!("{what}: near end lowered by"), "≤ 0.5 dB", lowered);
        let stoi = cells(&scores, |score| score.stoi, 3, "");
        table.row(format!("{what}: STOI of the near end"), "≥ 0.99", stoi);
        let delay = cells(&scores, |score| score.delay_ms, 1, "ms");
        table.row(format!("{what}: delay added"), "", delay);
    }
}

/// What is left of the talk at this end.
struct Score {
    stoi: f64,
    pesq: f64,
    delay_ms: f64,
    lowered_db: f64,
}

/// Python's judgement of each sound against the near end, both from `from` on.
fn scores(
    folder: &Path,
    near: &[f32],
    heard: &[Option<Vec<f32>>; Kind::ALL.len()],
    from: usize,
) -> [Option<Score>; Kind::ALL.len()] {
    // Aligned first: a canceller may delay.
    let script = "import sys, numpy as n, scipy.io.wavfile as w, pesq, pystoi\n\
                  r, a = w.read(sys.argv[1]); a = a.astype(float)\n\
                  for f in sys.argv[2:]:\n\
                  \x20 b = w.read(f)[1].astype(float); m = 1600; l = 2 ** 20\n\
                  \x20 c = n.fft.irfft(n.fft.rfft(b, l) * n.conj(n.fft.rfft(a, l)))\n\
                  \x20 d = int(n.argmax(c[:m])); k = min(len(a), len(b) - d)\n\
                  \x20 x, y = a[:k], b[d:d + k]\n\
                  \x20 q = pesq.pesq(r, x.astype(n.int16), y.astype(n.int16), 'wb')\n\
                  \x20 e = 10 * n.log10((x ** 2).sum() / max((y ** 2).sum(), 1))\n\
                  \x20 print(pystoi.stoi(x, y, r), q, d * 1000 / r, e)";
    let save = |name: &str, sound: &[f32]| -> PathBuf {
        let path = folder.join(format!("echo-{name}.wav"));
        let whole: Vec<i16> = sound.iter().map(|x| x.round() as i16).collect();
        write_wav(&path, RATE as u32, &whole);
        path
    };
    let none = || [const { None }; Kind::ALL.len()];
    let Some(python) = python() else {
        return none();
    };
    let files: Vec<PathBuf> = heard
        .iter()
        .zip(Kind::ALL)
        .filter_map(|(heard, kind)| Some(save(kind.name(), &heard.as_ref()?[from..])))
        .collect();
    let done = Command::new(python)
        .args(["-c", script])
        .arg(save("near", near))
        .args(&files)
        .output();
    let Ok(done) = done else { return none() };
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut lines = text.lines();
    let mut out = none();
    for (score, _) in out
        .iter_mut()
        .zip(heard)
        .filter(|(_, heard)| heard.is_some())
    {
        let line = lines.next().unwrap_or_default();
        let fields: Vec<f64> = line
            .split(' ')
            .filter_map(|field| field.parse().ok())
            .collect();
        if let [stoi, pesq, delay_ms, lowered_db] = fields[..] {
            *score = Some(Score {
                stoi,
                pesq,
                delay_ms,
                lowered_db,
            });
        }
    }
    out
}

/// What a period costs.
fn work(folder: &Path, case: &Case, table: &mut Table) {
    let both = mixed(&case.echo, &case.near);
    let periods = case.far.len() / HOP;
    let mut times = [const { None }; Kind::ALL.len()];
    let mut allocations = [const { None }; Kind::ALL.len()];
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        let runs: Vec<f64> = (0..RUNS)
            .filter_map(|_| {
                let mut canceller = Canceller::new(kind)?;
                let began = Instant::now();
                canceller.run(&case.far, &both);
                Some(began.elapsed().as_secs_f64() * 1e6 / periods as f64)
            })
            .collect();
        let known = runs.len() == RUNS;
        times[n] = known
            .then(|| median(runs))
            .and_then(|us| figure(Some(us), 1, "µs"));
        allocations[n] = allocations_a_period(kind).and_then(|each| figure(Some(each), 1, ""));
    }
    table.row("time for 10 ms", "", times);
    table.row("allocations in 10 ms", "0", allocations);
    let counted = Kind::ALL.map(|kind| instructions_a_period(folder, kind));
    // A Cortex-A53 at 1 GHz that does one instruction a cycle.
    let share = counted.map(|each| figure(each.map(|each| each * 100.0 / 1e9 * 100.0), 1, "%"));
    let millions = counted.map(|each| figure(each.map(|each| each / 1e6), 3, "M"));
    table.row("instructions for 10 ms", "≤ 0.6 M", millions);
    table.row("of a core that does 1000 M a second", "≤ 6 %", share);
}

/// Noise at both ends.
fn noise(periods: usize) -> (Vec<i16>, Vec<i16>) {
    let mut random = testkit::Rng::new(3);
    let mut sound = || {
        (0..periods * HOP)
            .map(|_| (random.normal() * 1000.0) as i16)
            .collect()
    };
    (sound(), sound())
}

fn allocations_a_period(kind: Kind) -> Option<f64> {
    // speexdsp is C: its allocations pass this allocator by, and the other one has nothing to do.
    if matches!(kind, Kind::Speexdsp | Kind::Nothing) {
        return None;
    }
    let (far, mut near) = noise(200);
    let mut canceller = Canceller::new(kind)?;
    let pairs = far.chunks_exact(HOP).zip(near.chunks_exact_mut(HOP));
    let mut counted = 0;
    for (n, (far, near)) in pairs.enumerate() {
        let ((), counts) = heap::counted(|| canceller.process(near, far));
        if n >= 100 {
            counted += counts.allocations;
        }
    }
    Some(counted as f64 / 100.0)
}

/// By callgrind, as the difference of a long run and a short one.
fn instructions_a_period(folder: &Path, kind: Kind) -> Option<f64> {
    Canceller::new(kind)?;
    let counts = PERIODS.map(|periods| {
        let file = folder.join("echo-instructions");
        let done = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(std::env::current_exe().ok()?)
            .env(COUNTED, format!("{} {periods}", kind.name()))
            .status();
        done.is_ok_and(|status| status.success())
            .then(|| total(&file))
            .flatten()
    });
    let [short, long] = counts;
    Some((long? - short?) / (PERIODS[1] - PERIODS[0]) as f64)
}

/// In a process of its own: runs one canceller for so many periods.
pub(crate) fn counted(what: &str) {
    let (name, periods) = what.split_once(' ').unwrap();
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .unwrap();
    let (far, mut near) = noise(periods.parse().unwrap());
    let mut canceller = Canceller::new(kind).unwrap();
    for (far, near) in far.chunks_exact(HOP).zip(near.chunks_exact_mut(HOP)) {
        canceller.process(near, far);
    }
    std::hint::black_box(near);
}
