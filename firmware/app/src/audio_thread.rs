//! The audio thread: one loop over one duplex card, the media sockets and the engine. Nothing else
//! runs in it.
//!
//! ```text
//! control thread                         audio thread (SCHED_FIFO, memory locked)
//!   AudioLink ── AudioCommand (spsc, eventfd) ──▶ AudioLoop::turn
//!       ▲                                    poll: card, sockets, commands, (timer while there is no card)
//!       │                                    sockets ─▶ engine ◀─▶ card        card's capture clock drives engine.process
//!       └──── AudioReport (spsc, eventfd) ◀────── engine events, things to be freed
//!             Datagram (spsc, both ways) ◀─▶ STUN and DTLS on the media sockets (RFC 7983)
//!             Shared (atomics)       ◀────── heartbeat, xruns, late cycles, drops
//! ```
//!
//! The loop allocates nothing, frees nothing, locks nothing, logs nothing; its only calls into the
//! kernel are card, sockets, clock, poll and the eventfd. Whatever must be freed travels back
//! first.

mod cycle;
mod further;
mod guard;
mod link;
mod wake_ups;
mod warmup;

use std::sync::Arc;
use std::thread::JoinHandle;

use board::audio::AudioDevice;
use media::Engine;

pub use crate::net::media_sockets::{SocketPair, bind_pair, receiving_pair};
pub use cycle::AudioLoop;
pub use further::{CardUse, FurtherCard};
pub use link::{
    AudioCommand, AudioLink, AudioReport, Datagram, LossReason, PacketHeader, Shared, link,
};

/// Why the audio thread does not run.
#[derive(Debug, thiserror::Error)]
pub enum AudioThreadError {
    /// The kernel gave no thread, timer or eventfd.
    #[error("the audio thread cannot start: {0}; is the limit on processes or open files too low?")]
    Start(#[from] std::io::Error),
}

/// The real-time rights the thread has, reported once at start.
#[derive(Debug)]
pub struct Rights {
    /// `SCHED_FIFO`, or why not.
    pub realtime: Result<i32, std::io::Error>,
    /// Memory locked, or why not.
    pub locked: Result<(), std::io::Error>,
}

impl Rights {
    /// What is missing, for log and events; `None`: nothing.
    pub fn missing(&self) -> Option<String> {
        let mut missing = Vec::new();
        if let Err(error) = &self.realtime {
            missing.push(format!("no real-time priority ({error})"));
        }
        if let Err(error) = &self.locked {
            missing.push(format!("memory not locked ({error})"));
        }
        (!missing.is_empty()).then(|| {
            format!(
                "audio runs with {}: sound may stutter under load; run as root, or grant \
                 CAP_SYS_NICE and CAP_IPC_LOCK (LimitRTPRIO, LimitMEMLOCK)",
                missing.join(" and ")
            )
        })
    }
}

/// Starts the thread. It ends by [`AudioCommand::Quit`].
pub fn start(
    mut audio: AudioLoop,
    shared: Arc<Shared>,
) -> Result<(JoinHandle<()>, std::sync::mpsc::Receiver<Rights>), AudioThreadError> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let engine = audio.engine();
    let handle = std::thread::Builder::new()
        .name("offhook-audio".into())
        .stack_size(512 * 1024)
        .spawn(move || {
            let rights = Rights {
                locked: crate::realtime::lock_memory(),
                realtime: crate::realtime::become_realtime(crate::realtime::AUDIO_PRIORITY)
                    .map(|()| crate::realtime::AUDIO_PRIORITY),
            };
            shared.set_realtime(rights.realtime.is_ok());
            // The receiver may be gone.
            let _ = sender.send(rights);
            drop(sender);
            crate::realtime::touch_stack();
            // After the lock: what it touches stays.
            warmup::start(engine, shared);
            while audio.turn() {}
        })?;
    Ok((handle, receiver))
}

/// The engine for a card; without a card, for the one that was asked for.
pub fn engine_for(
    card: Option<&dyn AudioDevice>,
    wanted: (u32, u32),
    sidetone_db: Option<i8>,
    now: std::time::Instant,
) -> Engine {
    let (rate_hz, period_frames) = card.map_or_else(
        || {
            (
                wanted.0,
                (wanted.0 as usize * wanted.1 as usize / 1000).max(1),
            )
        },
        |card| (card.format().rate_hz, card.format().period_frames),
    );
    Engine::new(
        media::EngineConfig {
            rate_hz,
            period_frames,
            sidetone_db,
        },
        now,
    )
}
