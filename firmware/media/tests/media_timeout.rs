//! Sound for one who never asked: without a sign of life from where it goes, a stream falls silent
//! in time; and with the least sign it does not.
//!
//! ```text
//! what the far end sends, if anything ─▶ Engine ─▶ what leaves, second by second; Event::MediaTimeout
//! ```
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod pair;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::MAX_PACKET;
use media::{
    Codec, Command, Direction, Engine, EngineConfig, Event, MasterKey, PacketKind, Protection,
    SrtpSuite, Stream, StreamConfig,
};
use pair::{ID, Pair, config};

const RATE: u32 = 8000;
const FRAMES: usize = 160;
/// 20 ms.
const PERIODS_A_SECOND: u64 = 50;
const LIMIT: Duration = Duration::from_secs(10);

/// One phone, with no one or anybody at the other end.
struct Lone {
    engine: Engine,
    start: Instant,
    periods: u64,
    /// RTP and RTCP packets that left in each second.
    left: Vec<(u64, u64)>,
    /// Seconds in which the engine reported a media timeout.
    unheard: Vec<u64>,
    sequence: u16,
}

impl Lone {
    fn new(change: impl FnOnce(&mut StreamConfig)) -> Self {
        // The one clock reading of these tests is the pair's.
        let start = Pair::new(RATE, FRAMES, 1).start;
        let engine = Engine::new(
            EngineConfig {
                rate_hz: RATE,
                period_frames: FRAMES,
                sidetone_db: None,
            },
            start,
        );
        let mut lone = Self {
            engine,
            start,
            periods: 0,
            left: Vec::new(),
            unheard: Vec::new(),
            sequence: 0,
        };
        let config = lone.config(change);
        lone.command(Command::Start(Stream::new(config).unwrap()));
        lone.command(Command::Connect {
            id: ID,
            connected: true,
        });
        lone
    }

    fn config(&self, change: impl FnOnce(&mut StreamConfig)) -> StreamConfig {
        let mut config = config(0, Codec::Pcmu, RATE, FRAMES, self.start);
        config.media_timeout = LIMIT;
        change(&mut config);
        config
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(20 * self.periods)
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        self.engine.handle_command(command, now);
    }

    /// Runs for so many seconds; `far` is asked each period, by its number in the second, what
    /// comes in.
    fn run(&mut self, seconds: u64, mut far: impl FnMut(&mut Self, u64)) {
        for _ in 0..seconds {
            let second = self.left.len() as u64;
            self.left.push((0, 0));
            for period in 0..PERIODS_A_SECOND {
                far(self, period);
                let mut ear = [0; FRAMES];
                let now = self.now();
                self.engine.process(&[500; FRAMES], &mut ear, now);
                self.periods += 1;
                let left = self.left.last_mut().unwrap();
                while let Some(packet) = self.engine.poll_transmit() {
                    match packet.kind {
                        PacketKind::Rtp => left.0 += 1,
                        PacketKind::Rtcp => left.1 += 1,
                    }
                }
                while let Some(event) = self.engine.poll_event() {
                    if matches!(event, Event::MediaTimeout(id) if id == ID) {
                        self.unheard.push(second);
                    }
                }
            }
        }
    }

    fn receive(&mut self, kind: PacketKind, from: &str, bytes: &[u8]) {
        let mut packet = [0; MAX_PACKET];
        packet[..bytes.len()].copy_from_slice(bytes);
        let now = self.now();
        self.engine.handle_packet(
            ID,
            kind,
            from.parse().unwrap(),
            &mut packet[..bytes.len()],
            now,
        );
    }

    /// An RTP packet of the far end's, of this payload type and content.
    fn rtp(&mut self, from: &str, payload_type: u8, content: &[u8]) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((self.periods as u32 * 160).to_be_bytes());
        packet.extend([9, 9, 9, 9]);
        packet.extend(content);
        self.receive(PacketKind::Rtp, from, &packet);
    }

    /// The least report there is: an empty RR and a name.
    fn report(&mut self, from: &str) {
        self.receive(
            PacketKind::Rtcp,
            from,
            &[
                0x80, 201, 0, 1, 9, 9, 9, 9, 0x81, 202, 0, 2, 9, 9, 9, 9, 1, 1, b'a', 0,
            ],
        );
    }

    fn rtp_left(&self) -> u64 {
        self.left.iter().map(|(rtp, _)| rtp).sum()
    }

    fn inactive_ms(&self) -> u64 {
        self.engine.stats(ID).unwrap().inactive_ms
    }
}

