//! A simulated network under virtual time: one [`Link`] per direction between two addresses, each
//! with its own random numbers, so that what happens on one path never changes what is drawn on
//! another.
//!
//! ```text
//! send ─▶ rules (scripted losses, middleboxes) ─▶ outage, loss, duplicate ─▶ delay, jitter ─▶ pop_due
//!                                                        └─▶ capture
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use crate::capture::Capture;
use crate::rng::Rng;

/// Virtual time since the simulation began.
pub type Time = Duration;

/// One UDP datagram on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Payload.
    pub bytes: Vec<u8>,
}

impl Datagram {
    /// Whether it is SIP text whose start line begins like this (`"INVITE"`, `"SIP/2.0 200"`).
    pub fn is_sip(&self, start: &str) -> bool {
        self.bytes.starts_with(start.as_bytes())
    }

    /// Whether its CSeq names this method.
    pub fn is_about(&self, method: &str) -> bool {
        let text = String::from_utf8_lossy(&self.bytes);
        text.lines().any(|line| {
            line.to_ascii_lowercase().starts_with("cseq:") && line.trim_end().ends_with(method)
        })
    }

    /// Whether the first byte says RTP or RTCP (RFC 7983).
    pub fn is_media(&self) -> bool {
        self.bytes
            .first()
            .is_some_and(|first| (128..192).contains(first))
    }
}

/// What a simulated network carries.
pub trait Packet: Clone {
    /// The address it comes from.
    fn source(&self) -> IpAddr;
    /// The address it goes to.
    fn destination(&self) -> IpAddr;
    /// Whether random loss, duplication and outages leave it alone: what a protocol below it would
    /// repair. Rules still see it.
    fn is_reliable(&self) -> bool {
        false
    }
    /// The UDP datagram it is, for the capture.
    fn datagram(&self) -> Option<&Datagram> {
        None
    }
}

impl Packet for Datagram {
    fn source(&self) -> IpAddr {
        self.from.ip()
    }
    fn destination(&self) -> IpAddr {
        self.to.ip()
    }
    fn datagram(&self) -> Option<&Datagram> {
        Some(self)
    }
}

/// Extra, random delay.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Jitter {
    /// None.
    #[default]
    None,
    /// The absolute value of a normal distribution.
    Normal {
        /// Its standard deviation.
        sd: Duration,
    },
    /// Pareto: mostly small, sometimes very large.
    HeavyTail {
        /// Smallest value that is exceeded by the tail.
        scale: Duration,
        /// Tail exponent; the smaller the heavier.
        shape: f64,
        /// Largest value.
        cap: Duration,
    },
}

/// Random loss.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each packet on its own, with this probability.
    Random(f64),
    /// Two states, changed between before each packet (Gilbert–Elliott with a good state that loses
    /// nothing).
    Gilbert {
        /// Probability of good to bad.
        to_bad: f64,
        /// Probability of bad to good.
        to_good: f64,
        /// Loss while bad.
        loss: f64,
    },
}

/// One direction between two addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Fixed delay.
    pub delay: Duration,
    /// Random delay on top.
    pub jitter: Jitter,
    /// Packets never overtake each other by jitter alone (a queue, as real networks have).
    pub keep_order: bool,
    /// Random loss.
    pub loss: Loss,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Probability that a packet is held back, and for how long: later ones overtake it.
    pub hold_back: (f64, Duration),
    /// Times in which nothing passes.
    pub outages: Vec<Range<Time>>,
}

impl Default for Link {
    /// A LAN: half a millisecond, nothing lost.
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(500),
            jitter: Jitter::None,
            keep_order: true,
            loss: Loss::None,
            duplicate: 0.0,
            hold_back: (0.0, Duration::ZERO),
            outages: Vec::new(),
        }
    }
}

/// What a rule does with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAction {
    /// The link decides.
    Pass,
    /// It is lost.
    Drop,
    /// It arrives this much later than the link says.
    Delay(Duration),
    /// It arrives this many times more.
    Duplicate(u32),
}

