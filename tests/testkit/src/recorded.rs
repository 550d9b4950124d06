//! Networks of the test data as a source of 20 ms packets meets them: which packets arrive, and
//! when.
//!
//! ```text
//! G.191 pattern (soft bits of frames, erased ones zero) ─▶ packet n is lost | arrives at 20 · n ms
//! arrival trace (arrival_ms, seq, rtp_ts, …) ────────────▶ packet n arrives when it did then, or never
//! ```

use std::time::Duration;

/// The time of a packet.
const PACKET: Duration = Duration::from_millis(20);

/// A frame of the patterns for 8 kbit/s coders: two halves of soft bits, and padding.
const FRAME: usize = 512;
/// Half of the bits of a frame.
const HALF: usize = 228;

/// One packet that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When, counted from when the first one is sent.
    pub at: Duration,
    /// Which one, in the order of sending.
    pub packet: u32,
}

/// Of so many packets all but those that `is_lost` names, each when it is sent.
pub fn without(packets: u32, is_lost: impl Fn(u32) -> bool) -> Vec<Arrival> {
    let sent = (0..packets).filter(|&packet| !is_lost(packet));
    sent.map(|packet| Arrival {
        at: PACKET * packet,
        packet,
    })
    .collect()
}

/// Which frames of an erasure pattern of ITU-T G.191 (`eid-8k`, 0x7F or 0x81 for a bit that arrived
/// and 0 for one that was erased) did not arrive whole: a packet is there or not, so one half that
/// was erased takes all of it.
pub fn erased_frames(pattern: &[u8]) -> Vec<bool> {
    let frames = pattern.chunks_exact(FRAME);
    let is_erased = |frame: &[u8]| {
        let mut halves = frame[..2 * HALF].chunks_exact(HALF);
        halves.any(|half| half.iter().all(|&bit| bit == 0))
    };
    frames.map(is_erased).collect()
}

/// The packets of a recorded call in the order in which they arrived, from the first one on, for so
/// many packets. The trace is a table with a heading: arrival in ms, sequence number, timestamp.
/// `clock_hz` is its RTP clock; packets of another duration than 20 ms do not belong here.
pub fn arrivals(trace: &str, clock_hz: u32, packets: u32) -> Vec<Arrival> {
    let ticks = clock_hz * PACKET.as_millis() as u32 / 1000;
    let (mut first, mut all) = (None, Vec::new());
    for line in trace.lines().skip(1) {
        let mut columns = line.split(',');
        let at_ms: f64 = columns.next().unwrap().parse().unwrap();
        let timestamp: u32 = columns.nth(1).unwrap().parse().unwrap();
        let since = timestamp.wrapping_sub(*first.get_or_insert(timestamp));
        assert_eq!(since % ticks, 0, "a packet that is not of 20 ms: {line}");
        if since / ticks < packets {
            all.push(Arrival {
                at: Duration::from_secs_f64(at_ms / 1000.0),
                packet: since / ticks,
            });
        }
    }
    all
}

/// How many of so many packets do not arrive, in percent.
pub fn loss_percent(arrivals: &[Arrival], packets: u32) -> f64 {
    100.0 - 100.0 * arrivals.len() as f64 / f64::from(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths of the runs of lost frames.
    fn runs(erased: &[bool]) -> Vec<usize> {
        let runs = erased.split(|&erased| !erased).map(<[bool]>::len);
        runs.filter(|&length| length > 0).collect()
    }

    #[test]
    fn half_a_frame_of_a_pattern_is_a_lost_packet() {
        let whole = [0x7F; 2 * HALF];
        let mut pattern = Vec::new();
        for erased in [None, Some(0..HALF), None, Some(HALF..2 * HALF)] {
            let mut frame = whole;
            // A part of a half is no erasure: bits that the coder left open.
            frame[..40].fill(0);
            if let Some(half) = erased {
                frame[half].fill(0);
            }
            pattern.extend(frame);
            pattern.extend([0; FRAME - 2 * HALF]);
        }
        assert_eq!(erased_frames(&pattern), [false, true, false, true]);
    }

    #[test]
    fn the_patterns_of_g_191_lose_in_bursts() {
        for (name, lost, longest) in [("patb3pct", 23, 5), ("patb5pct", 54, 6)] {
            let file = format!("jitter/g191-eid/{name}.ref");
            let Some(pattern) = crate::data::read("patterns_of_g_191", &file) else {
                return;
            };
            let erased = erased_frames(&pattern);
            assert_eq!(erased.len(), 1000);
            assert_eq!(erased.iter().filter(|&&erased| erased).count(), lost);
            assert_eq!(runs(&erased).into_iter().max(), Some(longest), "{name}");
        }
    }

    #[test]
    fn a_trace_keeps_the_order_and_the_holes_of_its_packets() {
        let trace = "arrival_ms,seq,rtp_ts,pt,marker,rtp_bytes\n\
                     0.000,65535,4294967200,0,0,172\n\
                     73.500,1,224,0,0,172\n\
                     74.000,0,64,0,0,172\n\
                     99.000,3,544,0,0,172\n";
        let all = arrivals(trace, 8000, 4);
        let seen: Vec<_> = all.iter().map(|a| (a.packet, a.at.as_micros())).collect();
        assert_eq!(seen, [(0, 0), (2, 73_500), (1, 74_000)]);
        assert!((loss_percent(&all, 4) - 25.0).abs() < 1e-9);
        assert_eq!(without(4, |packet| packet == 2)[2].at, PACKET * 3);
    }
}