const FAR: &str = "127.0.0.1:4010";
const FAR_RTCP: &str = "127.0.0.1:4011";

fn silence(_: &mut Lone, _: u64) {}

#[test]
fn who_is_never_heard_is_spoken_to_for_so_long_and_no_longer() {
    let mut lone = Lone::new(|_| ());
    lone.run(30, silence);
    let rtp = lone.rtp_left();
    assert!(
        (499..=501).contains(&rtp),
        "{rtp} packets: ten seconds' worth"
    );
    assert_eq!(
        lone.left[11..],
        [(0, 0); 19],
        "neither sound nor reports after"
    );
    assert!(
        lone.left[..11].iter().any(|(_, rtcp)| *rtcp > 0),
        "there were reports before"
    );
    assert_eq!(
        lone.unheard,
        (10..30).collect::<Vec<_>>(),
        "reported once a second, until someone acts"
    );
    lone.command(Command::Dtmf {
        id: ID,
        event: 5,
        down: true,
    });
    lone.run(1, silence);
    lone.command(Command::Stop(ID));
    lone.run(1, silence);
    assert_eq!(lone.left[30..], [(0, 0); 2], "no key and no BYE either");
}

#[test]
fn who_falls_silent_is_spoken_to_for_so_long_from_then() {
    let mut lone = Lone::new(|_| ());
    lone.run(25, |lone, _| lone.rtp(FAR, 0, &[0xFF; 160]));
    lone.run(20, silence);
    let rtp = lone.rtp_left();
    assert!((1748..=1751).contains(&rtp), "{rtp} packets: 35 s");
    assert_eq!(lone.unheard.first(), Some(&35));
    // It was only away: one packet, and we send again.
    lone.run(1, |lone, period| {
        if period == 0 {
            lone.rtp(FAR, 0, &[0xFF; 160]);
        }
    });
    assert!(lone.left.last().unwrap().0 >= 49 && lone.inactive_ms() <= 1000);
}

#[test]
fn the_least_sign_of_life_is_enough() {
    type Sign = fn(&mut Lone);
    let signs: [(&str, Sign); 5] = [
        ("reports alone", |lone| lone.report(FAR_RTCP)),
        ("reports on the sound's port", |lone| lone.report(FAR)),
        ("comfort noise", |lone| lone.rtp(FAR, 13, &[60])),
        ("a key", |lone| lone.rtp(FAR, 101, &[5, 10, 0, 160])),
        ("a codec no one agreed on", |lone| {
            lone.rtp(FAR, 77, &[1, 2, 3]);
        }),
    ];
    for (name, sign) in signs {
        for direction in [Direction::SendRecv, Direction::SendOnly] {
            let mut lone = Lone::new(|config| config.direction = direction);
            // Every nine seconds: comfort noise may be as rare, reports are not.
            lone.run(60, |lone, period| {
                if period == 0 && lone.left.len().is_multiple_of(9) {
                    sign(lone);
                }
            });
            let rtp = lone.rtp_left();
            assert!((2999..=3001).contains(&rtp), "{name}, {direction:?}: {rtp}");
            assert_eq!(lone.unheard, [], "{name}");
        }
    }
}

#[test]
fn others_do_not_vouch_for_a_victim() {
    type Sign = fn(&mut Lone);
    let signs: [(&str, Sign); 3] = [
        // The offer names the attacker's own address for RTCP (RFC 3605), and the victim's for RTP.
        ("reports of another host, as agreed on", |lone| {
            lone.report("192.0.2.66:4011");
        }),
        ("reports of a stranger", |lone| lone.report("192.0.2.67:9")),
        ("sound of a stranger, one packet at a time", |lone| {
            lone.sequence = lone.sequence.wrapping_add(7);
            lone.rtp("192.0.2.67:9", 0, &[0xFF; 160]);
        }),
    ];
    for (name, sign) in signs {
        let mut lone =
            Lone::new(|config| config.remote_rtcp = SocketAddr::from(([192, 0, 2, 66], 4011)));
        lone.run(20, |lone, _| sign(lone));
        let rtp = lone.rtp_left();
        assert!((499..=501).contains(&rtp), "{name}: {rtp}");
        assert_eq!(lone.unheard.first(), Some(&10), "{name}");
    }
}

