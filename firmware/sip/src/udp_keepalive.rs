//! Keeping the way through address translators open over UDP, and learning when it changed (RFC
//! 5626 sections 3.5 and 4.4).
//!
//! ```text
//! registered over UDP, seen at another address ─▶ every 23 to 27 s: CRLF CRLF
//!                                                 every third time: OPTIONS ─┬ answered: the address in its Via
//!                                                                            └ silence: the server is lost
//! ```
//!
//! A line end costs the server nothing and opens the way; only an answer shows whether the way
//! leads back. Where it does not again and again, the router forgets sooner than most, and the
//! keepalives come more often; where that does not help, they come as before.

use std::time::{Duration, Instant};

use crate::timer::fire;
use crate::token::Tokens;

/// Between two keepalives: routers forget a UDP mapping after 30 s.
const SHORTEST: Duration = Duration::from_secs(23);
const LONGEST: Duration = Duration::from_secs(27);
/// The same where the router forgot sooner, twice.
const HURRIED: [(Duration, Duration); 2] = [
    (Duration::from_secs(12), Duration::from_secs(14)),
    (Duration::from_secs(6), Duration::from_secs(7)),
];
/// Two other ways within that are no restart of a router.
const MOVED_AGAIN: Duration = Duration::from_secs(300);
/// The same where no translator is to be kept open and only the server is watched.
const WATCH_SHORTEST: Duration = Duration::from_secs(54);
const WATCH_LONGEST: Duration = Duration::from_secs(66);
/// Every so many keepalives one asks for an answer.
const ASK_EVERY: u32 = 3;
/// When another registration of this phone has noticed another way, this one asks within that...
const ASK_SOON: Duration = Duration::from_millis(500);
/// ...but not more often than that: some routers change the way with every packet.
const ASKED_APART: Duration = Duration::from_secs(90);

/// When keepalives are sent over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepaliveMode {
    /// Where the server sees the phone at another address than its own.
    Auto,
    /// Always.
    Always,
    /// Never.
    Off,
}

/// What a flow needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// The way is to be kept open, at most this long apart.
    Open(Option<Duration>),
    /// The server is to be watched: there is another one to go to.
    Watched,
}

/// What to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UdpKeepaliveStep {
    Wait,
    /// CRLF CRLF.
    LineEnd,
    /// OPTIONS.
    Ask,
}

/// The keepalive of one registration over UDP.
#[derive(Debug)]
pub(crate) struct UdpKeepalive {
    need: Need,
    at: Option<Instant>,
    count: u32,
    /// When it last asked out of turn.
    asked: Option<Instant>,
    /// When the way was found to be another one last.
    moved: Option<Instant>,
    /// How often that was too soon; more often than [`HURRIED`] has entries: whatever is done.
    hurry: usize,
}

impl Default for UdpKeepalive {
    fn default() -> Self {
        Self {
            need: Need::Nothing,
            at: None,
            count: 0,
            asked: None,
            moved: None,
            hurry: 0,
        }
    }
}

impl UdpKeepalive {
    /// A registration was granted, or is no more.
    pub(crate) fn set(&mut self, need: Need, tokens: &mut Tokens, now: Instant) {
        if self.need != need || self.at.is_none() {
            self.need = need;
            self.schedule(tokens, now);
        }
    }

    /// The way is another one than at the last answer.
    pub(crate) fn handle_moved(&mut self, tokens: &mut Tokens, now: Instant) {
        let again = self.moved.is_some_and(|at| now < at + MOVED_AGAIN);
        self.moved = Some(now);
        if again && self.hurry <= HURRIED.len() {
            self.hurry += 1;
            self.schedule(tokens, now);
        }
    }

    /// The phone is in another network: what its router did says nothing about this one's.
    pub(crate) fn handle_other_network(&mut self) {
        self.moved = None;
        self.hurry = 0;
    }

    /// The way of another registration changed: most likely this one's, too.
    pub(crate) fn ask_soon(&mut self, tokens: &mut Tokens, now: Instant) {
        let lately = self.asked.is_some_and(|at| now < at + ASKED_APART);
        if !matches!(self.need, Need::Open(_)) || lately {
            return;
        }
        self.asked = Some(now);
        self.count = ASK_EVERY - 1;
        self.at = Some(now + tokens.between(Duration::ZERO, ASK_SOON));
    }

    /// When to call [`UdpKeepalive::handle_timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Its time has come.
    pub(crate) fn handle_timeout(&mut self, tokens: &mut Tokens, now: Instant) -> UdpKeepaliveStep {
        if !fire(&mut self.at, now) {
            return UdpKeepaliveStep::Wait;
        }
        self.schedule(tokens, now);
        self.count = self.count.wrapping_add(1);
        match self.need {
            Need::Nothing => UdpKeepaliveStep::Wait,
            Need::Open(_) if !self.count.is_multiple_of(ASK_EVERY) => UdpKeepaliveStep::LineEnd,
            Need::Open(_) | Need::Watched => UdpKeepaliveStep::Ask,
        }
    }

