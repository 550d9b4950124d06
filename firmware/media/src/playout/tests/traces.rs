//! Recorded networks: how much is missed at how much delay, beside other buffers on the same
//! arrivals.

use super::rig::Rig;

struct Packet {
    arrival_ms: f64,
    sequence: i64,
    timestamp: i64,
}

struct Trace {
    name: String,
    clock_hz: u32,
    packets: Vec<Packet>,
    frame_ms: f64,
}

fn traces() -> Option<Vec<Trace>> {
    let text = testkit::data::read_text("recorded_networks", "jitter/traces.json")?;
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut out = Vec::new();
    for entry in list["traces"].as_array().unwrap() {
        let csv = entry["csv"].as_str().unwrap();
        let clock_hz = entry["clock"].as_u64().unwrap() as u32;
        let pt = entry["pt"].as_u64().unwrap().to_string();
        let text = testkit::data::read_text("recorded_networks", csv).unwrap();
        let (mut packets, mut last): (Vec<Packet>, (i64, i64)) = (Vec::new(), (0, 0));
        for line in text.lines().skip(1) {
            let f: Vec<&str> = line.split(',').collect();
            if f[3] != pt {
                continue;
            }
            let (seq, ts): (i64, i64) = (f[1].parse().unwrap(), f[2].parse().unwrap());
            let (mut s, mut t) = (seq, ts);
            if !packets.is_empty() {
                s = last.0 + i64::from((seq as u16).wrapping_sub(last.0 as u16) as i16);
                t = last.1 + i64::from((ts as u32).wrapping_sub(last.1 as u32) as i32);
            }
            last = (s, t);
            packets.push(Packet {
                arrival_ms: f[0].parse().unwrap(),
                sequence: s,
                timestamp: t,
            });
        }
        let mut steps: Vec<i64> = packets
            .windows(2)
            .filter(|w| w[1].sequence == w[0].sequence + 1)
            .map(|w| w[1].timestamp - w[0].timestamp)
            .collect();
        steps.sort_unstable();
        let frame_ms = steps[steps.len() / 2] as f64 * 1000.0 / f64::from(clock_hz);
        packets.sort_by(|a, b| a.arrival_ms.total_cmp(&b.arrival_ms));
        out.push(Trace {
            name: csv
                .rsplit('/')
                .next()
                .unwrap()
                .trim_end_matches(".csv")
                .to_owned(),
            clock_hz,
            packets,
            frame_ms,
        });
    }
    Some(out)
}

impl Trace {
    fn lateness(&self) -> Vec<f64> {
        let transit: Vec<f64> = self
            .packets
            .iter()
            .map(|p| p.arrival_ms - p.timestamp as f64 * 1000.0 / f64::from(self.clock_hz))
            .collect();
        let least = transit.iter().copied().fold(f64::INFINITY, f64::min);
        transit.iter().map(|t| t - least).collect()
    }

    fn lost_ms(&self) -> f64 {
        let first = self.packets.iter().map(|p| p.sequence).min().unwrap();
        let last = self.packets.iter().map(|p| p.sequence).max().unwrap();
        (last - first + 1 - self.packets.len() as i64) as f64 * self.frame_ms
    }

    fn total_ms(&self) -> f64 {
        self.packets.len() as f64 * self.frame_ms
    }

    /// A buffer of one fixed delay: the share of sound that comes too late for it.
    fn fixed(&self, delay_ms: f64) -> f64 {
        let late = self.lateness();
        late.iter().filter(|&&l| l > delay_ms).count() as f64 / late.len() as f64 * 100.0
    }

