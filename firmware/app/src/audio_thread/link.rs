//! The queues between control and audio thread, and the counters both can read.
//!
//! ```text
//! control ── AudioCommand ─────▶ audio      streams, sockets, cards
//!         ◀── AudioReport ────            what the engine reports, what must be freed
//!         ── Datagram ──▶            STUN and DTLS to be sent from a stream's socket
//!         ◀── Datagram ──            STUN and DTLS that came to one (RFC 7983)
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use board::audio::{AudioDevice, AudioError};
use heapless::spsc::{Consumer, Producer, Queue};
use media::MAX_PACKET;
use media::{Engine, PacketKind, StreamId};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::further::FurtherCard;
use crate::net::media_sockets::SocketPair;

/// Commands that may wait; a call's start takes five.
const COMMANDS: usize = 128;
/// Reports that may wait. The audio thread makes a handful a second.
const REPORTS: usize = 128;
/// Datagrams that may wait, each way: two flights of a DTLS handshake. (A queue holds one less than
/// its size.)
const DATAGRAMS: usize = 17;
/// Commands that wait on the control thread while the queue is full.
const MAX_WAITING: usize = 1024;

/// What the control thread asks for.
#[expect(
    clippy::large_enum_variant,
    reason = "copied into the queue's own slots; a box would be freed on the audio thread"
)]
pub enum AudioCommand {
    /// For the engine.
    Media(media::Command),
    /// The sockets of a stream; they are here before its start.
    Sockets(Box<SocketPair>),
    /// The stream's sockets are to be returned.
    CloseSockets(StreamId),
    /// A card (first, or in place of a lost one); what was there before comes back. With an engine
    /// where its figures differ.
    Card(Box<dyn AudioDevice>, Option<Box<Engine>>),
    /// A card besides the handset's, built for the engine there is.
    Further(Box<FurtherCard>),
    /// End the loop.
    Quit,
}

/// Why a card is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LossReason {
    /// It said so.
    Failed(AudioError),
    /// It said nothing, for too long.
    Silent,
    /// A new one took its place.
    Replaced,
}

/// What the audio thread reports, and what it gives back to be freed.
#[expect(
    clippy::large_enum_variant,
    reason = "the audio thread may not allocate a box for its figures"
)]
pub enum AudioReport {
    /// From the engine.
    Media(media::Event),
    /// Sockets to be closed.
    SocketsReturned(Box<SocketPair>),
    /// A card to be closed.
    CardReturned(Box<dyn AudioDevice>, LossReason),
    /// A further card to be closed, or to be given back for another engine (`Replaced`).
    FurtherReturned(Box<FurtherCard>, LossReason),
    /// An engine to be freed.
    EngineReturned(Box<Engine>),
}

/// A datagram on a media socket that is neither RTP nor RTCP: STUN or DTLS. Copied through the
/// queues, never on the heap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Whose socket.
    pub stream: StreamId,
    /// The RTP or the RTCP socket.
    pub socket: PacketKind,
    /// Where it came from, or goes to.
    pub peer: SocketAddr,
    /// The datagram.
    pub bytes: heapless::Vec<u8, MAX_PACKET>,
}

/// Most bytes of a header: the fixed part of RTP, sources, and a short extension.
const MAX_HEADER: usize = 64;
/// Headers that may wait to be read: they are fetched when half of them are full.
const HEADERS: usize = 256;

/// The header of an RTP or RTCP packet, captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketHeader {
    /// Since 1970.
    pub at: Duration,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where to.
    pub to: SocketAddr,
    /// Length of the whole packet in bytes.
    pub length: usize,
    /// The header.
    pub bytes: heapless::Vec<u8, MAX_HEADER>,
}

impl PacketHeader {
    /// What may be kept of a packet: the header of RTP (RFC 3550 section 5.1, with its extension),
    /// or header and SSRC of RTCP. `None`: it is neither.
    pub(super) fn new(
        at: Duration,
        (from, to): (SocketAddr, SocketAddr),
        packet: &[u8],
    ) -> Option<Self> {
        let length = media::rtp::header_length(packet)?;
        let kept = packet.get(..length.min(MAX_HEADER))?;
        Some(Self {
            at,
            from,
            to,
            length: packet.len(),
            bytes: heapless::Vec::from_slice(kept).ok()?,
        })
    }
}

