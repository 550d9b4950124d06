//! The checks of another implementation (str0m's `is`) with ours, in both roles.

use std::time::Instant;

use is::stun::{StunMessage, StunPacket};
use is::{Candidate as IsCandidate, IceAgent, IceAgentEvent, IceCreds, Protocol};
use sip::ice::Candidate;

use super::network::STREAM;
use super::*;

const OURS: &str = "203.0.113.1:4000";
const THEIRS: &str = "203.0.113.2:5000";
const DELAY: Duration = ms(15);

struct Pair {
    now: Instant,
    ours: IceEndpoints,
    theirs: IceAgent,
    flights: Vec<(Instant, bool, Vec<u8>)>,
    /// Where `is` sends media to.
    nominated: Option<SocketAddr>,
}

impl Pair {
    fn step(&mut self) {
        self.now += ms(5);
        let now = self.now;
        self.ours.handle_timeout(now);
        self.theirs.handle_timeout(now);
        while let Some(transmit) = self.ours.poll_transmit() {
            self.flights.push((now + DELAY, true, transmit.bytes));
        }
        while let Some(transmit) = self.theirs.poll_transmit() {
            self.flights
                .push((now + DELAY, false, transmit.contents.to_vec()));
        }
        let (due, later) = self.flights.drain(..).partition(|flight| flight.0 <= now);
        self.flights = later;
        let due: Vec<(Instant, bool, Vec<u8>)> = due;
        for (_, is_ours, bytes) in due {
            if is_ours {
                let packet = StunPacket {
                    proto: Protocol::Udp,
                    source: address(OURS),
                    destination: address(THEIRS),
                    message: StunMessage::parse(&bytes).expect("what we send is read"),
                };
                self.theirs.handle_packet(now, packet);
            } else {
                let from = address(THEIRS);
                self.ours
                    .handle_datagram(STREAM, PacketKind::Rtp, from, &bytes, now);
            }
        }
        while let Some(event) = self.theirs.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.nominated = Some(destination);
            }
        }
    }
}

#[test]
fn both_find_each_other_in_both_roles() {
    for (we_offer, they_control) in [(true, false), (false, true), (true, true), (false, false)] {
        let now = crate::test_origin();
        let mut ours = IceEndpoints::new([5; 32]);
        let wanted = Wanted {
            hosts: vec![address(OURS).ip()],
            ..Wanted::default()
        };
        let sockets = [address(OURS), address("203.0.113.1:4001")];
        assert!(ours.open(STREAM, sockets, wanted, now));
        let local = ours.local(STREAM, we_offer, now).unwrap();
        let credentials = IceCreds::new();
        let mut theirs = IceAgent::new(credentials.clone());
        theirs.set_controlling(they_control);
        let host = IsCandidate::host(address(THEIRS), "udp").unwrap();
        theirs.add_local_candidate(host);
        theirs.set_remote_credentials(IceCreds {
            ufrag: local.credentials.ufrag.clone(),
            pass: local.credentials.password.clone(),
        });
        for candidate in local.candidates.iter().filter(|c| c.component == 1) {
            let read = IsCandidate::from_sdp_string(&format!("candidate:{candidate}")).unwrap();
            theirs.add_remote_candidate(read);
        }
        let agreed = AgreedIce {
            local: local.credentials,
            remote: IceCredentials {
                ufrag: credentials.ufrag,
                password: credentials.pass,
            },
            candidates: vec![Candidate {
                foundation: "1".into(),
                component: 1,
                priority: 2_130_706_431,
                address: address(THEIRS),
                kind: sip::ice::CandidateKind::Host,
                related: None,
            }],
            lite: false,
            offered_by_us: we_offer,
        };
        ours.agree(STREAM, Some(&agreed), true, now);
        let mut pair = Pair {
            now,
            ours,
            theirs,
            flights: Vec::new(),
            nominated: None,
        };
        // Long enough for consent to run out where it is not answered.
        for _ in 0..60_000 / 5 {
            pair.step();
        }
        let path = pair.ours.path(STREAM);
        assert_eq!(path.rtp, Some(address(THEIRS)), "{we_offer} {they_control}");
        assert_eq!(pair.nominated, Some(address(OURS)));
        assert!(pair.theirs.state().is_connected());
        let agent = pair.ours.endpoints[0].agent.as_ref().unwrap();
        assert!(agent.is_settled(), "{we_offer} {they_control}");
        assert_ne!(agent.is_controlling(), pair.theirs.controlling());
    }
}