    /// The rule WebRTC's `NetEq` publishes: greatest lateness of each half second into buckets of
    /// 20 ms, quantile 0.95, forgetting 0.983, start at 80 ms; the delay is believed to follow its
    /// target at once, which flatters it.
    fn neteq(&self) -> (f64, f64) {
        let (mut buckets, mut target, mut sum, mut missed) = ([0.0f64; 400], 80.0, 0.0, 0u32);
        let (mut window_end, mut worst) = (500.0, 0.0f64);
        let mut recent: std::collections::VecDeque<(f64, f64)> = std::collections::VecDeque::new();
        let mut weight = 0.0;
        for p in &self.packets {
            let transit = p.arrival_ms - p.timestamp as f64 * 1000.0 / f64::from(self.clock_hz);
            recent.push_back((p.arrival_ms, transit));
            while recent.front().is_some_and(|r| r.0 < p.arrival_ms - 2000.0) {
                recent.pop_front();
            }
            let late = transit - recent.iter().map(|r| r.1).fold(f64::INFINITY, f64::min);
            missed += u32::from(late > target);
            sum += target;
            worst = worst.max(late);
            if p.arrival_ms > window_end {
                window_end = p.arrival_ms + 500.0;
                for b in &mut buckets {
                    *b *= 0.983;
                }
                weight = weight * 0.983 + 1.0;
                buckets[((worst / 20.0) as usize).min(399)] += 1.0;
                worst = 0.0;
                let mut below = 0.0;
                for (i, b) in buckets.iter().enumerate() {
                    below += b;
                    if below >= 0.95 * weight {
                        target = (i + 1) as f64 * 20.0;
                        break;
                    }
                }
            }
        }
        (
            sum / self.packets.len() as f64,
            f64::from(missed) / self.packets.len() as f64 * 100.0,
        )
    }

    /// Ours: mean playout delay, share of sound made up that was not lost on the way, share of
    /// packets not played.
    fn ours(&self) -> (f64, f64, f64, crate::playout::Counts) {
        let mut rig = Rig::new(self.clock_hz);
        let base = self.packets[0].timestamp - (1 << 32);
        for p in &self.packets {
            rig.put(
                p.sequence,
                p.timestamp - base,
                self.frame_ms,
                p.arrival_ms + 100.0,
            );
        }
        let c = rig.playout.counts();
        let fastest = self
            .packets
            .iter()
            .map(|p| {
                p.arrival_ms + 100.0
                    - (p.timestamp - base) as f64 * 1000.0 / f64::from(self.clock_hz)
            })
            .fold(f64::INFINITY, f64::min);
        let delay =
            rig.transits.iter().map(|t| t - fastest).sum::<f64>() / rig.transits.len() as f64;
        let late_loss = ((c.concealed_ms - self.lost_ms()) / self.total_ms() * 100.0).max(0.0);
        let dropped = (c.skipped + rig.inserted[1]) as f64 / self.packets.len() as f64 * 100.0;
        (delay, late_loss, dropped, c)
    }
}

#[test]
fn recorded_networks_are_weathered_better_than_by_other_buffers() {
    let Some(traces) = traces() else {
        return;
    };
    println!(
        "{:34} {:>8} {:>7} {:>7} | fixed at our delay | NetEq's rule    | fixed 60 / 100 ms",
        "trace", "delay ms", "late %", "drop %"
    );
    for trace in &traces {
        let (delay, late, dropped, counts) = trace.ours();
        let fixed = trace.fixed(delay);
        let (neteq_delay, neteq_late) = trace.neteq();
        println!(
            "{:34} {delay:8.1} {late:7.2} {dropped:7.2} | {fixed:17.2}% | {neteq_delay:5.0} ms \
             {neteq_late:5.2} % | {:5.2} % {:5.2} %   (+{} −{})",
            trace.name,
            trace.fixed(60.0),
            trace.fixed(100.0),
            counts.lengthened,
            counts.shortened,
        );
        // A tenth, or half a per cent, is the noise of so few packets.
        let missed = late + dropped;
        assert!(
            missed <= (fixed * 1.1).max(0.5),
            "{}: more is missed than by a fixed buffer of the same delay",
            trace.name
        );
        // What phones ship with misses more wherever there is jitter to speak of.
        assert!(
            missed <= trace.fixed(60.0).max(0.5),
            "{}: more is missed than by a fixed buffer of 60 ms",
            trace.name
        );
    }
}
