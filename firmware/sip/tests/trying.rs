//! Servers that say 100 Trying to an INVITE and nothing more: the call goes by the next one, and
//! whoever finds somebody first has it.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

mod world;

use std::time::Duration;

use sip::message::{Message, Method, Request, Response};
use sip::{AccountId, Event, InviteOptions, Target, Transport};
use world::{World, account, config, ends, is_established, media, sdp};

const FIRST: &str = "192.0.2.11:5060";
const SECOND: &str = "192.0.2.12:5060";

/// What a server sends to an INVITE: seconds after it came, status.
type Script = [(f64, u16)];

/// Two servers and a call by them.
struct Call {
    world: World,
    scripts: [(&'static str, Vec<(f64, u16)>); 2],
    /// Seconds since the call, server, method.
    seen: Vec<(f64, String, Method)>,
    invites: Vec<(f64, String, Request)>,
    sent: Vec<(usize, usize)>,
}

impl Call {
    fn place(options: InviteOptions, first: &Script, second: &Script) -> Self {
        let mut settings = account("101", "example.com", "secret");
        settings.register = false;
        let mut config = config("alice", "192.0.2.1:5060", 1);
        config.accounts.push(settings);
        let mut world = World::new(vec![config]);
        let udp = |address: &str| Target {
            transport: Transport::Udp,
            address: address.parse().unwrap(),
        };
        let servers = vec![udp(FIRST), udp(SECOND)];
        world.names.insert("example.com".into(), servers);
        let now = world.now;
        let agent = &mut world.phones[0].agent;
        agent
            .invite_with(Some(AccountId(0)), "112", options, media(20_000), now)
            .unwrap();
        Self {
            world,
            scripts: [(FIRST, first.to_vec()), (SECOND, second.to_vec())],
            seen: Vec::new(),
            invites: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn emergency(first: &Script, second: &Script) -> Self {
        let options = InviteOptions {
            is_emergency: true,
            ..InviteOptions::default()
        };
        Self::place(options, first, second)
    }

    fn normal(first: &Script, second: &Script) -> Self {
        Self::place(InviteOptions::default(), first, second)
    }

    fn run(&mut self, seconds: u64) {
        let end = self.world.now + Duration::from_secs(seconds);
        while self.world.now < end {
            self.world.run_ms(10);
            let at = (self.world.now - self.world.start).as_secs_f64();
            while let Some((_, to, message)) = self.world.inbox.pop_front() {
                let Message::Request(request) = message else {
                    continue;
                };
                self.handle(at, &to.to_string(), request);
            }
            self.follow_scripts(at);
        }
    }

    fn handle(&mut self, at: f64, server: &str, request: Request) {
        self.seen
            .push((at, server.to_owned(), request.method.clone()));
        match request.method {
            Method::Invite => {
                if !self.invites.iter().any(|(_, known, _)| known == server) {
                    self.invites.push((at, server.to_owned(), request));
                }
            }
            Method::Ack => {}
            _ => {
                let response = Response::reply(&request, 200, Some("s"));
                self.world.send(server, 0, response.to_bytes());
            }
        }
        let cancelled = self.seen.last().is_some_and(|s| s.2 == Method::Cancel);
        let invite = self.invites.iter().find(|(_, known, _)| known == server);
        if let (true, Some((.., invite))) = (cancelled, invite.cloned()) {
            self.world
                .answer(&invite, 487, Some("s"), server, &[], None);
        }
    }

    fn follow_scripts(&mut self, at: f64) {
        for (number, (server, script)) in self.scripts.clone().into_iter().enumerate() {
            let Some((begun, _, invite)) = self.invites.iter().find(|i| i.1 == server) else {
                continue;
            };
            for (step, (after, code)) in script.iter().enumerate() {
                if at >= begun + after && !self.sent.contains(&(number, step)) {
                    self.sent.push((number, step));
                    let body = (*code == 200).then(|| sdp("192.0.2.11", ""));
                    let tag = (*code > 100).then_some("s");
                    self.world
                        .answer(invite, *code, tag, server, &[], body.as_deref());
                }
            }
        }
    }

    /// When a server got its INVITE.
    fn invited(&self, server: &str) -> Option<f64> {
        let found = self.invites.iter().find(|(_, to, _)| to == server);
        found.map(|(at, ..)| *at)
    }

    fn count(&self, server: &str, method: &Method) -> usize {
        let seen = self.seen.iter();
        seen.filter(|(_, to, m)| to == server && m == method)
            .count()
    }

    fn events(&mut self) -> Vec<Event> {
        self.world.events(0)
    }
}

#[test]
fn emergency_call_leaves_a_server_that_only_tries() {
    for code in [180, 183] {
        let mut call = Call::emergency(&[(0.0, 100)], &[(0.1, 100), (0.5, code), (2.0, 200)]);
        call.run(10);
        let at = call.invited(SECOND).unwrap();
        assert!((4.0..=4.2).contains(&at), "{at}");
        assert!(is_established(&call.events()));
        assert_eq!(call.count(FIRST, &Method::Cancel), 1);
        assert_eq!(call.count(SECOND, &Method::Cancel), 0);
        call.world.phones[0].agent.shut_down(call.world.now);
        call.run(1);
        call.world.assert_quiet();
    }
}

#[test]
fn ringing_ends_the_search() {
    for code in [180, 183] {
        let mut call = Call::emergency(&[(0.0, 100), (3.0, code), (60.0, 200)], &[]);
        call.run(61);
        assert_eq!(call.invited(SECOND), None);
        assert!(is_established(&call.events()));
    }
}

#[test]
fn whoever_finds_somebody_first_has_the_call() {
    // The second server tries as well when the first one rings.
    let mut call = Call::emergency(&[(0.0, 100), (6.0, 180), (8.0, 200)], &[(0.0, 100)]);
    call.run(10);
    assert!(call.invited(SECOND).is_some());
    assert!(is_established(&call.events()));
    assert_eq!(call.count(FIRST, &Method::Cancel), 0);
    assert_eq!(call.count(SECOND, &Method::Cancel), 1);
}

#[test]
fn refusal_of_the_next_server_does_not_end_one_that_tries() {
    let refusals: [&Script; 3] = [&[(0.0, 503)], &[(0.0, 482)], &[(0.1, 100), (1.0, 500)]];
    for refusal in refusals {
        let mut call = Call::emergency(&[(0.0, 100), (20.0, 180), (22.0, 200)], refusal);
        call.run(25);
        assert!(call.invited(SECOND).is_some());
        assert_eq!(ends(&call.events()), []);
        assert_eq!(call.count(FIRST, &Method::Cancel), 0);
        assert_eq!(call.count(FIRST, &Method::Ack), 1, "{refusal:?}");
    }
}

#[test]
fn emergency_call_with_other_ways_fails_where_servers_only_try() {
    let options = InviteOptions {
        is_emergency: true,
        has_other_ways: true,
        ..InviteOptions::default()
    };
    let mut call = Call::place(options, &[(0.0, 100)], &[(0.0, 100)]);
    call.run(9);
    assert_eq!(ends(&call.events()), [(sip::EndedBy::Failure, Some(408))]);
    for server in [FIRST, SECOND] {
        assert_eq!(call.count(server, &Method::Cancel), 1, "{server}");
    }
    call.world.assert_quiet();
}

#[test]
fn normal_call_waits_longer_and_goes_on_too() {
    let mut call = Call::normal(&[(0.0, 100)], &[(0.5, 180), (2.0, 200)]);
    call.run(20);
    let at = call.invited(SECOND).unwrap();
    assert!((12.0..=12.2).contains(&at), "{at}");
    assert!(is_established(&call.events()));
    assert_eq!(call.count(FIRST, &Method::Cancel), 1);
    // One that takes its time finds somebody before.
    let mut call = Call::normal(&[(0.0, 100), (11.0, 180)], &[(0.0, 180)]);
    call.run(60);
    assert_eq!(call.invited(SECOND), None);
}

#[test]
fn hanging_up_cancels_every_server_that_tries() {
    let mut call = Call::normal(&[(0.0, 100)], &[(0.0, 100)]);
    call.run(15);
    assert!(call.invited(SECOND).is_some());
    let now = call.world.now;
    let handle = sip::CallHandle(1);
    call.world.phones[0].agent.end(handle, now);
    call.run(1);
    for server in [FIRST, SECOND] {
        assert_eq!(call.count(server, &Method::Cancel), 1, "{server}");
    }
    call.world.assert_quiet();
}

#[test]
fn cancelled_invite_without_final_response_is_forgotten() {
    let mut call = Call::emergency(&[(0.0, 100)], &[(0.0, 180), (0.5, 200)]);
    // The first server is gone after its 100.
    call.run(3);
    call.world.loses =
        Box::new(|message| matches!(message, Message::Request(r) if r.method == Method::Cancel));
    call.run(4);
    assert!(is_established(&call.events()));
    call.world.loses = Box::new(|_| false);
    let now = call.world.now;
    call.world.phones[0].agent.end(sip::CallHandle(1), now);
    call.run(1);
    call.world.assert_quiet();
}
