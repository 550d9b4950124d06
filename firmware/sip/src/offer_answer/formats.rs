//! What goes with a codec: its packet length and its telephone-event.

use types::Codec;

use crate::sdp::{Format, SdpLine};

/// The packet length nearest below the one wished for that `codec` can do, in ms.
pub(super) fn ptime(codec: Codec, wish: u32) -> u8 {
    let steps: &[u8] = match codec {
        Codec::Opus => &[60, 40, 20, 10],
        Codec::G722 | Codec::Pcmu | Codec::Pcma => &[60, 50, 40, 30, 20, 10],
    };
    steps
        .iter()
        .copied()
        .find(|step| u32::from(*step) <= wish)
        .unwrap_or(10)
}

/// The telephone-event format that goes with a codec: the one of its clock, else any (RFC 4733
/// section 2.1 wants the same clock; phones that offer Opus with telephone-event/8000 are many, and
/// digits are worth more than the rule).
pub(super) fn pick_event(line: &SdpLine, codec: Codec) -> Option<(u8, u32)> {
    let events = || {
        line.formats.iter().filter_map(|(pt, format)| match format {
            Format::Event(clock @ (8_000 | 48_000)) => Some((*pt, *clock)),
            Format::Event(_) | Format::Codec(_) | Format::ComfortNoise | Format::Unknown => None,
        })
    };
    events()
        .find(|(_, clock)| *clock == codec.rtp_clock_hz())
        .or_else(|| events().next())
}
