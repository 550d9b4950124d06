//! Nothing on the audio path allocates after construction: neither Rust nor libopus.
//!
//! ```text
//! Rust's allocator ─┐
//! libopus ──────────┴─▶ malloc, defined here ─▶ counted while armed ─▶ glibc's
//! ```
//!
//! Defining `malloc` in the program takes the place of the C library's for every library loaded; a
//! control test sees that it does, for Rust and for libopus.
#![cfg(target_env = "gnu")]

use std::time::{Duration, Instant};

use media::codec::{Decoder, Encoder, EncoderOptions, MAX_PAYLOAD, MAX_SAMPLES};
use media::tone::ToneGenerator;
use media::{
    CaptureAsrc, CardFormat, Codec, PacketKind, PlaybackAsrc, dtmf, level, resample, rtcp, rtp,
};
use testkit::heap::{self, untouched};
use types::Key;

testkit::count_malloc!();

/// Runs `work` armed and returns how often it used the heap.
fn heap_calls<R>(work: impl FnOnce() -> R) -> (u64, R) {
    let (result, counts) = heap::counted(work);
    (counts.allocations + counts.frees, result)
}

#[test]
fn the_trap_works_for_rust_and_for_libopus() {
    let (calls, vec) = heap_calls(|| vec![1u8; 100]);
    assert!(
        calls >= 1 && vec.len() == 100,
        "Rust's allocations are not seen"
    );
    // Four settings and a box would be Rust's; libopus' own state is one malloc of some 20 kB.
    let (calls, coder) = heap_calls(|| {
        audiopus::coder::Encoder::new(
            audiopus::SampleRate::Hz48000,
            audiopus::Channels::Mono,
            audiopus::Application::Voip,
        )
    });
    assert!(
        calls >= 1 && coder.is_ok(),
        "libopus' allocations are not seen"
    );
    let (calls, ()) = heap_calls(|| drop(coder));
    assert!(calls >= 1, "libopus' frees are not seen");
}

/// A sound with everything in it: tone, noise, silence.
fn sound(samples: usize) -> Vec<i16> {
    let mut random = 1u32;
    (0..samples)
        .map(|n| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match n / 4_000 % 3 {
                0 => (9_000.0 * (n as f32 * 0.1).sin()) as i16,
                1 => (random >> 17) as i16,
                _ => 0,
            }
        })
        .collect()
}

#[test]
fn coding_and_decoding() {
    for card_rate_hz in [8_000, 16_000, 48_000] {
        for codec in [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma] {
            for (fec, dtx) in [(true, false), (false, true)] {
                let options = EncoderOptions {
                    card_rate_hz,
                    fec,
                    dtx,
                    bitrate: None,
                    band: types::OpusBand::Wide,
                };
                let mut encoder = Encoder::new(codec, options).unwrap();
                let mut decoder = Decoder::new(codec, card_rate_hz).unwrap();
                let frame = encoder.samples_per_ms() * 20;
                let sound = sound(frame * 150);
                let mut payload = [0; MAX_PAYLOAD];
                let mut out = [0; MAX_SAMPLES];
                untouched(
                    &format!("{codec:?} at {card_rate_hz} Hz, fec {fec}, dtx {dtx}"),
                    || {
                        for (n, chunk) in sound.chunks_exact(frame).enumerate() {
                            encoder.set_loss_percent((n % 30) as u8);
                            let length = encoder.encode(chunk, &mut payload).unwrap();
                            let payload = &payload[..length];
                            assert_eq!(decoder.samples_in(payload), Ok(frame));
                            match n % 10 {
                                3 => {
                                    let _ = decoder.conceal(&mut out[..frame]);
                                    decoder.follow_concealment(chunk, &chunk[..40]);
                                }
                                6 => {
                                    if !decoder.decode_fec(payload, &mut out[..frame]) {
                                        decoder.conceal(&mut out[..frame]);
                                    }
                                    assert_eq!(decoder.decode(payload, &mut out), Ok(frame));
                                }
                                _ => assert_eq!(decoder.decode(payload, &mut out), Ok(frame)),
                            }
                            // What is refused is refused without the heap, too.
                            assert!(decoder.decode(&[], &mut out).is_err());
                            assert!(decoder.decode(payload, &mut out[..1]).is_err());
                            let _ = decoder.decode(&[0xFF, 0x3F, 1, 2, 3], &mut out);
                        }
                        decoder.reset();
                    },
                );
            }
        }
    }
}

