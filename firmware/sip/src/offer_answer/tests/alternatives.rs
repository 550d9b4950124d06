//! Offers of one stream at alternative addresses (ANAT, RFC 4091), and the address an answer gives.

use super::*;
use crate::local_addresses::Route;

const V4: &str = "192.0.2.9";
const V6: &str = "2001:db8::9";

/// A phone that has these addresses, each as its default route; signalling comes from `far_host`.
fn phone(sources: &[&str], far_host: &str) -> OfferAnswer {
    let routes = sources.iter().map(|source| {
        let source: IpAddr = source.parse().unwrap();
        let network = if source.is_ipv4() { "0.0.0.0" } else { "::" };
        Route {
            network: network.parse().unwrap(),
            prefix: 0,
            source,
        }
    });
    let addresses = LocalAddresses::new(5060, routes);
    let mut session = OfferAnswer::new(local(&[Codec::Pcmu]), addresses.primary().ip(), 7);
    session.set_addresses(&addresses);
    session.set_far_host(Some(far_host.parse().unwrap()));
    session
}

/// One stream at two addresses; the first is preferred.
fn offer(lines: [&str; 2]) -> String {
    let [first, second] = lines.map(|address| {
        let family = if address.contains(':') { "IP6" } else { "IP4" };
        format!("c=IN {family} {address}\r\n")
    });
    format!(
        "v=0\r\no=- 1 1 IN IP4 203.0.113.1\r\ns=-\r\nt=0 0\r\na=group:ANAT 1 2\r\n\
         m=audio 4000 RTP/AVP 0\r\n{first}a=mid:1\r\nm=audio 4002 RTP/AVP 0\r\n{second}a=mid:2\r\n"
    )
}

const OFFER_V4: &str = "203.0.113.1";
const OFFER_V6: &str = "2001:db8:1::1";

#[test]
fn the_first_alternative_that_can_be_reached_is_taken() {
    for (sources, lines, taken) in [
        (&[V4, V6][..], [OFFER_V6, OFFER_V4], 0),
        (&[V4, V6], [OFFER_V4, OFFER_V6], 0),
        (&[V4], [OFFER_V6, OFFER_V4], 1),
        (&[V6], [OFFER_V4, OFFER_V6], 1),
    ] {
        let mut phone = phone(sources, OFFER_V4);
        let (answer, agreed) = phone
            .answer(offer(lines).as_bytes(), &mut tokens())
            .unwrap();
        let remote = agreed.remote_rtp.ip().to_string();
        assert_eq!(remote, lines[taken], "{sources:?}");
        let answered = Description::parse(&answer).unwrap();
        let live: Vec<bool> = answered.lines.iter().map(|line| line.port != 0).collect();
        assert_eq!(live, [taken == 0, taken == 1], "{}", text(&answer));
        // The group has the line that is taken, and no other (RFC 5888 section 9.2).
        let mid = taken + 1;
        let written = text(&answer);
        assert!(
            written.contains(&format!("a=group:ANAT {mid}\r\n")),
            "{written}"
        );
        assert!(written.contains(&format!("a=mid:{mid}\r\n")), "{written}");
        assert_eq!(written.matches("a=mid:").count(), 1, "{written}");
        // Its address is of the same family.
        let ours = answered.lines[taken].address.clone().unwrap();
        let family = agreed.remote_rtp.is_ipv4();
        assert_eq!(ours.is_ipv4(), family, "{written}");
        // What we offer later is one line, and no group.
        let later = phone.offer(&mut tokens()).unwrap();
        assert!(!text(&later).contains("ANAT"), "{}", text(&later));
        let later = Description::parse(&later).unwrap().lines[taken].clone();
        assert_eq!(later.address, Ok(ours));
    }
}

#[test]
fn no_alternative_that_can_be_reached_is_refused() {
    let mut phone = phone(&[V4], OFFER_V4);
    let offer = offer([OFFER_V6, "2001:db8:2::1"]);
    let error = phone.answer(offer.as_bytes(), &mut tokens()).unwrap_err();
    assert_eq!((error.status(), error.warning()), (488, 301), "{error}");
}

#[test]
fn media_of_one_family_is_answered_by_an_address_of_it() {
    // Signalling by IPv4, media by IPv6, and the other way round; no groups.
    for (far_host, media, ours) in [(OFFER_V4, OFFER_V6, V6), (OFFER_V6, OFFER_V4, V4)] {
        let family = if media.contains(':') { "IP6" } else { "IP4" };
        let offer = format!(
            "v=0\r\no=- 1 1 IN {family} {media}\r\ns=-\r\nc=IN {family} {media}\r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP 0\r\n"
        );
        let mut phone = phone(&[V4, V6], far_host);
        let (answer, _) = phone.answer(offer.as_bytes(), &mut tokens()).unwrap();
        let answered = Description::parse(&answer).unwrap();
        assert_eq!(answered.lines[0].address, Ok(ours.parse().unwrap()));
        assert!(!text(&answer).contains("ANAT"));
    }
}
