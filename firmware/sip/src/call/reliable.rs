//! Provisional responses that are acknowledged (RFC 3262): ours until their PRACK comes, and the
//! order of theirs.
//!
//! ```text
//! ring ─▶ next ─▶ 180, Require: 100rel, RSeq ─┬─ PRACK with this RAck ─▶ acknowledged
//!                                             ├─ T1, 2 T1, 4 T1 … ─▶ again
//!                                             └─ 64 T1 ─▶ the INVITE is refused
//! their 18x, RSeq ─▶ ReceivedOrder ─▶ next one: PRACK      repeated, or one was lost: nothing
//! ```

use std::time::{Duration, Instant};

use crate::message::{Headers, Method, Request, Response};
use crate::timer::{T1, T1_64};

/// The option tag.
const TAG: &str = "100rel";
/// Largest first number (section 3): less than 2^31.
const MAX_FIRST: u32 = (1 << 31) - 1;

/// Whether an INVITE takes no other provisional responses than reliable ones.
pub(super) fn is_required(request: &Request) -> bool {
    request.headers.has_token("Require", TAG)
}

/// Whether an INVITE takes reliable provisional responses.
pub(super) fn is_supported(request: &Request) -> bool {
    is_required(request) || request.headers.has_token("Supported", TAG)
}

/// What to do when time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReliableStep {
    Wait,
    /// The same response again.
    Repeat,
    /// No PRACK came within 64 T1.
    GiveUp,
}

/// A response that waits for its PRACK.
#[derive(Debug)]
struct Unacknowledged {
    interval: Duration,
    /// `None`: a final response was sent, it is not repeated any more (section 3).
    next: Option<Instant>,
    until: Instant,
}

/// Our provisional responses to one INVITE.
#[derive(Debug)]
pub(super) struct ReliableProvisional {
    /// The number of the INVITE.
    cseq: u32,
    /// The number of the response sent last.
    rseq: u32,
    waiting: Option<Unacknowledged>,
}

impl ReliableProvisional {
    /// Of an INVITE with this number; `seed`: anything random.
    pub(super) fn new(cseq: u32, seed: u32) -> Self {
        Self {
            cseq,
            rseq: seed % MAX_FIRST,
            waiting: None,
        }
    }

    /// The number of another response, which leaves now; `None` while one before it is not
    /// acknowledged (section 3).
    pub(super) fn next(&mut self, now: Instant) -> Option<u32> {
        if self.waiting.is_some() {
            return None;
        }
        self.rseq = self.rseq.saturating_add(1);
        self.waiting = Some(Unacknowledged {
            interval: T1,
            next: Some(now + T1),
            until: now + T1_64,
        });
        Some(self.rseq)
    }

    /// Whether a response waits for its PRACK.
    pub(super) fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether a PRACK acknowledges the response that waits; the same one a second time does not.
    pub(super) fn acknowledge(&mut self, prack: &Request) -> bool {
        let matches = self.waiting.is_some()
            && RAck::of(&prack.headers).is_some_and(|rack| {
                (rack.rseq, rack.cseq, &rack.method) == (self.rseq, self.cseq, &Method::Invite)
            });
        if matches {
            self.waiting = None;
        }
        matches
    }

    /// A final response was sent: nothing is repeated, but a PRACK still counts.
    pub(super) fn stop(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            waiting.next = None;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.as_ref()?;
        Some(waiting.next?.min(waiting.until))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> ReliableStep {
        let Some(waiting) = &mut self.waiting else {
            return ReliableStep::Wait;
        };
        match waiting.next {
            Some(_) if waiting.until <= now => ReliableStep::GiveUp,
            Some(next) if next <= now => {
                waiting.interval *= 2;
                waiting.next = Some(now + waiting.interval);
                ReliableStep::Repeat
            }
            None | Some(_) => ReliableStep::Wait,
        }
    }
}

/// The order of the reliable responses of one early dialog (section 4).
#[derive(Debug, Default)]
pub(super) struct ReceivedOrder {
    last: Option<u32>,
}

impl ReceivedOrder {
    /// The value of the `RAck` header for a response; `None`: it is not reliable.
    pub(super) fn rack(response: &Response) -> Option<(u32, String)> {
        let headers = &response.headers;
        if response.code() <= 100 || !headers.has_token("Require", TAG) {
            return None;
        }
        let rseq = headers.number("RSeq").filter(|rseq| *rseq > 0)?;
        let cseq = headers.cseq().ok()?;
        Some((rseq, format!("{rseq} {} {}", cseq.number, cseq.method)))
    }

