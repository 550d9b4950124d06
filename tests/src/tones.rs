//! Tones as facts from outside (`tones.json`) and the judge who compares them with what an ear
//! heard.
//!
//! ```text
//! tones.json ─▶ plan ─┐
//! ear ─▶ clip ────────┴─▶ judge: onset, cadence (max(10 ms, 2 %)), frequencies (±1 %), pairs within 3 dB, nothing else in it
//! ```

use serde_json::Value;

use testkit::data;
use testkit::measure::{Clip, cadence, goertzel, level_dbfs, peak_near, share_of_power};

/// How much more a level in dBm0 is than the same one in dB of full scale: a full-scale sine has
/// -3.01 dB of full scale, and +3.14 dBm0 (ITU-T G.711).
pub const DBM0_ABOVE_DBFS: f64 = 6.15;

/// One step of a cadence.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Frequencies in Hz, empty for silence.
    pub hz: Vec<f64>,
    /// The first is amplitude-modulated by the second.
    pub modulated: bool,
    /// Length in ms; `None`: until stopped.
    pub ms: Option<f64>,
    /// Played again when the cadence repeats.
    pub repeat: bool,
}

/// Every country in `tones.json`, or `None` where the data is absent.
pub fn countries() -> Option<Vec<String>> {
    Some(facts()?["zones"].as_object()?.keys().cloned().collect())
}

/// A country's tone by its name there (`dial`, `busy`, `ringback`, `congestion`, …).
pub fn plan(country: &str, tone: &str) -> Option<Vec<Step>> {
    let steps = facts()?["zones"][country]["tones"][tone]
        .as_array()?
        .clone();
    Some(
        steps
            .iter()
            .map(|step| {
                let hz: Vec<f64> = step["freq_hz"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_f64)
                    .collect();
                // The sources write the Japanese ringback as a sum with a 15 Hz tone; it is a
                // modulation (the data's own note).
                let modulated =
                    step["mix"] == "am" || hz.get(1).is_some_and(|&second| second < 50.0);
                Step {
                    hz,
                    modulated,
                    ms: step["ms"].as_f64(),
                    repeat: step["repeat"] != false,
                }
            })
            .collect(),
    )
}

fn facts() -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(data::path("tones.json")?).unwrap()).ok()
}

/// The second at which anything sounds, louder than −50 dBFS.
pub fn onset_s(clip: &Clip) -> Option<f64> {
    clip.samples
        .iter()
        .position(|s| s.unsigned_abs() > 100)
        .map(|n| n as f64 / f64::from(clip.rate_hz))
}

/// Judges a clip that begins in silence before the tone. `Err` says what is wrong.
pub fn judge(clip: &Clip, plan: &[Step]) -> Result<(), String> {
    let onset = onset_s(clip).ok_or("nothing is heard")?;
    let end = clip.samples.len() as f64 / f64::from(clip.rate_hz);
    let expected = time_line(plan, onset, end);
    judge_cadence(clip, &expected, onset)?;
    for (from, until, step) in &expected {
        let until = if step.ms.is_none() {
            end.min(*until)
        } else {
            *until
        };
        let (from, length) = (from + 0.012, until - from - 0.024);
        if until > end || length < 0.01 {
            continue;
        }
        let part = clip.part(from, length.min(1.0));
        judge_sound(part, clip.rate_hz, step)
            .map_err(|what| format!("{what} at {:.3} s to {:.3} s", from - onset, until - onset))?;
    }
    Ok(())
}

/// The steps with their times: lead-ins once, the rest again and again.
fn time_line(plan: &[Step], onset: f64, end: f64) -> Vec<(f64, f64, Step)> {
    let mut line = Vec::new();
    let mut at = onset;
    let mut first = true;
    while at < end {
        let before = at;
        // The clip begins with the first sound, so silence before it is not on the line.
        let leading = if first {
            plan.iter().take_while(|step| step.hz.is_empty()).count()
        } else {
            0
        };
        for step in plan
            .iter()
            .skip(leading)
            .filter(|step| first || step.repeat)
        {
            let until = step.ms.map_or(f64::INFINITY, |ms| at + ms / 1e3);
            line.push((at, until.min(end + 1.0), step.clone()));
            at = until;
            if at >= end {
                break;
            }
        }
        first = false;
        if at <= before {
            break;
        }
    }
    line
}

