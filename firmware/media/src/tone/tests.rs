//! Every tone of every country, rendered and measured: cadence by its envelope, frequencies by
//! fitting, level by its power.

use super::*;
use crate::level::dbm0;
use crate::test_data;

const LEVEL: f32 = -13.0;

/// The country table as tones with a name.
fn table() -> Vec<(String, ToneSpec)> {
    let Some(bytes) = test_data::read("tone::every_tone_of_every_country", "tones.json") else {
        return Vec::new();
    };
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let mut all = Vec::new();
    for (zone, plan) in json["zones"].as_object().unwrap() {
        for (kind, steps) in plan["tones"].as_object().unwrap() {
            let steps = steps.as_array().unwrap();
            let mut spec = ToneSpec {
                segments: [ToneSegment::default(); MAX_SEGMENTS],
                len: steps.len() as u8,
                level_dbm0: LEVEL,
            };
            assert!(
                steps.len() <= MAX_SEGMENTS,
                "{zone} {kind} has {} segments",
                steps.len()
            );
            for (segment, step) in spec.segments.iter_mut().zip(steps) {
                for (slot, hz) in segment
                    .frequencies_hz
                    .iter_mut()
                    .zip(step["freq_hz"].as_array().unwrap())
                {
                    *slot = hz.as_u64().unwrap() as u16;
                }
                // The table writes some modulations as a sum with a frequency below hearing (Japan:
                // 400+15).
                let modulated = step["mix"] == "am" || (1..50).contains(&segment.frequencies_hz[1]);
                segment.mix = if modulated {
                    Mix::AmplitudeModulated
                } else {
                    Mix::Sum
                };
                segment.length_ms = step["ms"].as_u64().unwrap_or(0) as u16;
                segment.repeat = step["repeat"].as_bool().unwrap();
            }
            all.push((format!("{zone} {kind}"), spec));
        }
    }
    all
}

/// What should be heard, straight from the table: (segment, start in ms, end in ms), lead-ins once,
/// the rest `rounds` times.
fn expected(spec: &ToneSpec, rounds: usize) -> Vec<(ToneSegment, f64, f64)> {
    let segments = &spec.segments[..usize::from(spec.len)];
    let once: Vec<_> = segments.to_vec();
    let again: Vec<_> = segments
        .iter()
        .copied()
        .filter(|segment| segment.repeat)
        .collect();
    let mut at = 0.0;
    let mut heard = Vec::new();
    for segment in once
        .into_iter()
        .chain((1..rounds).flat_map(|_| again.clone()))
    {
        let endless = segment.length_ms == 0;
        let length = if endless {
            2_000.0
        } else {
            f64::from(segment.length_ms)
        };
        heard.push((segment, at, at + length));
        at += length;
        if endless {
            break;
        }
    }
    heard
}

/// Places where sound begins and ends, in ms: by the peak in windows of 1 ms against 3 % of the
/// loudest; gaps under 4 ms (beats, a change of frequency) are not pauses.
fn bursts(samples: &[i16], rate: u32) -> Vec<(f64, f64)> {
    let index_of = |ms: usize| ms * rate as usize / 1000;
    let loudest = samples
        .iter()
        .map(|sample| sample.unsigned_abs())
        .max()
        .unwrap_or(0);
    let loud = |chunk: &[i16]| {
        chunk
            .iter()
            .any(|sample| f32::from(sample.unsigned_abs()) > 0.03 * f32::from(loudest))
    };
    let mut found: Vec<(f64, f64)> = Vec::new();
    for ms in 0..samples.len() * 1000 / rate as usize {
        if loud(&samples[index_of(ms)..index_of(ms + 1)]) {
            let ms = ms as f64;
            match found.last_mut() {
                Some(last) if ms - last.1 < 4.0 => last.1 = ms + 1.0,
                _ => found.push((ms, ms + 1.0)),
            }
        }
    }
    found
}

