//! The control thread's side of sound: the audio thread, its card and its media sockets.
//!
//! ```text
//! Control ─▶ commands, sockets, DTLS ─▶ AudioLink ─▶ audio thread
//! Control ◀─ events, DTLS ◀─────────── AudioLink ◀─┘    Card: lost, looked for, found
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use board::audio::AudioDevice;
use config::EchoCancelling;
use control::Transmit;
use control::{AudioStatus, Control, IoCounters};
use media::{EchoCanceller, EchoMode, Engine, EngineConfig, VoiceOptions, VoiceProcessor};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::card::{Card, HANDSET};
use super::further::Further;
use super::wait;
use crate::audio_thread::{
    self, AudioCommand, AudioLink, AudioReport, AudioThreadError, Datagram, FurtherCard,
    LossReason, Rights, engine_for,
};
use crate::card_source::{CardSource, FurtherSource};
use crate::header_capture::HeaderCapture;
use crate::net::paging::group_socket;
use crate::net::ports::RtpPorts;

/// Everything that can be heard.
pub(super) struct Sound {
    link: AudioLink,
    card: Card,
    further: Vec<Further>,
    /// What the engine runs at.
    engine: EngineConfig,
    ports: RtpPorts,
    sidetone_db: Option<i8>,
    echo: Option<EchoMode>,
    voice: VoiceOptions,
    /// The audio thread says here, once, what real-time rights it got.
    rights: Option<Receiver<Rights>>,
    /// It was said that the audio thread lost them.
    demotion_said: bool,
    /// What is to be reported to whoever listens to events.
    notices: VecDeque<String>,
    /// Headers of packets, while they are captured.
    capture: Option<HeaderCapture>,
}

impl Sound {
    /// Opens the card and starts the audio thread.
    pub(super) fn start(
        source: CardSource,
        further: Vec<FurtherSource>,
        config: &config::Config,
        now: Instant,
    ) -> Result<(Self, JoinHandle<()>), AudioThreadError> {
        let sidetone_db = config.audio.sidetone_db;
        let (link, side) = audio_thread::link()?;
        let (mut card, device) = Card::open(source, HANDSET, now);
        let echo = match config.board.audio.echo_canceller {
            EchoCancelling::Off => None,
            EchoCancelling::Auto => Some(EchoMode::Auto),
            EchoCancelling::On => Some(EchoMode::On),
        };
        let engine = engine_for(device.as_deref(), card.wanted(), sidetone_db, now);
        let voice = voice_options(&config.board.audio);
        let engine = with_voice_processor(with_echo_canceller(engine, echo), voice);
        let format = engine.config();
        card.set_format(format.rate_hz, format.period_frames);
        let shared = Arc::clone(link.shared());
        let audio_loop = audio_thread::AudioLoop::new(side, Box::new(engine), device, now)?;
        let (thread, rights) = audio_thread::start(audio_loop, shared)?;
        let network = &config.network;
        let open = |source| Further::open(source, now);
        let (further, devices): (Vec<_>, Vec<_>) = further.into_iter().map(open).unzip();
        let mut sound = Self {
            link,
            card,
            further,
            engine: format,
            ports: RtpPorts::new(
                network.bind,
                network.rtp_ports,
                network.rtp_dscp,
                getrandom::u32().unwrap_or(0) as u16,
            ),
            sidetone_db,
            echo,
            voice,
            rights: Some(rights),
            demotion_said: false,
            notices: VecDeque::new(),
            capture: None,
        };
        for (index, device) in devices.into_iter().enumerate() {
            if let Some(device) = device {
                sound.give_further(index, device, now);
            }
        }
        Ok((sound, thread))
    }

    /// Rate in Hz and frames a period of the engine.
    pub(super) fn format(&self) -> (u32, usize) {
        self.card.format()
    }

    /// A descriptor that is readable when the audio thread has something to report.
    pub(super) fn wake(&self) -> io::Result<AsyncFd<OwnedFd>> {
        wait::watch(&self.link)
    }

    /// The audio thread's proof of life: a counter of its turns.
    pub(super) fn heartbeat(&self) -> u64 {
        self.link.shared().heartbeat()
    }

    /// Whether a card is with the audio thread.
    pub(super) fn has_card(&self) -> bool {
        self.card.is_present()
    }

    /// The card makes sound: it is neither files nor an echo.
    pub(super) fn has_real_card(&self) -> bool {
        self.card.is_real()
    }

    /// The next thing to be reported to whoever listens to events.
    pub(super) fn poll_notice(&mut self) -> Option<String> {
        self.notices.pop_front()
    }

    /// Has the engine do something.
    pub(super) fn command(&mut self, command: media::Command) {
        self.link.send(AudioCommand::Media(command));
    }

    /// Binds a stream's sockets; the audio thread has them before anything of the stream.
    pub(super) fn open_media(&mut self, stream: media::StreamId, control: &mut Control) {
        let opened = self.ports.open(stream).map(|(pair, addresses)| {
            self.link.send(AudioCommand::Sockets(Box::new(pair)));
            addresses
        });
        control.handle_media_sockets(stream, opened, Instant::now());
    }

