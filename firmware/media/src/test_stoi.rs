//! Intelligibility, for tests.

use crate::resample::Push;
use crate::spectrum::{Bin, Transform, ZERO};

/// Samples converted at a time.
const HOP: usize = 80;

/// Short-time objective intelligibility (Taal and others 2011) of sound at 16 kHz, 0 to 1.
pub(crate) fn stoi(clean: &[f32], heard: &[f32]) -> f32 {
    const FRAME: usize = 256;
    const STEP: usize = FRAME / 2;
    const BANDS: usize = 15;
    const SEGMENT: usize = 30;
    let resample = |sound: &[f32]| -> Vec<f32> {
        let input: Vec<i16> = sound.iter().map(|x| *x as i16).collect();
        let mut push = Push::new(16_000, 10_000, HOP).unwrap();
        let mut block = vec![0; push.output_max(HOP)];
        let mut out = Vec::new();
        for input in input.chunks(HOP) {
            let made = push.process(input, &mut block);
            out.extend(block[..made].iter().map(|&x| f32::from(x)));
        }
        out
    };
    let blocks = |sound: &[f32]| -> Vec<Vec<f32>> {
        let mut all = Vec::new();
        for at in (0..sound.len().saturating_sub(FRAME)).step_by(STEP) {
            let window = |n: usize| {
                0.5 - 0.5 * (std::f32::consts::TAU * (n + 1) as f32 / (FRAME + 1) as f32).cos()
            };
            all.push((0..FRAME).map(|n| sound[at + n] * window(n)).collect());
        }
        all
    };
    let (clean, heard) = (blocks(&resample(clean)), blocks(&resample(heard)));
    let energy = |block: &Vec<f32>| block.iter().map(|x| x * x).sum::<f32>();
    let loudest = clean.iter().map(energy).fold(0.0, f32::max);
    let kept: Vec<usize> = (0..clean.len().min(heard.len()))
        .filter(|&n| energy(&clean[n]) > loudest * 1e-4)
        .collect();
    let mut transform = Transform::new(512);
    let mut bands = |blocks: &[Vec<f32>]| -> Vec<[f32; BANDS]> {
        let mut joined = vec![0.0; (kept.len() + 1) * STEP];
        for (place, &n) in kept.iter().enumerate() {
            for (to, from) in joined[place * STEP..].iter_mut().zip(&blocks[n]) {
                *to += from;
            }
        }
        let mut spectrum = vec![ZERO; 257];
        stoi_frames(&joined, FRAME, STEP, |frame| {
            let mut time = vec![0.0; 512];
            time[..FRAME].copy_from_slice(frame);
            transform.forward(&time, &mut spectrum);
            std::array::from_fn(|band| {
                let edge = |third: f32| {
                    let hz = 150.0 * 2f32.powf((band as f32 + third) / 3.0);
                    (hz * 512.0 / 10_000.0).round() as usize
                };
                let bins = &spectrum[edge(-0.5)..edge(0.5)];
                bins.iter().map(Bin::norm_sqr).sum::<f32>().sqrt()
            })
        })
    };
    let (x, y) = (bands(&clean), bands(&heard));
    let clip = 1.0 + 10f32.powf(15.0 / 20.0);
    let (mut sum, mut count) = (0.0, 0);
    for end in SEGMENT..=x.len() {
        for band in 0..BANDS {
            let of = |all: &[[f32; BANDS]]| -> Vec<f32> {
                all[end - SEGMENT..end].iter().map(|b| b[band]).collect()
            };
            let norm = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>().sqrt() + 1e-9;
            let (x, y) = (of(&x), of(&y));
            let scale = norm(&x) / norm(&y);
            let y: Vec<f32> = y
                .iter()
                .zip(&x)
                .map(|(y, x)| (y * scale).min(x * clip))
                .collect();
            let centred = |v: &[f32]| -> Vec<f32> {
                let mean = v.iter().sum::<f32>() / v.len() as f32;
                v.iter().map(|v| v - mean).collect()
            };
            let (x, y) = (centred(&x), centred(&y));
            let product: f32 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
            sum += product / (norm(&x) * norm(&y));
            count += 1;
        }
    }
    sum / count as f32
}

fn stoi_frames<T>(
    sound: &[f32],
    frame: usize,
    step: usize,
    mut of: impl FnMut(&[f32]) -> T,
) -> Vec<T> {
    let window: Vec<f32> = (0..frame)
        .map(|n| 0.5 - 0.5 * (std::f32::consts::TAU * (n + 1) as f32 / (frame + 1) as f32).cos())
        .collect();
    (0..sound.len().saturating_sub(frame))
        .step_by(step)
        .map(|at| {
            let block: Vec<f32> = sound[at..at + frame]
                .iter()
                .zip(&window)
                .map(|(x, w)| x * w)
                .collect();
            of(&block)
        })
        .collect()
}