/// The best fit of sines of given frequencies: the share of the power they do not explain, and
/// their amplitudes.
fn fit(samples: &[i16], rate: u32, frequencies: &[f64]) -> (f64, Vec<f64>) {
    let basis = |n: usize, k: usize| {
        let angle = std::f64::consts::TAU * frequencies[k / 2] * n as f64 / f64::from(rate);
        if k.is_multiple_of(2) {
            angle.sin()
        } else {
            angle.cos()
        }
    };
    let size = 2 * frequencies.len();
    let mut matrix = vec![vec![0.0; size + 1]; size];
    for (n, &sample) in samples.iter().enumerate() {
        let row: Vec<f64> = (0..size).map(|k| basis(n, k)).collect();
        for i in 0..size {
            for j in 0..size {
                matrix[i][j] += row[i] * row[j];
            }
            matrix[i][size] += row[i] * f64::from(sample);
        }
    }
    for i in 0..size {
        let pivot = matrix[i].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(j, _)| *j != i) {
            let factor = row[i] / pivot[i];
            row.iter_mut()
                .zip(&pivot)
                .for_each(|(slot, value)| *slot -= factor * value);
        }
    }
    let weights: Vec<f64> = (0..size).map(|i| matrix[i][size] / matrix[i][i]).collect();
    let (mut left, mut power) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let value: f64 = (0..size).map(|k| weights[k] * basis(n, k)).sum();
        left += (f64::from(sample) - value).powi(2);
        power += f64::from(sample).powi(2);
    }
    (
        left / power,
        weights
            .chunks(2)
            .map(|pair| pair[0].hypot(pair[1]))
            .collect(),
    )
}

fn unexplained(samples: &[i16], rate: u32, frequencies: &[f64]) -> f64 {
    fit(samples, rate, frequencies).0
}

/// The lines of a segment's spectrum.
fn lines(segment: &ToneSegment) -> Vec<f64> {
    let hz: Vec<f64> = segment
        .frequencies_hz
        .iter()
        .filter(|&&hz| hz != 0)
        .map(|&hz| f64::from(hz))
        .collect();
    match segment.mix {
        Mix::AmplitudeModulated => vec![hz[0], hz[0] - hz[1], hz[0] + hz[1]],
        Mix::Sum => hz,
    }
}

fn check(name: &str, spec: &ToneSpec, rate: u32) {
    let timeline = expected(spec, 2);
    let end = timeline.last().unwrap().2;
    let mut generator = ToneGenerator::new(rate);
    generator.start(*spec);
    let mut sound = vec![0; (end * f64::from(rate) / 1000.0) as usize];
    // Uneven blocks: no boundary may matter.
    let mut rest = &mut sound[..];
    for block in [1, 37, 240, 239, 241].into_iter().cycle() {
        let (now, later) = rest.split_at_mut(block.min(rest.len()));
        generator.render(now);
        if later.is_empty() {
            break;
        }
        rest = later;
    }

    // Cadence: on and off as in the table, neighbours that sound taken together.
    let mut wanted: Vec<(f64, f64)> = Vec::new();
    for (_, from, to) in timeline.iter().filter(|(segment, ..)| !is_silent(segment)) {
        match wanted.last_mut() {
            Some(last) if (last.1 - from).abs() < 0.5 => last.1 = *to,
            _ => wanted.push((*from, *to)),
        }
    }
    let found = bursts(&sound, rate);
    assert_eq!(
        found.len(),
        wanted.len(),
        "{name} at {rate}: bursts {found:?}, wanted {wanted:?}"
    );
    for (found, wanted) in found.iter().zip(&wanted) {
        let length = wanted.1 - wanted.0;
        let bound = (0.02 * length).max(10.0);
        assert!(
            (found.1 - found.0 - length).abs() <= bound,
            "{name} at {rate}: {found:?}, wanted {wanted:?}"
        );
        // The start may not drift: it is exact to the window, however many rounds came before.
        assert!(
            (found.0 - wanted.0).abs() <= 3.0,
            "{name} at {rate}: starts at {found:?}, wanted {wanted:?}"
        );
    }

    // Frequencies: within each segment, away from its ramps.
    for (segment, from, to) in timeline.iter().filter(|(segment, ..)| !is_silent(segment)) {
        let sample = |ms: f64| (ms * f64::from(rate) / 1000.0) as usize;
        let part = &sound[sample(from + 6.0)..sample((to - 6.0).min(from + 250.0))];
        let wanted = lines(segment);
        let (left, amplitudes) = fit(part, rate, &wanted);
        assert!(
            left < 0.001,
            "{name} at {rate}: {:.2} % of the power is not {wanted:?}",
            left * 100.0
        );
        // Every line is there, as strong as it should be: equal in a sum, 0.45 of the carrier
        // beside it.
        for amplitude in &amplitudes[1..] {
            let (ratio, should) = (
                amplitude / amplitudes[0],
                if segment.mix == Mix::Sum { 1.0 } else { 0.45 },
            );
            assert!(
                (ratio / should - 1.0).abs() < 0.1,
                "{name} at {rate}: {wanted:?} have amplitudes {amplitudes:.0?}"
            );
        }
        // The check itself sees an error of 1 %: no frequency 1 % off may explain the sound as
        // well.
        let span = part.len() as f64 / f64::from(rate);
        for k in 0..wanted.len() {
            let mut other = wanted.clone();
            other[k] *= 1.01;
            if span * wanted[k] * 0.01 > 0.3 && (segment.mix == Mix::Sum || k == 0) {
                assert!(
                    unexplained(part, rate, &other) > 10.0 * left + 1e-5,
                    "{name}: {other:?} fits as well as {wanted:?}"
                );
            }
        }
    }
}

