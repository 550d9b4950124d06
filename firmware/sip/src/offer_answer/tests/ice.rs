//! ICE in offers and answers (RFC 8839).

use super::*;
use crate::ice::LocalIce;
use crate::ice::{Candidate, CandidateKind, IceCredentials};

fn local_ice(name: &str, offered: bool) -> LocalIce {
    let candidate = |component, address: &str| Candidate {
        foundation: "h0".into(),
        component,
        priority: 2_130_706_432 - u32::from(component),
        address: address.parse().unwrap(),
        kind: CandidateKind::Host,
        related: None,
    };
    LocalIce {
        credentials: IceCredentials {
            ufrag: name.into(),
            password: format!("{name}01234567890123456789"),
        },
        candidates: vec![
            candidate(1, "192.0.2.9:20000"),
            candidate(2, "192.0.2.9:20001"),
        ],
        offered,
    }
}

fn with_ice(name: &str, offered: bool) -> OfferAnswer {
    let mut media = local(&[Codec::Pcmu]);
    media.ice = Some(local_ice(name, offered));
    OfferAnswer::new(media, "192.0.2.9".parse().unwrap(), 7)
}

const OFFER: &str = "m=audio 4000 RTP/AVP 0\r\na=ice-ufrag:their\r\n\
                     a=ice-pwd:theirs01234567890123456789\r\n\
                     a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\n\
                     a=candidate:1 2 UDP 2130706430 192.0.2.1 4001 typ host\r\n\
                     a=candidate:2 1 TCP 2130706430 192.0.2.1 9 typ host tcptype active\r\n";

#[test]
fn both_ends_learn_what_the_other_said() {
    let (mut a, mut b) = (with_ice("aaaa", true), with_ice("bbbb", false));
    let offer = a.offer(&mut tokens()).unwrap();
    let written = text(&offer);
    assert!(
        written.contains("t=0 0\r\na=ice-options:ice2\r\nm=audio 20000 "),
        "{written}"
    );
    let lines = "a=ice-ufrag:aaaa\r\na=ice-pwd:aaaa01234567890123456789\r\n\
                 a=candidate:h0 1 UDP 2130706431 192.0.2.9 20000 typ host\r\n\
                 a=candidate:h0 2 UDP 2130706430 192.0.2.9 20001 typ host\r\n\
                 a=end-of-candidates\r\n";
    assert!(written.contains(lines), "{written}");
    assert!(written.contains("a=rtcp-mux\r\n"), "{written}");
    let (answer, at_b) = b.answer(&offer, &mut tokens()).unwrap();
    let at_a = a.accept(&answer).unwrap();
    // Both take one port, and name no second one.
    assert!(at_a.rtcp_mux && at_b.rtcp_mux && !text(&answer).contains(" 2 UDP "));
    let (at_a, at_b) = (at_a.ice.unwrap(), at_b.ice.unwrap());
    assert_eq!(
        (at_a.local.clone(), at_a.remote.clone()),
        (at_b.remote, at_b.local)
    );
    assert_eq!((at_a.candidates.len(), at_b.candidates.len()), (1, 2));
    assert!(at_a.offered_by_us && !at_b.offered_by_us && !at_a.lite);
    // A later offer goes on with it, and is no restart.
    let again = a.offer(&mut tokens()).unwrap();
    assert!(text(&again).contains("a=ice-ufrag:aaaa\r\n"));
    let (_, again) = b.answer(&again, &mut tokens()).unwrap();
    assert_eq!(again.ice.unwrap().local, at_a.remote);
}

