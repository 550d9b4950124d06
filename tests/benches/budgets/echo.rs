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
//! No phone runs here: the cancellers are called in this process, and where it is counted what they
//! cost, in `sound-work`. speexdsp has no search for a
//! delay; it is given the far end as late as the card is. The others find that out.

use std::path::Path;

use sound_work::echo::{CARD, Canceller, HOP, Kind, RATE};
use sound_work::hiss;
use testkit::data::read_wav;
use testkit::heap;

use crate::released::{instructions, microseconds};
use crate::scores::{self, Score, cells};
use crate::subject::has_module;
use crate::table::{Page, Table, figure};

/// Both talk from here on, in seconds, where a recording does not say it.
const BOTH_FROM_S: usize = 5;

const COLUMNS: [&str; Kind::ALL.len()] = ["Offhook", "speexdsp", "AEC3 (sonora)", "no canceller"];

/// What a canceller makes of a whole recording; `None` where it is not installed.
fn run(kind: Kind, far: &[i16], microphone: &[f32]) -> Option<Vec<f32>> {
    let mut canceller = Canceller::new(kind, HOP)?;
    let mut heard = Vec::with_capacity(microphone.len());
    for (far, microphone) in far.chunks_exact(HOP).zip(microphone.chunks_exact(HOP)) {
        let mut sound: Vec<i16> = microphone.iter().map(|x| x.round() as i16).collect();
        canceller.process(&mut sound, far);
        heard.extend(sound.into_iter().map(f32::from));
    }
    Some(heard)
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
        if Canceller::new(kind, HOP).is_none() {
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
    work(folder, &mut table);
    page.add(
        "Echo cancellers",
        "At 16 kHz in periods of 10 ms, the card 20 ms late; echo return loss enhancement (ERLE) \
         with no one talking at this end; STOI and wideband PESQ of the talk at this end, against \
         the same talk alone. Triples are judged from 1 s on; in rooms both talk from 5 s on, \
         equally loud. What a period costs is measured in the release profile; instructions are \
         counted by callgrind on x86-64, and a Cortex-A53 at 1 GHz is taken to do one a cycle.",
        table,
    );
}

fn judge(folder: &Path, case: &Case, table: &mut Table) {
    let end = case.far.len() as f64 / RATE as f64;
    let alone = Kind::ALL.map(|kind| run(kind, &case.far, &case.echo));
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
    let heard = Kind::ALL.map(|kind| run(kind, &case.far, &both));
    let from = case.judged_from_s * RATE;
    let scores = scores(folder, &case.near[from..case.far.len()], &heard, from);
    let stoi = cells(&scores, |score| score.stoi, 3, "");
    table.row(format!("{name}: double talk, STOI"), "≥ 0.95", stoi);
    let pesq = cells(&scores, |score| score.pesq, 2, "");
    table.row(format!("{name}: double talk, PESQ"), "", pesq);
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
        let heard = Kind::ALL.map(|kind| run(kind, far, near));
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

/// Python's judgement of each sound against the near end, both from `from` on.
fn scores(
    folder: &Path,
    near: &[f32],
    heard: &[Option<Vec<f32>>; Kind::ALL.len()],
    from: usize,
) -> [Option<Score>; Kind::ALL.len()] {
    let parts = [0, 1, 2, 3].map(|n| Some(&heard[n].as_ref()?[from..]));
    scores::against(folder, RATE as u32, near, parts)
}

/// What a period costs.
fn work(folder: &Path, table: &mut Table) {
    let known = Kind::ALL.map(|kind| Canceller::new(kind, HOP).map(|_| kind));
    let times = known.map(|kind| figure(microseconds("echo", kind?.name(), HOP), 1, "µs"));
    table.row("time for 10 ms", "", times);
    let allocations = known.map(|kind| figure(allocations_a_period(kind?), 1, ""));
    table.row("allocations in 10 ms", "0", allocations);
    for ms in [10, 5] {
        let hop = HOP * ms / 10;
        let counted = known.map(|kind| {
            Canceller::new(kind?, hop)?;
            Some(instructions(folder, "echo", kind?.name(), hop)? * 10.0 / ms as f64)
        });
        let millions = counted.map(|each| figure(each.map(|each| each / 1e6), 3, "M"));
        let what = format!("instructions for 10 ms, in periods of {ms} ms");
        table.row(what, "≤ 0.6 M", millions);
        let share = counted.map(|each| figure(each.map(|each| each * 100.0 / 1e9 * 100.0), 1, "%"));
        let what = format!("of a core that does 1000 M a second, in periods of {ms} ms");
        table.row(what, "≤ 6 %", share);
    }
}

fn allocations_a_period(kind: Kind) -> Option<f64> {
    // speexdsp is C: its allocations pass this allocator by, and the other one has nothing to do.
    if matches!(kind, Kind::Speexdsp | Kind::Nothing) {
        return None;
    }
    let (far, mut near) = (hiss(200 * HOP, 3), hiss(200 * HOP, 4));
    let mut canceller = Canceller::new(kind, HOP)?;
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
