//! One request, and the answers to it.

use super::*;
use crate::env::tests::{account, config, env, request, response};
use crate::ids::CallHandle;
use crate::registration::Registration;
use crate::servers::ServerRoute;
use crate::timer::TIMER_C;

const SERVER: &str = "192.0.2.50:5060";
const CHALLENGE: &str = "Digest realm=\"r\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";

fn invite() -> Request {
    request(
        "INVITE sip:bob@192.0.2.50 SIP/2.0\r\nMax-Forwards: 70\r\n\
         From: <sip:101@192.0.2.50>;tag=a\r\n\
         To: <sip:bob@192.0.2.50>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK0\r\n\r\n",
    )
}

fn client(request: Request, uri: &str) -> ClientRequest {
    let hop = Hop::of(&crate::message::Uri::parse(uri).unwrap()).unwrap();
    let outgoing = OutgoingRequest {
        purpose: Purpose::Invite(CallHandle(1)),
        account: Some(0),
        request,
        hop: Ok(hop.clone()),
        flow: None,
    };
    let now = crate::timer::epoch();
    ClientRequest::new(outgoing, hop, Delivery::default(), &env(), now)
}

/// The name of its server is looked up, and these are its addresses.
fn resolve(client: &mut ClientRequest, targets: &[Target], env: &Env, now: Instant) -> Step {
    assert!(client.next_lookup().is_some());
    client.handle_targets(Ok(targets), env, now)
}

fn udp(text: &str) -> Target {
    Target {
        transport: Transport::Udp,
        address: text.parse().unwrap(),
    }
}

/// Sends it to the next address, in this transaction.
fn sent(client: &mut ClientRequest, env: &mut Env, transaction: TransactionId, now: Instant) {
    let prepared = client.next_attempt(env, now).unwrap();
    let remote = prepared.remote;
    client.handle_sent(Flow::Udp { remote }, transaction, false, now);
}

/// An INVITE that went to the account's server.
fn under_way() -> (ClientRequest, Env, Registration, Instant) {
    let now = crate::timer::epoch();
    let settings = crate::api::AgentConfig {
        accounts: vec![account("101", "192.0.2.50", "secret")],
        ..config()
    };
    let mut env = Env::new(settings.clone());
    let registration = Registration::new(0, &settings.accounts[0], &mut env, now);
    let mut client = client(invite(), "sip:192.0.2.50");
    let targets = [udp(SERVER), udp("192.0.2.51:5060")];
    resolve(&mut client, &targets, &env, now);
    sent(&mut client, &mut env, 1, now);
    (client, env, registration, now)
}

fn answer(
    client: &mut ClientRequest,
    env: &mut Env,
    registration: &Registration,
    code: u16,
    headers: &[(&str, &str)],
    now: Instant,
) -> Step {
    let response = response(client.request(), code, headers);
    let config = env.config.accounts[0].clone();
    let account = Account {
        config: &config,
        servers: registration.servers(),
        proven: registration.is_proven(),
    };
    client.handle_response(&response, Some(account), &mut env.tokens, now)
}

#[test]
fn challenge_is_answered_once_per_nonce() {
    let (mut client, mut env, registration, now) = under_way();
    let challenge = [("WWW-Authenticate", CHALLENGE)];
    let step = answer(&mut client, &mut env, &registration, 401, &challenge, now);
    assert_eq!(step, Step::Resend(2));
    let authorization = client.request().headers.get("Authorization").unwrap();
    assert!(
        authorization.contains("username=\"101\""),
        "{authorization}"
    );
    assert_eq!(
        client.same_attempt(&mut env, now).unwrap().remote,
        SERVER.parse().unwrap()
    );
    let step = answer(&mut client, &mut env, &registration, 401, &challenge, now);
    assert_eq!(step, Step::Finish, "the password is wrong");
}

