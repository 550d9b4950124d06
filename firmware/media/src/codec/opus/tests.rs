//! Opus against recorded packets, and through loss.

use super::*;
use crate::test_data;

fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut have, mut out) = (0u32, 0, Vec::new());
    for digit in text.bytes().filter_map(value) {
        bits = bits << 6 | digit;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    out
}

fn json(name: &str) -> Option<serde_json::Value> {
    let bytes = test_data::read(
        "opus::recorded_packets",
        &format!("codec/opus-gopus/{name}.json"),
    )?;
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// A voice-like sound: a sweeping buzz with pauses.
fn voice(rate: u32, ms: usize) -> Vec<i16> {
    let mut phase = 0.0f64;
    (0..rate as usize / 1000 * ms)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            phase += (110.0 + 40.0 * (t * 2.0).sin()) / f64::from(rate);
            let word = (t * 1.7).fract() < 0.75;
            let sum: f64 = (1..25)
                .map(|k| (std::f64::consts::TAU * phase * f64::from(k)).sin() / f64::from(k))
                .sum();
            if word { (sum * 5_000.0) as i16 } else { 0 }
        })
        .collect()
}

fn options(card_rate_hz: u32) -> EncoderOptions {
    EncoderOptions {
        card_rate_hz,
        ..EncoderOptions::default()
    }
}

#[test]
fn recorded_packets_end_in_their_final_range_and_sound_the_same() {
    let (Some(packets), Some(decoded)) = (
        json("silk_wb_libopus_float_packets_fixture"),
        json("silk_wb_libopus_float_decoded_fixture"),
    ) else {
        return;
    };
    let expected: Vec<f32> = base64(decoded["decoded_f32_le_b64"].as_str().unwrap())
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    let mut decoder = Decoder::new(48_000).unwrap();
    let mut out = [0; MAX_SAMPLES];
    let mut at = 0;
    for (n, packet) in packets["packets"].as_array().unwrap().iter().enumerate() {
        let bytes = base64(packet["data_b64"].as_str().unwrap());
        assert_eq!(samples_in(&bytes, 48_000), Ok(960));
        assert_eq!(decoder.decode(&bytes, &mut out), Ok(960));
        assert_eq!(
            u64::from(decoder.inner.final_range().unwrap()),
            packet["final_range"].as_u64().unwrap(),
            "packet {n}"
        );
        for (sample, expected) in out[..960].iter().zip(&expected[at..at + 960]) {
            assert!(
                (f32::from(*sample) - expected * 32_768.0).abs() <= 1.5,
                "packet {n}: {sample} for {}",
                expected * 32_768.0
            );
        }
        at += 960;
    }
    assert_eq!(at, 48_000);
}

#[test]
fn speech_comes_back_at_every_rate_and_frame_length() {
    for card in [8_000, 12_000, 16_000, 24_000, 44_100, 48_000] {
        for half_ms in [5, 10, 20, 40, 80, 120] {
            let mut encoder = Encoder::new(EncoderOptions {
                bitrate: Some(64_000),
                ..options(card)
            })
            .unwrap();
            let rate = encoder.rate_hz();
            let mut decoder = Decoder::new(rate).unwrap();
            let frame = rate as usize * half_ms / 2_000;
            let sound = voice(rate, 1_200);
            let mut back = Vec::new();
            let mut packet = [0; 1_275];
            let mut out = [0; MAX_SAMPLES];
            for chunk in sound.chunks_exact(frame) {
                let length = encoder.encode(chunk, &mut packet).unwrap();
                assert_eq!(samples_in(&packet[..length], rate), Ok(frame));
                assert_eq!(decoder.decode(&packet[..length], &mut out), Ok(frame));
                back.extend_from_slice(&out[..frame]);
            }
            let delay = encoder.lookahead_samples();
            let correlation = correlate(&sound[..back.len() - delay], &back[delay..]);
            assert!(
                correlation > 0.7,
                "{card} Hz, {} ms: {correlation}",
                half_ms as f32 / 2.0
            );
        }
    }
}

