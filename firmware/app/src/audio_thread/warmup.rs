//! A short call with itself right after the start, which no one hears, so that the first real one
//! finds all its code in memory.
//!
//! ```text
//! each codec, each family of SRTP:   noise ─▶ Engine ─▶ packet ─▶ the same Engine ─▶ thrown away
//! ```
//!
//! Memory is locked as it is touched (`realtime::lock_memory`): locking all of it at once would
//! keep 4 MB of code in memory that no call ever runs. What is touched here stays; without this the
//! first packet of the first call would wait for the SD card. It runs in a thread of its own at
//! ordinary priority and begins when dial tone and REGISTER are out, so that it keeps neither them
//! nor sound waiting. Once the start is over and the phone rests, the start's code is given back
//! ([`crate::resident`]), and the call is made again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{
    Codec, Command, Engine, EngineConfig, MasterKey, Protection, SrtpSuite, Stream, StreamConfig,
    StreamError, StreamId,
};

use super::Shared;

const ID: StreamId = StreamId(1);
/// 0.4 s of 5 ms: the jitter buffer fills, plays and, at the end, conceals.
const PERIODS: u32 = 80;
/// Nothing arrives any more in the last ones.
const UNANSWERED: u32 = 12;

/// It begins so long after the audio thread: no call comes before.
const BEGIN: Duration = Duration::from_millis(200);
/// How long the start takes, and how often is looked whether the phone rests.
const START: Duration = Duration::from_secs(3);
/// Turns of the loop in a second, below which nothing is played or recorded.
const RESTING_TURNS: u64 = 20;

/// Every codec once, and between them both kinds of SRTP cipher.
const PARTS: [(Codec, u8, SrtpSuite); 3] = [
    (Codec::Opus, 111, SrtpSuite::AeadAes128Gcm),
    (Codec::G722, 9, SrtpSuite::AesCm128HmacSha1_80),
    (Codec::Pcmu, 0, SrtpSuite::AesCm128HmacSha1_80),
];

/// Starts it. No one waits for its end; where the system gives no thread, the first call does
/// without.
pub(super) fn start(engine: EngineConfig, shared: Arc<Shared>) {
    let begun = std::thread::Builder::new()
        .name("offhook-warmup".into())
        .stack_size(256 * 1024)
        .spawn(move || {
            std::thread::sleep(BEGIN);
            warm_up(engine);
            // Whoever plays or records meanwhile keeps its code.
            while !rests(&shared) {}
            let released = crate::resident::release_code();
            tracing::debug!("{} kB of code are no longer locked", released / 1024);
            warm_up(engine);
        });
    if let Err(error) = begun {
        tracing::warn!("no warm-up: {error}; the first call may stutter");
    }
}

/// Waits, and says whether the audio thread was at rest.
fn rests(shared: &Shared) -> bool {
    std::thread::sleep(START);
    let before = shared.heartbeat();
    std::thread::sleep(Duration::from_secs(1));
    shared.heartbeat().wrapping_sub(before) < RESTING_TURNS
}

fn warm_up(engine: EngineConfig) {
    for (codec, payload, suite) in PARTS {
        if let Err(error) = call(engine, codec, payload, suite) {
            tracing::warn!("no warm-up of {codec:?}: {error}; the first call may stutter");
        }
    }
}

/// One call with itself; returns how many packets came back and were played.
fn call(
    config: EngineConfig,
    codec: Codec,
    payload: u8,
    suite: SrtpSuite,
) -> Result<u64, StreamError> {
    let start = Instant::now();
    let itself = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let key = || {
        let seed = [1; 64];
        MasterKey::new(
            suite,
            &seed[..suite.key_len()],
            &seed[..suite.salt_len()],
            &[],
        )
    };
    // The same key for both directions, which no one but a warm-up may have.
    let protection = match (key(), key()) {
        (Ok(send), Ok(receive)) => Protection::Srtp { send, receive },
        (Err(_), _) | (_, Err(_)) => Protection::Clear,
    };
    let mut engine = Engine::new(config, start);
    let stream = Stream::new(StreamConfig {
        send_payload: payload,
        recv_payloads: vec![(payload, codec)],
        opus_fec: true,
        protection,
        card_rate_hz: config.rate_hz,
        period_frames: config.period_frames,
        ..StreamConfig::new(ID, codec, itself)
    })?;
    engine.handle_command(Command::Start(stream), start);
    engine.handle_command(
        Command::Connect {
            id: ID,
            connected: true,
        },
        start,
    );
    let mut noise = 1_u32;
    let mut capture = vec![0_i16; config.period_frames];
    let mut playback = vec![0_i16; config.period_frames];
    let mut packet = Vec::with_capacity(2048);
    for period in 0..PERIODS {
        let now = start + Duration::from_millis(5) * period;
        capture.fill_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 20) as i16
        });
        engine.process(&capture, &mut playback, now);
        while let Some(sent) = engine.poll_transmit() {
            packet.clear();
            packet.extend_from_slice(sent.bytes);
            let kind = sent.socket;
            if period + UNANSWERED < PERIODS {
                engine.handle_packet(ID, kind, itself, &mut packet, now);
            }
        }
        while engine.poll_event().is_some() {}
    }
    Ok(engine.stats(ID).map_or(0, |stats| stats.received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_played_through_to_its_end() {
        for (codec, payload, suite) in PARTS {
            let config = EngineConfig {
                rate_hz: 48_000,
                period_frames: 240,
                sidetone_db: None,
            };
            let received = call(config, codec, payload, suite).unwrap();
            assert!(
                received >= 15,
                "{codec:?}: {received} packets came through decryption and decoder"
            );
        }
    }
}
