//! What a second of a call costs, by codec, by encryption, and by the rate of the card: processor
//! time, and user instructions as callgrind counts them in the whole process.
//!
//! Every phone gets the same card, which can do one rate only: one whose codec has another rate
//! must resample, itself or by alsa-lib's plugin. pjsua has no card here ([`crate::subject`]), so
//! its column shows what it costs without one: its bridge, at 16 kHz. Offhook has the period it
//! has on a board, 10 ms; the others choose 20.
//!
//! A busy machine makes over- and underruns, after which a phone works off a wrong delay: that is
//! counted as well, so its cell says how many Offhook had.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use media::Codec;
use serde_json::json;

use crate::encrypted::in_call;
use crate::figures::phone_options;
use crate::process::cpu_time;
use crate::quality;
use crate::subject::{Kind, PhoneOptions, Subject};
use crate::table::{Page, figure};

/// Rates of the cards, in Hz.
const RATES: [u32; 3] = [8_000, 16_000, 48_000];
const CODECS: [Codec; 3] = [Codec::Pcmu, Codec::G722, Codec::Opus];
/// What boards with a real card have unless their profile says otherwise.
const BOARD_PERIOD_MS: u32 = 10;
/// How long each figure is measured.
const WINDOW: Duration = Duration::from_secs(5);
/// How long callgrind has for its translations before it counts.
const SETTLING: Duration = Duration::from_secs(4);

/// The cards for `asound.conf`: each can do one rate, `phone8000` as it is and `soft8000` with
/// alsa-lib's conversions before it.
pub(crate) fn cards() -> String {
    let mut text = String::new();
    for hz in RATES {
        let _ = write!(
            text,
            "pcm.phone{hz} {{ type vcard file \"WIRE{hz}\" side 0 rate {hz} }}\n\
             pcm.soft{hz} {{ type plug slave.pcm \"phone{hz}\" }}\n"
        );
    }
    text + "ctl.!default { type hw card 0 }\n"
}

/// The rows: processor time in each case, instructions in clear.
pub(crate) fn rows(folder: &Path, page: &mut Page) {
    let Some((_, speech)) = quality::speech(folder, 48_000) else {
        return page.skip("work per second", "no espeak-ng or sox for the speech");
    };
    for hz in RATES {
        let wire = std::fs::File::create(folder.join(format!("wire{hz}")));
        if wire.is_err() {
            return page.skip("work per second", "no file for the virtual card");
        }
        for codec in CODECS {
            for encrypted in [false, true] {
                let how = if encrypted { "by SDES" } else { "in clear" };
                let cells = Kind::ALL.map(|kind| {
                    let options = options(kind, codec, encrypted, hz);
                    let share = in_call(folder, &options, &speech, |subject| {
                        Some(processor_share(subject))
                    });
                    figure(share, 2, "%")
                });
                page.row(
                    format!("CPU of one core, {codec:?} {how}, card at {hz} Hz"),
                    "below every peer",
                    cells,
                );
            }
            for encrypted in [false, true] {
                let how = if encrypted { "by SDES" } else { "in clear" };
                let cells = Kind::ALL.map(|kind| {
                    let options = options(kind, codec, encrypted, hz);
                    let (millions, made) = instructions(folder, &options, &speech)?;
                    let unit = made.map_or("M".to_owned(), |made| format!("M ({made} xruns)"));
                    figure(Some(millions), 2, &unit)
                });
                page.row(
                    format!("user instructions a second, {codec:?} {how}, card at {hz} Hz"),
                    "below every peer",
                    cells,
                );
            }
        }
    }
}

/// A phone on the card of this rate, with the period of a board.
fn options(kind: Kind, codec: Codec, encrypted: bool, hz: u32) -> PhoneOptions<'static> {
    PhoneOptions {
        card_hz: Some(hz),
        period_ms: Some(BOARD_PERIOD_MS),
        encrypted,
        ..phone_options(kind, codec)
    }
}

/// Percent of a core that all threads took together.
fn processor_share(subject: &Subject) -> f64 {
    let pid = subject.process.pid();
    let (began, before) = (Instant::now(), cpu_time(pid));
    std::thread::sleep(WINDOW);
    let used = cpu_time(pid).saturating_sub(before);
    100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64()
}

/// Millions of user instructions in a second of a call, and the over- and underruns of the card
/// meanwhile, where the phone says them.
fn instructions(
    folder: &Path,
    options: &PhoneOptions<'_>,
    speech: &[i16],
) -> Option<(f64, Option<u64>)> {
    let file = folder.join("instructions");
    // The first dump of a run is numbered so.
    let dump = folder.join("instructions.1");
    std::fs::remove_file(&dump).ok();
    let options = PhoneOptions {
        instructions: Some(&file),
        ..*options
    };
    let (seconds, xruns) = in_call(folder, &options, speech, |subject| {
        // To begin with, callgrind translates all that runs, and the card is late meanwhile.
        subject.begin_count().then_some(())?;
        std::thread::sleep(SETTLING);
        let before = xruns(subject);
        let began = subject.restart_count().then(Instant::now)?;
        std::thread::sleep(WINDOW);
        let seconds = began.elapsed().as_secs_f64();
        subject.dump_count().then_some(())?;
        let made = xruns(subject).zip(before).map(|(now, before)| now - before);
        Some((seconds, made))
    })?;
    // Nothing counted is no figure: callgrind has not begun.
    let counted = total(&dump).filter(|&counted| counted > 0.0)?;
    Some((counted / 1e6 / seconds, xruns))
}

/// Over- and underruns of Offhook's card so far.
fn xruns(subject: &Subject) -> Option<u64> {
    let status = subject.ctl(&json!({"cmd": "status"}))?;
    status.pointer("/audio/xruns")?.as_u64()
}

/// What callgrind counted in all.
pub(crate) fn total(file: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| {
        line.strip_prefix("totals:")
            .or(line.strip_prefix("summary:"))
    })?;
    line.trim().split(' ').next()?.parse().ok()
}