fn correlate(one: &[i16], other: &[i16]) -> f64 {
    let dot = |a: &[i16], b: &[i16]| {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum::<f64>()
    };
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt().max(1.0)
}

#[test]
fn the_rate_follows_the_card_and_the_bitrate_the_rate() {
    for (card, rate) in [
        (8_000, 8_000),
        (11_025, 12_000),
        (16_000, 16_000),
        (22_050, 24_000),
        (32_000, 48_000),
        (44_100, 48_000),
        (48_000, 48_000),
        (96_000, 48_000),
    ] {
        assert_eq!(rate_for_card(card), rate);
        let mut encoder = Encoder::new(options(card)).unwrap();
        assert_eq!(encoder.rate_hz(), rate);
        let frame = rate as usize / 50;
        let mut packet = [0; 1_275];
        let sound = voice(rate, 4_000);
        let bytes: usize = sound
            .chunks_exact(frame)
            .map(|chunk| encoder.encode(chunk, &mut packet).unwrap())
            .sum();
        let bits = bytes as f64 * 8.0 / 4.0;
        let asked = f64::from(bitrate_for_rate(rate, true));
        // VBR, and a quarter of this sound is silence.
        assert!(
            bits < asked * 1.2 && bits > asked * 0.4,
            "{card} Hz: {bits} bit/s, asked for {asked}"
        );
        // 6.5 ms, at 44.1 kHz and all.
        assert_eq!(encoder.lookahead_samples(), rate as usize * 13 / 2_000);
    }
}

/// One packet in eight lost: with FEC the copy in the next one is nearer to the truth than
/// concealment.
#[test]
fn fec_recovers_what_concealment_can_only_guess() {
    let rate = 16_000;
    let sound = voice(rate, 6_000);
    let mut encoder = Encoder::new(options(rate)).unwrap();
    encoder.set_loss_percent(15);
    let packets: Vec<Vec<u8>> = sound
        .chunks_exact(320)
        .map(|chunk| {
            let mut packet = [0; 1_275];
            let length = encoder.encode(chunk, &mut packet).unwrap();
            packet[..length].to_vec()
        })
        .collect();
    let with_fec = packets.iter().filter(|packet| has_fec(packet)).count();
    assert!(
        with_fec * 2 > packets.len(),
        "{with_fec} of {} packets carry FEC",
        packets.len()
    );
    let mut errors = [0.0; 2];
    let mut recovered = 0;
    for (way, error) in errors.iter_mut().enumerate() {
        let mut whole = Decoder::new(rate).unwrap();
        let mut lossy = Decoder::new(rate).unwrap();
        let (mut truth, mut got) = ([0; 320], [0; 320]);
        for (n, packet) in packets.iter().enumerate() {
            whole.decode(packet, &mut truth).unwrap();
            if n % 8 != 5 {
                assert_eq!(lossy.decode(packet, &mut got), Ok(320));
                continue;
            }
            match packets.get(n + 1) {
                Some(next) if way == 1 && has_fec(next) => {
                    recovered += 1;
                    assert_eq!(lossy.decode_fec(next, &mut got), Ok(320));
                }
                _ => assert_eq!(lossy.conceal(&mut got), Ok(320)),
            }
            *error += truth
                .iter()
                .zip(&got)
                .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                .sum::<f64>();
        }
    }
    println!(
        "{recovered} recovered; error concealed {:.3e}, with FEC {:.3e}",
        errors[0], errors[1]
    );
    assert!(
        recovered > 10 && errors[1] < 0.6 * errors[0],
        "{errors:?}, {recovered} recovered"
    );
}

/// The first loss comes before the first report of one: redundancy must be there from the start.
#[test]
fn fec_is_there_before_any_loss_is_reported() {
    for card in [8_000, 16_000, 24_000, 48_000] {
        let mut encoder = Encoder::new(options(card)).unwrap();
        encoder.set_loss_percent(0);
        let mut packet = [0; 1_275];
        let (mut with, mut all) = (0, 0);
        for chunk in voice(card, 4_000).chunks_exact(card as usize / 50) {
            let length = encoder.encode(chunk, &mut packet).unwrap();
            with += usize::from(has_fec(&packet[..length]));
            all += 1;
        }
        // Silence, a quarter of this sound, carries none.
        assert!(with * 2 > all, "{card} Hz: {with} of {all}");
    }
}

