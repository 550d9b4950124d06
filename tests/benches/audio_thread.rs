//! What encryption costs the audio thread: one call's engine, both directions, in clear and under
//! each suite, side by side.
//!
//! ```text
//! a second of the far end's packets ─▶ Engine::handle_packet ─┐
//! a second of the microphone ────────▶ Engine::process ───────┴─▶ poll_transmit        CPU time of this thread, nothing else
//! ```
//!
//! The far end's packets are made beforehand, outside the time measured. All variants' calls run
//! side by side, a second of each in turn, and each second is compared with the same second in
//! clear; given are the medians, so that a busy machine disturbs none more than another. Sockets
//! and the card are left out: they cost both the same, and would make the share look smaller. Fails
//! where SRTP adds 15 % or more.
//!
//! `cargo bench --workspace --bench audio_thread`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use media::{
    Codec, Command, Encryption, Engine, EngineConfig, MasterKey, PacketKind, Protection, SrtpSuite,
    Stream, StreamConfig, StreamId,
};
use nix::time::{ClockId, clock_gettime};
use testkit::signal::Source;

const RATE: u32 = 48_000;
const FRAMES: usize = 240;
const PERIODS_A_SECOND: u32 = 200;
const ID: StreamId = StreamId(1);
/// Seconds of call; the first are not counted.
const SECONDS: u32 = 60;
const SETTLING: u32 = 3;
/// What SRTP may add.
const BUDGET: f64 = 0.15;

fn address(side: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4000 + 10 * side))
}

fn key(suite: SrtpSuite, side: u16) -> MasterKey {
    let seed = side as u8 + 1;
    MasterKey::new(
        suite,
        &vec![seed; suite.key_len()],
        &vec![seed; suite.salt_len()],
        &[],
    )
    .unwrap()
}

/// One side's engine, talking.
fn engine(side: u16, codec: Codec, suite: Option<SrtpSuite>, start: Instant) -> Engine {
    let mut engine = Engine::new(
        EngineConfig {
            rate_hz: RATE,
            period_frames: FRAMES,
            sidetone_db: Some(-20),
        },
        start,
    );
    let stream = Stream::new(StreamConfig {
        opus_fec: codec == Codec::Opus,
        protection: suite.map_or(Protection::Clear, |suite| Protection::Srtp {
            send: key(suite, side),
            receive: key(suite, 1 - side),
        }),
        ssrc: 7 + u32::from(side),
        card_rate_hz: RATE,
        period_frames: FRAMES,
        ..StreamConfig::new(ID, codec, address(1 - side))
    })
    .unwrap();
    engine.handle_command(Command::Start(stream), start);
    engine.handle_command(
        Command::Connect {
            id: ID,
            connected: true,
        },
        start,
    );
    engine
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}

/// A call of two engines under one variant.
struct Call {
    suite: Option<SrtpSuite>,
    near: Engine,
    far: Engine,
    start: Instant,
}

impl Call {
    fn new(codec: Codec, suite: Option<SrtpSuite>) -> Self {
        let start = Instant::now();
        Self {
            suite,
            near: engine(0, codec, suite, start),
            far: engine(1, codec, suite, start),
            start,
        }
    }

    /// The CPU time the near engine took for this second of call, in µs.
    fn second(&mut self, second: u32, voice: &[i16]) -> f64 {
        let Self {
            near, far, start, ..
        } = self;
        let time =
            |period: u32| *start + Duration::from_millis(5) * (second * PERIODS_A_SECOND + period);
        let sound = |period: u32| {
            let at =
                (second * PERIODS_A_SECOND + period) as usize * FRAMES % (voice.len() - FRAMES);
            &voice[at..at + FRAMES]
        };
        let mut playback = [0; FRAMES];
        let mut packets: Vec<Vec<Vec<u8>>> = Vec::new();
        for period in 0..PERIODS_A_SECOND {
            far.process(sound(period), &mut playback, time(period));
            let mut sent = Vec::new();
            while let Some(packet) = far.poll_transmit() {
                sent.push(packet.bytes.to_vec());
            }
            while far.poll_event().is_some() {}
            packets.push(sent);
        }
        let before = cpu();
        for (period, packets) in (0..).zip(&mut packets) {
            let now = time(period);
            for packet in packets {
                near.handle_packet(ID, PacketKind::Rtp, address(1), packet, now);
            }
            near.process(sound(period), &mut playback, now);
            while let Some(packet) = near.poll_transmit() {
                std::hint::black_box(packet.bytes);
            }
            while near.poll_event().is_some() {}
        }
        cpu().saturating_sub(before).as_secs_f64() * 1e6
    }

    /// The call was one, and encrypted as it should be.
    fn check(&self) {
        let stats = self.near.stats(ID).unwrap();
        let least = 50 * u64::from(SECONDS - 1);
        assert!(stats.received > least && stats.sent > least, "{stats:?}");
        assert_eq!(
            stats.encryption,
            self.suite.map_or(Encryption::None, Encryption::Full)
        );
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() -> ExitCode {
    let mut voice = vec![0; RATE as usize * 10];
    Source::voice(1, RATE).read(0, &mut voice);
    let mut held = true;
    println!(
        "CPU of the audio thread for one call, sockets and card left out, µs a second of call \
         (card {RATE} Hz, 5 ms; packets of 20 ms)"
    );
    for codec in [Codec::Pcmu, Codec::Opus] {
        let mut calls: Vec<Call> = std::iter::once(None)
            .chain(SrtpSuite::ALL.map(Some))
            .map(|suite| Call::new(codec, suite))
            .collect();
        let mut took: Vec<Vec<f64>> = vec![Vec::new(); calls.len()];
        for second in 0..SECONDS {
            for n in 0..calls.len() {
                // Another one first each time.
                let n = (n + second as usize) % calls.len();
                let micros = calls[n].second(second, &voice);
                if second >= SETTLING {
                    took[n].push(micros);
                }
            }
        }
        for (call, micros) in calls.iter().zip(&took) {
            call.check();
            let added = median(
                micros
                    .iter()
                    .zip(&took[0])
                    .map(|(sealed, clear)| sealed / clear - 1.0)
                    .collect(),
            );
            held &= added < BUDGET;
            println!(
                "  {codec:?}  {:<26} {:>8.0}  {:>+6.1} %",
                call.suite.map_or("in clear", SrtpSuite::as_str),
                median(micros.clone()),
                added * 100.0
            );
        }
    }
    println!(
        "SRTP adds less than {:.0} %: {}",
        BUDGET * 100.0,
        if held { "held" } else { "BROKEN" }
    );
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