    /// Whether the response with this number is the next one; a repeated one, and one before which
    /// another was lost, are not acknowledged.
    pub(super) fn is_next(&mut self, rseq: u32) -> bool {
        let next = self
            .last
            .is_none_or(|last| last.checked_add(1) == Some(rseq));
        if next {
            self.last = Some(rseq);
        }
        next
    }
}

/// A `RAck` header (section 7.2).
#[derive(Debug, PartialEq, Eq)]
struct RAck {
    rseq: u32,
    cseq: u32,
    method: Method,
}

impl RAck {
    fn of(headers: &Headers) -> Option<Self> {
        let mut parts = headers.get("RAck")?.split_ascii_whitespace();
        let mut number = || {
            parts
                .next()
                .filter(|text| !text.starts_with('+'))?
                .parse()
                .ok()
        };
        let (rseq, cseq) = (number()?, number()?);
        let method = Method::parse(parts.next()?)?;
        parts
            .next()
            .is_none()
            .then_some(Self { rseq, cseq, method })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::tests::{request, response};

    fn prack(rack: &str) -> Request {
        request(&format!(
            "PRACK sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
             From: <sip:p@192.0.2.9>;tag=p\r\nTo: <sip:a@192.0.2.1>;tag=a\r\nCall-ID: c\r\n\
             CSeq: 2 PRACK\r\nRAck: {rack}\r\n\r\n"
        ))
    }

    #[test]
    fn only_the_right_rack_acknowledges() {
        let now = crate::timer::epoch();
        let mut ours = ReliableProvisional::new(4, 41);
        assert!(!ours.acknowledge(&prack("42 4 INVITE")), "nothing was sent");
        assert_eq!(ours.next(now), Some(42));
        assert_eq!(ours.next(now), None, "one at a time");
        for wrong in [
            "41 4 INVITE",
            "43 4 INVITE",
            "42 5 INVITE",
            "42 4 UPDATE",
            "42 4",
            "42 4 INVITE x",
            "+42 4 INVITE",
            "x",
            "",
        ] {
            assert!(!ours.acknowledge(&prack(wrong)), "{wrong}");
        }
        assert!(ours.acknowledge(&prack("42  4 INVITE")));
        assert!(!ours.acknowledge(&prack("42 4 INVITE")), "only once");
        assert_eq!((ours.deadline(), ours.next(now)), (None, Some(43)));
    }

    #[test]
    fn unacknowledged_response_is_repeated_for_64_t1() {
        let start = crate::timer::epoch();
        let mut ours = ReliableProvisional::new(4, 0);
        ours.next(start);
        let mut repeated = Vec::new();
        while let Some(at) = ours.deadline() {
            match ours.handle_timeout(at) {
                ReliableStep::Repeat => repeated.push((at - start).as_secs_f32()),
                ReliableStep::Wait => {}
                ReliableStep::GiveUp => {
                    assert_eq!(at - start, T1_64);
                    break;
                }
            }
        }
        assert_eq!(repeated, [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]);
    }

    #[test]
    fn final_response_stops_the_repetition_only() {
        let now = crate::timer::epoch();
        let mut ours = ReliableProvisional::new(4, 0);
        ours.next(now);
        ours.stop();
        assert_eq!(ours.deadline(), None);
        assert_eq!(ours.handle_timeout(now + T1_64), ReliableStep::Wait);
        assert!(ours.acknowledge(&prack("1 4 INVITE")));
    }

    #[test]
    fn first_number_stays_below_two_to_the_31() {
        let now = crate::timer::epoch();
        for seed in [0, 1, MAX_FIRST - 1, MAX_FIRST, u32::MAX] {
            let first = ReliableProvisional::new(4, seed).next(now).unwrap();
            assert!((1..=MAX_FIRST).contains(&first), "{seed}: {first}");
        }
    }

    #[test]
    fn responses_count_in_order_only() {
        let mut order = ReceivedOrder::default();
        for (rseq, next) in [
            (9, true),
            (9, false),
            (11, false),
            (10, true),
            (11, true),
            (8, false),
        ] {
            assert_eq!(order.is_next(rseq), next, "{rseq}");
        }
        let mut last = ReceivedOrder::default();
        assert!(last.is_next(u32::MAX) && !last.is_next(0));
    }

    #[test]
    fn reliable_response_says_so() {
        let invite = request(
            "INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
             From: <sip:p@192.0.2.9>;tag=p\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: c\r\n\
             CSeq: 8 INVITE\r\n\r\n",
        );
        let rack = |code, headers: &[(&str, &str)]| {
            ReceivedOrder::rack(&response(&invite, code, headers)).map(|(_, rack)| rack)
        };
        let full = [("Require", "foo, 100REL"), ("RSeq", "988789")];
        assert_eq!(rack(183, &full).as_deref(), Some("988789 8 INVITE"));
        assert_eq!(rack(183, &[("RSeq", "1")]), None);
        assert_eq!(rack(183, &[("Require", "100rel")]), None);
        assert_eq!(rack(183, &[("Require", "100rel"), ("RSeq", "0")]), None);
        assert_eq!(rack(100, &full), None);
    }
}