/// A scripted impairment or middlebox: sees each packet before the link does, and may change it,
/// its addresses included, as an address translator does.
pub type Rule<P = Datagram> = Box<dyn FnMut(&mut P, Time) -> RuleAction>;

struct Path {
    link: Link,
    rng: Rng,
    bad: bool,
    last_arrival: Time,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkCounters {
    /// Packets handed in.
    pub sent: u64,
    /// Packets lost, for whatever reason.
    pub lost: u64,
    /// Copies made.
    pub copies: u64,
}

struct InFlight<P> {
    at: Time,
    order: u64,
    packet: P,
}

impl<P> PartialEq for InFlight<P> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl<P> Eq for InFlight<P> {}
impl<P> PartialOrd for InFlight<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<P> Ord for InFlight<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The network.
pub struct Network<P: Packet = Datagram> {
    seed: u64,
    default: Link,
    paths: BTreeMap<(IpAddr, IpAddr), Path>,
    rules: Vec<(String, Rule<P>)>,
    heap: BinaryHeap<Reverse<InFlight<P>>>,
    order: u64,
    counters: NetworkCounters,
    /// Every datagram that was sent.
    pub capture: Capture,
}

impl<P: Packet> Network<P> {
    /// A network in which every path is the default link.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            default: Link::default(),
            paths: BTreeMap::new(),
            rules: Vec::new(),
            heap: BinaryHeap::new(),
            order: 0,
            counters: NetworkCounters::default(),
            capture: Capture::default(),
        }
    }

    /// What was counted.
    pub fn counters(&self) -> NetworkCounters {
        self.counters
    }

    /// Gives every path this link, from now on.
    pub fn set_default(&mut self, link: Link) {
        for path in self.paths.values_mut() {
            path.link = link.clone();
        }
        self.default = link;
    }

    /// The link from one address to another.
    pub fn link(&mut self, from: IpAddr, to: IpAddr) -> &mut Link {
        &mut self.path(from, to).link
    }

    /// Adds a rule; it sees each packet after the older rules let it pass.
    pub fn add_rule(&mut self, name: &str, rule: impl FnMut(&mut P, Time) -> RuleAction + 'static) {
        self.rules.push((name.to_owned(), Box::new(rule)));
    }

    /// Puts a middlebox before all rules, which may read and change every packet; it takes the
    /// place of the one before. What is encrypted is as opaque to it as to any box between two
    /// hosts, except where it stands for a proxy that ends the encryption.
    pub fn set_middlebox(&mut self, mut middlebox: impl FnMut(&mut P) + 'static) {
        const NAME: &str = "middlebox";
        self.remove_rule(NAME);
        let rule = move |packet: &mut P, _: Time| {
            middlebox(packet);
            RuleAction::Pass
        };
        self.rules.insert(0, (NAME.to_owned(), Box::new(rule)));
    }

    /// Removes a rule.
    pub fn remove_rule(&mut self, name: &str) {
        self.rules.retain(|(known, _)| known != name);
    }

    fn path(&mut self, from: IpAddr, to: IpAddr) -> &mut Path {
        let (seed, default) = (self.seed, &self.default);
        self.paths.entry((from, to)).or_insert_with(|| Path {
            link: default.clone(),
            rng: Rng::for_purpose(seed, &format!("{from}>{to}")),
            bad: false,
            last_arrival: Time::ZERO,
        })
    }

    /// Sends a packet.
    pub fn send(&mut self, mut packet: P, now: Time) {
        self.counters.sent += 1;
        let mut late = Duration::ZERO;
        let mut extra = 0;
        for (_, rule) in &mut self.rules {
            match rule(&mut packet, now) {
                RuleAction::Pass => {}
                RuleAction::Drop => return self.lose(&packet, now),
                RuleAction::Delay(more) => late += more,
                RuleAction::Duplicate(more) => extra += more,
            }
        }
        let reliable = packet.is_reliable();
        let path = self.path(packet.source(), packet.destination());
        if !reliable {
            if path.loses(now) {
                return self.lose(&packet, now);
            }
            extra += u32::from(path.rng.chance(path.link.duplicate));
        }
        for _ in 0..=extra {
            let path = self.path(packet.source(), packet.destination());
            let at = path.arrival(now) + late;
            self.record(&packet, now, Some(at));
            self.order += 1;
            self.heap.push(Reverse(InFlight {
                at,
                order: self.order,
                packet: packet.clone(),
            }));
        }
        self.counters.copies += u64::from(extra);
    }

    fn lose(&mut self, packet: &P, now: Time) {
        self.counters.lost += 1;
        self.record(packet, now, None);
    }

    fn record(&mut self, packet: &P, now: Time, arrival: Option<Time>) {
        if let Some(datagram) = packet.datagram() {
            self.capture.record(now, arrival, datagram);
        }
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse(next)| next.at)
    }

    /// The next packet that has arrived by now.
    pub fn pop_due(&mut self, now: Time) -> Option<P> {
        self.pop_due_at(now).map(|(_, packet)| packet)
    }

    /// The next packet that has arrived by now, and when it did.
    pub fn pop_due_at(&mut self, now: Time) -> Option<(Time, P)> {
        if self.next_arrival()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(next)| (next.at, next.packet))
    }

    /// Packets under way.
    pub fn in_flight(&self) -> usize {
        self.heap.len()
    }
}

