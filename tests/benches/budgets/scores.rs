//! Sound against the same sound alone: STOI, PESQ, level and delay, by the Python modules `pystoi`
//! and `pesq`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::quality::write_wav;
use crate::subject::python;
use crate::table::figure;

/// What is left of the talk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score {
    pub(crate) stoi: f64,
    pub(crate) pesq: f64,
    pub(crate) delay_ms: f64,
    /// How much less power there is in all.
    pub(crate) lowered_db: f64,
    /// How much louder the talk itself is, whatever else is heard.
    pub(crate) talk_db: f64,
}

/// One figure of each.
pub(crate) fn cells<const COLUMNS: usize>(
    scores: &[Option<Score>; COLUMNS],
    of: fn(&Score) -> f64,
    digits: usize,
    unit: &str,
) -> [Option<String>; COLUMNS] {
    std::array::from_fn(|n| figure(scores[n].as_ref().map(of), digits, unit))
}

/// Python's judgement of each sound against the talk alone.
pub(crate) fn against<const COLUMNS: usize>(
    folder: &Path,
    rate_hz: u32,
    alone: &[f32],
    heard: [Option<&[f32]>; COLUMNS],
) -> [Option<Score>; COLUMNS] {
    // Aligned first: what was done to it may delay it. The talk in a sound is what of it goes with
    // the talk alone.
    let script = "import sys, numpy as n, scipy.io.wavfile as w, pesq, pystoi\n\
                  r, a = w.read(sys.argv[1]); a = a.astype(float)\n\
                  for f in sys.argv[2:]:\n\
                  \x20 b = w.read(f)[1].astype(float); m = 1600; l = 2 ** 20\n\
                  \x20 c = n.fft.irfft(n.fft.rfft(b, l) * n.conj(n.fft.rfft(a, l)))\n\
                  \x20 d = int(n.argmax(c[:m])); k = min(len(a), len(b) - d)\n\
                  \x20 x, y = a[:k], b[d:d + k]\n\
                  \x20 q = pesq.pesq(r, x.astype(n.int16), y.astype(n.int16), 'wb')\n\
                  \x20 e = 10 * n.log10((x ** 2).sum() / max((y ** 2).sum(), 1))\n\
                  \x20 g = 20 * n.log10(max((x * y).sum() / (x ** 2).sum(), 1e-3))\n\
                  \x20 print(pystoi.stoi(x, y, r), q, d * 1000 / r, e, g)";
    let save = |name: &str, sound: &[f32]| -> PathBuf {
        let path = folder.join(format!("scored-{name}.wav"));
        let whole: Vec<i16> = sound.iter().map(|x| x.round() as i16).collect();
        write_wav(&path, rate_hz, &whole);
        path
    };
    let mut out = [None; COLUMNS];
    let Some(python) = python() else {
        return out;
    };
    let files: Vec<PathBuf> = heard
        .iter()
        .enumerate()
        .filter_map(|(n, heard)| Some(save(&n.to_string(), (*heard)?)))
        .collect();
    let done = Command::new(python)
        .args(["-c", script])
        .arg(save("alone", alone))
        .args(&files)
        .output();
    let Ok(done) = done else { return out };
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let mut lines = text.lines();
    let judged = out
        .iter_mut()
        .zip(heard)
        .filter(|(_, heard)| heard.is_some());
    for (score, _) in judged {
        let line = lines.next().unwrap_or_default();
        let fields: Vec<f64> = line
            .split(' ')
            .filter_map(|field| field.parse().ok())
            .collect();
        if let [stoi, pesq, delay_ms, lowered_db, talk_db] = fields[..] {
            *score = Some(Score {
                stoi,
                pesq,
                delay_ms,
                lowered_db,
                talk_db,
            });
        }
    }
    out
}
