//! The words cadences are written with, and the fallback plan for tones a country does not define.

use super::{Mix, Segment, ToneKind};

/// Some frequencies at once for some milliseconds.
pub(super) const fn tone(frequencies_hz: &'static [u16], length_ms: u16) -> Segment {
    Segment {
        frequencies_hz,
        mix: Mix::Sum,
        length_ms: Some(length_ms),
        repeat: true,
    }
}

/// The same until the tone is stopped.
pub(super) const fn hum(frequencies_hz: &'static [u16]) -> Segment {
    Segment {
        frequencies_hz,
        mix: Mix::Sum,
        length_ms: None,
        repeat: true,
    }
}

/// The first frequency modulated by the second.
pub(super) const fn warble(frequencies_hz: &'static [u16], length_ms: u16) -> Segment {
    Segment {
        frequencies_hz,
        mix: Mix::AmplitudeModulated,
        length_ms: Some(length_ms),
        repeat: true,
    }
}

/// The same until the tone is stopped.
pub(super) const fn hum_am(frequencies_hz: &'static [u16]) -> Segment {
    Segment {
        frequencies_hz,
        mix: Mix::AmplitudeModulated,
        length_ms: None,
        repeat: true,
    }
}

/// Some milliseconds of nothing.
pub(super) const fn silence(length_ms: u16) -> Segment {
    tone(&[], length_ms)
}

/// Nothing from here on.
pub(super) const SILENCE: Segment = hum(&[]);

/// A lead-in: left out when the cadence repeats.
pub(super) const fn once(segment: Segment) -> Segment {
    Segment {
        repeat: false,
        ..segment
    }
}

/// A pattern again and again, each of its segments once, then `last`: `N` segments in all.
pub(super) const fn lead_in<const N: usize>(pattern: &[Segment], last: Segment) -> [Segment; N] {
    let mut segments = [last; N];
    let mut at = 0;
    while at + 1 < N {
        segments[at] = once(pattern[at % pattern.len()]);
        at += 1;
    }
    segments
}

/// `beep`, `pause`, `beep`, `pause` … once, then `last`: `N` segments in all, an odd number.
pub(super) const fn beeps<const N: usize>(
    beep: Segment,
    pause: Segment,
    last: Segment,
) -> [Segment; N] {
    lead_in(&[beep, pause], last)
}

/// A tone that is not defined: silence.
pub(super) const NOTHING: [Segment; 1] = [SILENCE];

/// Tones for what a country does not define, after the general rules of ITU-T E.180 (425 Hz;
/// congestion twice as fast as busy) and, for the howler, of ETSI and Bellcore practice: a loud
/// multi-frequency signal no one takes for speech.
pub const FALLBACK: &[(ToneKind, &[Segment])] = &[
    (ToneKind::Dial, &[hum(&[425])]),
    (
        ToneKind::StutterDial,
        &beeps::<13>(tone(&[425], 100), silence(100), hum(&[425])),
    ),
    (
        ToneKind::RecallDial,
        &beeps::<7>(tone(&[425], 100), silence(100), hum(&[425])),
    ),
    (ToneKind::Ringback, &[tone(&[425], 1000), silence(4000)]),
    (ToneKind::Busy, &[tone(&[425], 500), silence(500)]),
    (ToneKind::Congestion, &[tone(&[425], 250), silence(250)]),
    (
        ToneKind::CallWaiting,
        &[
            tone(&[425], 200),
            silence(200),
            tone(&[425], 200),
            silence(8000),
        ],
    ),
    (
        ToneKind::SpecialInformation,
        &[
            tone(&[950], 330),
            tone(&[1400], 330),
            tone(&[1800], 330),
            silence(1000),
        ],
    ),
    (
        ToneKind::Howler,
        &[tone(&[1400, 2060, 2450], 100), silence(100)],
    ),
    (
        ToneKind::Confirmation,
        &beeps::<7>(tone(&[425], 100), silence(100), SILENCE),
    ),
    (
        ToneKind::Unprotected,
        &beeps::<7>(tone(&[1400], 80), silence(80), SILENCE),
    ),
];