    /// Has the audio thread hear a multicast group.
    pub(super) fn open_group(
        &mut self,
        stream: media::StreamId,
        group: SocketAddr,
        control: &mut Control,
    ) {
        let opened = group_socket(group).and_then(|socket| {
            let pair = audio_thread::receiving_pair(stream, socket)?;
            self.link.send(AudioCommand::Sockets(Box::new(pair)));
            Ok(())
        });
        control.handle_group_socket(stream, opened, Instant::now());
    }

    /// Takes a stream's sockets back, and closes them.
    pub(super) fn close_media(&mut self, stream: media::StreamId) {
        self.link.send(AudioCommand::CloseSockets(stream));
    }

    /// DTLS and STUN leave by the audio thread, which owns the media sockets. What is too much is
    /// lost, as on any network: it is sent again.
    pub(super) fn send_datagram(&mut self, datagram: &Transmit) {
        let Ok(bytes) = heapless::Vec::from_slice(&datagram.bytes) else {
            tracing::warn!("a datagram of {} bytes is too long", datagram.bytes.len());
            return;
        };
        let datagram = Datagram {
            stream: datagram.stream,
            socket: datagram.socket,
            peer: datagram.to,
            bytes,
        };
        if !self.link.send_datagram(datagram) {
            tracing::debug!("the audio thread does not send: a datagram is lost");
        }
    }

    /// Captures the headers of RTP and RTCP for so long; the receiver gets the file. `None`: that
    /// is under way already.
    pub(super) fn capture_headers(
        &mut self,
        length: Duration,
    ) -> Option<oneshot::Receiver<Vec<u8>>> {
        let now = Instant::now();
        self.collect_headers(now);
        if self.capture.is_some() {
            return None;
        }
        let (capture, file) = HeaderCapture::begin(length, now);
        self.capture = Some(capture);
        self.link.capture_headers(true);
        Some(file)
    }

    /// Takes the headers captured so far. The engine reports every second, so that an end is seen
    /// within one.
    pub(super) fn collect_headers(&mut self, now: Instant) {
        let Some(mut capture) = self.capture.take() else {
            return;
        };
        while let Some(header) = self.link.receive_header() {
            capture.add(&header);
        }
        if capture.is_over(now) {
            self.link.capture_headers(false);
            capture.finish();
        } else {
            self.capture = Some(capture);
        }
    }

    /// Takes what the audio thread reports, and frees what it gives back.
    pub(super) fn handle_ready(&mut self, control: &mut Control) {
        let now = Instant::now();
        self.link.acknowledge();
        while let Some(report) = self.link.receive() {
            match report {
                AudioReport::Media(event) => control.handle_media(event, now),
                AudioReport::SocketsReturned(pair) => drop(pair),
                AudioReport::EngineReturned(engine) => drop(engine),
                AudioReport::CardReturned(device, reason) => self.card_lost(device, reason, now),
                AudioReport::FurtherReturned(card, reason) => {
                    self.further_returned(*card, reason, now);
                }
            }
        }
        self.collect_headers(now);
        while let Some(datagram) = self.link.receive_datagram() {
            let Datagram {
                stream,
                socket,
                peer,
                bytes,
            } = datagram;
            control.handle_non_media(stream, socket, peer, &bytes, now);
        }
        self.link.flush();
    }

    /// Four times a second: sends what waits, looks for a lost card.
    pub(super) fn handle_tick(&mut self, control: &mut Control, now: Instant) {
        self.check_rights();
        self.link.flush();
        if let Some(device) = self.card.look(now) {
            self.card_found(device, control, now);
        }
        for index in 0..self.further.len() {
            if let Some(device) = self.further[index].look(now) {
                self.give_further(index, device, now);
                let found = format!("found: {}", self.further[index].name());
                self.notices.push_back(found);
            }
        }
    }

    /// Reports once where the audio thread has no real-time rights, or lost them.
    fn check_rights(&mut self) {
        if !self.demotion_said && crate::realtime::was_demoted() {
            self.demotion_said = true;
            let what = "the audio thread ran for half a second without a pause and is no longer a \
                        real-time thread: sound may stutter under load; please report this";
            tracing::error!("{what}");
            self.notices.push_back(what.to_owned());
        }
        let Some(rights) = self.rights.take() else {
            return;
        };
        match rights.try_recv() {
            Ok(rights) => {
                if let Some(missing) = rights.missing() {
                    tracing::warn!("{missing}");
                    self.notices.push_back(missing);
                }
            }
            Err(TryRecvError::Empty) => self.rights = Some(rights),
            Err(TryRecvError::Disconnected) => {}
        }
    }

    fn card_lost(&mut self, device: Box<dyn AudioDevice>, reason: LossReason, now: Instant) {
        if let Some(what) = self.card.handle_lost(device, reason, now) {
            self.notices.push_back(format!("lost: {what}"));
        }
    }

