//! How Opus is sent as the network and the board allow: bitrate and redundancy follow the loss the
//! far end reports, complexity follows the time the board has.
//!
//! ```text
//! report (5 s): loss ≤ 10 % ─▶ as much redundancy as is lost; bitrate climbs back, a step in 15 s
//!               loss > 10 % twice in a row ─▶ the way is full: bitrate falls a step
//! period begun too late ─▶ complexity falls;   a minute in time ─▶ it climbs back
//! ```
//!
//! Fast down and slow up, each way with a memory, so that no single report or period moves
//! anything to and fro.

/// How much of the loss once reported is still believed at the next report: a calm one of five
/// seconds does not mean that the loss is over.
const LOSS_KEPT: f32 = 0.7;
/// Most loss that is set in libopus: beyond it the copies cost the sound more than they
/// save (measured).
const MOST_LOSS: f32 = 0.10;
/// Reports in a row with more loss than that which mean a way that is full.
const FULL_REPORTS: u8 = 2;
/// Reports in a row with less than [`CALM`] after which the bitrate climbs a step.
const CALM_REPORTS: u8 = 3;
const CALM: f32 = 0.03;
/// A step of the bitrate: three quarters down, the same up.
const STEP: f32 = 0.75;
/// Wideband speech needs so many bits a second (RFC 7587 section 3.1.1); less is not gone to unless
/// the far end wants it.
const LEAST_BITRATE: u32 = 16_000;
/// libopus' complexity: what is heard as good as the best, and how far it may fall.
pub(crate) const BEST_COMPLEXITY: u8 = 5;
const STEP_COMPLEXITY: u8 = 2;
/// Seconds without a late period after which complexity climbs by one.
const IN_TIME_S: u16 = 60;

/// What the encoder is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpusSettings {
    /// Bits a second.
    pub(crate) bitrate: u32,
    /// Loss redundancy is made for, in per cent.
    pub(crate) loss_percent: u8,
    /// 0 to 10.
    pub(crate) complexity: u8,
}

/// The control of one stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpusControl {
    /// What is set, or suits, and no more than the far end wants.
    most_bitrate: u32,
    bitrate: u32,
    loss: f32,
    full: u8,
    calm: u8,
    complexity: u8,
    in_time_s: u16,
}

impl OpusControl {
    /// With this bitrate as long as nothing is lost.
    pub(crate) fn new(bitrate: u32) -> Self {
        Self {
            most_bitrate: bitrate,
            bitrate,
            loss: 0.0,
            full: 0,
            calm: 0,
            complexity: BEST_COMPLEXITY,
            in_time_s: 0,
        }
    }

    /// Goes on from the stream this one replaces, within its own limit.
    pub(crate) fn continue_from(&mut self, old: &Self) {
        *self = Self {
            most_bitrate: self.most_bitrate,
            bitrate: old.bitrate.min(self.most_bitrate),
            ..*old
        };
        if old.bitrate == old.most_bitrate {
            self.bitrate = self.most_bitrate;
        }
    }

    /// The far end reports that it loses this share of our packets.
    pub(crate) fn on_report(&mut self, share: f32) -> OpusSettings {
        let share = if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.loss = share.max(self.loss * LOSS_KEPT);
        if share > MOST_LOSS {
            (self.full, self.calm) = (self.full.saturating_add(1), 0);
        } else {
            self.full = 0;
            self.calm = if share < CALM {
                self.calm.saturating_add(1)
            } else {
                0
            };
        }
        if self.full >= FULL_REPORTS {
            self.full = 0;
            let least = LEAST_BITRATE.min(self.most_bitrate);
            self.bitrate = ((self.bitrate as f32 * STEP) as u32).max(least);
        } else if self.calm >= CALM_REPORTS {
            self.calm = 0;
            self.bitrate = ((self.bitrate as f32 / STEP) as u32).min(self.most_bitrate);
        }
        self.settings()
    }

    /// A period of the card began too late: the board has not the time.
    pub(crate) fn on_late_period(&mut self) -> OpusSettings {
        // One stall is one step, however many periods it made late.
        if self.in_time_s > 0 || self.complexity == BEST_COMPLEXITY {
            self.complexity = self.complexity.saturating_sub(STEP_COMPLEXITY);
        }
        self.in_time_s = 0;
        self.settings()
    }

