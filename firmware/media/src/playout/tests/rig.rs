//! A player under virtual time: packets of a known voice go in by hand, periods come out.

use std::time::{Duration, Instant};

use types::Codec;

use crate::codec::g711::Law;
use crate::playout::*;
use crate::time::test_origin;

pub(super) const PERIOD_MS: f64 = 5.0;

/// A voice that is a function of its sample number: vowels with pauses, 8 kHz, over again every 40
/// s.
pub(super) fn voice(n: i64) -> i16 {
    static SAID: std::sync::OnceLock<Vec<i16>> = std::sync::OnceLock::new();
    let said = SAID.get_or_init(|| (0..320_000).map(say).collect());
    said[n.rem_euclid(said.len() as i64) as usize]
}

fn say(n: i64) -> i16 {
    let t = n as f64 / 8000.0;
    let syllable = (0.5 - 0.5 * (t * 3.7 * std::f64::consts::TAU).cos()).sqrt();
    let word = if (t * 0.4).fract() < 0.8 { 1.0 } else { 0.0 };
    // The phase is the integral of 130 + 20 sin(2 t) Hz.
    let phase = (130.0 * t - 10.0 * ((2.0 * t).cos() - 1.0)) * std::f64::consts::TAU;
    let sum: f64 = (1..9)
        .map(|k| (f64::from(k) * phase).sin() / f64::from(k))
        .sum();
    (sum * syllable * word * 6000.0) as i16
}

pub(super) struct Rig {
    pub(super) playout: Playout,
    pub(super) decoders: [Decoder; 1],
    start: Instant,
    /// Time of the next period after the start.
    pub(super) now_ms: f64,
    pub(super) heard: Vec<i16>,
    /// Playout delay of each period.
    pub(super) delays: Vec<f64>,
    /// The same with the transit of the fastest packet added.
    pub(super) transits: Vec<f64>,
    clock_hz: u32,
    /// Packets that came and were taken, came late, came twice.
    pub(super) inserted: [u64; 3],
}

impl Rig {
    pub(super) fn new(clock_hz: u32) -> Self {
        Self {
            playout: Playout::new(8000, 8000, clock_hz, PERIOD_MS),
            decoders: [Decoder::new(Codec::Pcmu, 8000).unwrap()],
            start: test_origin(),
            now_ms: 0.0,
            heard: Vec::new(),
            delays: Vec::new(),
            transits: Vec::new(),
            clock_hz,
            inserted: [0; 3],
        }
    }

    /// A packet of `frame_ms` of the voice arrives at `at_ms`; periods before it are played first.
    pub(super) fn put(
        &mut self,
        sequence: i64,
        timestamp: i64,
        frame_ms: f64,
        at_ms: f64,
    ) -> Inserted {
        self.play_until(at_ms);
        let first = timestamp * 8000 / i64::from(self.clock_hz);
        let payload: Vec<u8> = (0..(frame_ms * 8.0) as i64)
            .map(|n| Law::Mu.compress(voice(first + n)))
            .collect();
        let inserted = self.playout.insert(
            Head {
                sequence,
                timestamp,
                kind: Kind::Sound(0),
            },
            &payload,
            self.start + Duration::from_secs_f64(at_ms / 1000.0),
        );
        match inserted {
            Inserted::Stored => self.inserted[0] += 1,
            Inserted::Late => self.inserted[1] += 1,
            Inserted::Duplicate => self.inserted[2] += 1,
            Inserted::TooLarge => {}
        }
        inserted
    }

    pub(super) fn play_until(&mut self, until_ms: f64) {
        while self.now_ms < until_ms {
            let mut out = [0; 40];
            let now = self.start + Duration::from_secs_f64(self.now_ms / 1000.0);
            self.playout.pull(&mut self.decoders, &mut out, now, 0.0);
            self.heard.extend_from_slice(&out);
            if self.playout.played_first() {
                self.delays.push(self.playout.delay_ms());
                self.transits
                    .push(self.playout.delay_ms() + self.playout.delay().floor_ms(self.start));
            }
            self.now_ms += PERIOD_MS;
        }
    }
}