/// Counters of the audio thread.
#[derive(Debug, Default)]
pub struct Shared {
    heartbeat: AtomicU64,
    xruns: AtomicU64,
    late_cycles: AtomicU64,
    events_dropped: AtomicU64,
    floods: AtomicU64,
    send_errors: AtomicU64,
    datagrams_dropped: AtomicU64,
    useless_wakes: AtomicU64,
    wake_ups: [AtomicU64; LATENCY_MS.len() + 1],
    realtime: AtomicBool,
    captures: AtomicBool,
}

/// Bounds of the classes in which wake-ups are counted by their latency, in ms; the last class is
/// what is later.
pub(crate) const LATENCY_MS: [f64; 6] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

macro_rules! counter {
    ($(#[$doc:meta])* $read:ident, $bump:ident) => {
        $(#[$doc])*
        pub fn $read(&self) -> u64 {
            self.$read.load(Ordering::Relaxed)
        }
        pub(super) fn $bump(&self) {
            self.$read.fetch_add(1, Ordering::Relaxed);
        }
    };
}

impl Shared {
    counter!(
        /// Turns of the loop: the watchdog's proof of life.
        heartbeat,
        beat
    );
    counter!(
        /// Times the card ran over or under.
        xruns,
        count_xrun
    );
    counter!(
        /// Periods that began more than one period late.
        late_cycles,
        count_late
    );
    counter!(
        /// Reports dropped because the queue was full.
        events_dropped,
        count_dropped
    );
    counter!(
        /// Times a socket had more than one turn may take.
        floods,
        count_flood
    );
    counter!(
        /// Packets the kernel refused.
        send_errors,
        count_send_error
    );
    counter!(
        /// STUN and DTLS datagrams dropped: too many waited for the control thread, or there was no
        /// socket to send from.
        datagrams_dropped,
        count_datagram_dropped
    );
    counter!(
        /// Times the card's descriptors were ready over and over with no period there, and were
        /// left alone for a second.
        useless_wakes,
        count_useless_wakes
    );

    /// Periods done, by how late each was: up to each of [`LATENCY_MS`], and later.
    pub fn wake_ups(&self) -> [u64; LATENCY_MS.len() + 1] {
        self.wake_ups
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    pub(super) fn count_wake_up(&self, late_ms: f64) {
        let class = LATENCY_MS
            .iter()
            .take_while(|bound| late_ms > **bound)
            .count();
        if let Some(count) = self.wake_ups.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether headers of packets are captured.
    pub(super) fn captures(&self) -> bool {
        self.captures.load(Ordering::Relaxed)
    }

    /// Whether the thread has real-time priority.
    pub fn realtime(&self) -> bool {
        self.realtime.load(Ordering::Relaxed)
    }

    pub(super) fn set_realtime(&self, yes: bool) {
        self.realtime.store(yes, Ordering::Relaxed);
    }
}

/// The control thread's end.
pub struct AudioLink {
    commands: Producer<'static, AudioCommand>,
    reports: Consumer<'static, AudioReport>,
    datagrams_out: Producer<'static, Datagram>,
    datagrams_in: Consumer<'static, Datagram>,
    headers: Consumer<'static, PacketHeader>,
    wake_audio: Arc<EventFd>,
    wake_control: Arc<EventFd>,
    /// Commands that found the queue full; they go first next time.
    waiting: VecDeque<AudioCommand>,
    dropped: u64,
    shared: Arc<Shared>,
}

/// The audio thread's end.
pub(super) struct AudioEnd {
    pub(super) commands: Consumer<'static, AudioCommand>,
    pub(super) reports: Producer<'static, AudioReport>,
    pub(super) datagrams_out: Consumer<'static, Datagram>,
    pub(super) datagrams_in: Producer<'static, Datagram>,
    pub(super) headers: Producer<'static, PacketHeader>,
    pub(super) wake_audio: Arc<EventFd>,
    pub(super) wake_control: Arc<EventFd>,
    pub(super) shared: Arc<Shared>,
}

impl AudioEnd {
    /// Captures a packet's header; one that finds too many waiting is left out. `true`: they are to
    /// be fetched now.
    pub(super) fn capture(
        &mut self,
        at: Duration,
        way: (SocketAddr, SocketAddr),
        packet: &[u8],
    ) -> bool {
        if let Some(header) = PacketHeader::new(at, way, packet) {
            let _ = self.headers.enqueue(header);
        }
        self.headers.len() > self.headers.capacity() / 2
    }
}

/// The two ends of a queue. One audio thread a process: its queues live as long as it does.
fn queue<T, const N: usize>() -> (Producer<'static, T>, Consumer<'static, T>) {
    Box::leak(Box::new(Queue::<T, N>::new())).split()
}

/// The two ends of a queue that the audio thread fills. Its memory is all there, so that the audio
/// thread does not wait for a page of it, which would happen every few seconds until each place of
/// the queue had been used once.
fn queue_from_audio<T, const N: usize>() -> (Producer<'static, T>, Consumer<'static, T>) {
    let queue: &'static mut Queue<T, N> = Box::leak(Box::new(Queue::new()));
    crate::realtime::touch(queue);
    queue.split()
}

/// The control thread's end, and the audio thread's, wrapped for [`super::AudioLoop::new`].
pub fn link() -> std::io::Result<(AudioLink, AudioSide)> {
    let (commands, audio_commands) = queue::<_, COMMANDS>();
    let (audio_reports, reports) = queue_from_audio::<_, REPORTS>();
    let (datagrams_out, audio_datagrams_out) = queue::<_, DATAGRAMS>();
    let (audio_datagrams_in, datagrams_in) = queue_from_audio::<_, DATAGRAMS>();
    let (audio_headers, headers) = queue_from_audio::<_, HEADERS>();
    let eventfd =
        || EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC).map(Arc::new);
    let (wake_audio, wake_control) = (eventfd()?, eventfd()?);
    let shared = Arc::new(Shared::default());
    let control = AudioLink {
        commands,
        reports,
        datagrams_out,
        datagrams_in,
        headers,
        wake_audio: Arc::clone(&wake_audio),
        wake_control: Arc::clone(&wake_control),
        waiting: VecDeque::new(),
        dropped: 0,
        shared: Arc::clone(&shared),
    };
    let audio = AudioEnd {
        commands: audio_commands,
        reports: audio_reports,
        datagrams_out: audio_datagrams_out,
        datagrams_in: audio_datagrams_in,
        headers: audio_headers,
        wake_audio,
        wake_control,
        shared,
    };
    Ok((control, AudioSide(audio)))
}

/// The audio thread's end of a link, to be given to [`super::AudioLoop::new`].
pub struct AudioSide(pub(super) AudioEnd);

impl AudioLink {
    /// Sends a command; it waits and is sent later where the queue is full, so that no stream is
    /// ever lost.
    pub fn send(&mut self, command: AudioCommand) {
        self.flush();
        if self.waiting.is_empty() {
            if let Err(command) = self.commands.enqueue(command) {
                self.waiting.push_back(command);
            }
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(command);
        } else {
            self.dropped += 1;
        }
        // A full counter means the audio thread was woken already.
        let _ = self.wake_audio.write(1);
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Err(command) = self.commands.enqueue(command) {
                self.waiting.push_front(command);
                break;
            }
        }
    }

    /// The next report of the audio thread.
    pub fn receive(&mut self) -> Option<AudioReport> {
        self.reports.dequeue()
    }

    /// A STUN or DTLS datagram that came to a stream's socket; read until `None` when the link
    /// wakes, as [`AudioLink::receive`]. Whatever finds 16 waiting is dropped and counted: both
    /// protocols repeat what is lost.
    pub fn receive_datagram(&mut self) -> Option<Datagram> {
        self.datagrams_in.dequeue()
    }

    /// Begins to capture headers, or ends it. [`AudioLink::receive_header`] gives them; those that
    /// find too many waiting are left out.
    pub fn capture_headers(&mut self, yes: bool) {
        // What is left of the last time is of no interest.
        while yes && self.headers.dequeue().is_some() {}
        self.shared.captures.store(yes, Ordering::Relaxed);
    }

    /// The next header captured.
    pub fn receive_header(&mut self) -> Option<PacketHeader> {
        self.headers.dequeue()
    }

    /// Sends a STUN or DTLS datagram from a stream's socket, at once. `false`: dropped, because 16
    /// wait already.
    pub fn send_datagram(&mut self, datagram: Datagram) -> bool {
        let taken = self.datagrams_out.enqueue(datagram).is_ok();
        // As for commands.
        let _ = self.wake_audio.write(1);
        taken
    }

    /// Empties the eventfd, before the queue is read.
    pub fn acknowledge(&self) {
        let _ = self.wake_control.read();
    }

    /// The counters.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Commands lost because the audio thread took none for very long.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl AsFd for AudioLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake_control.as_fd()
    }
}

impl AsRawFd for AudioLink {
    fn as_raw_fd(&self) -> RawFd {
        self.wake_control.as_fd().as_raw_fd()
    }
}
