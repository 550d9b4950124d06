//! What a converter must keep: the band, the level, the time; and what it must not let in: aliases
//! and images.

use super::*;
use crate::test_data::{amplitude_at, sine};

/// Pairs of card and codec rate that occur: (card, codec).
const PAIRS: [(u32, u32); 8] = [
    (48_000, 8_000),
    (48_000, 16_000),
    (44_100, 8_000),
    (44_100, 16_000),
    (44_100, 48_000),
    (16_000, 8_000),
    (32_000, 16_000),
    (8_000, 16_000),
];

fn push_all(from: u32, to: u32, input: &[i16]) -> Vec<i16> {
    let block = from as usize / 200;
    let mut push = Push::new(from, to, block).unwrap();
    let mut all = Vec::new();
    let mut out = vec![0; push.output_max(block)];
    for chunk in input.chunks(block) {
        let made = push.process(chunk, &mut out);
        all.extend_from_slice(&out[..made]);
    }
    all
}

fn pull_all(from: u32, to: u32, input: &[i16]) -> Vec<i16> {
    let block = to as usize / 200;
    let mut pull = Pull::new(from, to, block).unwrap();
    let mut all = Vec::new();
    let mut out = vec![0; block];
    let mut rest = input;
    loop {
        let needed = pull.needed(block);
        assert!(
            needed <= pull.needed_max(block),
            "{needed} > {}",
            pull.needed_max(block)
        );
        if needed > rest.len() {
            return all;
        }
        let (now, later) = rest.split_at(needed);
        rest = later;
        pull.process(now, &mut out);
        all.extend_from_slice(&out);
    }
}

/// Both directions of use, between both rates, both ways round.
fn every_way(mut check: impl FnMut(&str, u32, u32, &dyn Fn(&[i16]) -> Vec<i16>)) {
    for (card, codec) in PAIRS {
        check(&format!("push {card}->{codec}"), card, codec, &|input| {
            push_all(card, codec, input)
        });
        check(&format!("pull {codec}->{card}"), codec, card, &|input| {
            pull_all(codec, card, input)
        });
    }
}

/// Highest frequency that must pass: 3.4 kHz of narrowband, 7 kHz of wideband.
fn band(from: u32, to: u32) -> f64 {
    match from.min(to) {
        8_000 => 3_400.0,
        16_000 => 7_000.0,
        _ => 14_000.0,
    }
}

#[test]
fn the_band_passes_flat() {
    every_way(|name, from, to, run| {
        let mut worst = 0.0f64;
        for step in 1..=20 {
            let hz = band(from, to) * f64::from(step) / 20.0;
            let out = run(&sine(hz, from, 10_000.0, from as usize / 4));
            let steady = &out[out.len() / 5..];
            let gain = 20.0 * (amplitude_at(steady, to, hz) / 10_000.0).log10();
            worst = if gain.abs() > worst.abs() {
                gain
            } else {
                worst
            };
        }
        println!(
            "{name}: band edge {:.0} Hz, worst gain {worst:+.2} dB",
            band(from, to)
        );
        assert!(worst.abs() < 1.0, "{name}: {worst:+.2} dB within the band");
    });
}

#[test]
fn what_is_not_the_signal_stays_low() {
    every_way(|name, from, to, run| {
        for hz in [440.0, 1_020.0, 0.9 * band(from, to)] {
            let out = run(&sine(hz, from, 10_000.0, from as usize / 4));
            let steady = &out[out.len() / 5..out.len() / 5 * 4];
            // Take the signal away and see what is left: images, aliases, jitter of the
            // interpolation, rounding.
            let rest = residual(steady, to, hz);
            let ratio = 20.0 * (10_000.0 / 2f64.sqrt() / rest).log10();
            println!("{name}: {hz:.0} Hz, signal over the rest {ratio:.1} dB");
            assert!(ratio > 45.0, "{name}: {ratio:.1} dB at {hz} Hz");
        }
    });
}

/// Root mean square of what remains after the best-fitting sine is taken away.
fn residual(samples: &[i16], rate: u32, hz: f64) -> f64 {
    let (mut cc, mut ss, mut cs, mut xc, mut xs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let angle = |n: usize| std::f64::consts::TAU * hz * n as f64 / f64::from(rate);
    for (n, &sample) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        cc += c * c;
        ss += s * s;
        cs += c * s;
        xc += f64::from(sample) * c;
        xs += f64::from(sample) * s;
    }
    let det = cc * ss - cs * cs;
    let (a, b) = ((xc * ss - xs * cs) / det, (xs * cc - xc * cs) / det);
    let sum: f64 = samples
        .iter()
        .enumerate()
        .map(|(n, &sample)| {
            let (s, c) = angle(n).sin_cos();
            (f64::from(sample) - a * c - b * s).powi(2)
        })
        .sum();
    (sum / samples.len() as f64).sqrt()
}

