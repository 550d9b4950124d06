//! Noise suppressors on the same talk in the same noise: how much noise each takes away, what it
//! leaves of the talk, and what it costs.
//!
//! ```text
//! a talker, 3 s of pause before and 2 s behind + noise ─▶ suppressor, 10 ms at a time
//!     pauses ─▶ noise removed
//!     talk   ─▶ STOI, PESQ and level against the talk alone
//! ```
//!
//! No phone runs here: the suppressors are called in this process, and where it is counted what
//! they cost, in `sound-work`. `RNNoise` works at 48 kHz only; its way there and back is a part of
//! it.

use std::path::Path;

use sound_work::hiss;
use sound_work::noise::{Kind, Suppressor};
use testkit::data::read_wav;
use testkit::{Rng, heap};

use crate::released::{instructions, microseconds};
use crate::scores::{self, Score, cells};
use crate::subject::has_module;
use crate::table::{Page, Table, figure};

/// Rate of the recordings, in Hz, and 10 ms of it.
const RATE: usize = 16_000;
const HOP: usize = RATE / 100;
/// Pause before the talk and after it.
const BEFORE: usize = 3 * RATE;
const BEHIND: usize = 2 * RATE;
/// The pauses are judged from here on: the noise is known by then, and talk has died away.
const KNOWN: usize = 3 * RATE / 2;
const OVER: usize = RATE / 2;
/// Mean level of the talk, RMS of 32768 (26 dB below overload).
const TALK: f64 = 1_640.0;
/// Talk over noise, in dB.
const RATIOS: [f64; 3] = [0.0, 10.0, 20.0];
/// Rates of the cards on which the work is counted.
const CARDS: [usize; 3] = [16_000, 44_100, 48_000];

const TALKERS: [&str; 4] = [
    "speech/core/m1_16k.wav",
    "speech/core/f1_16k.wav",
    "speech/lyra/sample1_16kHz.wav",
    "speech/lyra/sample2_16kHz.wav",
];
/// Who babbles: none of the talkers.
const BABBLE: [&str; 7] = [
    "echo/nkf-syn-dt/test99_0.55dB__ref.wav",
    "echo/nkf-syn-dt/test99_0.55dB__gt.wav",
    "echo/nkf-syn-dt/test299_9.11dB__ref.wav",
    "echo/nkf-syn-dt/test299_9.11dB__gt.wav",
    "echo/nkf-syn-dt-epc/test399_8.36dB_epc4.15s__ref.wav",
    "echo/nkf-syn-dt-epc/test399_8.36dB_epc4.15s__gt.wav",
    "speech/jfk/jfk.wav",
];

const COLUMNS: [&str; Kind::ALL.len()] = [
    "Offhook",
    "speexdsp",
    "RNNoise (nnnoiseless)",
    "no suppressor",
];

fn recording(name: &str) -> Option<Vec<f64>> {
    let sound = read_wav("noise suppressors", name)?;
    Some(sound.into_iter().map(f64::from).collect())
}

fn rms(sound: &[f64]) -> f64 {
    (sound.iter().map(|x| x * x).sum::<f64>() / sound.len().max(1) as f64).sqrt()
}

fn scaled(sound: &[f64], to_rms: f64) -> Vec<f64> {
    let gain = to_rms / rms(sound).max(1e-9);
    sound.iter().map(|x| x * gain).collect()
}

/// A fan: noise that falls with frequency.
fn fan(samples: usize) -> Vec<f64> {
    let mut random = Rng::new(4);
    let mut low = 0.0;
    (0..samples)
        .map(|_| {
            let white = random.normal();
            low += (white - low) * 0.2;
            low + 0.15 * white
        })
        .collect()
}

/// Fourteen voices at once: each recording twice, the second time from its middle on.
fn babble(samples: usize) -> Option<Vec<f64>> {
    let mut sum = vec![0.0; samples];
    for name in BABBLE {
        let voice = scaled(&recording(name)?, 1.0);
        for from in [0, voice.len() / 2] {
            let voice = voice.iter().cycle().skip(from);
            for (sum, x) in sum.iter_mut().zip(voice) {
                *sum += x;
            }
        }
    }
    Some(sum)
}

