//! Session timers (RFC 4028): a call whose far end vanished ends, without sound too.
//!
//! ```text
//! INVITE: Session-Expires ─▶ 2xx: Session-Expires;refresher=… ─┬ ours: half-time ─▶ UPDATE, else re-INVITE ─▶ 2xx: again
//!                         └ 422: Min-SE ─▶ INVITE again        └ theirs: no refresh in time ─▶ BYE
//! ```
//!
//! Any re-INVITE or UPDATE that is answered counts as a refresh, whoever sent it. A far end without
//! timers is asked all the same, as nothing else shows that it is still there; any answer of it but
//! 408 and 481 does, and ends no call.

use std::time::{Duration, Instant};

use crate::action::Reply;
use crate::message::{Headers, Method, Request, Response};
use crate::session_intervals::{MAX_SE_S, MIN_SE_S, SessionIntervals};

/// Shortest interval that is kept to where the far end insists, in seconds.
const FLOOR_S: u32 = 20;
/// How often a 422 is answered by a longer interval.
const MAX_RAISES: u8 = 3;
/// How long after a refused refresh the next one is sent.
const RETRY: Duration = Duration::from_secs(5);
/// The option tag.
const TAG: &str = "timer";

/// Who refreshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresher {
    Ours,
    /// Ours, as the far end knows no timer: nothing runs out there.
    Alone,
    Theirs,
}

/// What to do when time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SessionStep {
    Wait,
    /// Refresh by UPDATE, or by re-INVITE where the far end knows no UPDATE.
    Refresh {
        update: bool,
    },
    /// No refresh came in time.
    Expired,
}

/// A request whose interval is too small for us: 422 (section 9).
pub(crate) fn check_interval(intervals: SessionIntervals, request: &Request) -> Result<(), Reply> {
    match request.headers.number("Session-Expires") {
        Some(interval) if interval < intervals.min() => {
            Err(Reply::refusal(422).with("Min-SE", intervals.min()))
        }
        Some(_) | None => Ok(()),
    }
}

/// The interval in force.
#[derive(Debug, Clone, Copy)]
struct Running {
    interval_s: u32,
    refresher: Refresher,
    /// When we refresh; `None`: the far end does.
    refresh_at: Option<Instant>,
    expires_at: Instant,
}

/// The session timer of one call.
#[derive(Debug, Clone)]
pub(super) struct SessionTimer {
    /// What we ask for, in seconds; `None`: nothing.
    wanted_s: Option<u32>,
    of_callers: bool,
    /// Largest Min-SE heard of.
    min_s: u32,
    raises: u8,
    /// The far end handles UPDATE.
    updates: bool,
    running: Option<Running>,
}

impl SessionTimer {
    /// A timer that is not running.
    pub(super) fn new(intervals: SessionIntervals) -> Self {
        let min_s = intervals.min();
        let wanted_s = intervals.wanted_s;
        Self {
            wanted_s: wanted_s.map(|wanted| wanted.clamp(min_s, MAX_SE_S)),
            of_callers: intervals.of_callers,
            min_s,
            raises: 0,
            updates: false,
            running: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let running = self.running?;
        Some(
            running
                .refresh_at
                .unwrap_or(running.expires_at)
                .min(running.expires_at),
        )
    }

    /// Time has passed; the refresh asked for is due once.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> SessionStep {
        let update = self.updates;
        let Some(running) = &mut self.running else {
            return SessionStep::Wait;
        };
        if running.expires_at <= now {
            return SessionStep::Expired;
        }
        if running.refresh_at.is_some_and(|at| at <= now) {
            running.refresh_at = Some(running.expires_at);
            return SessionStep::Refresh { update };
        }
        SessionStep::Wait
    }

    /// Puts our wish, or what is in force, into an INVITE or UPDATE of ours.
    pub(super) fn write(&self, headers: &mut Headers) {
        let value = match (self.running, self.wanted_s) {
            (Some(running), _) => {
                let role = match running.refresher {
                    Refresher::Ours | Refresher::Alone => "uac",
                    Refresher::Theirs => "uas",
                };
                let interval = running.interval_s.max(self.min_s);
                format!("{interval};refresher={role}")
            }
            (None, Some(wanted)) => wanted.max(self.min_s).to_string(),
            (None, None) => return,
        };
        headers.push("Session-Expires", value);
        if self.min_s > MIN_SE_S {
            headers.push("Min-SE", self.min_s);
        }
    }