#[test]
fn only_what_is_authentic_is_a_sign_of_life() {
    let key =
        |byte: u8| MasterKey::new(SrtpSuite::AeadAes128Gcm, &[byte; 16], &[byte; 12], &[]).unwrap();
    let keyed = |send: u8, receive: u8| Protection::Srtp {
        send: key(send),
        receive: key(receive),
    };
    // The far end's packets of a second, protected.
    let start = Pair::new(RATE, FRAMES, 1).start;
    let mut far = Engine::new(
        EngineConfig {
            rate_hz: RATE,
            period_frames: FRAMES,
            sidetone_db: None,
        },
        start,
    );
    let far_config = StreamConfig {
        protection: keyed(2, 1),
        ..config(1, Codec::Pcmu, RATE, FRAMES, start)
    };
    far.handle_command(Command::Start(Stream::new(far_config).unwrap()), start);
    far.handle_command(
        Command::Connect {
            id: ID,
            connected: true,
        },
        start,
    );
    let mut packets = Vec::new();
    for n in 0..50 {
        far.process(
            &[0; FRAMES],
            &mut [0; FRAMES],
            start + Duration::from_millis(20 * n),
        );
        while let Some(packet) = far.poll_transmit() {
            packets.push((packet.kind, packet.bytes.to_vec()));
        }
    }
    let first = packets
        .iter()
        .position(|(kind, _)| *kind == PacketKind::Rtp)
        .unwrap();
    let (_, authentic) = packets.swap_remove(first);
    let mut forged = authentic.clone();
    *forged.last_mut().unwrap() ^= 1;
    for (name, bytes) in [("replayed", authentic.clone()), ("forged", forged)] {
        let mut lone = Lone::new(|config| config.protection = keyed(1, 2));
        lone.receive(PacketKind::Rtp, FAR, &authentic);
        lone.run(20, |lone, _| {
            lone.receive(PacketKind::Rtp, FAR, &bytes);
            lone.rtp(FAR, 0, &[0xFF; 160]);
            lone.report(FAR_RTCP);
        });
        let rtp = lone.rtp_left();
        assert!((499..=501).contains(&rtp), "{name}: {rtp}");
    }
    // Authentic ones, one a second, are heard.
    let mut lone = Lone::new(|config| config.protection = keyed(1, 2));
    lone.run(20, |lone, period| {
        if period == 0
            && let Some((kind, bytes)) = packets.pop()
        {
            lone.receive(kind, FAR, &bytes);
        }
    });
    assert_eq!(lone.unheard, []);
}

#[test]
fn a_stream_that_sends_nothing_waits_for_ever() {
    for change in [
        (|config: &mut StreamConfig| config.direction = Direction::RecvOnly)
            as fn(&mut StreamConfig),
        |config| config.protection = Protection::Waiting,
        |config| config.remote_rtp = SocketAddr::from(([0, 0, 0, 0], 4010)),
    ] {
        let mut lone = Lone::new(change);
        lone.run(60, silence);
        assert_eq!(
            (lone.rtp_left(), lone.unheard.len(), lone.inactive_ms()),
            (0, 0, 0)
        );
    }
    // The handset is with someone else.
    let mut lone = Lone::new(|_| ());
    lone.run(5, silence);
    lone.command(Command::Connect {
        id: ID,
        connected: false,
    });
    lone.run(60, silence);
    assert_eq!(lone.unheard, []);
    assert!((249..=251).contains(&lone.rtp_left()));
    lone.command(Command::Connect {
        id: ID,
        connected: true,
    });
    lone.run(20, silence);
    let rtp = lone.rtp_left();
    assert!(
        (748..=751).contains(&rtp),
        "{rtp}: taken back, the far end has its ten seconds again"
    );
}

#[test]
fn a_new_agreement_does_not_restart_the_timeout() {
    let mut lone = Lone::new(|_| ());
    lone.run(6, silence);
    let other = lone.config(|config| {
        config.codec = Codec::Pcma;
        config.send_payload = 8;
        config.recv_payloads = vec![(8, Codec::Pcma)];
        config.ssrc = 77;
    });
    lone.command(Command::Start(Stream::new(other).unwrap()));
    lone.run(2, silence);
    lone.command(Command::Redirect {
        id: ID,
        remote_rtp: SocketAddr::from(([192, 0, 2, 1], 4000)),
        remote_rtcp: SocketAddr::from(([192, 0, 2, 1], 4001)),
        relays: media::Relays::default(),
        signalling: media::SignallingHosts::default(),
        direction: Direction::SendRecv,
    });
    lone.run(12, silence);
    let rtp = lone.rtp_left();
    assert!(
        (498..=502).contains(&rtp),
        "{rtp}: two agreements, one victim after the other, ten seconds in all"
    );
}