#[test]
fn stale_nonces_are_answered_four_times_at_most() {
    let (mut client, mut env, registration, now) = under_way();
    for round in 2..=5 {
        let challenge = format!("{CHALLENGE}, stale=true, opaque=\"{round}\"");
        let headers = [("Proxy-Authenticate", challenge.as_str())];
        let step = answer(&mut client, &mut env, &registration, 407, &headers, now);
        assert_eq!(step, Step::Resend(round));
        let count = client.request().headers.all("Proxy-Authorization").count();
        assert_eq!(count, 1);
    }
    let challenge = format!("{CHALLENGE}, stale=true");
    let headers = [("Proxy-Authenticate", challenge.as_str())];
    let step = answer(&mut client, &mut env, &registration, 407, &headers, now);
    assert_eq!(step, Step::Finish);
}

#[test]
fn password_is_shown_to_the_own_server_only() {
    let (_, mut env, registration, now) = under_way();
    let mut client = client(invite(), "sip:203.0.113.1");
    resolve(&mut client, &[udp("203.0.113.1:5060")], &env, now);
    sent(&mut client, &mut env, 1, now);
    let challenge = [("WWW-Authenticate", CHALLENGE)];
    let step = answer(&mut client, &mut env, &registration, 401, &challenge, now);
    assert_eq!(step, Step::Finish);
    assert_eq!(client.request().headers.get("Authorization"), None);
}

#[test]
fn weak_challenge_fails_with_an_explanation() {
    let (mut client, mut env, registration, now) = under_way();
    env.config.accounts[0].weakest_hash = crate::digest::Hash::Sha256;
    let challenge = [("WWW-Authenticate", CHALLENGE)];
    let step = answer(&mut client, &mut env, &registration, 401, &challenge, now);
    assert!(
        matches!(&step, Step::Fail(401, reason) if reason.contains("SHA-256")),
        "{step:?}"
    );
}

#[test]
fn unavailable_server_is_followed_by_the_next() {
    let (mut client, mut env, registration, now) = under_way();
    let step = answer(&mut client, &mut env, &registration, 503, &[], now);
    assert!(matches!(step, Step::TryNext(503, _)), "{step:?}");
    let next = client.next_attempt(&mut env, now).unwrap();
    assert_eq!(next.remote, "192.0.2.51:5060".parse().unwrap());
    client.handle_sent(
        Flow::Udp {
            remote: next.remote,
        },
        2,
        false,
        now,
    );
    let step = answer(&mut client, &mut env, &registration, 503, &[], now);
    assert_eq!(step, Step::Finish, "it was the last address");
}

#[test]
fn silence_leads_to_the_next_address_too() {
    let (mut client, mut env, _, now) = under_way();
    assert_eq!(
        client.handle_failure(408, "no answer", &mut env, now),
        Step::TryNext(408, "no answer".into())
    );
    assert!(env.reachability.is_avoided(udp(SERVER), now));
    assert!(client.next_attempt(&mut env, now).is_some());
    assert!(client.next_attempt(&mut env, now).is_none());
}

#[test]
fn tls_hop_takes_no_other_target() {
    let (mut env, now) = (env(), crate::timer::epoch());
    let mut client = client(invite(), "sips:example.com");
    let step = resolve(&mut client, &[udp(SERVER)], &env, now);
    assert!(
        matches!(&step, Step::TryNext(503, reason) if reason.contains("no server for TLS")),
        "{step:?}"
    );
    assert!(client.next_attempt(&mut env, now).is_none());
}

#[test]
fn large_request_uses_tcp_and_then_udp_after_all() {
    let (mut env, now) = (env(), crate::timer::epoch());
    let mut large = invite();
    large.body = vec![b'x'; 1400].into();
    let mut client = client(large, "sip:192.0.2.50");
    resolve(&mut client, &[udp(SERVER)], &env, now);
    for transport in [Transport::Tcp, Transport::Udp] {
        let prepared = client.next_attempt(&mut env, now).unwrap();
        assert_eq!(prepared.transport, transport);
        let via = prepared.request.headers.top_via().unwrap().to_string();
        assert!(via.contains(transport.via_name()), "{via}");
    }
    assert!(client.next_attempt(&mut env, now).is_none());
}