    /// A 2xx to a request of ours (section 7.2). Where the far end knows no timer we refresh
    /// ourselves.
    pub(super) fn handle_accepted(&mut self, response: &Response, now: Instant) {
        self.raises = 0;
        self.learn(&response.headers);
        let (interval, refresher) = match read(&response.headers) {
            Some((interval, Some("uas"))) => (interval, Refresher::Theirs),
            Some((interval, _)) => (interval, Refresher::Ours),
            None => match (self.running, self.wanted_s) {
                (Some(running), _) => (running.interval_s, Refresher::Alone),
                (None, Some(wanted)) => (wanted.max(self.min_s), Refresher::Alone),
                (None, None) => return,
            },
        };
        self.start(interval, refresher, now);
    }

    /// An INVITE or UPDATE of theirs that is going to be accepted (section 9); what its 2xx says.
    pub(super) fn handle_request(&mut self, request: &Request, now: Instant) -> Answer {
        let headers = &request.headers;
        self.learn(headers);
        let knows = headers.has_token("Supported", TAG) || headers.has_token("Require", TAG);
        let (interval, refresher) = match (read(headers), self.running) {
            (Some((interval, _)), _) if !knows => (interval, Refresher::Ours),
            (Some((interval, Some("uas"))), _) => (interval, Refresher::Ours),
            (Some((interval, _)), _) => (interval, Refresher::Theirs),
            // A change without a word of it: what was agreed goes on.
            (None, Some(running)) => (running.interval_s, running.refresher),
            // Nothing else shows that the far end is still there (section 9, table 2: without its
            // help the refresher is the called side).
            (None, None) => match self.wanted_s.filter(|_| self.of_callers) {
                Some(wanted) if knows => (wanted.max(self.min_s), Refresher::Ours),
                Some(wanted) => (wanted.max(self.min_s), Refresher::Alone),
                None => return Answer(None),
            },
        };
        self.start(interval, refresher, now);
        Answer(Some((interval, refresher, knows)))
    }

    /// A 422 (section 7.3): whether to ask again, for longer. Not where we asked for as much: the
    /// same request would get the same answer.
    pub(super) fn handle_too_small(&mut self, response: &Headers) -> bool {
        let least = response.number("Min-SE").filter(|min| *min <= MAX_SE_S);
        let longer = least.filter(|least| self.asked_s().is_none_or(|asked| *least > asked));
        let Some(min) = longer.filter(|_| self.raises < MAX_RAISES) else {
            return false;
        };
        self.raises += 1;
        self.min_s = self.min_s.max(min);
        // Something on the way asked for an interval in our name.
        self.wanted_s = self.wanted_s.or(Some(min));
        true
    }

    /// The interval in our requests, in seconds; `None`: they say nothing of one.
    fn asked_s(&self) -> Option<u32> {
        let interval = self.running.map(|running| running.interval_s);
        interval
            .or(self.wanted_s)
            .map(|asked| asked.max(self.min_s))
    }

    /// Our refresh was refused as too short, and a longer one follows at once.
    pub(super) fn refresh_again(&mut self, now: Instant) {
        if let Some(running) = &mut self.running {
            running.refresh_at = running.refresh_at.map(|_| now);
        }
    }

    /// A refresh is due while a change is under way, which may be one.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.handle_refused(491, now);
    }

    /// Our refresh was refused, or did not get through: the next one may work otherwise or later.
    pub(super) fn handle_refused(&mut self, code: u16, now: Instant) {
        let no_update = matches!(code, 405 | 501) && std::mem::take(&mut self.updates);
        let wait = if no_update { Duration::ZERO } else { RETRY };
        let Some(running) = &mut self.running else {
            return;
        };
        match running.refresher {
            // A change of theirs that crosses ours says nothing yet.
            Refresher::Alone if !no_update && code != 491 => self.restart(now),
            Refresher::Alone | Refresher::Ours => running.refresh_at = Some(now + wait),
            Refresher::Theirs => {}
        }
    }

    /// The interval begins now.
    pub(super) fn restart(&mut self, now: Instant) {
        if let Some(running) = self.running {
            self.start(running.interval_s, running.refresher, now);
        }
    }

    fn learn(&mut self, headers: &Headers) {
        let mut allowed = headers.allow().peekable();
        if allowed.peek().is_some() {
            self.updates = allowed.any(|method| method == Method::Update);
        }
        if let Some(min) = headers.number("Min-SE").filter(|min| *min <= MAX_SE_S) {
            self.min_s = self.min_s.max(min);
        }
    }

    fn start(&mut self, interval_s: u32, refresher: Refresher, now: Instant) {
        let interval = Duration::from_secs(u64::from(interval_s));
        // Section 10: the BYE leaves before the far end takes the session for expired.
        let margin = (interval / 3).min(Duration::from_secs(32));
        self.running = Some(Running {
            interval_s,
            refresher,
            refresh_at: match refresher {
                Refresher::Ours | Refresher::Alone => Some(now + interval / 2),
                Refresher::Theirs => None,
            },
            expires_at: now + interval.saturating_sub(margin),
        });
    }
}