    fn schedule(&mut self, tokens: &mut Tokens, now: Instant) {
        let (low, high) = match self.need {
            Need::Nothing => {
                self.at = None;
                return;
            }
            Need::Open(limit) => {
                let hurried = self.hurry.checked_sub(1).and_then(|at| HURRIED.get(at));
                let (low, high) = hurried.copied().unwrap_or((SHORTEST, LONGEST));
                // RFC 5626 section 4.4: from 80 to 100 % of what Flow-Timer says.
                let of_timer = limit.filter(|limit| *limit < high);
                of_timer.map_or((low, high), |limit| (limit * 4 / 5, limit))
            }
            Need::Watched => (WATCH_SHORTEST, WATCH_LONGEST),
        };
        self.at = Some(now + tokens.between(low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds between the next steps, and the steps.
    fn steps(need: Need, count: usize) -> Vec<(f32, UdpKeepaliveStep)> {
        let mut now = crate::timer::epoch();
        let mut tokens = Tokens::new([1; 32]);
        let mut keepalive = UdpKeepalive::default();
        keepalive.set(need, &mut tokens, now);
        let mut steps = Vec::new();
        while steps.len() < count
            && let Some(at) = keepalive.deadline()
        {
            let waited = (at - now).as_secs_f32();
            now = at;
            steps.push((waited, keepalive.handle_timeout(&mut tokens, now)));
        }
        steps
    }

    #[test]
    fn mappings_of_thirty_seconds_stay_open() {
        let found = steps(Need::Open(None), 6);
        assert!(found.iter().all(|(s, _)| (23.0..=27.0).contains(s)));
        let [a, b, c] = [
            UdpKeepaliveStep::LineEnd,
            UdpKeepaliveStep::LineEnd,
            UdpKeepaliveStep::Ask,
        ];
        let kinds: Vec<_> = found.iter().map(|(_, step)| *step).collect();
        assert_eq!(kinds, [a, b, c, a, b, c]);
        // Not all phones at once.
        assert!(
            found
                .windows(2)
                .any(|pair| (pair[0].0 - pair[1].0).abs() > f32::EPSILON)
        );
    }

    #[test]
    fn flow_timer_shortens_the_wait() {
        let limit = Some(Duration::from_secs(10));
        let found = steps(Need::Open(limit), 6);
        assert!(found.iter().all(|(s, _)| (8.0..=10.0).contains(s)));
        let long = steps(Need::Open(Some(Duration::from_secs(600))), 6);
        assert!(long.iter().all(|(s, _)| *s <= 27.0));
    }

    #[test]
    fn another_registrations_finding_is_asked_for_at_once_and_once() {
        let now = crate::timer::epoch();
        let mut tokens = Tokens::new([1; 32]);
        let mut keepalive = UdpKeepalive::default();
        keepalive.ask_soon(&mut tokens, now);
        assert_eq!(keepalive.deadline(), None, "nothing is to be kept open");
        keepalive.set(Need::Open(None), &mut tokens, now);
        keepalive.ask_soon(&mut tokens, now);
        let at = keepalive.deadline().unwrap();
        assert!(at <= now + ASK_SOON);
        let step = keepalive.handle_timeout(&mut tokens, at);
        assert_eq!(step, UdpKeepaliveStep::Ask);
        let due = keepalive.deadline();
        keepalive.ask_soon(&mut tokens, at);
        assert_eq!(keepalive.deadline(), due);
    }

    #[test]
    fn a_router_that_forgets_sooner_gets_keepalives_sooner() {
        let mut now = crate::timer::epoch();
        let mut tokens = Tokens::new([1; 32]);
        let mut keepalive = UdpKeepalive::default();
        keepalive.set(Need::Open(None), &mut tokens, now);
        // One restart of the router, then one each half an hour, changes nothing.
        for _ in 0..3 {
            keepalive.handle_moved(&mut tokens, now);
            now += Duration::from_secs(1800);
        }
        for longest in [27, 14, 7, 27, 27] {
            keepalive.handle_moved(&mut tokens, now);
            keepalive.schedule(&mut tokens, now);
            let wait = keepalive.deadline().unwrap() - now;
            let most = Duration::from_secs(longest);
            assert!(wait <= most && wait >= most * 4 / 5, "{wait:?} {most:?}");
            now += Duration::from_secs(60);
        }
        keepalive.handle_other_network();
        keepalive.handle_moved(&mut tokens, now);
        assert_eq!(keepalive.hurry, 0);
    }

    #[test]
    fn a_watched_server_is_asked_once_a_minute() {
        let found = steps(Need::Watched, 4);
        assert!(
            found
                .iter()
                .all(|(s, step)| (54.0..=66.0).contains(s) && *step == UdpKeepaliveStep::Ask)
        );
        assert_eq!(steps(Need::Nothing, 1), []);
    }
}
