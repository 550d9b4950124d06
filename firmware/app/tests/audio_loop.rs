//! The audio loop with a live card, live sockets and a call in it allocates nothing and frees
//! nothing, and outlives its card.
//!
//! ```text
//! this test (control thread) ── AudioCommand ──▶ AudioLoop::turn, on a thread whose allocator counts ── RTP ──▶ a socket of this test
//! ```
//!
//! Wall clock: a sound card sets the pace of the audio thread.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a test program: what cannot be is a failed test"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use board::audio::{AudioDevice, AudioError, AudioFormat, AudioRequest, Period};
use media::{Codec, Command, PacketKind, Stream, StreamConfig, StreamId};
use offhook::audio_thread::{
    AudioCommand, AudioLink, AudioLoop, AudioReport, Datagram, LossReason, bind_pair, engine_for,
    link,
};
use testkit::heap::{self, CountingAllocator};

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const STREAM: StreamId = StreamId(1);

fn silence() -> AudioRequest {
    AudioRequest {
        capture: "silence".into(),
        playback: "null".into(),
        rate_hz: 48_000,
        codec_rate_hz: 48_000,
        period_ms: 5,
        periods: 2,
        microphone_channel: types::MicrophoneChannel::Mix,
    }
}

fn stream(to: SocketAddr, codec: Codec, payload: u8) -> Box<Stream> {
    Stream::new(StreamConfig {
        send_payload: payload,
        recv_payloads: vec![(payload, codec)],
        send_dtmf: Some((101, 8000)),
        recv_dtmf: Some(101),
        remote_rtcp: SocketAddr::new(to.ip(), to.port() + 1),
        ssrc: 7,
        ..StreamConfig::new(STREAM, codec, to)
    })
    .unwrap()
}

/// A loop on its own armed thread.
struct Running {
    link: AudioLink,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(card: Option<Box<dyn AudioDevice>>) -> Self {
        let (link, side) = link().unwrap();
        let now = Instant::now();
        let engine = engine_for(card.as_deref(), (48_000, 5), None, now);
        let mut audio = AudioLoop::new(side, Box::new(engine), card, now).unwrap();
        let thread = std::thread::spawn(move || {
            heap::arm();
            while audio.turn() {}
            heap::disarm();
        });
        Self {
            link,
            thread: Some(thread),
        }
    }