/// What our 2xx says of the timer: interval, who refreshes, and whether the far end knows timers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer(Option<(u32, Refresher, bool)>);

impl Answer {
    /// Puts it into the response.
    pub(super) fn write(self, reply: Reply) -> Reply {
        let Some((interval, refresher, knows)) = self.0 else {
            return reply;
        };
        // Roles are those of this request: its sender is the client.
        let (role, required) = match refresher {
            Refresher::Ours | Refresher::Alone => ("uas", false),
            Refresher::Theirs => ("uac", knows),
        };
        let reply = reply.with("Session-Expires", format!("{interval};refresher={role}"));
        if required {
            reply.with("Require", TAG)
        } else {
            reply
        }
    }
}

/// Interval and refresher of a Session-Expires header.
fn read(headers: &Headers) -> Option<(u32, Option<&'static str>)> {
    let interval = headers.number("Session-Expires")?.clamp(FLOOR_S, MAX_SE_S);
    let value = headers.get("Session-Expires")?;
    let role = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let of_refresher = name.trim().eq_ignore_ascii_case("refresher");
        ["uac", "uas"]
            .into_iter()
            .find(|role| of_refresher && value.trim().eq_ignore_ascii_case(role))
    });
    Some((interval, role))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::tests::{request, response};

    fn invite(headers: &str) -> Request {
        request(&format!(
            "INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
             From: <sip:p@192.0.2.9>;tag=p\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: c\r\n\
             CSeq: 8 INVITE\r\n{headers}\r\n"
        ))
    }

    fn intervals(wanted_s: Option<u32>, min_s: u32) -> SessionIntervals {
        SessionIntervals {
            wanted_s,
            min_s,
            ..SessionIntervals::default()
        }
    }

    fn said(answer: Answer) -> (Option<String>, bool) {
        let reply = answer.write(Reply::new(200));
        let expires = reply.headers.get("Session-Expires").map(str::to_owned);
        (expires, reply.headers.has_token("Require", "timer"))
    }

    fn written(timer: &SessionTimer) -> (Option<String>, Option<u32>) {
        let mut headers = Headers::default();
        timer.write(&mut headers);
        let expires = headers.get("Session-Expires").map(str::to_owned);
        (expires, headers.number("Min-SE"))
    }

    /// Seconds until the next step, and the step.
    fn next(timer: &mut SessionTimer, start: Instant) -> (u64, SessionStep) {
        let at = timer.deadline().unwrap();
        ((at - start).as_secs(), timer.handle_timeout(at))
    }

    #[test]
    fn small_interval_is_refused() {
        for (value, refused) in [("30", true), ("89;refresher=uac", true), ("90", false)] {
            let request = invite(&format!("Session-Expires: {value}\r\n"));
            let found = check_interval(intervals(None, MIN_SE_S), &request);
            assert_eq!(found.is_err(), refused, "{value}");
            if let Err(reply) = found {
                assert_eq!(
                    (reply.code, reply.headers.number("Min-SE")),
                    (422, Some(90))
                );
            }
        }
        assert!(check_interval(intervals(None, MIN_SE_S), &invite("")).is_ok());
    }

    #[test]
    fn called_side_negotiates_who_refreshes() {
        let now = crate::timer::epoch();
        let timer = "Supported: timer\r\n";
        for (headers, expires, required, ours) in [
            (
                format!("{timer}Session-Expires: 120\r\n"),
                "120;refresher=uac",
                true,
                false,
            ),
            (
                format!("{timer}x: 120;refresher=UAS\r\n"),
                "120;refresher=uas",
                false,
                true,
            ),
            (
                format!("{timer}x: 120;refresher=uac\r\n"),
                "120;refresher=uac",
                true,
                false,
            ),
            // Set by a proxy: the far end knows nothing of it.
            ("x: 120\r\n".to_owned(), "120;refresher=uas", false, true),
        ] {
            let mut session = SessionTimer::new(intervals(Some(1800), MIN_SE_S));
            let answer = session.handle_request(&invite(&headers), now);
            assert_eq!(
                said(answer),
                (Some(expires.to_owned()), required),
                "{headers}"
            );
            let step = if ours {
                (60, SessionStep::Refresh { update: false })
            } else {
                (88, SessionStep::Expired)
            };
            assert_eq!(next(&mut session, now), step, "{headers}");
        }
        let mut session = SessionTimer::new(intervals(Some(1800), MIN_SE_S));
        assert_eq!(
            said(session.handle_request(&invite(timer), now)),
            (None, false)
        );
        assert_eq!(session.deadline(), None, "not asked for");
    }

    #[test]
    fn called_side_begins_a_timer_of_its_own() {
        let now = crate::timer::epoch();
        let always = SessionIntervals {
            of_callers: true,
            ..intervals(Some(1800), MIN_SE_S)
        };
        let wanted = "1800;refresher=uas".to_owned();
        for (headers, ends) in [("Supported: timer\r\n", true), ("", false)] {
            let mut session = SessionTimer::new(always);
            let answer = session.handle_request(&invite(headers), now);
            assert_eq!(said(answer), (Some(wanted.clone()), false), "{headers}");
            let refresh = SessionStep::Refresh { update: false };
            assert_eq!(next(&mut session, now), (900, refresh), "{headers}");
            // A far end without timers may refuse the refresh: it is there.
            session.handle_refused(488, now + Duration::from_secs(900));
            let after = if ends { 905 } else { 1800 };
            assert_eq!(next(&mut session, now), (after, refresh), "{headers}");
        }
        // The far end's Min-SE holds for it, too.
        let mut session = SessionTimer::new(always);
        let answer = session.handle_request(&invite("Min-SE: 3600\r\n"), now);
        assert_eq!(said(answer).0.as_deref(), Some("3600;refresher=uas"));
    }

    #[test]
    fn smallest_interval_is_the_owners() {
        let small = invite("Session-Expires: 1800\r\n");
        let refused = check_interval(intervals(None, 2000), &small)
            .err()
            .map(|reply| {
                let min = reply.headers.number("Min-SE");
                (reply.code, min)
            });
        assert_eq!(refused, Some((422, Some(2000))));
        assert!(check_interval(intervals(None, 1800), &small).is_ok());
        let session = SessionTimer::new(intervals(Some(300), 600));
        assert_eq!(written(&session), (Some("600".into()), Some(600)));
    }

    #[test]
    fn calling_side_follows_the_answer() {
        let now = crate::timer::epoch();
        let ours = (900, SessionStep::Refresh { update: true });
        let allow = ("Allow", "INVITE, UPDATE");
        for (headers, step) in [
            (vec![allow, ("Session-Expires", "1800;refresher=uac")], ours),
            (vec![allow, ("Session-Expires", "1800")], ours),
            (
                vec![("Session-Expires", "300;refresher=uas")],
                (268, SessionStep::Expired),
            ),
            // It knows no timers: we refresh all the same.
            (
                vec![("Allow", "INVITE")],
                (900, SessionStep::Refresh { update: false }),
            ),
        ] {
            let mut session = SessionTimer::new(intervals(Some(1800), MIN_SE_S));
            session.handle_accepted(&response(&invite(""), 200, &headers), now);
            assert_eq!(next(&mut session, now), step, "{headers:?}");
        }
        let mut off = SessionTimer::new(intervals(None, MIN_SE_S));
        off.handle_accepted(&response(&invite(""), 200, &[]), now);
        assert_eq!((off.deadline(), written(&off)), (None, (None, None)));
    }

    #[test]
    fn refresh_that_fails_is_tried_again_until_it_expires() {
        let now = crate::timer::epoch();
        let mut session = SessionTimer::new(intervals(Some(90), MIN_SE_S));
        let timer = [("Allow", "UPDATE"), ("Session-Expires", "90;refresher=uac")];
        let accepted = response(&invite(""), 200, &timer);
        session.handle_accepted(&accepted, now);
        assert_eq!(
            next(&mut session, now),
            (45, SessionStep::Refresh { update: true })
        );
        session.handle_refused(500, now + Duration::from_secs(45));
        assert_eq!(
            next(&mut session, now),
            (50, SessionStep::Refresh { update: true })
        );
        session.handle_refused(501, now + Duration::from_secs(50));
        assert_eq!(
            next(&mut session, now),
            (50, SessionStep::Refresh { update: false })
        );
        assert_eq!(next(&mut session, now), (60, SessionStep::Expired));
    }

    #[test]
    fn any_answer_of_a_far_end_without_timers_is_enough() {
        let start = crate::timer::epoch();
        let mut session = SessionTimer::new(intervals(Some(1800), MIN_SE_S));
        let accepted = response(&invite(""), 200, &[("Allow", "INVITE, UPDATE")]);
        session.handle_accepted(&accepted, start);
        for (due, code, step) in [
            (900, 488, SessionStep::Refresh { update: true }),
            (1800, 403, SessionStep::Refresh { update: true }),
            (2700, 501, SessionStep::Refresh { update: true }),
            // It knows no UPDATE: the re-INVITE follows at once, and its refusal counts.
            (2700, 405, SessionStep::Refresh { update: false }),
            (3600, 500, SessionStep::Refresh { update: false }),
        ] {
            assert_eq!(next(&mut session, start), (due, step), "{code}");
            session.handle_refused(code, start + Duration::from_secs(due));
        }
        // Silence is no answer.
        assert_eq!(next(&mut session, start).0, 4500);
        assert_eq!(next(&mut session, start), (5368, SessionStep::Expired));
    }

    #[test]
    fn refused_methods_are_not_repeated_at_once_for_ever() {
        let start = crate::timer::epoch();
        let mut session = SessionTimer::new(intervals(Some(1800), MIN_SE_S));
        let timer = [
            ("Session-Expires", "1800;refresher=uac"),
            ("Allow", "UPDATE"),
        ];
        session.handle_accepted(&response(&invite(""), 200, &timer), start);
        for (due, update) in [(900, true), (900, false), (905, false), (910, false)] {
            let step = SessionStep::Refresh { update };
            assert_eq!(next(&mut session, start), (due, step));
            session.handle_refused(405, start + Duration::from_secs(due));
        }
    }

    #[test]
    fn interval_too_small_for_them_is_raised() {
        let mut session = SessionTimer::new(intervals(Some(90), MIN_SE_S));
        assert_eq!(written(&session), (Some("90".into()), None));
        let too_small = |min: &str| response(&invite(""), 422, &[("Min-SE", min)]).headers;
        assert!(session.handle_too_small(&too_small("300")));
        assert_eq!(written(&session), (Some("300".into()), Some(300)));
        assert!(!session.handle_too_small(&too_small("x")));
        assert!(!session.handle_too_small(&too_small("4294967295")));
        assert!(session.handle_too_small(&too_small("400")));
        assert!(session.handle_too_small(&too_small("500")));
        assert!(
            !session.handle_too_small(&too_small("600")),
            "not without end"
        );
    }

    #[test]
    fn change_without_mention_keeps_the_roles() {
        let now = crate::timer::epoch();
        let mut session = SessionTimer::new(intervals(Some(1800), MIN_SE_S));
        let ours = [("Session-Expires", "200;refresher=uac")];
        session.handle_accepted(&response(&invite(""), 200, &ours), now);
        assert_eq!(written(&session).0.as_deref(), Some("200;refresher=uac"));
        // Their hold: seen from them we are the server.
        let answer = session.handle_request(&invite("Supported: timer\r\n"), now);
        assert_eq!(said(answer).0.as_deref(), Some("200;refresher=uas"));
        let theirs = "Supported: timer\r\nSession-Expires: 300;refresher=uac\r\n";
        session.handle_request(&invite(theirs), now);
        assert_eq!(written(&session).0.as_deref(), Some("300;refresher=uas"));
    }
}
