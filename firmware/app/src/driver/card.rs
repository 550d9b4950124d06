//! The sound card's life on the control thread: opened, lost, opened again, told about.

use std::time::{Duration, Instant};

use board::audio::{AudioDevice, AudioError, AudioRequest};
use tokio::sync::oneshot;

use super::Driver;
use crate::audio_thread::{LossReason, Order, engine_for};
use crate::echo::EchoCard;
use control::{AudioStatus, IoCounters};

/// How often a lost card is looked for.
const AGAIN: Duration = Duration::from_secs(1);

/// Where the sound card comes from.
#[derive(Debug, Clone)]
pub enum CardSource {
    /// A card of the board.
    Board(AudioRequest),
    /// No card: what is played is heard again (`offhook echo`).
    Echo {
        /// Frames a second.
        rate_hz: u32,
        /// Period in ms.
        period_ms: u32,
    },
}

impl CardSource {
    fn open(&self) -> Result<Box<dyn AudioDevice>, AudioError> {
        match self {
            CardSource::Board(request) => board::audio::open(request),
            CardSource::Echo { rate_hz, period_ms } => {
                Ok(Box::new(EchoCard::open(*rate_hz, *period_ms)?))
            }
        }
    }

    fn name(&self) -> String {
        match self {
            CardSource::Board(request) if request.capture == request.playback => {
                request.capture.clone()
            }
            CardSource::Board(request) => format!("{} / {}", request.capture, request.playback),
            CardSource::Echo { .. } => "echo".into(),
        }
    }
}

/// What is known of the card.
pub(super) struct Card {
    source: CardSource,
    /// The card is with the audio thread.
    present: bool,
    /// What is wrong, told once each time it changes.
    complaint: Option<String>,
    next_try: Instant,
    trying: Option<oneshot::Receiver<Result<Box<dyn AudioDevice>, AudioError>>>,
    losses: u64,
    /// Rate and period the engine runs at.
    figures: (u32, usize),
}

impl Card {
    /// Opens the card for the first time; a phone without one runs, and looks for it.
    pub(super) fn open(source: CardSource, now: Instant) -> (Self, Option<Box<dyn AudioDevice>>) {
        let opened = source.open();
        let mut card = Self {
            source,
            present: opened.is_ok(),
            complaint: None,
            next_try: now + AGAIN,
            trying: None,
            losses: 0,
            figures: (0, 0),
        };
        let device = match opened {
            Ok(device) => {
                card.figures = (device.format().rate_hz, device.format().period_frames);
                Some(device)
            }
            Err(error) => {
                let (rate, period_ms) = card.wanted();
                card.figures = (rate, rate as usize * period_ms as usize / 1000);
                card.complain(&error.to_string());
                None
            }
        };
        (card, device)
    }

    /// Rate in Hz and period in ms asked for.
    pub(super) fn wanted(&self) -> (u32, u32) {
        match &self.source {
            CardSource::Board(request) => (request.rate_hz, request.period_ms),
            CardSource::Echo { rate_hz, period_ms } => (*rate_hz, *period_ms),
        }
    }

    fn complain(&mut self, what: &str) {
        if self.complaint.as_deref() != Some(what) {
            tracing::error!("sound card: {what}; calls go on in silence, trying again each second");
            self.complaint = Some(what.to_owned());
        }
    }
}

impl Driver {
    /// The audio thread gave the card up.
    pub(super) fn lost_card(
        &mut self,
        device: Box<dyn AudioDevice>,
        reason: LossReason,
        now: Instant,
    ) {
        // Closing a card that is gone may take long, and this thread must not wait.
        if let Err(error) = on_own_thread("offhook-close", move || drop(device)) {
            tracing::error!("no thread to close the sound card: {error}");
        }
        let what = match reason {
            LossReason::Replaced => return,
            LossReason::Silent => format!("{} gives no sound", self.card.source.name()),
            LossReason::Failed(error) => error.to_string(),
        };
        self.card.present = false;
        self.card.losses += 1;
        self.card.next_try = now + AGAIN;
        self.card.complain(&what);
        self.publish(&control::Event::Audio {
            what: format!("lost: {what}"),
        });
    }

    /// Whether a card is with the audio thread.
    pub(super) fn has_card(&self) -> bool {
        self.card.present
    }

    /// Looks for a lost card, once a second, on a thread of its own: opening may block.
    pub(super) fn reopen_card(&mut self, now: Instant) {
        if self.card.present {
            return;
        }
        match self.card.trying.take() {
            Some(mut attempt) => match attempt.try_recv() {
                Ok(opened) => {
                    self.card.next_try = now + AGAIN;
                    match opened {
                        Ok(device) => self.found_card(device, now),
                        Err(error) => self.card.complain(&error.to_string()),
                    }
                }
                Err(oneshot::error::TryRecvError::Empty) => self.card.trying = Some(attempt),
                Err(oneshot::error::TryRecvError::Closed) => self.card.next_try = now + AGAIN,
            },
            None if now >= self.card.next_try => {
                let source = self.card.source.clone();
                let (reply, attempt) = oneshot::channel();
                // Nobody waits any longer only when the phone is gone.
                match on_own_thread("offhook-open", move || drop(reply.send(source.open()))) {
                    Ok(()) => self.card.trying = Some(attempt),
                    Err(error) => {
                        self.card
                            .complain(&format!("no thread to open it: {error}"));
                        self.card.next_try = now + AGAIN;
                    }
                }
            }
            None => {}
        }
    }

    fn found_card(&mut self, device: Box<dyn AudioDevice>, now: Instant) {
        let format = device.format();
        let figures = (format.rate_hz, format.period_frames);
        let name = self.card.source.name();
        tracing::info!("sound card {name} is back");
        self.card.present = true;
        self.card.complaint = None;
        if figures == self.card.figures {
            self.link.send(Order::Card(device, None));
        } else {
            let sidetone = self.config.board.audio.sidetone_db;
            let engine = engine_for(Some(device.as_ref()), self.card.wanted(), sidetone, now);
            self.card.figures = figures;
            self.link.send(Order::Card(device, Some(Box::new(engine))));
            self.control.handle_card(figures.0, figures.1, now);
        }
        self.publish(&control::Event::Audio {
            what: format!("found: {name}"),
        });
    }

    /// Tells `Control` what the I/O side counted.
    pub(super) fn tell_figures(&mut self) {
        let shared = self.link.shared();
        let (rate, period) = self.card.figures;
        let device = match &self.card.complaint {
            None => self.card.source.name(),
            Some(complaint) => format!("none ({complaint})"),
        };
        let audio = AudioStatus {
            device,
            rt: shared.realtime(),
            period_ms: 1000.0 * period as f64 / f64::from(rate.max(1)),
            xruns: shared.xruns(),
            ..AudioStatus::default()
        };
        let io = IoCounters {
            late_cycles: shared.late_cycles(),
            audio_events_dropped: shared.events_dropped(),
            audio_commands_dropped: self.link.dropped(),
            media_floods: shared.floods(),
            send_errors: shared.send_errors(),
            device_losses: self.card.losses,
        };
        self.control.set_audio(audio);
        self.control.set_io_counters(io);
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
