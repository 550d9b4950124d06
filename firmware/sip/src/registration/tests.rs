//! One registration and a registrar played by the test.

use super::*;
use crate::api::AgentConfig;
use crate::back_off::{DENIED_RETRY, LAST_RETRY};
use crate::env::tests as testing;
use crate::message::NameAddr;
use crate::message::Request;

struct Desk {
    env: Env,
    registration: Registration,
    now: Instant,
}

/// What the registration asked for, reduced to what a test compares.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    /// REGISTER with this Expires.
    Sent(u32),
    Abandoned,
    Registered,
    Error(String),
    KeptAlive,
    Asked,
    Moved,
}

impl Desk {
    fn new() -> Self {
        let now = crate::timer::epoch();
        let config = AgentConfig {
            accounts: vec![testing::account("101", "192.0.2.50", "secret")],
            ..testing::config()
        };
        let mut env = Env::new(config.clone());
        let registration = Registration::new(0, &config.accounts[0], &mut env, now);
        Self {
            env,
            registration,
            now,
        }
    }

    fn did(actions: Vec<RegistrationAction>) -> (Vec<Did>, Option<Request>) {
        let mut sent = None;
        let did = actions
            .into_iter()
            .map(|action| match action {
                RegistrationAction::Send { request, hop, .. } => {
                    assert!(hop.is_ok());
                    let expires = request.headers.number("Expires").unwrap();
                    sent = Some(*request);
                    Did::Sent(expires)
                }
                RegistrationAction::Abandon(_) => Did::Abandoned,
                RegistrationAction::Report {
                    error: Some(error), ..
                } => Did::Error(error),
                RegistrationAction::Report { .. } => Did::Registered,
                RegistrationAction::KeepAlive(_) => Did::KeptAlive,
                RegistrationAction::MappingChanged => Did::Moved,
                RegistrationAction::Probe { .. }
                | RegistrationAction::Keepalive { .. }
                | RegistrationAction::LineEnd(_) => Did::Asked,
            })
            .collect();
        (did, sent)
    }

    fn timeout(&mut self) -> (Vec<Did>, Option<Request>) {
        self.now = self.registration.deadline().unwrap();
        Self::did(self.registration.handle_timeout(&mut self.env, self.now))
    }

    fn answer(
        &mut self,
        request: &Request,
        code: u16,
        headers: &[(&str, &str)],
    ) -> (Vec<Did>, Option<Request>) {
        let mut response = Response::reply(request, code, Some("t"));
        for (name, value) in headers {
            response.headers.push(name, value);
        }
        let outcome = RegisterOutcome::Response(&response);
        Self::did(
            self.registration
                .handle_outcome(outcome, &mut self.env, self.now),
        )
    }

    fn wait(&self) -> Duration {
        self.registration.deadline().unwrap() - self.now
    }

    /// Registered, for 600 s.
    fn registered() -> (Self, Request) {
        let mut desk = Self::new();
        let (_, register) = desk.timeout();
        let register = register.unwrap();
        let (did, _) = desk.answer(&register, 200, &[]);
        assert_eq!(did, [Did::Registered]);
        (desk, register)
    }
}

#[test]
fn refresh_comes_before_the_binding_runs_out() {
    let (mut desk, first) = Desk::registered();
    assert!((Duration::from_secs(440)..=Duration::from_secs(560)).contains(&desk.wait()));
    let (did, second) = desk.timeout();
    assert_eq!(did, [Did::Sent(600)]);
    let second = second.unwrap();
    assert_eq!(first.headers.call_id(), second.headers.call_id());
    let number = |request: &Request| request.headers.cseq().unwrap().number;
    assert_eq!(number(&second), number(&first) + 1);
}

#[test]
fn lifetime_is_what_the_registrar_grants() {
    let mut desk = Desk::new();
    let (_, register) = desk.timeout();
    let register = register.unwrap();
    let user = desk.registration.contact_user().to_owned();
    let contact = format!("<sip:{user}@192.0.2.1>;expires=60, <sip:other@192.0.2.7>;expires=9000");
    desk.answer(&register, 200, &[("Contact", &contact)]);
    assert!(desk.wait() <= Duration::from_secs(30), "{:?}", desk.wait());
    assert_eq!(
        desk.registration.bound_until,
        Some(desk.now + Duration::from_secs(60))
    );
}