    /// A second is over. Some: the settings changed.
    pub(crate) fn on_second(&mut self) -> Option<OpusSettings> {
        self.in_time_s = self.in_time_s.saturating_add(1);
        if self.complexity == BEST_COMPLEXITY || !self.in_time_s.is_multiple_of(IN_TIME_S) {
            return None;
        }
        self.complexity += 1;
        Some(self.settings())
    }

    pub(crate) fn settings(&self) -> OpusSettings {
        OpusSettings {
            bitrate: self.bitrate,
            loss_percent: (self.loss.min(MOST_LOSS) * 100.0) as u8,
            complexity: self.complexity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_loss_brings_redundancy_and_costs_no_bitrate() {
        let mut control = OpusControl::new(40_000);
        for _ in 0..50 {
            let settings = control.on_report(0.05);
            assert_eq!((settings.bitrate, settings.loss_percent), (40_000, 5));
        }
        assert_eq!(control.on_report(0.4).loss_percent, 10, "never more");
        // It is believed for a while, and then no more.
        assert_eq!(control.on_report(0.0).loss_percent, 10);
        let mut left = 10;
        for _ in 0..12 {
            let now = control.on_report(0.0).loss_percent;
            assert!(now <= left);
            left = now;
        }
        assert_eq!(left, 0);
    }

    #[test]
    fn one_bad_report_moves_nothing() {
        let mut control = OpusControl::new(40_000);
        for share in [0.5, 0.0, 0.5, 0.0, 0.2, 0.09, 0.3] {
            assert_eq!(control.on_report(share).bitrate, 40_000, "{share}");
        }
    }

    #[test]
    fn a_full_way_gets_less_and_soon_and_more_again_slowly() {
        let mut control = OpusControl::new(40_000);
        let down: Vec<u32> = (0..8).map(|_| control.on_report(0.2).bitrate).collect();
        assert_eq!(
            down,
            [
                40_000, 30_000, 30_000, 22_500, 22_500, 16_875, 16_875, 16_000
            ]
        );
        // Neither calm nor full: it stays.
        for _ in 0..20 {
            assert_eq!(control.on_report(0.05).bitrate, 16_000);
        }
        let up: Vec<u32> = (0..12).map(|_| control.on_report(0.0).bitrate).collect();
        assert_eq!(up[1], 16_000);
        assert_eq!(
            (up[2], up[5], up[8], up[11]),
            (21_333, 28_444, 37_925, 40_000)
        );
    }

    /// A way that carries 25 kbit/s: the bitrate stays about there, and changes seldom.
    #[test]
    fn at_a_bottleneck_it_settles() {
        let mut control = OpusControl::new(40_000);
        let (mut bitrate, mut changes) = (40_000, 0);
        for report in 0..200 {
            let share = (1.0 - 25_000.0 / bitrate as f32).max(0.0);
            let now = control.on_report(share).bitrate;
            changes += u32::from(now != bitrate);
            bitrate = now;
            assert!(
                report < 5 || (16_000..=34_000).contains(&bitrate),
                "{bitrate}"
            );
        }
        assert!(changes < 100, "{changes} changes in 200 reports");
    }

    #[test]
    fn what_the_far_end_wants_is_the_most() {
        let mut control = OpusControl::new(12_000);
        for share in [0.3, 0.3, 0.3, 0.0, 0.0, 0.0, 0.0, f32::NAN, -1.0, 7.0] {
            assert_eq!(control.on_report(share).bitrate, 12_000);
        }
        let mut wide = OpusControl::new(40_000);
        for _ in 0..4 {
            wide.on_report(0.5);
        }
        let mut next = OpusControl::new(20_000);
        next.continue_from(&wide);
        assert_eq!(next.settings().bitrate, 20_000);
        let mut next = OpusControl::new(64_000);
        next.continue_from(&wide);
        assert_eq!(next.settings().bitrate, 22_500, "what was learnt stays");
    }

    #[test]
    fn a_stall_is_one_step_and_a_minute_in_time_another() {
        let mut control = OpusControl::new(40_000);
        for _ in 0..20 {
            assert_eq!(control.on_late_period().complexity, 3);
        }
        assert_eq!(control.on_second(), None);
        assert_eq!(control.on_late_period().complexity, 1);
        control.on_second();
        assert_eq!(control.on_late_period().complexity, 0);
        let mut changes = Vec::new();
        for second in 1..400 {
            if let Some(settings) = control.on_second() {
                changes.push((second, settings.complexity));
            }
        }
        assert_eq!(changes, [(60, 1), (120, 2), (180, 3), (240, 4), (300, 5)]);
    }
}
