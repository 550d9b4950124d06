//! What no scenario has the time to wait for: a key's 2^19 packets are three hours of sound.

use testkit::network::{Network, Time};

use crate::phone::SimPhone;

impl SimPhone {
    /// The engine reports once that so many authentic packets have come. Its next word is the truth
    /// again.
    pub fn pretend_received(&mut self, packets: u64, network: &mut Network, now: Time) {
        let stream = self
            .ports
            .open
            .values()
            .map(|(stream, _)| *stream)
            .next_back();
        let Some((id, mut stats)) = stream.and_then(|id| Some((id, self.engine.stats(id)?))) else {
            panic!("{}: there is no stream", self.name);
        };
        stats.srtp.protected_received = packets;
        let event = media::Event::Stats { id, stats };
        self.control.handle_media(event, self.base + now);
        self.execute(network, now);
    }
}
