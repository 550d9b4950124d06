//! The jitter buffer's behaviour as scenario files: what the network does, and what must be heard.
//!
//! | line | meaning |
//! |---|---|
//! | `frame 20` | packets are so many ms long from now on |
//! | `put 50` | packets, one each frame time |
//! | `jitter 10 50` | 50 packets, each up to 10 ms late, by a seed |
//! | `lost 2` | packets that never come |
//! | `late 60` | one packet 60 ms late, the ones after it on time |
//! | `swap` | two packets in the wrong order, both at the later one's time |
//! | `twice 5` | packets that come twice |
//! | `stall 200` | nothing for so long, then everything at once |
//! | `pause 500` | the far end says nothing: its clock goes on, its numbers do not |
//! | `still 700` | nothing for so long, and its clock does not go on either |
//! | `ahead 700` | its clock jumps forward by so many ms |
//! | `sleep 100` | the card is not served for so long, and says so |
//! | `jump 10000` | the far clock jumps by ticks (a restart: `receive` wants two packets) |
//! | `forget` | counts from here on |
//! | `expect delay 5 12` | mean playout delay of the last 100 ms, in ms, within |
//! | `expect concealed 0 5` | ms; also `late`, `doubled`, `skipped`, `shortened`, `lengthened` |

mod rig;
mod traces;

use rig::Rig;

struct Script {
    rig: Rig,
    sequence: i64,
    timestamp: i64,
    frame_ms: f64,
    /// When the next packet is sent.
    at_ms: f64,
    seed: u32,
    base: [f64; 6],
}

impl Script {
    fn next(&mut self) -> (i64, i64, f64) {
        let packet = (self.sequence, self.timestamp, self.at_ms);
        self.sequence += 1;
        self.timestamp += (self.frame_ms * 8.0) as i64;
        self.at_ms += self.frame_ms;
        packet
    }

    fn put(&mut self, late_ms: f64) {
        let (sequence, timestamp, at) = self.next();
        self.rig
            .put(sequence, timestamp, self.frame_ms, at + late_ms);
    }

    fn counts(&self) -> [f64; 6] {
        let c = self.rig.playout.counts();
        [
            c.concealed_ms,
            self.rig.inserted[1] as f64,
            self.rig.inserted[2] as f64,
            c.skipped as f64,
            c.shortened as f64,
            c.lengthened as f64,
        ]
    }

