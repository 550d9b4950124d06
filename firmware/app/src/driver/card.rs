//! The sound card on the control thread: opened, lost, looked for, found again.

use std::time::{Duration, Instant};

use board::audio::{AudioDevice, KnownCards};
use control::CardStatus;
use tokio::sync::oneshot;

use crate::audio_thread::LossReason;
use crate::card_source::{CardSource, Opened};

/// How often a lost card is looked for.
const RETRY: Duration = Duration::from_secs(1);
/// What the card is for whose clock paces the engine.
pub(super) const HANDSET: &str = "handset";

/// What is known of the card.
pub(super) struct Card {
    source: CardSource,
    /// What it is for, as status and log name it.
    uses: &'static str,
    /// Which cards it was, the last time it was there.
    known: KnownCards,
    /// The card is with the audio thread.
    present: bool,
    /// What is wrong, logged once each time it changes.
    fault: Option<String>,
    next_try: Instant,
    trying: Option<oneshot::Receiver<Opened>>,
    losses: u64,
    /// Rate in Hz and frames a period; the engine runs at those of the handset's.
    format: (u32, usize),
}

impl Card {
    /// Opens the card for the first time; a phone without one runs, and looks for it.
    pub(super) fn open(
        source: CardSource,
        uses: &'static str,
        now: Instant,
    ) -> (Self, Option<Box<dyn AudioDevice>>) {
        let opened = source.open(&KnownCards::default());
        let mut card = Self {
            source,
            uses,
            known: KnownCards::default(),
            present: opened.is_ok(),
            fault: None,
            next_try: now + RETRY,
            trying: None,
            losses: 0,
            format: (0, 0),
        };
        match opened {
            Ok((device, known)) => {
                card.known = known;
                (card, Some(device))
            }
            Err(error) => {
                card.set_fault(&error.to_string());
                (card, None)
            }
        }
    }

    /// Rate in Hz and period in ms asked for.
    pub(super) fn wanted(&self) -> (u32, u32) {
        match &self.source {
            CardSource::Board(request, _) | CardSource::Output(request) => {
                (request.rate_hz, request.period_ms)
            }
            #[cfg(feature = "tools")]
            CardSource::Echo { rate_hz, period_ms } => (*rate_hz, *period_ms),
        }
    }

    /// Rate in Hz and frames a period the engine runs at.
    pub(super) fn format(&self) -> (u32, usize) {
        self.format
    }

    pub(super) fn set_format(&mut self, rate_hz: u32, period_frames: usize) {
        self.format = (rate_hz, period_frames);
    }

    /// Whether the card is with the audio thread.
    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    /// It is a device, not files.
    pub(super) fn is_real(&self) -> bool {
        match &self.source {
            CardSource::Board(request, _) | CardSource::Output(request) => {
                !request.playback.starts_with("wav:") && request.playback != "null"
            }
            #[cfg(feature = "tools")]
            CardSource::Echo { .. } => false,
        }
    }

    /// How often it was lost.
    pub(super) fn losses(&self) -> u64 {
        self.losses
    }

    /// What the configuration calls it.
    pub(super) fn name(&self) -> String {
        self.source.name()
    }

    /// Its name, or that there is none and why.
    pub(super) fn status(&self) -> String {
        match &self.fault {
            None => self.name(),
            Some(fault) => format!("none ({fault})"),
        }
    }

    /// The same for whoever asks for all cards.
    pub(super) fn card_status(&self) -> CardStatus {
        let (rate_hz, period) = self.format;
        CardStatus {
            uses: self.uses.to_owned(),
            device: self.status(),
            present: self.present,
            rate_hz,
            period_ms: 1000.0 * period as f64 / f64::from(rate_hz.max(1)),
            losses: self.losses,
        }
    }

    fn set_fault(&mut self, what: &str) {
        if self.fault.as_deref() != Some(what) {
            let meanwhile = match self.uses {
                HANDSET => "calls go on in silence",
                _ => "the handset's card takes its place",
            };
            let uses = self.uses;
            tracing::error!("{uses}'s sound card: {what}; {meanwhile}, trying again each second");
            self.fault = Some(what.to_owned());
        }
    }

    /// The audio thread gave the card up; why, where that is news.
    pub(super) fn handle_lost(
        &mut self,
        device: Box<dyn AudioDevice>,
        reason: LossReason,
        now: Instant,
    ) -> Option<String> {
        // Closing a card that is gone may take long, and this thread must not wait.
        if let Err(error) = on_own_thread("offhook-close", move || drop(device)) {
            tracing::error!("no thread to close the sound card: {error}");
        }
        let what = match reason {
            LossReason::Replaced => return None,
            LossReason::Silent => format!("{} gives no sound", self.name()),
            LossReason::Failed(error) => error.to_string(),
        };
        self.present = false;
        self.losses += 1;
        self.next_try = now + RETRY;
        self.set_fault(&what);
        Some(what)
    }

    /// Looks for a lost card, once a second, on a thread of its own: opening may block.
    pub(super) fn look(&mut self, now: Instant) -> Option<Box<dyn AudioDevice>> {
        if self.present {
            return None;
        }
        match self.trying.take() {
            Some(mut attempt) => match attempt.try_recv() {
                Ok(opened) => return self.opened(opened, now),
                Err(oneshot::error::TryRecvError::Empty) => self.trying = Some(attempt),
                Err(oneshot::error::TryRecvError::Closed) => self.next_try = now + RETRY,
            },
            None if now >= self.next_try => {
                let (source, known) = (self.source.clone(), self.known.clone());
                let (reply, attempt) = oneshot::channel();
                // No one waits any longer only when the phone is gone.
                match on_own_thread("offhook-open", move || {
                    drop(reply.send(source.open(&known)));
                }) {
                    Ok(()) => self.trying = Some(attempt),
                    Err(error) => {
                        self.set_fault(&format!("no thread to open it: {error}"));
                        self.next_try = now + RETRY;
                    }
                }
            }
            None => {}
        }
        None
    }

    fn opened(&mut self, opened: Opened, now: Instant) -> Option<Box<dyn AudioDevice>> {
        self.next_try = now + RETRY;
        match opened {
            Ok((device, known)) => {
                tracing::info!("sound card {} is back", self.name());
                self.known = known;
                self.present = true;
                self.fault = None;
                Some(device)
            }
            Err(error) => {
                self.set_fault(&error.to_string());
                None
            }
        }
    }
}

/// Runs what may block for long, so that neither the loop nor storage nor a name lookup waits.
fn on_own_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(256 * 1024)
        .spawn(work)
        .map(drop)
}