#[test]
fn every_tone_of_every_country_has_its_frequencies_and_cadence() {
    let table = table();
    let mut zones = std::collections::BTreeSet::new();
    for (name, spec) in &table {
        check(name, spec, 8_000);
        zones.extend(name.split(' ').next());
    }
    println!("{} tones of {} zones", table.len(), zones.len());
    assert!(table.is_empty() || zones.len() >= 15 && table.len() >= 150);
}

#[test]
fn the_usual_card_rates_too() {
    for (name, spec) in table() {
        let required = ["us", "uk", "de", "fr", "jp", "in"]
            .iter()
            .any(|zone| name.starts_with(&format!("{zone} ")));
        if required
            && ["dial", "ringback", "busy"]
                .iter()
                .any(|kind| name.ends_with(&format!(" {kind}")))
        {
            check(&name, &spec, 16_000);
            check(&name, &spec, 44_100);
            check(&name, &spec, 48_000);
        }
    }
}

fn one(frequencies: &[u16], mix: Mix, length_ms: u16, level_dbm0: f32) -> ToneSpec {
    let mut segments = [ToneSegment::default(); MAX_SEGMENTS];
    segments[0].frequencies_hz[..frequencies.len()].copy_from_slice(frequencies);
    segments[0].mix = mix;
    segments[0].length_ms = length_ms;
    segments[0].repeat = length_ms == 0;
    ToneSpec {
        segments,
        len: 1,
        level_dbm0,
    }
}

fn render(spec: &ToneSpec, rate: u32, samples: usize) -> Vec<i16> {
    let mut generator = ToneGenerator::new(rate);
    generator.start(*spec);
    let mut out = vec![0; samples];
    generator.render(&mut out);
    out
}

#[test]
fn the_level_is_what_was_asked_for() {
    for level in [-30.0, -13.0, -9.0, -4.0] {
        for (frequencies, mix) in [
            (&[425][..], Mix::Sum),
            (&[350, 440][..], Mix::Sum),
            (&[1400, 2060, 2450, 2600][..], Mix::Sum),
            (&[400, 20][..], Mix::AmplitudeModulated),
        ] {
            let out = render(&one(frequencies, mix, 0, level), 16_000, 32_000);
            let measured = dbm0(&out[1_600..]);
            assert!(
                (measured - level).abs() < 0.5,
                "{frequencies:?} {mix:?}: {measured} dBm0, asked {level}"
            );
        }
    }
}

#[test]
fn both_tones_of_a_pair_are_equally_loud() {
    for event in 0..16 {
        let key = types::Key::from_event(event).unwrap();
        let out = render(&crate::dtmf::tone(key, -9.0), 8_000, 8_000);
        let (low, high) = crate::dtmf::frequencies_of(key);
        let ratio = test_data::amplitude_at(&out, 8_000, f64::from(low))
            / test_data::amplitude_at(&out, 8_000, f64::from(high));
        assert!((20.0 * ratio.log10()).abs() < 0.2, "event {event}: {ratio}");
    }
}

#[test]
fn it_never_clips_however_loud_it_is_asked_for() {
    for frequencies in [&[425][..], &[350, 440][..], &[1400, 2060, 2450, 2600][..]] {
        let out = render(&one(frequencies, Mix::Sum, 0, 20.0), 8_000, 80_000);
        let rails = out
            .windows(2)
            .filter(|pair| pair[0] == pair[1] && pair[0].unsigned_abs() > 32_700)
            .count();
        // A clipped wave stays at the rail; a full one only touches it.
        assert!(rails < 40, "{frequencies:?}: {rails} samples at the rail");
        assert!(
            out.iter().any(|sample| sample.unsigned_abs() > 29_000),
            "{frequencies:?} is loud"
        );
        let lines: Vec<f64> = frequencies.iter().map(|&hz| f64::from(hz)).collect();
        assert!(
            unexplained(&out[100..8_000], 8_000, &lines) < 1e-4,
            "{frequencies:?} is distorted"
        );
    }
}