#[test]
fn cancel_waits_for_the_first_provisional_response() {
    let (mut client, mut env, registration, now) = under_way();
    assert_eq!(client.cancel(Some(State::Calling)), Step::Wait);
    let step = answer(&mut client, &mut env, &registration, 100, &[], now);
    assert_eq!(step, Step::SendCancel);
    client.handle_cancel_sent(now);
    assert_eq!(client.deadline(), Some(now + T1_64));
    assert_eq!(client.cancel(Some(State::Proceeding)), Step::Wait, "once");
    let step = answer(&mut client, &mut env, &registration, 180, &[], now);
    assert_eq!(step, Step::Wait, "of no interest any more");
    let step = answer(&mut client, &mut env, &registration, 487, &[], now);
    assert_eq!(step, Step::Forget);
}

#[test]
fn answer_that_crosses_the_cancel_is_delivered() {
    let (mut client, mut env, registration, now) = under_way();
    assert_eq!(client.cancel(Some(State::Proceeding)), Step::SendCancel);
    client.handle_cancel_sent(now);
    let step = answer(&mut client, &mut env, &registration, 200, &[], now);
    assert_eq!(step, Step::Deliver, "it wants ACK and BYE");
}

#[test]
fn cancel_by_the_state_of_the_transaction() {
    for (state, step) in [
        (None, Step::Forget),
        (Some(State::Calling), Step::Wait),
        (Some(State::Proceeding), Step::SendCancel),
        (Some(State::Completed), Step::Wait),
        (Some(State::Accepted), Step::Wait),
        (Some(State::Done), Step::Wait),
    ] {
        let (mut client, ..) = under_way();
        assert_eq!(client.cancel(state), step, "{state:?}");
    }
}

#[test]
fn unanswered_cancel_ends_the_invite() {
    let (mut client, mut env, _, now) = under_way();
    client.handle_cancel_sent(now);
    let step = client.handle_timeout(Some(State::Proceeding), &mut env, now);
    assert_eq!(step, Step::Forget);
    assert_eq!(client.deadline(), None);
}

#[test]
fn endless_ringing_is_cancelled_and_fails() {
    let (mut client, mut env, registration, now) = under_way();
    let step = answer(&mut client, &mut env, &registration, 180, &[], now);
    assert_eq!(step, Step::Deliver);
    assert_eq!(client.deadline(), Some(now + TIMER_C));
    let step = client.handle_timeout(Some(State::Proceeding), &mut env, now);
    assert!(matches!(step, Step::CancelAndFail(408, _)), "{step:?}");
}

#[test]
fn connection_that_does_not_open_is_given_up() {
    let (mut client, mut env, _, now) = under_way();
    let remote = SERVER.parse().unwrap();
    let connection = crate::ids::ConnectionId(1);
    let tcp = Flow::Tcp { connection, remote };
    let tls = Flow::Tls { connection, remote };
    // Another address is left.
    for flow in [tcp, tls] {
        client.handle_sent(flow, 1, true, now);
        assert_eq!(client.deadline(), Some(now + destinations::SILENCE));
    }
    let step = client.handle_timeout(Some(State::Calling), &mut env, now);
    assert!(
        matches!(&step, Step::Overtake(503, reason) if reason.contains("does not open")),
        "{step:?}"
    );
    // The last one.
    client.next_attempt(&mut env, now).unwrap();
    for (flow, wait) in [(tcp, CONNECT_TIME), (tls, CONNECT_TIME_TLS)] {
        client.handle_sent(flow, 2, true, now);
        assert_eq!(client.deadline(), Some(now + wait));
    }
    client.handle_connected(now);
    assert_eq!(client.deadline(), None);
}