/// Keys, drawers and steps beside a fan: a knock of 30 ms now and then.
fn office(samples: usize) -> Vec<f64> {
    let mut random = Rng::new(6);
    let mut sound = scaled(&fan(samples), 1.0);
    let mut at = 0;
    while at < samples {
        let loud = 3.0 + 6.0 * random.symmetric().abs();
        for (n, x) in sound[at..].iter_mut().take(RATE * 3 / 100).enumerate() {
            *x += loud * random.normal() * (-(n as f64) / (0.006 * RATE as f64)).exp();
        }
        at += (RATE as f64 * (0.08 + 0.4 * random.symmetric().abs())) as usize;
    }
    sound
}

/// A talker alone, with the pauses.
fn talkers() -> Option<Vec<Vec<f64>>> {
    let with_pauses = |name: &&str| {
        let mut sound = vec![0.0; BEFORE];
        sound.extend(scaled(&recording(name)?, TALK));
        sound.extend(vec![0.0; BEHIND]);
        Some(sound)
    };
    TALKERS.iter().map(with_pauses).collect()
}

/// What a suppressor makes of it; `None` where it is not installed.
fn run(kind: Kind, sound: &[f32]) -> Option<Vec<f32>> {
    let mut suppressor = Suppressor::new(kind, RATE as u32)?;
    let mut whole: Vec<i16> = sound.iter().map(|x| x.round() as i16).collect();
    for period in whole.chunks_exact_mut(HOP) {
        suppressor.process(period);
    }
    Some(whole.into_iter().map(f32::from).collect())
}

/// How much lower the pauses are.
fn removed_db(before: &[f32], after: &[f32]) -> f64 {
    let power = |sound: &[f32]| -> f64 {
        let pauses = [
            KNOWN..BEFORE - HOP,
            sound.len() - BEHIND + OVER..sound.len(),
        ];
        let power = |part: std::ops::Range<usize>| -> f64 {
            sound[part].iter().map(|&x| f64::from(x * x)).sum()
        };
        pauses.map(power).iter().sum()
    };
    10.0 * (power(before).max(1.0) / power(after).max(1.0)).log10()
}

/// The mean over the talkers; `None` where one is missing.
fn mean(scores: &[[Option<Score>; Kind::ALL.len()]], column: usize) -> Option<Score> {
    let all: Option<Vec<Score>> = scores.iter().map(|row| row[column]).collect();
    let all = all?;
    let of = |field: fn(&Score) -> f64| all.iter().map(field).sum::<f64>() / all.len() as f64;
    Some(Score {
        stoi: of(|score| score.stoi),
        pesq: of(|score| score.pesq),
        delay_ms: of(|score| score.delay_ms),
        lowered_db: of(|score| score.lowered_db),
        talk_db: of(|score| score.talk_db),
    })
}

/// The rows.
pub(crate) fn rows(folder: &Path, page: &mut Page) {
    let longest = BEFORE + 12 * RATE + BEHIND;
    let (Some(talkers), Some(babble)) = (talkers(), babble(longest)) else {
        return page.skip("noise suppressors", "no test data of speech");
    };
    for kind in Kind::ALL {
        if Suppressor::new(kind, RATE as u32).is_none() {
            page.skip(kind.name(), "it is not installed");
        }
    }
    if !(has_module("pesq") && has_module("pystoi")) {
        page.skip(
            "STOI and PESQ in noise",
            "no Python modules pesq and pystoi",
        );
    }
    let mut table = Table::new(&COLUMNS);
    let noises = [
        ("fan", fan(longest)),
        ("babble of 14 voices", babble),
        ("office", office(longest)),
    ];
    for (what, noise) in &noises {
        for ratio_db in RATIOS {
            let level = TALK * 10f64.powf(-ratio_db / 20.0);
            let noise = scaled(noise, level);
            judge(
                folder,
                &format!("{what}, {ratio_db:.0} dB"),
                &talkers,
                &noise,
                &mut table,
            );
        }
    }
    judge(
        folder,
        "no noise",
        &talkers,
        &vec![0.0; longest],
        &mut table,
    );
    work(folder, &mut table);
    page.add(
        "Noise suppressors",
        "At 16 kHz in periods of 10 ms: four talkers, talk over noise as said; STOI and wideband \
         PESQ against the talk alone, the mean of the talkers; talk: how much louder it is. \
         RNNoise works at 48 kHz and is brought there and back. What a period costs is measured \
         in the release profile; instructions are counted by callgrind on x86-64, and a \
         Cortex-A53 at 1 GHz is taken to do one a cycle.",
        table,
    );
}