#[test]
fn the_candidates_that_checks_chose_are_answered_alone() {
    let mut media = local(&[Codec::Pcmu]);
    let mut ice = local_ice("bbbb", false);
    for component in [1, 2_u16] {
        ice.candidates.push(Candidate {
            foundation: "s0".into(),
            component: component as u8,
            priority: 1_694_498_816 - u32::from(component),
            address: format!("203.0.113.5:{}", 40_000 + component)
                .parse()
                .unwrap(),
            kind: CandidateKind::ServerReflexive,
            related: Some("192.0.2.9:20000".parse().unwrap()),
        });
    }
    media.ice = Some(ice);
    let mut session = OfferAnswer::new(media, "192.0.2.9".parse().unwrap(), 7);
    let (answer, first) = session.answer(&sdp(OFFER), &mut tokens()).unwrap();
    assert_eq!(text(&answer).matches("a=candidate:").count(), 4);
    // Checks are done: the end that leads says what it goes by.
    let chosen = "a=remote-candidates:1 203.0.113.5 40001 2 203.0.113.5 40002\r\n";
    let (answer, again) = session
        .answer(&sdp(&format!("{OFFER}{chosen}")), &mut tokens())
        .unwrap();
    let answer = text(&answer);
    assert!(answer.contains("m=audio 40001 RTP/AVP"), "{answer}");
    assert!(answer.contains("\r\nc=IN IP4 203.0.113.5\r\n"), "{answer}");
    assert_eq!(answer.matches("a=candidate:s0 ").count(), 2, "{answer}");
    assert_eq!(answer.matches("a=candidate:").count(), 2, "{answer}");
    assert_eq!(
        first.ice.unwrap().local,
        again.ice.unwrap().local,
        "no restart"
    );
    // Our own later offer says the same.
    let offer = session.offer(&mut tokens()).unwrap();
    let offer = text(&offer);
    assert!(
        offer.contains("m=audio 40001 ") && offer.contains("a=candidate:s0 1 "),
        "{offer}"
    );
    assert_eq!(offer.matches("a=candidate:").count(), 2, "{offer}");
    // What is not ours is not said.
    for not_ours in [
        "1 198.51.100.66 40001 2 198.51.100.66 40002",
        "1 203.0.113.5 40001 2 203.0.113.5 9",
        "1 203.0.113.5 40001",
    ] {
        let mut fresh = with_ice("bbbb", false);
        let offer = format!("{OFFER}a=remote-candidates:{not_ours}\r\n");
        let (answer, _) = fresh.answer(&sdp(&offer), &mut tokens()).unwrap();
        let answer = text(&answer);
        assert!(answer.contains("m=audio 20000 "), "{not_ours}: {answer}");
    }
    // A restart begins again with all of them.
    let restart = OFFER.replace("ufrag:their", "ufrag:other");
    let (answer, _) = session.answer(&sdp(&restart), &mut tokens()).unwrap();
    assert_eq!(text(&answer).matches("a=candidate:").count(), 4);
}

#[test]
fn it_is_offered_only_where_wanted() {
    let offer = with_ice("aaaa", false).offer(&mut tokens()).unwrap();
    assert!(!text(&offer).contains("ice-"), "{}", text(&offer));
    assert!(!text(&offer).contains("rtcp-mux"));
    let (answer, negotiated) = session(&[Codec::Pcmu])
        .answer(&sdp(OFFER), &mut tokens())
        .unwrap();
    assert!(negotiated.ice.is_none() && !text(&answer).contains("ice-"));
}

#[test]
fn an_offer_is_answered_with_its_components() {
    let (answer, negotiated) = with_ice("bbbb", false)
        .answer(&sdp(OFFER), &mut tokens())
        .unwrap();
    let ice = negotiated.ice.unwrap();
    assert_eq!(ice.candidates.len(), 2, "those over UDP");
    assert_eq!(ice.remote.ufrag, "their");
    assert!(text(&answer).contains(" 2 UDP ") && !text(&answer).contains("rtcp-mux"));
    let lite = OFFER.replace("m=audio", "a=ice-lite\r\nm=audio");
    let (_, negotiated) = with_ice("bbbb", false)
        .answer(&sdp(&lite), &mut tokens())
        .unwrap();
    assert!(negotiated.ice.unwrap().lite);
}

#[test]
fn an_offer_without_candidates_for_rtcp_is_answered_without() {
    let second = "a=candidate:1 2 UDP 2130706430 192.0.2.1 4001 typ host\r\n";
    let offer = OFFER.replace(second, "");
    let (answer, negotiated) = with_ice("bbbb", false)
        .answer(&sdp(&offer), &mut tokens())
        .unwrap();
    assert!(negotiated.ice.is_some());
    let answer = text(&answer);
    assert!(
        answer.contains(" 1 UDP ") && !answer.contains(" 2 UDP "),
        "{answer}"
    );
    // One that names an address for RTCP and no candidate for it was changed on the way.
    let named = offer.replace(
        "a=ice-ufrag",
        "a=rtcp:4382 IN IP4 192.0.2.77\r\na=ice-ufrag",
    );
    let (answer, negotiated) = with_ice("bbbb", false)
        .answer(&sdp(&named), &mut tokens())
        .unwrap();
    assert!(negotiated.ice.is_none());
    assert!(text(&answer).contains("a=ice-mismatch"));
}