#[test]
fn silence_is_limited_while_another_address_is_left() {
    let (mut client, mut env, registration, now) = under_way();
    assert_eq!(client.deadline(), Some(now + destinations::SILENCE));
    let step = client.handle_timeout(Some(State::Calling), &mut env, now);
    assert!(matches!(step, Step::Overtake(408, _)), "{step:?}");
    client.handle_overtaken();
    sent(&mut client, &mut env, 2, now);
    assert_eq!(client.deadline(), None, "the last one has time");
    // A provisional response is enough; one that finds no one is waited for a while.
    let (mut other, ..) = under_way();
    answer(&mut other, &mut env, &registration, 100, &[], now);
    assert_eq!(other.deadline(), Some(now + Duration::from_secs(12)));
    let later = now + Duration::from_secs(5);
    answer(&mut other, &mut env, &registration, 100, &[], later);
    assert_eq!(other.deadline(), Some(now + Duration::from_secs(12)));
    answer(&mut other, &mut env, &registration, 183, &[], later);
    assert_eq!(other.deadline(), Some(later + TIMER_C));
}

#[test]
fn an_overtaken_address_that_answers_first_counts() {
    let (mut client, mut env, _, now) = under_way();
    client.handle_timeout(Some(State::Calling), &mut env, now);
    client.handle_overtaken();
    sent(&mut client, &mut env, 2, now);
    assert!(client.take_back(1));
    assert_eq!(client.transaction(), Some(1));
    assert_eq!(client.flow().unwrap().remote(), SERVER.parse().unwrap());
    assert_eq!(client.overtaken().collect::<Vec<_>>(), [2]);
    // No one wants an outcome any more: none is taken back.
    client.cancel(Some(State::Calling));
    assert!(!client.take_back(2));
}

#[test]
fn a_large_request_does_not_ask_for_tcp_again_where_there_is_none() {
    let (mut env, now) = (env(), crate::timer::epoch());
    let mut large = invite();
    large.body = vec![b'x'; 1400].into();
    let mut first = client(large.clone(), "sip:192.0.2.50");
    resolve(&mut first, &[udp(SERVER)], &env, now);
    first.next_attempt(&mut env, now).unwrap();
    let (connection, remote) = (crate::ids::ConnectionId(1), SERVER.parse().unwrap());
    first.handle_sent(Flow::Tcp { connection, remote }, 1, true, now);
    assert_eq!(first.deadline(), Some(now + Duration::from_secs(1)));
    first.handle_timeout(Some(State::Calling), &mut env, now);
    let mut transport_at = |later: u64| {
        let now = now + Duration::from_secs(later);
        let mut next = client(large.clone(), "sip:192.0.2.50");
        resolve(&mut next, &[udp(SERVER)], &env, now);
        next.next_attempt(&mut env, now).unwrap().transport
    };
    assert_eq!(transport_at(3500), Transport::Udp);
    assert_eq!(transport_at(3601), Transport::Tcp, "after an hour");
}

/// The addresses in the order they are tried.
fn order(client: &mut ClientRequest, env: &mut Env, names: &[&[Target]], now: Instant) -> Vec<u16> {
    let mut order = Vec::new();
    let mut names = names.iter();
    loop {
        if let Some(prepared) = client.next_attempt(env, now) {
            order.push(prepared.remote.port());
        } else if client.next_lookup().is_some() {
            client.handle_targets(Ok(names.next().unwrap()), env, now);
        } else {
            return order;
        }
    }
}