impl Path {
    fn loses(&mut self, now: Time) -> bool {
        if self.link.outages.iter().any(|outage| outage.contains(&now)) {
            return true;
        }
        match self.link.loss {
            Loss::None => false,
            Loss::Random(p) => self.rng.unit() < p,
            Loss::Gilbert {
                to_bad,
                to_good,
                loss,
            } => {
                let turn = self.rng.unit();
                self.bad = if self.bad {
                    turn >= to_good
                } else {
                    turn < to_bad
                };
                self.bad && self.rng.unit() < loss
            }
        }
    }

    fn arrival(&mut self, now: Time) -> Time {
        let jitter = match self.link.jitter {
            Jitter::None => Duration::ZERO,
            Jitter::Normal { sd } => sd.mul_f64(self.rng.normal().abs()),
            Jitter::HeavyTail { scale, shape, cap } => {
                let u = self.rng.unit().max(1e-9);
                cap.min(scale.mul_f64(u.powf(-1.0 / shape) - 1.0))
            }
        };
        let mut at = now + self.link.delay + jitter;
        if self.link.keep_order {
            at = at.max(self.last_arrival);
        }
        let (probability, held) = self.link.hold_back;
        if self.rng.chance(probability) {
            return at + held;
        }
        self.last_arrival = at;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(n: u32) -> Datagram {
        Datagram {
            from: "10.0.0.1:1".parse().unwrap(),
            to: "10.0.0.2:2".parse().unwrap(),
            bytes: n.to_be_bytes().to_vec(),
        }
    }

    /// Sends packets 20 ms apart, returns (number, transit time in ms) in order of arrival.
    fn through(link: Link, seed: u64, count: u32) -> Vec<(u32, f64)> {
        let mut network: Network = Network::new(seed);
        network.set_default(link);
        let mut out = Vec::new();
        for n in 0..count {
            network.send(packet(n), Duration::from_millis(u64::from(n) * 20));
        }
        while let Some(at) = network.next_arrival() {
            let n = u32::from_be_bytes(network.pop_due(at).unwrap().bytes.try_into().unwrap());
            out.push((n, (at.as_secs_f64() - f64::from(n) * 0.02) * 1e3));
        }
        out
    }

    #[test]
    fn a_plain_link_delays_and_keeps_everything() {
        let got = through(
            Link {
                delay: Duration::from_millis(7),
                ..Link::default()
            },
            1,
            50,
        );
        assert_eq!(got.len(), 50);
        assert!(
            got.iter()
                .enumerate()
                .all(|(i, &(n, ms))| n as usize == i && (ms - 7.0).abs() < 1e-6)
        );
    }

    #[test]
    fn random_loss_is_what_was_asked_for_and_the_same_for_the_same_seed() {
        let link = Link {
            loss: Loss::Random(0.1),
            ..Link::default()
        };
        let got = through(link.clone(), 5, 10_000);
        assert!((8_800..9_200).contains(&got.len()), "{}", got.len());
        assert_eq!(got, through(link.clone(), 5, 10_000));
        assert_ne!(got, through(link, 6, 10_000));
    }

    #[test]
    fn gilbert_loss_comes_in_bursts() {
        let got = through(
            Link {
                loss: Loss::Gilbert {
                    to_bad: 0.02,
                    to_good: 0.25,
                    loss: 1.0,
                },
                ..Link::default()
            },
            2,
            50_000,
        );
        let bursts = got
            .windows(2)
            .filter(|pair| pair[1].0 > pair[0].0 + 1)
            .count();
        let lost = 50_000 - got.len();
        let mean = lost as f64 / bursts as f64;
        assert!((3.0..5.0).contains(&mean), "mean burst {mean}");
        assert!(
            (0.05..0.1).contains(&(lost as f64 / 50_000.0)),
            "lost {lost}"
        );
    }

    #[test]
    fn jitter_keeps_order_when_asked_and_hold_back_breaks_it() {
        let jitter = Jitter::Normal {
            sd: Duration::from_millis(30),
        };
        let kept = through(
            Link {
                jitter,
                ..Link::default()
            },
            3,
            2_000,
        );
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(kept.iter().any(|&(_, ms)| ms > 40.0));
        let free = through(
            Link {
                jitter,
                keep_order: false,
                ..Link::default()
            },
            3,
            2_000,
        );
        assert!(free.windows(2).any(|pair| pair[0].0 > pair[1].0));
        let held = through(
            Link {
                hold_back: (0.1, Duration::from_millis(50)),
                ..Link::default()
            },
            3,
            2_000,
        );
        let overtaken = held.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
        assert!((120..280).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn heavy_tail_has_a_small_median_and_rare_giants() {
        let jitter = Jitter::HeavyTail {
            scale: Duration::from_millis(2),
            shape: 1.2,
            cap: Duration::from_millis(300),
        };
        let mut ms: Vec<f64> = through(
            Link {
                jitter,
                keep_order: false,
                ..Link::default()
            },
            4,
            10_000,
        )
        .iter()
        .map(|x| x.1)
        .collect();
        ms.sort_by(f64::total_cmp);
        assert!(ms[5_000] < 4.0, "median {}", ms[5_000]);
        assert!(ms[9_990] > 60.0, "99.9 % {}", ms[9_990]);
        assert!(ms[9_999] <= 300.6);
    }

    #[test]
    fn duplicates_outages_and_rules() {
        assert!(
            (1_050..1_150).contains(
                &through(
                    Link {
                        duplicate: 0.1,
                        ..Link::default()
                    },
                    8,
                    1_000
                )
                .len()
            )
        );
        let outage = Link {
            outages: vec![Duration::from_secs(1)..Duration::from_secs(2)],
            ..Link::default()
        };
        let got = through(outage, 8, 150);
        assert_eq!(got.len(), 100);
        assert!(got.iter().all(|&(n, _)| !(50..100).contains(&n)));
        let mut network: Network = Network::new(1);
        let mut seen = 0;
        network.add_rule("third", move |_, _| {
            seen += 1;
            if seen % 3 == 0 {
                RuleAction::Drop
            } else {
                RuleAction::Pass
            }
        });
        for n in 0..9 {
            network.send(packet(n), Duration::ZERO);
        }
        assert_eq!((network.in_flight(), network.counters().lost), (6, 3));
    }
}
