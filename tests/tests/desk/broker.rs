//! The broker of home automation in a story: what it has of a phone, and what it orders. And what
//! is seen on the network between phones.

use control::MqttEvent;
use offhook_tests::world::PhoneId;

use super::{Story, ms, secs};

impl Story {
    pub(super) fn broker(&mut self, id: PhoneId, words: &[&str], line: &str) {
        // As in the story's settings: the phone's name is that of its machine.
        let topic = |entity: &str| format!("offhook/offhook/{entity}");
        match words {
            ["connects"] => self.world.mqtt(id, MqttEvent::Connected),
            ["is", "lost"] => {
                let why = "the broker is gone".to_owned();
                self.world.mqtt(id, MqttEvent::Disconnected(why));
                self.world[id].published.clear();
            }
            ["has", "nothing"] => {
                self.world.run(secs(1));
                assert!(self.world[id].published.is_empty(), "{line}");
            }
            ["has", entity, wanted @ ..] => {
                let (topic, wanted) = (topic(entity), wanted.join(" "));
                self.world.until(line, secs(5), |world| {
                    let found = world[id].published.get(&topic);
                    found.is_some_and(|found| found.contains(&wanted))
                });
            }
            [how @ ("orders" | "keeps"), entity, payload] => {
                let message = MqttEvent::Message {
                    topic: topic(&format!("{entity}/set")),
                    payload: payload.as_bytes().to_vec(),
                    retained: *how == "keeps",
                };
                self.world.mqtt(id, message);
                self.world.run(ms(100));
            }
            ["never", "learns", text] => {
                let published = self.world[id].published.values();
                let known = published.filter(|payload| payload.contains(text)).count();
                assert_eq!(known, 0, "{line}");
            }
            _ => panic!("not understood: {line}"),
        }
    }

    /// A telephone-event on its way to a phone (RFC 4733 section 2.3): four bytes behind the header
    /// of RTP, the first of which is the event.
    pub(super) fn event_sent(&mut self, to: PhoneId, event: u8, line: &str) {
        let ip = self.world[to].at.ip();
        self.world.until(line, secs(3), |world| {
            let mut packets = world.network.capture.packets();
            packets.any(|packet| {
                let bytes = &packet.datagram.bytes;
                let rtp = bytes.len() == 16 && bytes[0] >> 6 == 2 && bytes[1] & 0x7F >= 96;
                packet.datagram.to.ip() == ip && rtp && bytes[12] == event
            })
        });
    }
}