#[test]
fn without_fec_no_packet_carries_any() {
    let mut encoder = Encoder::new(EncoderOptions {
        fec: false,
        ..options(16_000)
    })
    .unwrap();
    encoder.set_loss_percent(30);
    let mut packet = [0; 1_275];
    for chunk in voice(16_000, 3_000).chunks_exact(320) {
        let length = encoder.encode(chunk, &mut packet).unwrap();
        assert!(!has_fec(&packet[..length]));
    }
}

/// The flag read by hand against what libopus makes of it: where it is set, FEC decoding is nearer
/// to the lost frame than concealment; where it is not, it is no nearer.
#[test]
fn the_fec_flag_is_read_right_in_every_mode() {
    for card in [8_000, 16_000, 48_000] {
        for half_ms in [20, 40, 80, 120] {
            let mut encoder = Encoder::new(options(card)).unwrap();
            encoder.set_loss_percent(20);
            let frame = card as usize * half_ms / 2_000;
            let mut packet = [0; 1_275];
            // Three decoders in the same state: one gets the frame, one conceals it, one takes it
            // from the next packet.
            let mut decoders: [Decoder; 3] = std::array::from_fn(|_| Decoder::new(card).unwrap());
            let mut before: Option<Vec<u8>> = None;
            let mut truth = vec![0; frame];
            let mut errors = [[1.0; 2]; 2];
            let (mut flagged, mut all) = (0, 0);
            for (n, chunk) in voice(card, 2_400).chunks_exact(frame).enumerate() {
                let length = encoder.encode(chunk, &mut packet).unwrap();
                let packet = packet[..length].to_vec();
                if let (Some(lost), true) = (&before, n % 2 == 1) {
                    let mut out = vec![0; frame];
                    decoders[0].decode(lost, &mut truth).unwrap();
                    for (way, decoder) in decoders[1..].iter_mut().enumerate() {
                        if way == 0 {
                            decoder.conceal(&mut out)
                        } else {
                            decoder.decode_fec(&packet, &mut out)
                        }
                        .unwrap();
                        let error = truth
                            .iter()
                            .zip(&out)
                            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                            .sum::<f64>();
                        errors[usize::from(has_fec(&packet))][way] += error;
                    }
                    flagged += usize::from(has_fec(&packet));
                    all += 1;
                    // In step again.
                    for decoder in &mut decoders {
                        decoder.decode(&packet, &mut out).unwrap();
                    }
                }
                before = Some(packet);
            }
            let ratio = errors.map(|[concealed, fec]| fec / concealed);
            println!(
                "{card} Hz, {} ms: {flagged} flagged, error with FEC over error concealed \
                 {ratio:.2?}",
                half_ms / 2
            );
            // At 10 ms the bitrate of narrowband has no room for redundancy.
            assert!(
                flagged > 5 || half_ms == 20,
                "{card} Hz, {} ms: {flagged} flagged",
                half_ms / 2
            );
            assert!(
                ratio[1] < 0.85 || flagged == 0,
                "{card} Hz, {} ms: flagged, but no better: {}",
                half_ms / 2,
                ratio[1]
            );
            assert!(
                ratio[0] > 0.7 || all - flagged < 8,
                "{card} Hz, {} ms: not flagged, yet better: {}",
                half_ms / 2,
                ratio[0]
            );
        }
    }
}