#[test]
fn changed_addresses_are_said_and_not_trusted() {
    let body = String::from_utf8(sdp(OFFER)).unwrap();
    let changed = body.replace("c=IN IP4 192.0.2.1\r\n", "c=IN IP4 192.0.2.77\r\n");
    let (answer, negotiated) = with_ice("bbbb", false)
        .answer(changed.as_bytes(), &mut tokens())
        .unwrap();
    assert!(negotiated.ice.is_none());
    assert_eq!(negotiated.remote_rtp, "192.0.2.77:4000".parse().unwrap());
    assert!(
        text(&answer).contains("a=ice-mismatch\r\n"),
        "{}",
        text(&answer)
    );
    assert!(!text(&answer).contains("ice-ufrag"), "{}", text(&answer));
    // The other way round: an answer whose addresses were changed, or that says ours were.
    for line in [
        "m=audio 4000 RTP/AVP 0\r\na=ice-mismatch\r\n",
        &OFFER.replace("m=audio 4000", "m=audio 4444"),
    ] {
        let mut phone = with_ice("aaaa", true);
        phone.offer(&mut tokens()).unwrap();
        assert!(phone.accept(&sdp(line)).unwrap().ice.is_none(), "{line}");
        assert!(!text(&phone.offer(&mut tokens()).unwrap()).contains("ice-"));
    }
}

#[test]
fn other_credentials_are_a_restart() {
    let mut phone = with_ice("bbbb", false);
    let (_, first) = phone.answer(&sdp(OFFER), &mut tokens()).unwrap();
    let other = OFFER
        .replace("ufrag:their", "ufrag:newer")
        .replace("pwd:theirs", "pwd:newers");
    let (answer, second) = phone.answer(&sdp(&other), &mut tokens()).unwrap();
    let (first, second) = (first.ice.unwrap(), second.ice.unwrap());
    assert_ne!(first.local.ufrag, second.local.ufrag);
    assert_ne!(first.local.password, second.local.password);
    assert!(second.local.password.len() >= 22 && second.local.ufrag.len() >= 4);
    let written = format!("a=ice-ufrag:{}\r\n", second.local.ufrag);
    assert!(text(&answer).contains(&written));
    // And the same once more is none.
    let (_, third) = phone.answer(&sdp(&other), &mut tokens()).unwrap();
    assert_eq!(third.ice.unwrap().local, second.local);
}

#[test]
fn one_who_trickles_is_no_hold() {
    let body = "v=0\r\no=- 5 5 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
                m=audio 9 RTP/AVP 0\r\na=ice-ufrag:their\r\na=ice-options:trickle\r\n\
                a=ice-pwd:theirs01234567890123456789\r\na=rtcp:9 IN IP4 0.0.0.0\r\n";
    let (_, negotiated) = with_ice("bbbb", false)
        .answer(body.as_bytes(), &mut tokens())
        .unwrap();
    assert_eq!(negotiated.direction, Direction::SendRecv);
    assert!(negotiated.ice.unwrap().candidates.is_empty());
}

#[test]
fn odd_credentials_are_no_ice() {
    for (ufrag, password) in [
        ("abc", "0123456789012345678901"),
        ("abcd", "012345678901234567890"),
        ("ab:d", "0123456789012345678901"),
        ("ab d", "0123456789012345678901"),
    ] {
        let line = format!(
            "m=audio 4000 RTP/AVP 0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n\
             a=candidate:1 1 UDP 1 192.0.2.1 4000 typ host\r\n"
        );
        let (answer, negotiated) = with_ice("bbbb", false)
            .answer(&sdp(&line), &mut tokens())
            .unwrap();
        assert!(negotiated.ice.is_none(), "{ufrag} {password}");
        assert!(!text(&answer).contains("ice-"));
    }
}
