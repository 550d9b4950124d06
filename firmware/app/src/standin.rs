//! Stands in for `config::country` lookups until they land.
use config::country::{CountryPlan, Mix, Segment, ToneKind};
const fn seg(frequencies_hz: &'static [u16], length_ms: Option<u16>) -> Segment {
    Segment {
        frequencies_hz,
        mix: Mix::Sum,
        length_ms,
        repeat: true,
    }
}
static PLAN: CountryPlan = CountryPlan {
    code: "itu",
    name: "ITU",
    tones: &[
        (ToneKind::Dial, &[seg(&[425], None)]),
        (ToneKind::StutterDial, &[seg(&[425], None)]),
        (ToneKind::RecallDial, &[seg(&[425], None)]),
        (ToneKind::Ringback, &[seg(&[425], Some(1000)), seg(&[], Some(4000))]),
        (ToneKind::Busy, &[seg(&[425], Some(500)), seg(&[], Some(500))]),
        (ToneKind::Congestion, &[seg(&[425], Some(250)), seg(&[], Some(250))]),
        (ToneKind::CallWaiting, &[seg(&[425], Some(200)), seg(&[], Some(4800))]),
        (ToneKind::Howler, &[seg(&[1400, 2060], Some(100)), seg(&[], Some(100))]),
    ],
    ring_cadence_ms: &[1000, 4000],
    flash_window_ms: (80, 800),
    emergency: &["112"],
};
pub(crate) fn plan(_code: &str) -> &'static CountryPlan {
    &PLAN
}
pub(crate) fn tone(plan: &CountryPlan, kind: ToneKind) -> Option<&'static [Segment]> {
    plan.tones.iter().find(|(k, _)| *k == kind).map(|(_, s)| *s)
}