#[test]
fn dtx_leaves_packets_out_in_silence_and_only_there() {
    let mut encoder = crate::codec::Encoder::new(
        types::Codec::Opus,
        EncoderOptions {
            dtx: true,
            fec: false,
            ..options(16_000)
        },
    )
    .unwrap();
    let mut packet = [0; 1_275];
    let mut quiet = 0;
    for _ in 0..150 {
        let length = encoder.encode(&[0; 320], &mut packet).unwrap();
        quiet += usize::from(encoder.is_dtx(length));
    }
    assert!(quiet > 100, "{quiet} of 150 silent frames left out");
    let tone = test_data::sine(300.0, 16_000, 8_000.0, 16_000);
    for chunk in tone.chunks_exact(320).skip(2) {
        let length = encoder.encode(chunk, &mut packet).unwrap();
        assert!(!encoder.is_dtx(length));
    }
    // Without DTX a short packet is still a packet.
    let encoder = crate::codec::Encoder::new(types::Codec::Opus, options(16_000)).unwrap();
    assert!(!encoder.is_dtx(1));
}

#[test]
fn stereo_packets_play_on_a_mono_phone() {
    let inner = LibEncoder::new(SampleRate::Hz48000, Channels::Stereo, Application::Audio).unwrap();
    let mut decoder = Decoder::new(48_000).unwrap();
    let mut packet = [0; 1_275];
    let mut out = [0; MAX_SAMPLES];
    let left = test_data::sine(500.0, 48_000, 12_000.0, 48_000);
    let mut heard = Vec::new();
    for chunk in left.chunks_exact(960) {
        let both: Vec<i16> = chunk.iter().flat_map(|&sample| [sample, 0]).collect();
        let length = inner.encode(&both, &mut packet).unwrap();
        assert_eq!(decoder.decode(&packet[..length], &mut out), Ok(960));
        heard.extend_from_slice(&out[..960]);
    }
    let amplitude = test_data::amplitude_at(&heard[9_600..], 48_000, 500.0);
    assert!((amplitude - 6_000.0).abs() < 600.0, "{amplitude}");
}

#[test]
fn bad_packets_and_lengths_are_refused_and_do_no_harm() {
    let mut decoder = Decoder::new(48_000).unwrap();
    let mut out = [0; MAX_SAMPLES];
    assert_eq!(samples_in(&[], 48_000), Err(CodecError::Empty));
    assert_eq!(
        samples_in(&[3], 48_000),
        Err(CodecError::Malformed(1)),
        "code 3 without its count"
    );
    assert_eq!(
        samples_in(&[0x1B, 3], 48_000),
        Err(CodecError::Malformed(2)),
        "3 × 60 ms"
    );
    assert_eq!(
        samples_in(&[0x03, 0], 48_000),
        Err(CodecError::Malformed(2)),
        "no frame at all"
    );
    let mut noise = test_data::Rng::new(11);
    let mut taken = 0;
    for n in 0..20_000usize {
        let bytes: Vec<u8> = (0..n % 90).map(|_| noise.next_u64() as u8).collect();
        let _ = has_fec(&bytes);
        match decoder.decode(&bytes, &mut out) {
            Ok(samples) => {
                assert_eq!(Ok(samples), samples_in(&bytes, 48_000));
                taken += 1;
            }
            Err(CodecError::Empty | CodecError::Malformed(_) | CodecError::Opus(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(taken > 1_000);
    let mut encoder = Encoder::new(options(48_000)).unwrap();
    let mut packet = [0; 1_275];
    for samples in [0, 1, 240 + 1, 959, 5_760] {
        assert!(
            matches!(
                encoder.encode(&vec![0; samples], &mut packet),
                Err(CodecError::FrameLength { .. })
            ),
            "{samples}"
        );
    }
    assert!(matches!(
        decoder.conceal(&mut [0; 7]),
        Err(CodecError::FrameLength { .. })
    ));
    assert!(matches!(
        decoder.conceal(&mut []),
        Err(CodecError::FrameLength { .. })
    ));
    let length = encoder.encode(&[0; 960], &mut packet).unwrap();
    assert!(matches!(
        decoder.decode(&packet[..length], &mut out[..959]),
        Err(CodecError::OutputTooShort {
            have: 959,
            need: 960
        })
    ));
    // After all that it still works.
    assert_eq!(decoder.decode(&packet[..length], &mut out), Ok(960));
    decoder.reset();
    assert_eq!(decoder.decode(&packet[..length], &mut out), Ok(960));
}