#[test]
fn servers_are_tried_in_their_order_and_silent_ones_last() {
    let (mut env, now) = (env(), crate::timer::epoch());
    let at = |port: u16| Target {
        transport: Transport::Udp,
        address: ([192, 0, 2, 50], port).into(),
    };
    let hop = |text: &str| Hop::of(&crate::message::Uri::parse(text).unwrap()).unwrap();
    let mut ports = |registered: Option<u16>, silent: &[u16]| {
        env.reachability.forget();
        for port in silent {
            env.reachability.handle_silence(at(*port), now);
        }
        let delivery = Delivery {
            registered: registered.map(|port| (at(port), 0)),
            confirms: false,
            backups: vec![ServerRoute {
                hop: hop("sip:second.example"),
                route: None,
            }],
            silence: None,
            urgent: None,
        };
        let outgoing = OutgoingRequest {
            purpose: Purpose::Invite(CallHandle(1)),
            account: Some(0),
            request: invite(),
            hop: Ok(hop("sip:first.example")),
            flow: None,
        };
        let first = hop("sip:first.example");
        let mut client = ClientRequest::new(outgoing, first, delivery, &env, now);
        let names: [&[Target]; 2] = [&[at(1), at(2)], &[at(3), at(1)]];
        order(&mut client, &mut env, &names, now)
    };
    assert_eq!(ports(None, &[]), [1, 2, 3]);
    assert_eq!(ports(None, &[1]), [2, 3, 1]);
    assert_eq!(ports(None, &[1, 2]), [3, 1, 2]);
    assert_eq!(ports(None, &[1, 2, 3]), [1, 2, 3]);
    assert_eq!(ports(Some(2), &[]), [2, 1, 3]);
    assert_eq!(ports(Some(2), &[2]), [1, 3, 2], "not where no one answers");
}

#[test]
fn repeated_2xx_of_a_branch_gets_the_same_ack() {
    let (mut client, mut env, registration, now) = under_way();
    let flow = client.flow().unwrap();
    let step = answer(&mut client, &mut env, &registration, 200, &[], now);
    assert_eq!(step, Step::Deliver);
    client.handle_acknowledged("far".into(), flow, b"ACK".to_vec());
    let step = answer(&mut client, &mut env, &registration, 200, &[], now);
    assert_eq!(step, Step::RepeatAck(flow, b"ACK".to_vec()));
    client.acks[0].0 = "another".into();
    let step = answer(&mut client, &mut env, &registration, 200, &[], now);
    assert_eq!(step, Step::Deliver, "of another branch");
}

#[test]
fn expected_identity_never_comes_from_dns() {
    let (own, _, registration, _) = under_way();
    let names = own.expected_identities(Some(registration.servers()), SERVER.parse().unwrap());
    assert_eq!(names, ["192.0.2.50"]);
    let other = client(invite(), "sip:Proxy.example.net.");
    let names = other.expected_identities(Some(registration.servers()), SERVER.parse().unwrap());
    assert_eq!(names, ["proxy.example.net"]);
}

#[test]
fn emergency_call_waits_two_seconds_for_a_connection_and_its_answer() {
    let (mut env, now) = (env(), crate::timer::epoch());
    let hop = Hop::of(&crate::message::Uri::parse("sip:192.0.2.50;transport=tcp").unwrap());
    let outgoing = OutgoingRequest {
        purpose: Purpose::Invite(CallHandle(1)),
        account: Some(0),
        request: invite(),
        hop: hop.clone(),
        flow: None,
    };
    let each = Duration::from_millis(1500);
    let delivery = Delivery {
        urgent: Some(each),
        silence: Some(each),
        ..Delivery::default()
    };
    let mut client = ClientRequest::new(outgoing, hop.unwrap(), delivery, &env, now);
    let remote = SERVER.parse().unwrap();
    let transport = Transport::Tcp;
    let address = Target {
        transport,
        address: remote,
    };
    resolve(&mut client, &[address], &env, now);
    client.next_attempt(&mut env, now).unwrap();
    let connection = crate::ids::ConnectionId(1);
    client.handle_sent(Flow::Tcp { connection, remote }, 1, true, now);
    assert_eq!(client.deadline(), Some(now + each));
    // It opens late, and says nothing.
    client.handle_connected(now + Duration::from_millis(1400));
    assert_eq!(client.deadline(), Some(now + Duration::from_secs(2)));
}