    fn reports(&mut self, time: Duration) -> Vec<AudioReport> {
        let until = Instant::now() + time;
        let mut all = Vec::new();
        while Instant::now() < until {
            while let Some(report) = self.link.receive() {
                all.push(report);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        all
    }

    fn call(&mut self, port: u16, to: SocketAddr) {
        let pair = bind_pair(STREAM, LOOPBACK, port, 46).unwrap();
        self.link.send(AudioCommand::Sockets(Box::new(pair)));
        self.link.send(AudioCommand::Media(Command::Start(stream(
            to,
            Codec::Pcmu,
            0,
        ))));
        self.link.send(AudioCommand::Media(Command::Connect {
            id: STREAM,
            connected: true,
        }));
    }

    fn quit(&mut self) {
        self.link.send(AudioCommand::Quit);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn receiver() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// One test, because the counters are the process's own.
#[test]
fn a_call_costs_the_audio_thread_no_memory() {
    let card = board::audio::open(&silence()).unwrap();
    let mut running = Running::start(Some(card));
    let (far, to) = receiver();
    running.link.capture_headers(true);
    running.call(42_200, to);
    let echoing = Arc::new(AtomicBool::new(true));
    let echo = {
        let (echoing, far) = (Arc::clone(&echoing), far.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut packet = [0; 1500];
            let mut seen = 0_u32;
            while echoing.load(Ordering::Relaxed) {
                let Ok((length, from)) = far.recv_from(&mut packet) else {
                    break;
                };
                // Back it goes, twice now and then, and sometimes as rubbish.
                let _ = far.send_to(&packet[..length], from);
                if seen.is_multiple_of(7) {
                    let _ = far.send_to(&packet[..length / 3], from);
                }
                seen += 1;
            }
            seen
        })
    };
    running.link.send(AudioCommand::Media(Command::Dtmf {
        id: STREAM,
        event: 5,
        down: true,
    }));
    let mut reports = running.reports(Duration::from_millis(600));
    running.link.send(AudioCommand::Media(Command::Dtmf {
        id: STREAM,
        event: 5,
        down: false,
    }));
    // Another codec in the same call, then its end: what is replaced comes back.
    running.link.send(AudioCommand::Media(Command::Start(stream(
        to,
        Codec::Pcma,
        8,
    ))));
    reports.extend(running.reports(Duration::from_millis(700)));
    running
        .link
        .send(AudioCommand::Media(Command::Stop(STREAM)));
    running.link.send(AudioCommand::CloseSockets(STREAM));
    reports.extend(running.reports(Duration::from_millis(100)));
    // A card is exchanged under way.
    running.link.send(AudioCommand::Card(
        board::audio::open(&silence()).unwrap(),
        None,
    ));
    reports.extend(running.reports(Duration::from_millis(50)));
    running.quit();
    echoing.store(false, Ordering::Relaxed);
    let seen = echo.join().unwrap();

    let retired = reports
        .iter()
        .filter(|report| matches!(report, AudioReport::Media(media::Event::Retired(_))))
        .count();
    let figures = reports.iter().rev().find_map(|report| match report {
        AudioReport::Media(media::Event::Stats { stats, .. }) => Some(*stats),
        _ => None,
    });
    assert!(seen >= 20, "{seen} packets in 1.3 s");
    let headers = std::iter::from_fn(|| running.link.receive_header()).count();
    assert!(headers > 40, "{headers} headers captured, both ways");
    assert_eq!(retired, 2, "one was replaced, one stopped");
    assert!(
        figures.is_some_and(|stats| stats.received > 10),
        "{figures:?}"
    );
    assert!(
        reports
            .iter()
            .any(|report| matches!(report, AudioReport::SocketsReturned(_)))
    );
    assert!(
        reports
            .iter()
            .any(|report| matches!(report, AudioReport::CardReturned(_, LossReason::Replaced)))
    );
    handshakes_pass_by_the_engine();
    assert_eq!(
        heap::of_all_threads().allocations,
        0,
        "allocations on the audio thread"
    );
    assert_eq!(heap::of_all_threads().frees, 0, "frees on the audio thread");

    a_lost_card_is_returned_and_the_call_goes_on();
    a_flood_is_taken_in_portions();
    packets_wake_no_one();
    a_card_that_is_always_ready_does_not_spin();
    a_silent_card_rests_and_wakes_at_once();
    a_thread_that_spins_is_no_longer_a_real_time_thread();
}

/// STUN and DTLS reach the control thread and leave from the media sockets before any stream has
/// begun; a flood of them is bounded.
fn handshakes_pass_by_the_engine() {
    let mut running = Running::start(Some(board::audio::open(&silence()).unwrap()));
    let (far, to) = receiver();
    far.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let pair = bind_pair(STREAM, LOOPBACK, 42_206, 46).unwrap();
    let (rtp, rtcp) = (
        pair.rtp.local_addr().unwrap(),
        pair.rtcp.local_addr().unwrap(),
    );
    running.link.send(AudioCommand::Sockets(Box::new(pair)));
    let dtls: Vec<u8> = [22, 254, 253].into_iter().chain(1..100).collect();
    let mut stun = [0u8; 20];
    stun[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    let wait = |running: &mut Running, count: usize| {
        let until = Instant::now() + Duration::from_secs(5);
        let mut all = Vec::new();
        while all.len() < count && Instant::now() < until {
            all.extend(running.link.receive_datagram());
            std::thread::sleep(Duration::from_millis(1));
        }
        all
    };
    far.send_to(&dtls, rtp).unwrap();
    far.send_to(&stun, rtcp).unwrap();
    far.send_to(&[0x80; 40], rtp).unwrap();
    let came = wait(&mut running, 2);
    let received: Vec<_> = came
        .iter()
        .map(|d| (d.stream, d.socket, d.peer, d.bytes.as_slice()))
        .collect();
    assert!(
        received.contains(&(STREAM, PacketKind::Rtp, to, &dtls))
            && received.contains(&(STREAM, PacketKind::Rtcp, to, &stun)),
        "{received:?}"
    );
    for (socket, from) in [(PacketKind::Rtp, rtp), (PacketKind::Rtcp, rtcp)] {
        assert!(running.link.send_datagram(Datagram {
            stream: STREAM,
            socket,
            peer: to,
            bytes: heapless::Vec::from_slice(&dtls).unwrap(),
        }));
        let mut buffer = [0; 1500];
        let (length, came_from) = far.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], came_from), (dtls.as_slice(), from));
    }
    for _ in 0..100 {
        far.send_to(&dtls, rtp).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(wait(&mut running, 16).len(), 16);
    assert!(
        running.link.receive_datagram().is_none(),
        "no more than 16 ever wait"
    );
    running.link.send(AudioCommand::CloseSockets(STREAM));
    running.quit();
}

/// A card that works for a while.
struct Mortal {
    inner: Box<dyn AudioDevice>,
    periods: u32,
}

impl AudioDevice for Mortal {
    fn format(&self) -> AudioFormat {
        self.inner.format()
    }
    fn poll_fds(&self) -> &[i32] {
        self.inner.poll_fds()
    }
    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        self.periods = self.periods.saturating_sub(1);
        if self.periods == 0 {
            return Err(AudioError::Lost(String::new()));
        }
        self.inner.read(capture)
    }
    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        self.inner.write(playback)
    }
}