fn judge(folder: &Path, what: &str, talkers: &[Vec<f64>], noise: &[f64], table: &mut Table) {
    let mut removed = [0.0; Kind::ALL.len()];
    let mut all = Vec::new();
    for talker in talkers {
        let alone: Vec<f32> = talker.iter().map(|&x| x as f32).collect();
        let noisy: Vec<f32> = talker
            .iter()
            .zip(noise)
            .map(|(x, y)| (x + y).clamp(-32_768.0, 32_767.0) as f32)
            .collect();
        let heard = Kind::ALL.map(|kind| run(kind, &noisy));
        for (removed, heard) in removed.iter_mut().zip(&heard) {
            if let Some(heard) = heard {
                *removed += removed_db(&noisy, heard) / talkers.len() as f64;
            }
        }
        let end = alone.len() - BEHIND;
        let parts = [0, 1, 2, 3].map(|n| Some(&heard[n].as_ref()?[BEFORE..]));
        all.push(scores::against(
            folder,
            RATE as u32,
            &alone[BEFORE..end],
            parts,
        ));
    }
    let scores = [0, 1, 2, 3].map(|column| mean(&all, column));
    if rms(noise) > 0.0 {
        let removed =
            [0, 1, 2, 3].map(|n| scores[n].and_then(|_| figure(Some(removed[n]), 1, "dB")));
        table.row(format!("{what}: noise removed in pauses"), "", removed);
    } else {
        let delay = cells(&scores, |score| score.delay_ms, 1, "ms");
        table.row(format!("{what}: delay added"), "", delay);
    }
    let stoi = cells(&scores, |score| score.stoi, 3, "");
    table.row(format!("{what}: STOI"), "", stoi);
    let pesq = cells(&scores, |score| score.pesq, 2, "");
    table.row(format!("{what}: PESQ"), "", pesq);
    let talk = cells(&scores, |score| score.talk_db, 1, "dB");
    table.row(format!("{what}: talk"), "", talk);
}

/// What a period costs.
fn work(folder: &Path, table: &mut Table) {
    let known = Kind::ALL.map(|kind| Suppressor::new(kind, RATE as u32).map(|_| kind));
    let allocations = known.map(|kind| figure(allocations_a_period(kind?), 1, ""));
    table.row("allocations in 10 ms", "0", allocations);
    for hz in CARDS {
        let of = |what: &str| format!("{what}, card at {hz} Hz");
        let times = known.map(|kind| figure(microseconds("noise", kind?.name(), hz), 1, "µs"));
        table.row(of("time for 10 ms"), "", times);
        let counted = known.map(|kind| instructions(folder, "noise", kind?.name(), hz));
        let millions = counted.map(|each| figure(each.map(|each| each / 1e6), 3, "M"));
        table.row(of("instructions for 10 ms"), "", millions);
        let share = counted.map(|each| figure(each.map(|each| each * 100.0 / 1e9 * 100.0), 1, "%"));
        table.row(of("of a core that does 1000 M a second"), "", share);
    }
}

fn allocations_a_period(kind: Kind) -> Option<f64> {
    // speexdsp is C: its allocations pass this allocator by, and the other one has nothing to do.
    if matches!(kind, Kind::Speexdsp | Kind::Nothing) {
        return None;
    }
    let mut suppressor = Suppressor::new(kind, RATE as u32)?;
    let mut sound = hiss(200 * HOP, 3);
    let mut counted = 0;
    for (n, period) in sound.chunks_exact_mut(HOP).enumerate() {
        let ((), counts) = heap::counted(|| suppressor.process(period));
        if n >= 100 {
            counted += counts.allocations;
        }
    }
    Some(counted as f64 / 100.0)
}
