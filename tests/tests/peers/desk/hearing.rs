//! What was heard in a story, from recordings that go on being written.

use std::path::Path;

use offhook_tests::speech::compare;
use testkit::measure::level_dbfs;
use testkit::process::TestDir;

/// How like a voice the last four seconds of a recording are; 0 where it is too short.
pub(super) fn likeness(dir: &TestDir, said: &Path, heard: &Path) -> f64 {
    if seconds(heard) < 3.5 {
        return 0.0;
    }
    compare(dir, said, heard).correlation
}

/// A WAV file of 16 bits, also one whose header was never finished: rate, channels and samples.
fn read(file: &Path) -> (u32, usize, Vec<i16>) {
    let bytes = std::fs::read(file).unwrap_or_default();
    let Some((header, data)) = bytes.split_at_checked(44) else {
        return (8000, 1, Vec::new());
    };
    let channels = usize::from(u16::from_le_bytes([header[22], header[23]]));
    let rate = u32::from_le_bytes([header[24], header[25], header[26], header[27]]);
    let samples = data
        .chunks_exact(2)
        .map(|two| i16::from_le_bytes([two[0], two[1]]))
        .collect();
    (rate, channels.max(1), samples)
}

fn seconds(file: &Path) -> f64 {
    let (rate, channels, samples) = read(file);
    samples.len() as f64 / channels as f64 / f64::from(rate)
}

/// How many samples a recording has so far.
pub(super) fn length(file: &Path) -> usize {
    read(file).2.len()
}

/// Level of what a recording has behind so many samples, in dBFS.
pub(super) fn level_since(file: &Path, from: usize) -> f64 {
    level_dbfs(read(file).2.get(from..).unwrap_or_default())
}

/// Level of the last seconds of a recording, in dBFS.
pub(super) fn level(file: &Path, last_s: f64) -> f64 {
    let (rate, channels, samples) = read(file);
    let wanted = (last_s * f64::from(rate)) as usize * channels;
    level_dbfs(&samples[samples.len().saturating_sub(wanted)..])
}