#[test]
fn of_several_contacts_of_ours_the_one_just_registered_counts() {
    for (listed, granted) in [
        // The one before the last correction has more left, or nothing.
        (
            "<sip:U@203.0.113.5:40123>;expires=500, <sip:U@192.0.2.1>;expires=60",
            60,
        ),
        (
            "<sip:U@203.0.113.5:40123>;expires=0, <sip:U@192.0.2.1:5060>;expires=\" 90 \"",
            90,
        ),
        // Rewritten on the way: whichever it is.
        ("<sip:U@203.0.113.5:40123>;expires=70", 70),
        // Somebody else's, and no word of ours.
        ("<sip:other@192.0.2.1>;expires=30", 600),
        ("<sip:U@192.0.2.1>;expires=4294967296", 600),
        ("*", 600),
    ] {
        let mut desk = Desk::new();
        let (_, register) = desk.timeout();
        let user = desk.registration.contact_user().to_owned();
        let contact = listed.replace("U@", &format!("{user}@"));
        desk.answer(&register.unwrap(), 200, &[("Contact", &contact)]);
        let until = desk.registration.bound_until.unwrap();
        assert_eq!(until - desk.now, Duration::from_secs(granted), "{listed}");
    }
}

#[test]
fn a_tiny_lifetime_is_refreshed_every_two_seconds_at_most() {
    for (granted, longest) in [(1, 2), (2, 2), (3, 2), (5, 3)] {
        let mut desk = Desk::new();
        let (_, register) = desk.timeout();
        let mut register = register.unwrap();
        let user = desk.registration.contact_user().to_owned();
        let contact = format!("<sip:{user}@192.0.2.1>;expires={granted}");
        for _ in 0..20 {
            desk.answer(&register, 200, &[("Contact", &contact)]);
            let refresh = desk.registration.next_at.unwrap() - desk.now;
            let fits = Duration::from_secs(2)..=Duration::from_secs(longest);
            assert!(fits.contains(&refresh), "{granted}: {refresh:?}");
            register = loop {
                if let (_, Some(register)) = desk.timeout() {
                    break register;
                }
            };
        }
    }
}

#[test]
fn too_brief_asks_for_longer_twice_at_most() {
    let mut desk = Desk::new();
    let (_, register) = desk.timeout();
    let register = register.unwrap();
    for least in ["900", "1200"] {
        let (did, _) = desk.answer(&register, 423, &[("Min-Expires", least)]);
        assert_eq!(did, [Did::Sent(least.parse().unwrap())]);
    }
    let (did, _) = desk.answer(&register, 423, &[("Min-Expires", "1500")]);
    assert!(
        matches!(&did[..], [Did::Error(error)] if error.contains("423")),
        "{did:?}"
    );
}

#[test]
fn absurd_min_expires_is_a_failure() {
    let mut desk = Desk::new();
    let (_, register) = desk.timeout();
    let register = register.unwrap();
    for least in ["100000", "600", "x"] {
        let (did, _) = desk.answer(&register, 423, &[("Min-Expires", least)]);
        assert!(matches!(&did[..], [Did::Error(_)]), "{least}: {did:?}");
    }
}

#[test]
fn back_off_doubles_and_has_an_end() {
    let mut desk = Desk::new();
    let mut longest = Duration::ZERO;
    for failure in 1..=12_u32 {
        let (_, register) = desk.timeout();
        desk.answer(&register.unwrap(), 500, &[]);
        let most = (FIRST_RETRY * 2_u32.pow(failure.min(10) - 1)).min(LAST_RETRY);
        assert!(
            (most / 2..=most).contains(&desk.wait()),
            "{failure}: {:?}",
            desk.wait()
        );
        longest = longest.max(desk.wait());
    }
    assert!(longest > LAST_RETRY / 2);
    assert!(desk.registration.is_failing());
}