/// A card hears more than the codec carries: it must not fold down into what is heard.
#[test]
fn sound_above_the_codecs_band_does_not_fold_into_it() {
    for (card, codec, reach) in [
        (48_000, 8_000, 4_600.0),
        (48_000, 16_000, 9_000.0),
        (44_100, 16_000, 9_000.0),
        (16_000, 8_000, 4_600.0),
    ] {
        let mut worst = 0.0f64;
        let mut hz: f64 = reach;
        while hz < f64::from(card) * 0.45 {
            let out = push_all(card, codec, &sine(hz, card, 10_000.0, card as usize / 4));
            let steady = &out[out.len() / 5..];
            let level = steady
                .iter()
                .map(|&sample| f64::from(sample).powi(2))
                .sum::<f64>()
                / steady.len() as f64;
            worst = worst.max(level.sqrt() * 2f64.sqrt() / 10_000.0);
            hz *= 1.07;
        }
        let down = -20.0 * worst.log10();
        println!("{card}->{codec}: above {reach} Hz, aliases at least {down:.1} dB down");
        assert!(
            down > 40.0,
            "{card}->{codec}: aliases only {down:.1} dB down"
        );
    }
}

#[test]
fn the_delay_is_what_we_say_and_short() {
    every_way(|name, from, to, run| {
        // A pulse of noise-free shape: the centre of gravity of its square is the delay.
        let at = from as usize / 10;
        let mut input = vec![0; from as usize / 4];
        for (n, sample) in input[at - 20..=at + 20].iter_mut().enumerate() {
            *sample =
                (10_000.0 * (0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / 40.0).cos())) as i16;
        }
        let out = run(&input);
        let (mut moment, mut weight) = (0.0, 0.0);
        for (n, &sample) in out.iter().enumerate() {
            let power = f64::from(sample).powi(2);
            moment += power * n as f64;
            weight += power;
        }
        let measured = moment / weight / f64::from(to) - at as f64 / f64::from(from);
        // Half the filter, less the one step before the first output.
        let claimed = taps(from, to) as f64 / 2.0 / f64::from(from) - 1.0 / f64::from(to);
        println!(
            "{name}: delay {:.3} ms, claimed {:.3} ms",
            measured * 1e3,
            claimed * 1e3
        );
        assert!(
            (measured - claimed).abs() < 0.000_01,
            "{name}: measured {measured}, claimed {claimed}"
        );
        let bound = if from.min(to) <= 8_000 {
            0.001_6
        } else {
            0.001_01
        };
        assert!(measured <= bound, "{name}: {measured} s");
    });
}

/// Where the rates do not divide, blocks vary by one; over a day nothing is lost or made up, and
/// nothing drifts.
#[test]
fn block_lengths_vary_by_one_and_add_up() {
    for (card, codec) in [
        (48_000, 16_000),
        (48_000, 8_000),
        (44_100, 16_000),
        (44_100, 8_000),
    ] {
        let block = card as usize / 200;
        let made_of = block as f64 * f64::from(codec) / f64::from(card);
        let near = |n: usize| (n as f64 - made_of).abs() < 1.0;
        let mut push = Push::new(card, codec, block).unwrap();
        let mut pull = Pull::new(codec, card, block).unwrap();
        let (mut out, mut ear) = (vec![0; push.output_max(block)], vec![0; block]);
        let (mut made, mut used) = (0, 0);
        for n in 1..=40_000usize {
            let length = push.process(&vec![0; block], &mut out);
            let needed = pull.needed(block);
            assert!(
                near(length) && near(needed),
                "{card}, {codec}: {length} made, {needed} needed"
            );
            pull.process(&vec![0; needed], &mut ear);
            (made, used) = (made + length, used + needed);
            // In whole samples what the rates say, at every moment.
            let exact = n as u64 * block as u64 * u64::from(codec) / u64::from(card);
            assert!(
                made as u64 == exact && (used as u64).abs_diff(exact) <= 1,
                "{card}, {codec}: block {n}: {made}, {used}, {exact}"
            );
        }
    }
}

/// However the input is cut into blocks, the output is the same.
#[test]
fn blocks_leave_no_seam() {
    let input = sine(1_000.0, 48_000, 10_000.0, 9_600);
    let whole = push_all(48_000, 8_000, &input);
    let mut push = Push::new(48_000, 8_000, 240).unwrap();
    let (mut rest, mut all, mut length) = (&input[..], Vec::new(), 1);
    let mut out = vec![0; push.output_max(240)];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(length.min(rest.len()));
        let made = push.process(now, &mut out);
        all.extend_from_slice(&out[..made]);
        (rest, length) = (later, length * 7 % 239 + 1);
    }
    assert_eq!(all, whole);
}

#[test]
fn equal_rates_pass_untouched_and_bad_ones_are_refused() {
    let input = sine(1_000.0, 8_000, 30_000.0, 160);
    let mut out = vec![0; 170];
    let mut push = Push::new(8_000, 8_000, 160).unwrap();
    assert_eq!(push.process(&input, &mut out), 160);
    assert_eq!(&out[..160], &input[..]);
    for (from, to, block) in [
        (0, 8_000, 80),
        (8_000, 0, 80),
        (8_000, 400_000, 80),
        (8_000, 16_000, 0),
    ] {
        let Err(error) = Push::new(from, to, block) else {
            panic!("{from} {to} {block} taken")
        };
        assert!(error.to_string().contains(&from.to_string()), "{error}");
    }
}

#[test]
fn full_scale_is_clipped_not_wrapped() {
    let out = push_all(
        8_000,
        48_000,
        &[[i16::MAX; 20], [i16::MIN; 20]].concat().repeat(50),
    );
    let swings = out
        .windows(2)
        .filter(|pair| (i32::from(pair[0]) - i32::from(pair[1])).abs() > 50_000)
        .count();
    assert_eq!(swings, 0);
}
