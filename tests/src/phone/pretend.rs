//! What no scenario has the time to wait for: a key's 2^19 packets are three hours of sound.

use std::collections::VecDeque;

use media::{EchoCanceller, EchoMode, Engine};
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

    /// From now on it takes the loudspeaker's sound out of the microphone's, as
    /// `board.audio.echo_canceller` has the app set it up. Before any call.
    pub fn cancel_echoes(&mut self, now: Time) {
        let config = self.engine.config();
        let echo = EchoCanceller::new(EchoMode::On, config.rate_hz, config.period_frames);
        assert!(echo.is_some(), "{}: no canceller for its card", self.name);
        let engine = Engine::new(config, self.base + now);
        self.engine = engine.with_echo_canceller(echo);
    }

    /// From now on it has a sound card for its bell alone.
    pub fn add_ringer_card(&mut self) {
        self.engine.set_bell_apart(true);
        self.ringer_card = Some(VecDeque::new());
    }

    pub(super) fn play_bell(&mut self) {
        let Some(played) = &mut self.ringer_card else {
            return;
        };
        match self.engine.bell() {
            Some(bell) => played.extend(bell),
            None => played.extend(self.playback.iter().map(|_| 0)),
        }
        let second = self.card.setup().rate_hz as usize;
        let old = played.len().saturating_sub(second);
        drop(played.drain(..old));
    }
}