    fn line(&mut self, words: &[&str]) -> Result<(), String> {
        let number = |i: usize| {
            words
                .get(i)
                .and_then(|w| w.parse::<f64>().ok())
                .ok_or(format!("word {i} must be a number"))
        };
        match words[0] {
            "frame" => self.frame_ms = number(1)?,
            "put" => (0..number(1)? as u32).for_each(|_| self.put(0.0)),
            "jitter" => {
                let mut waiting: Vec<(f64, i64, i64)> = Vec::new();
                for _ in 0..number(2)? as u32 {
                    self.seed = self
                        .seed
                        .wrapping_mul(1_664_525)
                        .wrapping_add(1_013_904_223);
                    let (sequence, timestamp, at) = self.next();
                    waiting.push((
                        at + f64::from(self.seed >> 8) / f64::from(1 << 24) * number(1)?,
                        sequence,
                        timestamp,
                    ));
                }
                waiting.sort_by(|a, b| a.0.total_cmp(&b.0));
                for (at, sequence, timestamp) in waiting {
                    self.rig.put(sequence, timestamp, self.frame_ms, at);
                }
            }
            "lost" => (0..number(1)? as u32).for_each(|_| {
                self.next();
            }),
            "late" => {
                let (sequence, timestamp, at) = self.next();
                let due = at + number(1)?;
                while self.at_ms < due {
                    self.put(0.0);
                }
                self.rig.put(sequence, timestamp, self.frame_ms, due);
            }
            "swap" => {
                let (first, second) = (self.next(), self.next());
                self.rig.put(second.0, second.1, self.frame_ms, second.2);
                self.rig.put(first.0, first.1, self.frame_ms, second.2);
            }
            "twice" => (0..number(1)? as u32).for_each(|_| {
                let (sequence, timestamp, at) = self.next();
                self.rig.put(sequence, timestamp, self.frame_ms, at);
                self.rig.put(sequence, timestamp, self.frame_ms, at);
            }),
            "stall" => {
                let end = self.at_ms + number(1)?;
                while self.at_ms <= end {
                    let (sequence, timestamp, _) = self.next();
                    self.rig.put(sequence, timestamp, self.frame_ms, end);
                }
            }
            "pause" => {
                self.timestamp += (number(1)? * 8.0) as i64;
                self.at_ms += number(1)?;
            }
            "still" => self.at_ms += number(1)?,
            "ahead" => self.timestamp += (number(1)? * 8.0) as i64,
            "sleep" => {
                // Packets are still taken in (the kernel stamps them), but the card is not served.
                self.rig.play_until(self.at_ms);
                self.rig.now_ms += number(1)?;
                self.rig.playout.realign();
                while self.at_ms < self.rig.now_ms {
                    self.put(0.0);
                }
            }
            "jump" => {
                self.timestamp += number(1)? as i64;
                self.rig.playout.restart();
            }
            "forget" => self.base = self.counts(),
            "expect" => {
                self.rig.play_until(self.at_ms);
                let what = *words.get(1).ok_or("expect what?")?;
                let value = if what == "delay" {
                    let d = &self.rig.delays[self.rig.delays.len().saturating_sub(20)..];
                    d.iter().sum::<f64>() / d.len() as f64
                } else {
                    let names = [
                        "concealed",
                        "late",
                        "doubled",
                        "skipped",
                        "shortened",
                        "lengthened",
                    ];
                    let i = names
                        .iter()
                        .position(|n| *n == what)
                        .ok_or(format!("{what} is unknown"))?;
                    self.counts()[i] - self.base[i]
                };
                if !(number(2)?..=number(3)?).contains(&value) {
                    return Err(format!("{what} is {value:.2}"));
                }
            }
            other => return Err(format!("{other} is no word of this language")),
        }
        Ok(())
    }
}

fn run(name: &str, text: &str) {
    let mut title = "";
    let mut script = None;
    let mut scenarios = 0;
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if let Some(rest) = line.strip_prefix('=') {
            title = rest.trim();
            scenarios += 1;
            script = Some(Script {
                rig: Rig::new(8000),
                sequence: 1000,
                timestamp: 1 << 32,
                frame_ms: 20.0,
                at_ms: 100.0,
                seed: 7,
                base: [0.0; 6],
            });
        } else if !line.is_empty() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let script = script.as_mut().expect("a scenario begins with =");
            if let Err(error) = script.line(&words) {
                panic!("{name}:{}: {title}: `{line}`: {error}", n + 1);
            }
        }
    }
    assert!(scenarios > 0);
}

#[test]
fn scenarios_of_the_network() {
    run("network.txt", include_str!("scenarios/network.txt"));
}

#[test]
fn scenarios_of_the_far_end() {
    run("far_end.txt", include_str!("scenarios/far_end.txt"));
}

#[test]
fn a_scenario_can_fail() {
    let failed =
        std::panic::catch_unwind(|| run("itself", "= wrong\nput 50\nexpect delay 100 200"));
    assert!(failed.is_err());
}

/// Bit by bit what was sent, once the delay is steady: nothing on the way touches sound that
/// needs no touch.
#[test]
fn undisturbed_sound_passes_untouched() {
    let mut rig = Rig::new(8000);
    for i in 0..1000i64 {
        rig.put(i, i * 160, 20.0, 100.0 + i as f64 * 20.0);
    }
    let law = |n: i64| {
        use crate::codec::g711::Law;
        Law::Mu.expand(Law::Mu.compress(rig::voice(n)))
    };
    let tail = &rig.heard[rig.heard.len() - 16_000..];
    let shift = (0..160_000)
        .find(|&s| (0..400).all(|i| tail[i as usize] == law(s + i)))
        .expect("the sent sound is in the heard");
    assert!(
        tail.iter()
            .enumerate()
            .all(|(i, &y)| y == law(shift + i as i64))
    );
}
