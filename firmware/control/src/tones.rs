//! Country data becomes sound: a cadence out of `config` as the engine's plain copyable tone, key
//! tones, ringer cadences.
//!
//! ```text
//! config::CountryPlan ─▶ call_tone ─▶ media::ToneSpec   (dial tone, busy …)
//! phone::Key          ─▶ key_tone  ─▶ media::ToneSpec   (the DTMF pair)
//! phone::Alert        ─▶ ring_cadence ─▶ ms on, off …   (bell)
//! ```

use config::country::{CountryPlan, Segment, ToneKind};
use config::schema::RingSound;
use media::tone::{MAX_FREQUENCIES, MAX_SEGMENTS};
use media::{Mix, ToneSegment, ToneSpec};
use phone::{Alert, Key};

/// Level of tones where the configuration names none, in dBm0.
pub const DEFAULT_LEVEL_DBM0: i8 = -13;
/// How much softer a key sounds in one's own ear than a call tone, in dB.
const KEY_TONE_BELOW_DB: f32 = 6.0;
/// The howler is meant to be heard across a room, but never above this level, in dBm0.
const HOWLER_DBM0: f32 = -3.0;

/// A tone of the country's plan, ready for the engine.
pub fn call_tone(plan: &CountryPlan, kind: ToneKind, level_dbm0: i8) -> ToneSpec {
    let segments = plan.tone(kind);
    let level = match kind {
        ToneKind::Howler => HOWLER_DBM0,
        ToneKind::Dial
        | ToneKind::StutterDial
        | ToneKind::RecallDial
        | ToneKind::Ringback
        | ToneKind::Busy
        | ToneKind::Congestion
        | ToneKind::CallWaiting
        | ToneKind::SpecialInformation
        | ToneKind::Confirmation
        | ToneKind::Unprotected => f32::from(level_dbm0),
    };
    spec(segments, level)
}

/// The DTMF pair of a key (ITU-T Q.23), as its own user hears it while it is down.
pub fn key_tone(key: Key, level_dbm0: i8) -> ToneSpec {
    media::dtmf::tone(key, f32::from(level_dbm0) - KEY_TONE_BELOW_DB)
}

/// What is heard before a page: one beep, at a pitch no country dials with.
pub(crate) fn page_beep(level_dbm0: i8) -> ToneSpec {
    let mut segments = [ToneSegment::default(); MAX_SEGMENTS];
    segments[0] = ToneSegment {
        frequencies_hz: [1100, 0, 0, 0],
        mix: Mix::Sum,
        length_ms: 300,
        repeat: false,
    };
    ToneSpec {
        segments,
        len: 1,
        level_dbm0: f32::from(level_dbm0),
    }
}

/// A tone after as many beeps as the code of what is wrong: short, at a pitch no country dials
/// with.
pub fn after_code(tone: &ToneSpec, code: u8) -> ToneSpec {
    const BEEP_HZ: u16 = 1400;
    let once = |hz: u16, length_ms: u16| ToneSegment {
        frequencies_hz: [hz, 0, 0, 0],
        mix: Mix::Sum,
        length_ms,
        repeat: false,
    };
    let mut segments = [ToneSegment::default(); MAX_SEGMENTS];
    let tone_segments = &tone.segments[..usize::from(tone.len).min(MAX_SEGMENTS)];
    // The beeps give way where a country's tone is long: it must be heard whole.
    let room = (MAX_SEGMENTS - tone_segments.len()).saturating_sub(1) / 2;
    let beeps = usize::from(code).min(room);
    let lead = (0..beeps)
        .flat_map(|_| [once(BEEP_HZ, 200), once(0, 200)])
        .chain((beeps > 0).then(|| once(0, 600)));
    let mut len = 0;
    for (slot, segment) in segments
        .iter_mut()
        .zip(lead.chain(tone_segments.iter().copied()))
    {
        *slot = segment;
        len += 1;
    }
    ToneSpec {
        segments,
        len,
        level_dbm0: tone.level_dbm0,
    }
}

/// The bell's cadence in ms (on, off …, repeating); `None`: the caller asks for silence.
///
/// The distinctive ones are the five patterns every analogue exchange of the Bellcore school knows
/// (GR-506, dr1 to dr5).
pub fn ring_cadence(plan: &CountryPlan, alert: Alert) -> Option<Vec<u16>> {
    let distinctive: &[u16] = match alert {
        Alert::Silent => return None,
        Alert::Normal => plan.ring_cadence_ms,
        Alert::Distinctive(2) => &[800, 400, 800, 4000],
        Alert::Distinctive(3) => &[400, 200, 400, 200, 800, 4000],
        Alert::Distinctive(4) => &[300, 200, 1000, 200, 300, 4000],
        Alert::Distinctive(5) => &[500, 5500],
        Alert::Distinctive(_) => &[2000, 4000],
    };
    Some(distinctive.to_vec())
}

/// Level of a bell that is played, in dBm0: the ringer's volume is set elsewhere.
const RING_DBM0: f32 = -6.0;

