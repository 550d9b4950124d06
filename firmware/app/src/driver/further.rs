//! A card besides the handset's, on the control thread: opened and found again like the
//! handset's, with what it is used for.

use std::time::Instant;

use board::audio::{AudioDevice, AudioError};
use control::CardStatus;
use media::EngineConfig;

use super::card::Card;
use crate::audio_thread::{CardUse, FurtherCard, LossReason};
use crate::card_source::FurtherSource;

/// A further card.
pub(super) struct Further {
    card: Card,
    card_use: CardUse,
}

impl Further {
    /// Opens it for the first time.
    pub(super) fn open(
        further: FurtherSource,
        now: Instant,
    ) -> (Self, Option<Box<dyn AudioDevice>>) {
        let FurtherSource { source, card_use } = further;
        let (card, device) = Card::open(source, card_use.as_str(), now);
        (Self { card, card_use }, device)
    }

    /// The device as the audio thread wants it; `None`: it cannot be used, which status says.
    pub(super) fn card_for(
        &mut self,
        device: Box<dyn AudioDevice>,
        engine: EngineConfig,
        now: Instant,
    ) -> Option<FurtherCard> {
        let format = device.format();
        self.card.set_format(format.rate_hz, format.period_frames);
        match FurtherCard::new(device, self.card_use, engine, now) {
            Ok(card) => Some(card),
            Err(AudioError::Open { problem, help, .. }) => {
                let name = self.card.name();
                tracing::error!("{name}: {problem}; {help}");
                None
            }
            Err(AudioError::Lost(_)) => None,
        }
    }

    /// Whether it is the one for this.
    pub(super) fn is_for(&self, card_use: CardUse) -> bool {
        self.card_use == card_use
    }

    /// See [`Card::handle_lost`].
    pub(super) fn handle_lost(
        &mut self,
        device: Box<dyn AudioDevice>,
        reason: LossReason,
        now: Instant,
    ) -> Option<String> {
        self.card.handle_lost(device, reason, now)
    }

    /// See [`Card::look`].
    pub(super) fn look(&mut self, now: Instant) -> Option<Box<dyn AudioDevice>> {
        self.card.look(now)
    }

    pub(super) fn name(&self) -> String {
        self.card.name()
    }

    pub(super) fn card_status(&self) -> CardStatus {
        self.card.card_status()
    }

    pub(super) fn losses(&self) -> u64 {
        self.card.losses()
    }
}
