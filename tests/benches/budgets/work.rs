//! What a second of a call costs, by codec, by encryption, and by the rate of the card: processor
//! time, and user instructions as callgrind counts them in the whole process.
//!
//! Every phone gets the same card, which can do one rate only: one whose codec has another rate
//! must resample, itself or by alsa-lib's plugin. pjsua has no card here ([`crate::subject`]), so
//! its column shows what it costs without one: its bridge, at 16 kHz. Offhook has the period it
//! has on a board, 10 ms; the others choose 20.
//!
//! Through PulseAudio it is one call in clear, with a server that has a null sink and no other
//! client.
//!
//! A busy machine makes over- and underruns, after which a phone works off a wrong delay: that is
//! counted as well, so its cell says how many Offhook had.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use media::Codec;
use offhook_tests::null_sink::NullSink;
use serde_json::json;
use testkit::process::TestDir;

use crate::callgrind::Counting;
use crate::encrypted::in_call;
use crate::figures::phone_options;
use crate::process::{preload, processor_shares};
use crate::quality;
use crate::subject::{Kind, PhoneOptions, Subject};
use crate::table::{Page, figure, spread};

/// Rates of the cards, in Hz.
const RATES: [u32; 3] = [8_000, 16_000, 48_000];
const CODECS: [Codec; 3] = [Codec::Pcmu, Codec::G722, Codec::Opus];
/// What boards with a real card have unless their profile says otherwise.
const BOARD_PERIOD_MS: u32 = 10;
/// How long each figure is measured.
const WINDOW: Duration = Duration::from_secs(5);
/// How long callgrind has for its translations before it counts.
const TRANSLATING: Duration = Duration::from_secs(8);

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
    let Some(library) = preload(folder, "instructions") else {
        return page.skip(
            "work per second",
            "no C compiler, or no valgrind/callgrind.h",
        );
    };
    let counting = Counting {
        library,
        file: folder.join("instructions"),
        translating: TRANSLATING,
        window: WINDOW,
    };
    for hz in RATES {
        let wire = std::fs::File::create(folder.join(format!("wire{hz}")));
        if wire.is_err() {
            return page.skip("work per second", "no file for the virtual card");
        }
        for codec in CODECS {
            for encrypted in [false, true] {
                let how = if encrypted { "by SDES" } else { "in clear" };
                let cells = Kind::ALL
                    .map(|kind| shares(folder, &options(kind, codec, encrypted, hz), &speech));
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
                    instructions(folder, &options, &speech, &counting)
                });
                page.row(
                    format!("user instructions a second, {codec:?} {how}, card at {hz} Hz"),
                    "below every peer",
                    cells,
                );
            }
        }
    }
    through_pulseaudio(folder, &speech, &counting, page);
}

/// The rows of a call through a sound server of its own, which no other program uses. What the
/// server itself works is no phone's.
fn through_pulseaudio(folder: &Path, speech: &[i16], counting: &Counting, page: &mut Page) {
    if Command::new("pulseaudio")
        .arg("--version")
        .output()
        .is_err()
    {
        return page.skip("work through PulseAudio", "pulseaudio is not installed");
    }
    let dir = TestDir::new("bench-pulse");
    let server = NullSink::start(&dir);
    let options = |kind| PhoneOptions {
        sound_server: Some(&server.alsa_config),
        period_ms: Some(BOARD_PERIOD_MS),
        ..phone_options(kind, Codec::Pcmu)
    };
    let cells = Kind::ALL.map(|kind| shares(folder, &options(kind), speech));
    page.row(
        "CPU of one core, Pcmu in clear, through PulseAudio",
        "below every peer",
        cells,
    );
    let cells = Kind::ALL.map(|kind| instructions(folder, &options(kind), speech, counting));
    page.row(
        "user instructions a second, Pcmu in clear, through PulseAudio",
        "below every peer",
        cells,
    );
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

/// Percent of a core that all threads take in a call.
fn shares(folder: &Path, options: &PhoneOptions<'_>, speech: &[i16]) -> Option<String> {
    let shares = in_call(folder, options, speech, |subject| {
        Some(processor_shares(subject.process.pid(), WINDOW))
    });
    spread(&shares?, 2, "%")
}

/// Millions of user instructions in a second of a call, and the over- and underruns of the card
/// from shortly before to shortly after, where the phone says them.
fn instructions(
    folder: &Path,
    options: &PhoneOptions<'_>,
    speech: &[i16],
    counting: &Counting,
) -> Option<String> {
    let options = PhoneOptions {
        instructions: Some(counting),
        ..*options
    };
    let (a_second, xruns) = in_call(folder, &options, speech, |subject| {
        // To begin with, callgrind translates all that runs, and the card is late meanwhile.
        std::thread::scope(|scope| {
            let counted = scope.spawn(|| counting.count());
            std::thread::sleep(TRANSLATING.saturating_sub(Duration::from_secs(1)));
            let before = xruns(subject);
            let a_second = counted.join().ok()??;
            let made = xruns(subject).zip(before).map(|(now, before)| now - before);
            Some((a_second, made))
        })
    })?;
    let unit = xruns.map_or("M".to_owned(), |made| format!("M ({made} xruns)"));
    figure(Some(a_second / 1e6), 2, &unit)
}

/// Over- and underruns of Offhook's card so far.
fn xruns(subject: &Subject) -> Option<u64> {
    let status = subject.ctl(&json!({"cmd": "status"}))?;
    status.pointer("/audio/xruns")?.as_u64()
}