    fn card_found(&mut self, device: Box<dyn AudioDevice>, control: &mut Control, now: Instant) {
        let format = (device.format().rate_hz, device.format().period_frames);
        if format == self.card.format() {
            self.link.send(AudioCommand::Card(device, None));
        } else {
            let wanted = self.card.wanted();
            let engine = engine_for(Some(device.as_ref()), wanted, self.sidetone_db, now);
            let engine = with_echo_canceller(engine, self.echo);
            let engine = with_voice_processor(engine, self.voice);
            self.card.set_format(format.0, format.1);
            self.engine = engine.config();
            self.link
                .send(AudioCommand::Card(device, Some(Box::new(engine))));
            control.handle_card(format.0, format.1, now);
        }
        self.notices
            .push_back(format!("found: {}", self.card.name()));
    }

    /// Gives the audio thread a further card, made for the engine there is.
    fn give_further(&mut self, index: usize, device: Box<dyn AudioDevice>, now: Instant) {
        let Some(further) = self.further.get_mut(index) else {
            return;
        };
        if let Some(card) = further.card_for(device, self.engine, now) {
            self.link.send(AudioCommand::Further(Box::new(card)));
        }
    }

    /// A further card is lost; or the engine it was made for is no more.
    fn further_returned(&mut self, card: FurtherCard, reason: LossReason, now: Instant) {
        let card_use = card.card_use();
        let index = self
            .further
            .iter()
            .position(|further| further.is_for(card_use));
        let Some(index) = index else { return };
        let device = card.into_device();
        if reason == LossReason::Replaced {
            self.give_further(index, device, now);
        } else if let Some(what) = self.further[index].handle_lost(device, reason, now) {
            self.notices.push_back(format!("lost: {what}"));
        }
    }

    /// Gives `Control` what was counted here, for its status.
    pub(super) fn report_to(&self, control: &mut Control) {
        let shared = self.link.shared();
        let (rate, period) = self.card.format();
        control.set_audio(AudioStatus {
            device: self.card.status(),
            cards: std::iter::once(self.card.card_status())
                .chain(self.further.iter().map(Further::card_status))
                .collect(),
            rt: shared.realtime() && !crate::realtime::was_demoted(),
            period_ms: 1000.0 * period as f64 / f64::from(rate.max(1)),
            xruns: shared.xruns(),
            wake_ups: shared.wake_ups(),
            ..AudioStatus::default()
        });
        control.set_io_counters(IoCounters {
            late_cycles: shared.late_cycles(),
            audio_events_dropped: shared.events_dropped(),
            audio_commands_dropped: self.link.dropped(),
            media_floods: shared.floods(),
            send_errors: shared.send_errors(),
            device_losses: self.card.losses()
                + self.further.iter().map(Further::losses).sum::<u64>(),
            useless_wakes: shared.useless_wakes(),
            datagrams_dropped: shared.datagrams_dropped(),
        });
    }
}

/// The engine with a canceller, where one is wanted and can work with its card.
fn with_echo_canceller(engine: Engine, mode: Option<EchoMode>) -> Engine {
    let Some(mode) = mode else { return engine };
    let (rate_hz, frames) = (engine.config().rate_hz, engine.config().period_frames);
    let echo = EchoCanceller::new(mode, rate_hz, frames);
    if echo.is_none() {
        tracing::error!(
            "no echo canceller: a card of {rate_hz} Hz with periods of {frames} frames does not \
             suit it; set [board.audio] period_ms to 5 or 10, and rate_hz to 8000 or more"
        );
    }
    engine.with_echo_canceller(echo)
}

/// What the board wants done to the microphone's sound.
fn voice_options(board: &config::schema::Audio) -> VoiceOptions {
    VoiceOptions {
        high_pass: board.high_pass,
        noise_suppression: board.noise_suppression,
        gain_control: board.gain_control,
        noise_gate: board.noise_gate,
    }
}

/// The engine with what else is wanted for the microphone.
fn with_voice_processor(engine: Engine, options: VoiceOptions) -> Engine {
    let (rate_hz, frames) = (engine.config().rate_hz, engine.config().period_frames);
    engine.with_voice_processor(VoiceProcessor::new(options, rate_hz, frames))
}

impl Drop for Sound {
    /// Ends the audio thread's loop within one poll.
    fn drop(&mut self) {
        self.link.send(AudioCommand::Quit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_of_the_board_reaches_the_microphone() {
        let of = |line: &str| {
            let text = format!("[board.audio]\n{line}\n");
            let config = config::load(&text, "t.toml").unwrap();
            voice_options(&config.board.audio)
        };
        let mut wanted = [VoiceOptions::default(); 5];
        wanted[1].high_pass = true;
        wanted[2].noise_suppression = true;
        wanted[3].gain_control = true;
        wanted[4].noise_gate = true;
        let lines = [
            "",
            "high_pass = true",
            "noise_suppression = true",
            "gain_control = true",
            "noise_gate = true",
        ];
        assert_eq!(lines.map(of), wanted);
    }
}
