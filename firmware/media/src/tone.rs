//! Tones: what a cadence is made of. Plain copyable data, so that it travels through a lock-free queue.

/// Most frequencies in one segment.
pub const MAX_FREQUENCIES: usize = 4;
/// Most segments in one cadence.
pub const MAX_SEGMENTS: usize = 12;

/// How the frequencies of a segment sound together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mix {
    /// All at once, each at the same level; together at the tone's level.
    #[default]
    Sum,
    /// The first, amplitude-modulated (90 %) by the second.
    AmplitudeModulated,
}

/// One step of a cadence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToneSegment {
    /// Frequencies in Hz; zeros are unused, all zero is silence.
    pub frequencies_hz: [u16; MAX_FREQUENCIES],
    /// How they sound together.
    pub mix: Mix,
    /// Length in ms; 0 lasts until the tone is stopped.
    pub length_ms: u16,
    /// `false`: a lead-in, played once.
    pub repeat: bool,
}

/// A whole tone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToneSpec {
    /// The steps; only the first `len` count.
    pub segments: [ToneSegment; MAX_SEGMENTS],
    /// How many steps.
    pub len: u8,
    /// Level in dBm0 (a full-scale sine is +3.14 dBm0, ITU-T G.711).
    pub level_dbm0: f32,
}