fn a_lost_card_is_returned_and_the_call_goes_on() {
    let inner = board::audio::open(&silence()).unwrap();
    let mut running = Running::start(Some(Box::new(Mortal { inner, periods: 60 })));
    let (far, to) = receiver();
    running.call(42_202, to);
    let reports = running.reports(Duration::from_millis(400));
    assert!(
        reports
            .iter()
            .any(|report| matches!(report, AudioReport::CardReturned(_, LossReason::Failed(_)))),
        "the lost card did not come back"
    );
    // Packets that come now were made without a card.
    far.set_nonblocking(true).unwrap();
    while far.recv(&mut [0; 1500]).is_ok() {}
    let beats = running.link.shared().heartbeat();
    running.reports(Duration::from_millis(300));
    let beats = running.link.shared().heartbeat() - beats;
    assert!(
        (10..2000).contains(&beats),
        "{beats} turns in 300 ms without a card: it sleeps too long, or not at all"
    );
    let mut silent = 0;
    while far.recv(&mut [0; 1500]).is_ok() {
        silent += 1;
    }
    assert!(silent >= 5, "{silent} packets in 300 ms without a card");
    running.quit();
}

/// Packets wait for the card's next period: the thread does not turn more often for them.
fn packets_wake_no_one() {
    let mut running = Running::start(Some(board::audio::open(&silence()).unwrap()));
    let (far, to) = receiver();
    running.call(42_208, to);
    running.reports(Duration::from_millis(50));
    let (before, began, mut sent) = (running.link.shared().heartbeat(), Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(300) {
        let _ = far.send_to(&[0x80; 172], (LOOPBACK, 42_208));
        sent += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    let turns = running.link.shared().heartbeat() - before;
    let periods = began.elapsed().as_millis() as u64 / 5;
    assert!(
        turns <= periods + 10 + sent / 4,
        "{turns} turns in {periods} periods with {sent} packets"
    );
    running.quit();
}

fn a_flood_is_taken_in_portions() {
    let mut running = Running::start(Some(board::audio::open(&silence()).unwrap()));
    let (far, to) = receiver();
    running.call(42_204, to);
    running.reports(Duration::from_millis(50));
    let until = Instant::now() + Duration::from_millis(300);
    while Instant::now() < until {
        for _ in 0..64 {
            let _ = far.send_to(&[0x80; 172], (LOOPBACK, 42_204));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    far.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while far.recv(&mut [0; 1500]).is_ok() {
        sent += 1;
    }
    assert!(
        running.link.shared().floods() > 0,
        "the flood was not noticed"
    );
    assert!(sent >= 5, "only {sent} packets in 350 ms under a flood");
    running.quit();
}

/// A card whose descriptor is ready all the time, whether a period is there or not.
struct Restless {
    ready: nix::sys::eventfd::EventFd,
    fds: [i32; 1],
    begun: Instant,
    done: u128,
    /// It gives sound, or none at all.
    gives: bool,
}

impl Restless {
    fn new(gives: bool) -> Self {
        let ready = nix::sys::eventfd::EventFd::from_value(1).unwrap();
        Self {
            fds: [std::os::fd::AsRawFd::as_raw_fd(&ready)],
            ready,
            begun: Instant::now(),
            done: 0,
            gives,
        }
    }
}

impl AudioDevice for Restless {
    fn format(&self) -> AudioFormat {
        AudioFormat {
            rate_hz: 48_000,
            period_frames: 240,
            playback_delay_frames: 480,
        }
    }
    fn poll_fds(&self) -> &[i32] {
        let _ = &self.ready;
        &self.fds
    }
    fn stall_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn read(&mut self, _: &mut [i16]) -> Result<Period, AudioError> {
        if !self.gives || self.begun.elapsed().as_millis() / 5 <= self.done {
            return Ok(Period::NotYet);
        }
        self.done += 1;
        Ok(Period::Ready)
    }
    fn write(&mut self, _: &[i16]) -> Result<Period, AudioError> {
        Ok(Period::Ready)
    }
}

/// A real-time thread that never sleeps stops the machine.
fn a_card_that_is_always_ready_does_not_spin() {
    for gives in [true, false] {
        let mut running = Running::start(Some(Box::new(Restless::new(gives))));
        let (far, to) = receiver();
        running.call(42_210, to);
        running.reports(Duration::from_millis(100));
        let before = running.link.shared().heartbeat();
        running.reports(Duration::from_secs(1));
        let turns = running.link.shared().heartbeat() - before;
        assert!(
            turns <= 2 * 200,
            "{turns} turns in a second of 200 periods (sound given: {gives})"
        );
        assert!(running.link.shared().useless_wakes() > 0);
        if gives {
            far.set_nonblocking(true).unwrap();
            let packets = std::iter::from_fn(|| far.recv(&mut [0; 1500]).ok()).count();
            assert!(packets >= 35, "only {packets} packets in 1.1 s");
        }
        running.quit();
    }
}

/// The last net: whatever makes a real-time thread spin, the machine gets its core back.
fn a_thread_that_spins_is_no_longer_a_real_time_thread() {
    // Field 41 of the kernel's line: 0 is SCHED_OTHER, 1 is SCHED_FIFO.
    let is_realtime = || {
        let line = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, after_name) = line.rsplit_once(')').unwrap();
        after_name.split_whitespace().nth(41 - 3).unwrap() == "1"
    };
    let spinning = std::thread::spawn(move || {
        if let Err(error) = offhook::realtime::become_realtime(1) {
            let name = "a_thread_that_spins_is_no_longer_a_real_time_thread";
            return testkit::skipped(name, &format!("no real-time priority: {error}"));
        }
        assert!(is_realtime(), "it is SCHED_FIFO");
        let begun = Instant::now();
        while is_realtime() {
            assert!(begun.elapsed() < Duration::from_secs(4), "it spins on");
        }
        let took = begun.elapsed();
        assert!(took > Duration::from_millis(300), "only {took:?}");
        assert!(offhook::realtime::was_demoted());
    });
    spinning.join().unwrap();
}

/// A card that notes when it was stopped and started, and when it was given the first sound.
#[derive(Default)]
struct Notes {
    paused: Option<Instant>,
    resumed: Option<Instant>,
    first_sound: Option<Instant>,
}

struct Noted {
    inner: Box<dyn AudioDevice>,
    notes: Arc<std::sync::Mutex<Notes>>,
}

impl AudioDevice for Noted {
    fn format(&self) -> AudioFormat {
        self.inner.format()
    }
    fn poll_fds(&self) -> &[i32] {
        self.inner.poll_fds()
    }
    fn read(&mut self, capture: &mut [i16]) -> Result<Period, AudioError> {
        self.inner.read(capture)
    }
    fn write(&mut self, playback: &[i16]) -> Result<Period, AudioError> {
        if playback.iter().any(|&sample| sample != 0) {
            let mut notes = self.notes.lock().unwrap();
            notes.first_sound.get_or_insert(Instant::now());
        }
        self.inner.write(playback)
    }
    fn pause(&mut self) -> bool {
        self.notes.lock().unwrap().paused = Some(Instant::now());
        self.inner.pause()
    }
    fn resume(&mut self) -> Result<(), AudioError> {
        self.notes.lock().unwrap().resumed = Some(Instant::now());
        self.inner.resume()
    }
}

/// On hook and silent the card is stopped and the thread sleeps; a lift is heard at once all the
/// same, and the watchdog sees that it lives.
fn a_silent_card_rests_and_wakes_at_once() {
    let notes = Arc::new(std::sync::Mutex::new(Notes::default()));
    let card = Noted {
        inner: board::audio::open(&silence()).unwrap(),
        notes: Arc::clone(&notes),
    };
    let mut running = Running::start(Some(Box::new(card)));
    running.reports(Duration::from_millis(2500));
    assert!(notes.lock().unwrap().paused.is_some(), "it was not stopped");
    let before = running.link.shared().heartbeat();
    running.reports(Duration::from_secs(1));
    let turns = running.link.shared().heartbeat() - before;
    assert!((2..=10).contains(&turns), "{turns} turns a second on hook");
    let lifted = Instant::now();
    let tone = media::dtmf::tone(phone::Key::Digit(1), -13.0);
    running
        .link
        .send(AudioCommand::Media(Command::Tone(Some(tone))));
    running.reports(Duration::from_millis(100));
    {
        let notes = notes.lock().unwrap();
        assert!(notes.resumed.is_some(), "it was not started again");
        let took = notes.first_sound.unwrap() - lifted;
        assert!(took < Duration::from_millis(60), "dial tone after {took:?}");
    }
    // While it is heard, the card runs.
    let before = running.link.shared().heartbeat();
    running.reports(Duration::from_millis(500));
    assert!(running.link.shared().heartbeat() - before > 50);
    assert_eq!(running.link.shared().xruns(), 0);
    running.quit();
}
