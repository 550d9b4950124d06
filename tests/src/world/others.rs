//! What is not a phone in a world: names, outages, and the scripted peers' lines.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use testkit::network::{Datagram, RuleAction};
use testkit::peer::{Dialog, Message, sdp};
use testkit::registrar::{address_of, via_address};

use super::{PeerId, PhoneId, World, number_of_peer, secs};

impl World {
    /// Names every phone can resolve.
    pub fn set_zone(&mut self, names: &[(&str, &[&str])]) {
        let targets = |addresses: &[&str]| {
            let target = |address: &&str| sip::Target {
                transport: sip::Transport::Udp,
                address: address.parse().expect("an address and port"),
            };
            addresses.iter().map(target).collect::<Vec<_>>()
        };
        for phone in &mut self.phones {
            phone.set_zone(
                names
                    .iter()
                    .map(|(name, addresses)| ((*name).to_owned(), targets(addresses)))
                    .collect(),
            );
        }
    }

    /// The phone calls the scripted peer, which answers with this address for its media: the peer's
    /// dialog, and the phone's INVITE.
    pub fn answered_by_peer(
        &mut self,
        caller: PhoneId,
        peer: PeerId,
        media: SocketAddr,
    ) -> (Dialog, Message) {
        self.call(caller, &number_of_peer(peer));
        let invite = self.expect(peer, "INVITE");
        let ok = invite
            .reply(200, "far")
            .with("Contact", "<sip:script@10.0.0.9>")
            .sdp(&sdp(media, 1, "sendrecv"));
        self.say(peer, &ok);
        self.expect(peer, "ACK");
        self.expect_state(caller, phone::State::Talking, secs(1));
        (self[peer].callee_dialog(&invite, &ok), invite)
    }

    /// The kernel informs a phone that no one listens at this address.
    pub fn unreachable(&mut self, id: PhoneId, remote: SocketAddr) {
        let now = self.now;
        self.phones[id.0].unreachable(remote, &mut self.network, now);
    }

    /// A STUN server answers there.
    pub fn add_stun_server(&mut self, at: SocketAddr) {
        self.stun = Some(at);
    }

    /// A phone has other addresses from now on, in the same place of the network.
    pub fn change_addresses(&mut self, id: PhoneId, local: sip::LocalAddresses) {
        let now = self.now;
        self.phones[id.0].change_addresses(local, &mut self.network, now);
    }

    // ---------------------------------------------------------------- network

    /// Loses the first `count` packets of this kind (`"ACK"`, `"SIP/2.0 200 INVITE"`: a response
    /// and its method) from this address.
    pub fn lose_first(&mut self, from: IpAddr, what: &str, count: u32) {
        let (start, about) = match what
            .strip_prefix("SIP/2.0 ")
            .and_then(|rest| rest.split_once(' '))
        {
            Some((code, method)) => (format!("SIP/2.0 {code}"), Some(method.to_owned())),
            None => (what.to_owned(), None),
        };
        let mut left = count;
        self.network
            .add_rule(&format!("lose {what}"), move |packet, _| {
                let hit = left > 0
                    && packet.from.ip() == from
                    && packet.is_sip(&start)
                    && about.as_ref().is_none_or(|method| packet.is_about(method));
                left -= u32::from(hit);
                if hit {
                    RuleAction::Drop
                } else {
                    RuleAction::Pass
                }
            });
    }

    /// Nothing goes to or from this address, from now for this long.
    pub fn cut_off(&mut self, ip: IpAddr, length: Duration) {
        let (from, until) = (self.now, self.now + length);
        self.network
            .add_rule(&format!("cut {ip} {from:?}"), move |packet, now| {
                let hit = (from..until).contains(&now)
                    && (packet.from.ip() == ip || packet.to.ip() == ip);
                if hit {
                    RuleAction::Drop
                } else {
                    RuleAction::Pass
                }
            });
    }

    // ---------------------------------------------------------------- scripted peer

    /// The next message at a peer, which must be this: a method, or a code with the method (`"200
    /// INVITE"`).
    pub fn expect(&mut self, id: PeerId, what: &str) -> Message {
        self.expect_within(id, what, secs(5))
    }

    /// [`World::expect`] with its own limit.
    pub fn expect_within(&mut self, id: PeerId, what: &str, within: Duration) -> Message {
        self.until(&format!("peer gets {what}"), within, |world| {
            !world[id].mailbox.is_empty()
        });
        let (_, _, message) = self[id].mailbox.pop_front().expect("it is not empty");
        let is = match message.code() {
            Some(code) => format!(
                "{code} {}",
                message.header("cseq").split(' ').nth(1).unwrap_or("")
            ),
            None => message.method().to_owned(),
        };
        assert_eq!(is, what, "peer got\n{}", message.text());
        message
    }

    /// Nothing comes to a peer for this long.
    pub fn expect_nothing(&mut self, id: PeerId, length: Duration) {
        self.run(length);
        if let Some((at, _, message)) = self[id].mailbox.front() {
            panic!("peer got at {at:?}\n{}", message.text());
        }
    }

    /// A peer sends a message: a response along its Via, a request to its Route or Request-URI.
    pub fn say(&mut self, id: PeerId, message: &Message) {
        let to = if message.code().is_some() {
            via_address(message.header("via"))
        } else {
            message
                .all("route")
                .first()
                .and_then(|route| address_of(testkit::peer::bare(route)))
                .or_else(|| address_of(message.uri()))
        };
        let to = to.unwrap_or_else(|| panic!("no address to send this to:\n{}", message.text()));
        self.say_raw(id, to, message.text().into_bytes());
    }

    /// A peer sends these bytes from its SIP port.
    pub fn say_raw(&mut self, id: PeerId, to: SocketAddr, bytes: Vec<u8>) {
        let from = self[id].at;
        self.send_from(from, to, bytes);
    }

    /// Anybody sends these bytes.
    pub fn send_from(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.now;
        self.network.send(Datagram { from, to, bytes }, now);
    }

    // ---------------------------------------------------------------- sound
}