#[test]
fn tones_keys_and_levels() {
    let mut generator = ToneGenerator::new(48_000);
    let mut receiver = dtmf::Receiver::new();
    let mut sender = dtmf::Sender::new(8_000, 8_000, 20);
    let mut meter = level::LevelMeter::new();
    let mut out = [0; 240];
    untouched("tones, keys, levels", || {
        for tick in 0..3_000u32 {
            let event = (tick / 40 % 16) as u8;
            match tick % 40 {
                0 => {
                    generator.start(dtmf::tone(Key::from_event(event).unwrap(), -10.0));
                    sender.press(event);
                }
                9 => sender.release(event),
                30 => generator.stop(),
                _ => {}
            }
            generator.render(&mut out);
            generator.mix(&mut out);
            meter.push(&out);
            if let Some(packet) = sender.tick(tick * 160) {
                receiver.handle(packet.timestamp, packet.marker, &packet.payload);
            }
        }
        meter.take()
    });
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "some instant to count virtual time from"
)]
fn packets_and_reports() {
    let start = Instant::now();
    let mut sender = rtp::Sender::new(1, 65_000, 4_000_000_000);
    let mut sequence = rtp::Sequence::new();
    let mut jitter = rtcp::Jitter::default();
    let mut near = rtcp::RtcpSession::new(1, "near@example.invalid", (start, 1 << 60), 1, start);
    let mut far = rtcp::RtcpSession::new(2, "far@example.invalid", (start, 1 << 61), 2, start);
    let mut packet = [0; 172];
    let mut report = [0; rtcp::MAX_WRITTEN];
    // SDES of several chunks, APP, feedback and XR: what rtcp-types would put into vectors.
    let others: [&[u8]; 4] = [
        &[
            0x82, 202, 0, 6, 0, 0, 0, 9, 1, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 0, 8, 1, 1, b'c', 0,
            0, 0, 0, 0,
        ],
        &[0x80, 204, 0, 2, 0, 0, 0, 9, b'n', b'a', b'm', b'e'],
        &[0x81, 205, 0, 3, 0, 0, 0, 9, 0, 0, 0, 8, 0, 1, 0, 0],
        &[0x80, 207, 0, 1, 0, 0, 0, 9],
    ];
    untouched("packets and reports", || {
        let mut now = start;
        for n in 0..5_000u32 {
            now += Duration::from_millis(20);
            let timestamp = sender.timestamp();
            sender
                .write_header(&mut packet, 0, n == 0, timestamp, 160)
                .unwrap();
            sender.advance(160);
            assert!(PacketKind::of(&packet).is_some());
            let view = rtp::View::parse(&packet).unwrap();
            assert_eq!(view.payload(&packet).len(), 160);
            if n % 17 != 0 {
                sequence.update(view.sequence);
                jitter.update(view.timestamp, now, 8_000);
            }
            let sent = rtcp::SenderInfo {
                timestamp,
                packets: sender.packets(),
                octets: sender.octets(),
            };
            if let Some(length) = near.poll(now, Some(sent), None, &mut report) {
                assert!(far.handle(&report[..length], now).unwrap().sender_report);
            }
            if let Some(length) =
                far.poll(now, None, Some((1, &mut sequence, &jitter)), &mut report)
            {
                near.handle(&report[..length], now).unwrap();
            }
            for other in others {
                let _ = near.handle(other, now);
                let _ = near.handle(&other[..other.len() - 1], now);
            }
            let _ = rtp::View::parse(&report[..n as usize % 20]);
        }
        far.bye(now, None, Some((1, &mut sequence, &jitter)), &mut report)
            .unwrap()
    });
}

#[test]
fn rate_conversion() {
    for (from, to) in [
        (48_000, 16_000),
        (48_000, 8_000),
        (16_000, 48_000),
        (44_100, 8_000),
        (8_000, 8_000),
        (48_000, 48_000),
    ] {
        let block = from as usize / 200;
        let mut push = resample::Push::new(from, to, block).unwrap();
        let mut pull = resample::Pull::new(from, to, to as usize / 200).unwrap();
        let input = sound(2 * block + 200);
        let mut out = vec![0; push.output_max(block).max(to as usize / 200)];
        untouched(&format!("{from} to {to} Hz"), || {
            for n in 0..500 {
                push.process(&input[..block - n as usize % 3], &mut out);
                let want = to as usize / 200 - n as usize % 2;
                let needed = pull.needed(want);
                pull.process(&input[..needed], &mut out[..want]);
            }
        });
    }
}

/// A further card's sound, both ways, through a stall and a stop.
#[test]
fn cards_with_clocks_of_their_own() {
    let format = |rate_hz, period_frames| CardFormat {
        rate_hz,
        period_frames,
    };
    for (card, engine) in [
        (format(44_100, 441), format(48_000, 240)),
        (format(48_000, 240), format(16_000, 160)),
        (format(8_000, 160), format(48_000, 480)),
    ] {
        let mut capture = CaptureAsrc::new(card, engine).unwrap();
        let mut playback = PlaybackAsrc::new(card, engine).unwrap();
        let mut of_card = vec![1000; card.period_frames];
        let mut of_engine = vec![1000; engine.period_frames];
        untouched("cards with clocks of their own", || {
            for n in 0..3_000 {
                if n % 100 != 0 {
                    capture.push(&of_card);
                }
                capture.pull(&mut of_engine);
                playback.push(&of_engine);
                playback.pull(&mut of_card);
                capture.observe(1);
                playback.observe(1);
                if n % 700 == 0 {
                    capture.reset();
                    playback.reset();
                }
            }
        });
    }
}
