//! The plans against an independent table of facts, and against themselves.

use serde_json::Value;

use super::*;

const ALL: [ToneKind; 11] = [
    ToneKind::Dial,
    ToneKind::StutterDial,
    ToneKind::RecallDial,
    ToneKind::Ringback,
    ToneKind::Busy,
    ToneKind::Congestion,
    ToneKind::CallWaiting,
    ToneKind::SpecialInformation,
    ToneKind::Howler,
    ToneKind::Confirmation,
    ToneKind::Unprotected,
];

fn facts(test: &str) -> Option<Value> {
    let text = testkit::data::read_text(test, "tones.json")?;
    Some(serde_json::from_str(&text).expect("tones.json is JSON"))
}

#[test]
fn every_tone_is_the_one_of_the_table() {
    let Some(facts) = facts("every_tone_is_the_one_of_the_table") else {
        return;
    };
    let names = [
        ("dial", ToneKind::Dial),
        ("stutter", ToneKind::StutterDial),
        ("recall_dial", ToneKind::RecallDial),
        ("ringback", ToneKind::Ringback),
        ("busy", ToneKind::Busy),
        ("congestion", ToneKind::Congestion),
        ("call_waiting", ToneKind::CallWaiting),
        ("sit", ToneKind::SpecialInformation),
        ("confirm", ToneKind::Confirmation),
    ];
    let mut compared = 0;
    for own in PLANS {
        let zone = &facts["zones"][own.country.as_str()];
        assert!(
            zone.is_object(),
            "{} is not in the table",
            own.country.as_str()
        );
        let ring: Vec<u64> = zone["ring_cadence_ms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|ms| ms.as_u64().unwrap())
            .collect();
        assert_eq!(
            own.ring_cadence_ms
                .iter()
                .map(|&ms| u64::from(ms))
                .collect::<Vec<_>>(),
            ring,
            "{} rings",
            own.country.as_str()
        );
        for (name, kind) in names {
            let defined = own.tones.iter().any(|(found, _)| *found == kind);
            let Some(expected) = zone["tones"][name].as_array() else {
                assert!(
                    !defined,
                    "{} {name} is not in the table",
                    own.country.as_str()
                );
                continue;
            };
            assert!(defined, "{} {name} is missing", own.country.as_str());
            let cadence = own.tone(kind);
            assert_eq!(
                cadence.len(),
                expected.len(),
                "{} {name}",
                own.country.as_str()
            );
            for (index, (segment, expected)) in cadence.iter().zip(expected).enumerate() {
                let segment_name = format!("{} {name} {index}", own.country.as_str());
                let mut frequencies: Vec<u64> = expected["freq_hz"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|hz| hz.as_u64().unwrap())
                    .collect();
                // 10 kHz is above what a telephone carries: in this one place the table means a
                // pause.
                if (own.country.as_str(), name, index) == ("th", "call_waiting", 1) {
                    frequencies.clear();
                }
                assert_eq!(
                    segment
                        .frequencies_hz
                        .iter()
                        .map(|&hz| u64::from(hz))
                        .collect::<Vec<_>>(),
                    frequencies,
                    "{segment_name}"
                );
                assert_eq!(
                    segment.length_ms.map(u64::from),
                    expected["ms"].as_u64(),
                    "{segment_name}"
                );
                assert_eq!(
                    segment.repeat,
                    expected["repeat"].as_bool().unwrap(),
                    "{segment_name}"
                );
                // The table writes the Japanese tones as sums, and says itself that they are
                // modulated.
                let modulated = expected["mix"] == "am"
                    || (own.country.as_str() == "jp" && frequencies.len() == 2);
                assert_eq!(
                    segment.mix == Mix::AmplitudeModulated,
                    modulated,
                    "{segment_name}"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 1000, "only {compared} segments compared");
    for required in facts["required"].as_array().unwrap() {
        assert!(
            Country::from_name(required.as_str().unwrap()).is_some(),
            "{required} is required"
        );
    }
}

#[test]
fn plans_are_complete_and_playable() {
    let planned = PLANS.iter().map(|plan| plan.country);
    assert!(planned.eq(Country::ALL.iter().copied()));
    for (index, own) in PLANS.iter().enumerate() {
        assert!(
            PLANS[..index]
                .iter()
                .all(|earlier| earlier.country < own.country),
            "{} is listed twice or out of order",
            own.country.as_str()
        );
        assert!(
            !own.emergency.is_empty(),
            "{} has no emergency number",
            own.country.as_str()
        );
        for number in own.emergency {
            assert!(
                number.bytes().all(|b| b.is_ascii_digit()),
                "{} {number}",
                own.country.as_str()
            );
            let hidden = own
                .emergency
                .iter()
                .any(|other| other.len() < number.len() && number.starts_with(other));
            assert!(
                !hidden,
                "{}: {number} is never reached",
                own.country.as_str()
            );
        }
        assert!(
            own.ring_cadence_ms.len() % 2 == 0 && !own.ring_cadence_ms.is_empty(),
            "{}",
            own.country.as_str()
        );
        let (from, to) = own.flash_window_ms;
        assert!(
            (50..to).contains(&from) && to <= 1000,
            "{}",
            own.country.as_str()
        );
        for kind in ALL {
            let cadence = own.tone(kind);
            assert!(
                cadence
                    .iter()
                    .any(|segment| !segment.frequencies_hz.is_empty()),
                "{} {kind:?} is silent",
                own.country.as_str()
            );
            for segment in cadence {
                assert!(
                    segment.frequencies_hz.len() <= 4,
                    "{} {kind:?}",
                    own.country.as_str()
                );
                assert!(
                    segment.frequencies_hz.iter().all(|&hz| hz < 4000),
                    "{} {kind:?}",
                    own.country.as_str()
                );
                assert_ne!(
                    segment.length_ms,
                    Some(0),
                    "{} {kind:?}",
                    own.country.as_str()
                );
            }
            let endless = cadence
                .iter()
                .position(|segment| segment.length_ms.is_none());
            assert!(
                endless.is_none_or(|at| at + 1 == cadence.len()),
                "{} {kind:?}: nothing is heard after an endless segment",
                own.country.as_str()
            );
        }
    }
}

#[test]
fn emergency_numbers_that_everyone_knows() {
    for (code, number) in [
        ("us", "911"),
        ("ca", "911"),
        ("uk", "999"),
        ("gb", "112"),
        ("de", "112"),
        ("de", "110"),
        ("fr", "112"),
        ("fr", "15"),
        ("jp", "110"),
        ("jp", "119"),
        ("au", "000"),
        ("nz", "111"),
        ("ch", "144"),
        ("CH", "117"),
        ("in", "112"),
        ("br", "190"),
        ("cn", "120"),
    ] {
        assert!(
            plan(Country::from_name(code).unwrap())
                .emergency
                .contains(&number),
            "{code} {number}"
        );
    }
}