/// A click is a bend sharper than the sound has: bounded by amplitude × angular frequency², and the
/// ramp's own.
#[test]
fn no_click_at_start_stop_edges_or_change() {
    let rate = 48_000;
    let mut generator = ToneGenerator::new(rate);
    let mut all = Vec::new();
    let mut more = |generator: &mut ToneGenerator, samples: usize| {
        let mut out = vec![0; samples];
        generator.render(&mut out);
        all.extend_from_slice(&out);
    };
    let mut cadence = one(&[425], Mix::Sum, 37, -6.0);
    cadence.segments[1].length_ms = 23;
    cadence.segments[2] = cadence.segments[0];
    cadence.segments[2].frequencies_hz[0] = 1_400;
    cadence.len = 3;
    cadence
        .segments
        .iter_mut()
        .for_each(|segment| segment.repeat = true);
    generator.start(cadence);
    more(&mut generator, 20_011);
    generator.start(one(&[350, 440], Mix::Sum, 0, -6.0));
    more(&mut generator, 5_003);
    generator.stop();
    more(&mut generator, 100);
    generator.start(one(&[1_400], Mix::Sum, 0, -6.0));
    more(&mut generator, 5_000);
    generator.stop();
    more(&mut generator, 1_000);
    assert!(!generator.is_active());
    let amplitude = f64::from(crate::level::amplitude_of(-6.0)) * 2f64.sqrt();
    let bound = amplitude * (std::f64::consts::TAU * 1_500.0 / f64::from(rate)).powi(2) + 3.0;
    for (n, three) in all.windows(3).enumerate() {
        let bend =
            f64::from(i32::from(three[0]) - 2 * i32::from(three[1]) + i32::from(three[2])).abs();
        assert!(bend < bound, "a click at {n}: {three:?}, {bend} > {bound}");
    }
    assert_eq!(all.last(), Some(&0));
}

#[test]
fn it_stops_within_the_ramp_and_a_played_out_tone_is_over() {
    let mut generator = ToneGenerator::new(8_000);
    let mut out = [0; 80];
    generator.start(one(&[425], Mix::Sum, 0, -10.0));
    generator.render(&mut out);
    assert!(generator.is_active());
    generator.stop();
    generator.render(&mut out[..41]);
    assert!(!generator.is_active());
    generator.render(&mut out);
    assert_eq!(out, [0; 80]);

    generator.start(one(&[425], Mix::Sum, 30, -10.0));
    let mut long = [1; 400];
    generator.render(&mut long);
    assert!(!generator.is_active());
    assert!(
        long[..200].iter().any(|&sample| sample != 0)
            && long[240..].iter().all(|&sample| sample == 0)
    );

    // Nothing in it at all.
    let mut empty = one(&[425], Mix::Sum, 30, -10.0);
    empty.len = 0;
    generator.start(empty);
    assert!(!generator.is_active());
}

#[test]
fn mixing_adds_and_saturates() {
    let spec = one(&[425], Mix::Sum, 0, -3.0);
    let tone = render(&spec, 8_000, 800);
    let mut generator = ToneGenerator::new(8_000);
    generator.start(spec);
    let mut out = vec![20_000; 800];
    generator.mix(&mut out);
    for (mixed, tone) in out.iter().zip(&tone) {
        assert_eq!(*mixed, 20_000i16.saturating_add(*tone));
    }
    assert!(out.contains(&i16::MAX));
}

/// A dial tone that sounds for a quarter of an hour keeps its level and pitch.
#[test]
fn oscillators_do_not_drift_away() {
    let mut generator = ToneGenerator::new(8_000);
    generator.start(one(&[425], Mix::Sum, 0, -10.0));
    let mut out = vec![0; 8_000];
    for _ in 0..900 {
        generator.render(&mut out);
    }
    assert!((dbm0(&out) + 10.0).abs() < 0.01);
    assert!(unexplained(&out, 8_000, &[425.0]) < 1e-4);
}
