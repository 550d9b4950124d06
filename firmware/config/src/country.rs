//! What differs from country to country: tones, ringing cadence, flash window, emergency numbers.
//!
//! ```text
//! plan(Uk) ─▶ &PLANS[uk] ─┬─▶ tone(Dial)    its own cadence
//!                           └─▶ tone(Howler)  the fallback's, where it has none
//! ```

use types::Country;

mod cadences;
mod numbers;
#[rustfmt::skip] // a table: one line a tone reads better than one line a number
mod plans;
mod segment;

pub use plans::PLANS;
pub use segment::FALLBACK;

/// How the frequencies of one segment sound together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// All frequencies at once, each at the same level.
    Sum,
    /// The first frequency, amplitude-modulated by the second (Japanese ringback).
    AmplitudeModulated,
}

/// One step of a tone's cadence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Frequencies in Hz; empty is silence.
    pub frequencies_hz: &'static [u16],
    /// How the frequencies sound together.
    pub mix: Mix,
    /// Length in milliseconds; `None` lasts until the tone is stopped.
    pub length_ms: Option<u16>,
    /// `false`: played once as a lead-in, left out when the cadence repeats.
    pub repeat: bool,
}

/// The tones a phone can make its user hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToneKind {
    /// Ready for digits.
    Dial,
    /// Ready for digits, messages wait.
    StutterDial,
    /// Second dial tone, after a flash.
    RecallDial,
    /// The far end rings.
    Ringback,
    /// The far end is busy.
    Busy,
    /// The call failed: no route, no line, no registration (reorder).
    Congestion,
    /// Someone else calls during a call.
    CallWaiting,
    /// Special information tone: the number is not in service.
    SpecialInformation,
    /// Off hook too long.
    Howler,
    /// Something was accepted (star code, setting).
    Confirmation,
    /// This call was to be encrypted and is not.
    Unprotected,
}

/// Everything the phone knows of one country's telephone habits.
#[derive(Debug, Clone, Copy)]
pub struct CountryPlan {
    /// Which country.
    pub country: Country,
    /// Cadence of each tone; a tone missing here is taken from the fallback plan.
    pub tones: &'static [(ToneKind, &'static [Segment])],
    /// Ringer cadence in ms: on, off, on, off …; repeats.
    pub ring_cadence_ms: &'static [u16],
    /// An on-hook pulse of this many milliseconds (from, to) is a flash, a longer one a hang-up.
    pub flash_window_ms: (u16, u16),
    /// Emergency numbers that are always recognised.
    pub emergency: &'static [&'static str],
}

impl CountryPlan {
    /// The cadence of a tone: the country's own, or the fallback plan's where it has none. Never
    /// empty.
    pub fn tone(&self, kind: ToneKind) -> &'static [Segment] {
        let own = self
            .tones
            .iter()
            .chain(FALLBACK)
            .find(|(found, _)| *found == kind);
        own.map_or(&segment::NOTHING, |(_, cadence)| cadence)
    }
}

/// The plan of a country.
pub fn plan(country: Country) -> &'static CountryPlan {
    let found = PLANS.iter().find(|plan| plan.country == country);
    // Each country has one; a test sees to that.
    found.unwrap_or(&PLANS[0])
}

/// The country's numbers as a digit map: those of a known length are complete with their last
/// digit, every other by the digit timer.
pub fn digit_map(country: Country) -> String {
    numbers::digit_map(country)
}

/// Prefixes whose numbers have this many digits in all.
pub(crate) fn fixed_lengths(country: Country) -> &'static [(&'static str, u8)] {
    numbers::fixed(country)
}

/// The service codes of the country's networks as a digit map, `None` where none has a `#`.
pub fn service_codes(country: Country) -> Option<String> {
    numbers::service_codes(country)
}

/// Codes before a number by which the caller's identity is shown or withheld for one call.
pub fn identity_codes(country: Country) -> &'static [&'static str] {
    numbers::identity_codes(country)
}

/// What is dialled before the rest of a national number (ITU-T E.123: the trunk prefix); empty
/// where there is none.
pub const fn trunk_prefix(country: Country) -> &'static str {
    match country {
        Country::Us => "1",
        Country::Hu => "06",
        Country::Lt | Country::Ru => "8",
        Country::Cl
        | Country::Cz
        | Country::Dk
        | Country::Ee
        | Country::Es
        | Country::Gr
        | Country::It
        | Country::Mx
        | Country::No
        | Country::Pl
        | Country::Pt
        | Country::Sg => "",
        Country::At
        | Country::Au
        | Country::Be
        | Country::Bg
        | Country::Br
        | Country::Ch
        | Country::Cn
        | Country::De
        | Country::Fi
        | Country::Fr
        | Country::Id
        | Country::Il
        | Country::In
        | Country::Jp
        | Country::My
        | Country::Nl
        | Country::Nz
        | Country::Ph
        | Country::Se
        | Country::Th
        | Country::Tw
        | Country::Uk
        | Country::Ve
        | Country::Za => "0",
    }
}

/// What is dialled before a number of another country (ITU-T E.123: the international prefix).
pub const fn international_prefix(country: Country) -> &'static str {
    match country {
        Country::Us => "011",
        Country::Au => "0011",
        Country::Jp => "010",
        Country::Ru => "810",
        Country::Id | Country::Sg | Country::Th => "001",
        Country::Tw => "002",
        _zero_zero => "00",
    }
}

#[cfg(test)]
mod tests;