/// A bell for the loudspeaker, with a ringer's cadence (ms on, off …, repeating).
pub fn ring_tone(sound: &RingSound, cadence_ms: &[u16]) -> ToneSpec {
    // A clapper strikes about 20 times a second; the chord is three notes at once.
    let (frequencies_hz, mix) = match sound {
        // A file that cannot be played must not leave the phone without a bell.
        RingSound::Bell | RingSound::File(_) => ([1250, 20, 0, 0], Mix::AmplitudeModulated),
        RingSound::Low => ([600, 16, 0, 0], Mix::AmplitudeModulated),
        RingSound::High => ([2400, 25, 0, 0], Mix::AmplitudeModulated),
        RingSound::Chord => ([523, 659, 784, 0], Mix::Sum),
    };
    let mut segments = [ToneSegment::default(); MAX_SEGMENTS];
    let mut len = 0;
    for (index, (segment, length_ms)) in segments.iter_mut().zip(cadence_ms).enumerate() {
        let heard = index % 2 == 0;
        *segment = ToneSegment {
            frequencies_hz: if heard { frequencies_hz } else { [0; 4] },
            mix,
            length_ms: *length_ms,
            repeat: true,
        };
        len += 1;
    }
    ToneSpec {
        segments,
        len,
        level_dbm0: RING_DBM0,
    }
}

/// A tone's name in `status` and events.
pub fn tone_name(kind: ToneKind) -> &'static str {
    match kind {
        ToneKind::Dial => "dial",
        ToneKind::StutterDial => "stutter_dial",
        ToneKind::RecallDial => "recall_dial",
        ToneKind::Ringback => "ringback",
        ToneKind::Busy => "busy",
        ToneKind::Congestion => "congestion",
        ToneKind::CallWaiting => "call_waiting",
        ToneKind::SpecialInformation => "special_information",
        ToneKind::Howler => "howler",
        ToneKind::Confirmation => "confirmation",
        ToneKind::Unprotected => "unprotected",
    }
}

fn spec(segments: &[Segment], level_dbm0: f32) -> ToneSpec {
    let mut out = [ToneSegment::default(); MAX_SEGMENTS];
    for (to, from) in out.iter_mut().zip(segments) {
        let mut frequencies_hz = [0; MAX_FREQUENCIES];
        for (slot, hz) in frequencies_hz.iter_mut().zip(from.frequencies_hz) {
            *slot = *hz;
        }
        *to = ToneSegment {
            frequencies_hz,
            mix: match from.mix {
                config::country::Mix::Sum => Mix::Sum,
                config::country::Mix::AmplitudeModulated => Mix::AmplitudeModulated,
            },
            length_ms: from.length_ms.unwrap_or(0),
            repeat: from.repeat,
        };
    }
    ToneSpec {
        segments: out,
        len: segments.len().min(MAX_SEGMENTS) as u8,
        level_dbm0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cadence_keeps_its_steps() {
        let steps = [
            Segment {
                frequencies_hz: &[350, 440],
                mix: config::country::Mix::Sum,
                length_ms: Some(100),
                repeat: false,
            },
            Segment {
                frequencies_hz: &[400, 15],
                mix: config::country::Mix::AmplitudeModulated,
                length_ms: None,
                repeat: true,
            },
        ];
        let tone = spec(&steps, -10.0);
        assert_eq!(tone.len, 2);
        assert_eq!(tone.segments[0].frequencies_hz, [350, 440, 0, 0]);
        assert_eq!(
            (tone.segments[0].length_ms, tone.segments[0].repeat),
            (100, false)
        );
        assert_eq!(tone.segments[1].mix, Mix::AmplitudeModulated);
        assert_eq!(
            (tone.segments[1].length_ms, tone.segments[1].repeat),
            (0, true)
        );
    }

    #[test]
    fn fault_code_is_beeped_before_dial_tone_once() {
        for plan in config::country::PLANS {
            let dial = call_tone(plan, ToneKind::Dial, -13);
            let coded = after_code(&dial, 2);
            assert_eq!(coded.len, dial.len + 5, "{}", plan.country.as_str());
            let lead: Vec<_> = coded.segments[..5]
                .iter()
                .map(|s| (s.frequencies_hz[0], s.length_ms, s.repeat))
                .collect();
            let expected = [
                (1400, 200, false),
                (0, 200, false),
                (1400, 200, false),
                (0, 200, false),
                (0, 600, false),
            ];
            assert_eq!(lead, expected, "{}", plan.country.as_str());
            assert_eq!(
                coded.segments[5],
                dial.segments[0],
                "{}",
                plan.country.as_str()
            );
            let stutter = call_tone(plan, ToneKind::StutterDial, -13);
            let last = |tone: &ToneSpec| tone.segments[usize::from(tone.len) - 1];
            assert_eq!(
                last(&after_code(&stutter, 3)),
                last(&stutter),
                "{}: the tone itself is whole",
                plan.country.as_str()
            );
        }
    }

    #[test]
    fn key_tones_are_dtmf_pairs() {
        let pair = |key| {
            let hz = key_tone(key, -13).segments[0].frequencies_hz;
            (hz[0], hz[1])
        };
        assert_eq!(pair(Key::Digit(1)), (697, 1209));
        assert_eq!(pair(Key::Digit(6)), (770, 1477));
        assert_eq!(pair(Key::Digit(8)), (852, 1336));
        assert_eq!(pair(Key::Digit(0)), (941, 1336));
        assert_eq!(pair(Key::Star), (941, 1209));
        assert_eq!(pair(Key::Hash), (941, 1477));
        assert_eq!(pair(Key::Letter(0)), (697, 1633));
        assert_eq!(pair(Key::Letter(3)), (941, 1633));
        assert!((key_tone(Key::Star, -13).level_dbm0 + 19.0).abs() < 0.01);
    }
}