/// `max(10 ms, 2 %)`, and 2 ms because the envelope is measured in steps of that.
fn tolerance_ms(length_ms: f64) -> f64 {
    (length_ms * 0.02).max(10.0) + 2.0
}

fn judge_cadence(clip: &Clip, expected: &[(f64, f64, Step)], onset: f64) -> Result<(), String> {
    let mut runs: Vec<(bool, f64)> = Vec::new();
    let from_onset = Clip {
        rate_hz: clip.rate_hz,
        samples: clip.part(onset, 1e9).to_vec(),
    };
    for (on, ms) in cadence(&from_onset) {
        // Beats and modulation dip for a few milliseconds; no cadence has a pause that short.
        let joins = runs.last().is_some_and(|(state, _)| *state == on)
            || (!on && ms < 16.0 && !runs.is_empty());
        if joins {
            runs.last_mut().ok_or("no run")?.1 += ms;
        } else {
            runs.push((on, ms));
        }
    }
    let mut wanted: Vec<(bool, f64)> = Vec::new();
    for (from, until, step) in expected {
        let (on, ms) = (!step.hz.is_empty(), (until - from) * 1e3);
        match wanted.last_mut() {
            Some((state, length)) if *state == on => *length += ms,
            _ => wanted.push((on, ms)),
        }
    }
    let whole = runs.len().min(wanted.len()).saturating_sub(1);
    if runs.len() + 1 < wanted.len() || runs.len() > wanted.len() + 1 {
        return Err(format!("cadence {runs:?}, wanted {wanted:?}"));
    }
    for (index, (run, want)) in runs.iter().zip(&wanted).enumerate().take(whole) {
        if run.0 != want.0 || (run.1 - want.1).abs() > tolerance_ms(want.1) {
            return Err(format!("cadence step {index}: {run:?}, wanted {want:?}"));
        }
    }
    if let (Some(last), Some(want)) = (runs.get(whole), wanted.get(whole))
        && (last.0 != want.0 || last.1 > want.1 + tolerance_ms(want.1))
    {
        return Err(format!("cadence step {whole}: {last:?}, wanted {want:?}"));
    }
    Ok(())
}