#[test]
fn refused_password_waits_at_least_30_s() {
    let mut desk = Desk::new();
    let (_, register) = desk.timeout();
    let (did, _) = desk.answer(&register.unwrap(), 403, &[]);
    assert!(
        matches!(&did[..], [Did::Error(error)] if error.contains("check user and password")),
        "{did:?}"
    );
    assert!(desk.wait() >= DENIED_RETRY);
}

#[test]
fn retry_after_counts_up_to_an_hour() {
    for (asked, waits) in [("300", 300), ("99999", 3600)] {
        let mut desk = Desk::new();
        let (_, register) = desk.timeout();
        desk.answer(&register.unwrap(), 503, &[("Retry-After", asked)]);
        assert_eq!(desk.wait(), Duration::from_secs(waits), "{asked}");
    }
}

#[test]
fn new_register_abandons_the_one_under_way() {
    let mut desk = Desk::new();
    desk.timeout();
    let actions = desk.registration.register(&mut desk.env);
    assert_eq!(Desk::did(actions).0, [Did::Abandoned, Did::Sent(600)]);
}

#[test]
fn unregister_takes_the_binding_away_for_good() {
    let (mut desk, _) = Desk::registered();
    let (did, register) = Desk::did(desk.registration.unregister(&mut desk.env));
    assert_eq!(did, [Did::Sent(0)]);
    let (did, _) = desk.answer(&register.unwrap(), 200, &[]);
    assert_eq!(did, [Did::Registered]);
    assert_eq!(desk.registration.deadline(), None);
    assert!(desk.registration.register(&mut desk.env).is_empty());
}

#[test]
fn outdated_address_is_replaced_in_the_next_register() {
    let mut desk = Desk::new();
    let (_, mut register) = desk.timeout();
    let via = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=198.51.100.7;rport=4711";
    register.as_mut().unwrap().headers.push_front("Via", via);
    let (did, second) = desk.answer(&register.unwrap(), 200, &[]);
    assert_eq!(did, [Did::Sent(600)]);
    let contacts: Vec<NameAddr> = second.unwrap().headers.contacts().unwrap();
    assert_eq!(contacts[0].params.get("expires"), Some("0"));
    assert!(contacts[1].uri.to_string().contains("198.51.100.7:4711"));
}

#[test]
fn run_out_binding_is_reported() {
    let (mut desk, _) = Desk::registered();
    let (_, register) = desk.timeout();
    assert!(register.is_some());
    // Silence until the binding's end.
    let (did, _) = desk.timeout();
    assert!(
        matches!(&did[..], [Did::Error(error)] if error.contains("ran out")),
        "{did:?}"
    );
}

#[test]
fn lost_connection_is_reported_once() {
    let mut desk = Desk::new();
    let (_, register) = desk.timeout();
    let connection = ConnectionId(7);
    let remote = "192.0.2.50:5060".parse().unwrap();
    desk.registration
        .handle_sent(Flow::Tcp { connection, remote });
    let (did, _) = desk.answer(&register.unwrap(), 200, &[]);
    assert_eq!(did, [Did::KeptAlive, Did::Registered]);
    let lost = |desk: &mut Desk, connection| {
        let Desk {
            env,
            registration,
            now,
        } = desk;
        Desk::did(registration.handle_connection_lost(connection, "gone", env, *now)).0
    };
    assert_eq!(lost(&mut desk, ConnectionId(8)), []);
    assert_eq!(lost(&mut desk, connection), [Did::Error("gone".into())]);
    assert!(desk.wait() <= FIRST_RETRY);
    assert_eq!(lost(&mut desk, connection), []);
}

#[test]
fn account_without_register_stays_silent() {
    let mut desk = Desk::new();
    desk.env.config.accounts[0].register = false;
    let config = desk.env.config.accounts[0].clone();
    let mut registration = Registration::new(0, &config, &mut desk.env, desk.now);
    assert_eq!(registration.deadline(), None);
    assert!(registration.register(&mut desk.env).is_empty());
    assert!(registration.unregister(&mut desk.env).is_empty());
}
