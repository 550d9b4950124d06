//! What comes to the media ports of an engine with a clear and an encrypted stream, rendered after
//! each packet: no panic, and no forged packet passes SRTP.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use media::{
    Command, Engine, EngineConfig, MasterKey, PacketKind, Protection, Stream, StreamConfig,
    StreamId,
};
use types::{Codec, SrtpSuite};

const RATE: u32 = 8000;
const FRAMES: usize = 40;

fn config(id: StreamId, protection: Protection) -> StreamConfig {
    let remote = SocketAddr::from(([192, 0, 2, 9], 4000));
    StreamConfig {
        recv_payloads: vec![
            (111, Codec::Opus),
            (9, Codec::G722),
            (0, Codec::Pcmu),
            (8, Codec::Pcma),
        ],
        send_dtmf: Some((101, 48_000)),
        recv_dtmf: Some(101),
        opus_fec: true,
        protection,
        card_rate_hz: RATE,
        period_frames: FRAMES,
        ..StreamConfig::new(id, Codec::Opus, remote)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut now = testkit::start_instant();
    let engine = EngineConfig {
        rate_hz: RATE,
        period_frames: FRAMES,
        sidetone_db: None,
    };
    let mut engine = Engine::new(engine, now);
    let suite = SrtpSuite::AeadAes128Gcm;
    let key = MasterKey::new(suite, &[1; 16], &[2; 12], &[]).expect("a key of the right length");
    let protection = Protection::Srtp {
        send: key.clone(),
        receive: key,
    };
    for (id, protection) in [(StreamId(1), Protection::Clear), (StreamId(2), protection)] {
        let stream = Stream::new(config(id, protection)).expect("a valid stream");
        engine.handle_command(Command::Start(stream), now);
        engine.handle_command(
            Command::Connect {
                id,
                connected: true,
            },
            now,
        );
    }
    let from = SocketAddr::from(([192, 0, 2, 9], 4000));
    let mut playback = [0; FRAMES];
    // One byte of length, then so many bytes of a packet.
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (packet, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        for (id, kind) in [
            (StreamId(1), PacketKind::Rtp),
            (StreamId(1), PacketKind::Rtcp),
            (StreamId(2), PacketKind::Rtp),
        ] {
            engine.handle_packet(id, kind, from, &mut packet.to_vec(), now);
        }
        now += Duration::from_millis(5);
        engine.process(&[0; FRAMES], &mut playback, now);
        while engine.poll_transmit().is_some() {}
        while engine.poll_event().is_some() {}
    }
    let received = engine.stats(StreamId(2)).map_or(0, |stats| stats.received);
    assert_eq!(received, 0, "a forged packet was taken");
});