fn judge_sound(part: &[i16], rate_hz: u32, step: &Step) -> Result<(), String> {
    let level = level_dbfs(part);
    if step.hz.is_empty() {
        return if level < -55.0 {
            Ok(())
        } else {
            Err(format!("{level:.1} dBFS where silence should be"))
        };
    }
    if !(-45.0..-6.0).contains(&level) {
        return Err(format!("level {level:.1} dBFS"));
    }
    if part.iter().any(|s| s.unsigned_abs() > 32_000) {
        return Err("clipped".to_owned());
    }
    let seconds = part.len() as f64 / f64::from(rate_hz);
    if step.modulated {
        let (carrier, by) = (step.hz[0], step.hz[1]);
        if seconds > 0.3 {
            let share = share_of_power(part, rate_hz, &[carrier - by, carrier, carrier + by]);
            let sides = goertzel(part, rate_hz, carrier + by) / goertzel(part, rate_hz, carrier);
            if share < 0.9 || !(0.35..0.55).contains(&sides) {
                return Err(format!(
                    "{carrier} Hz modulated by {by}: share {share:.2}, sideband {sides:.2} of the \
                     carrier"
                ));
            }
        }
        return Ok(());
    }
    let closest = step
        .hz
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(f64::INFINITY, f64::min);
    if step.hz.len() > 1 && closest < 5.0 / seconds {
        // Too short to distinguish its tones: at least nothing else may sound.
        let share = peak_near(part, rate_hz, step.hz[0], 2.0 / seconds).1;
        return if share > 0.0 {
            Ok(())
        } else {
            Err("no power".to_owned())
        };
    }
    let mut amplitudes = Vec::new();
    for &hz in &step.hz {
        let (found, amplitude) = peak_near(part, rate_hz, hz, hz * 0.04);
        let tolerance = hz * 0.01 + if seconds < 0.1 { 0.3 / seconds } else { 0.0 };
        if (found - hz).abs() > tolerance {
            return Err(format!("{found:.1} Hz, wanted {hz}"));
        }
        amplitudes.push(amplitude);
    }
    let (low, high) = amplitudes
        .iter()
        .fold((f64::INFINITY, 0f64), |(low, high), &a| {
            (low.min(a), high.max(a))
        });
    if 20.0 * (high / low).log10() > 3.0 {
        return Err(format!(
            "tones differ by {:.1} dB",
            20.0 * (high / low).log10()
        ));
    }
    let share = share_of_power(part, rate_hz, &step.hz);
    if seconds > 0.05 && !(0.9..1.1).contains(&share) {
        return Err(format!("{:?} Hz hold {share:.2} of the power", step.hz));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn render(steps: &[(f64, &[f64])]) -> Clip {
        let mut samples = vec![0i16; 400];
        for (ms, hz) in steps {
            let first = samples.len();
            samples.extend((0..(ms * 8.0) as usize).map(|n| {
                let t = (first + n) as f64 / 8_000.0;
                (hz.iter()
                    .map(|f| 3_000.0 * (TAU * f * t).sin())
                    .sum::<f64>()) as i16
            }));
        }
        Clip {
            rate_hz: 8_000,
            samples,
        }
    }

    fn step(hz: &[f64], ms: Option<f64>) -> Step {
        Step {
            hz: hz.to_vec(),
            modulated: false,
            ms,
            repeat: true,
        }
    }

    #[test]
    fn the_judge_knows_right_from_wrong() {
        let plan = [step(&[480.0, 620.0], Some(500.0)), step(&[], Some(500.0))];
        let right: [(f64, &[f64]); 5] = [
            (500.0, &[480.0, 620.0]),
            (500.0, &[]),
            (500.0, &[480.0, 620.0]),
            (500.0, &[]),
            (300.0, &[480.0, 620.0]),
        ];
        judge(&render(&right), &plan).unwrap();
        let with = |index: usize, step: (f64, &'static [f64])| {
            let mut wrong = right;
            wrong[index] = step;
            judge(&render(&wrong), &plan).unwrap_err()
        };
        assert!(with(0, (515.0, &[480.0, 620.0])).contains("cadence"));
        assert!(with(1, (480.0, &[])).contains("cadence"));
        assert!(with(2, (500.0, &[480.0, 635.0])).contains("Hz"));
        assert!(
            with(2, (500.0, &[480.0])).contains("dB") || with(2, (500.0, &[480.0])).contains("Hz")
        );
        assert!(with(2, (500.0, &[480.0, 620.0, 1_000.0])).contains("power"));
        let steady = [step(&[420.0], None)];
        judge(&render(&[(3_000.0, &[420.0])]), &steady).unwrap();
        assert!(
            judge(&render(&[(3_000.0, &[425.0])]), &steady)
                .unwrap_err()
                .contains("Hz")
        );
        assert!(
            judge(
                &render(&[(1_000.0, &[420.0]), (100.0, &[]), (1_000.0, &[420.0])]),
                &steady
            )
            .unwrap_err()
            .contains("cadence")
        );
        assert!(judge(&render(&[(3_000.0, &[])]), &plan).is_err());
        assert!(judge(&render(&[(3_000.0, &[480.0, 620.0])]), &plan).is_err());
    }
}
