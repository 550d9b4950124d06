//! Bit for bit against the ITU's sequences and libspandsp; and how fast a decoder heals after a
//! loss.

use super::*;
use crate::test_data::spandsp::G722;
use crate::test_data::{self, Rng};

/// Big-endian words of a G.722 Appendix II sequence: bit 0 resets the coder.
fn words(name: &str) -> Option<Vec<u16>> {
    let bytes = test_data::read("g722::appendix_ii", &format!("codec/g722-itu-appII/{name}"))?;
    Some(
        bytes
            .chunks_exact(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect(),
    )
}

#[test]
fn appendix_ii_encoder_sequence() {
    let (Some(input), Some(expected)) = (words("bt1c1.xmt"), words("bt2r1.cod")) else {
        return;
    };
    let mut bands = Bands::new();
    let mut coded = 0;
    for (index, (&input, &expected)) in input.iter().zip(&expected).enumerate() {
        if input & 1 != 0 {
            bands = Bands::new();
            continue;
        }
        // The filter bank is bypassed: the same word goes to both bands.
        let sample = i32::from(input as i16 >> 1);
        assert_eq!(
            bands.encode(sample, sample),
            (expected >> 8) as u8,
            "word {index}"
        );
        coded += 1;
    }
    assert_eq!(coded, 16_384);
}

#[test]
fn appendix_ii_decoder_sequence() {
    let (Some(codes), Some(low), Some(high)) =
        (words("bt2r1.cod"), words("bt3l1.rc1"), words("bt3h1.rc0"))
    else {
        return;
    };
    let mut bands = Bands::new();
    let mut decoded = 0;
    for (index, ((&code, &low), &high)) in codes.iter().zip(&low).zip(&high).enumerate() {
        if code & 1 != 0 {
            bands = Bands::new();
            continue;
        }
        let out = bands.decode((code >> 8) as u8);
        assert_eq!(
            out,
            (i32::from(low as i16 >> 1), i32::from(high as i16 >> 1)),
            "word {index}"
        );
        decoded += 1;
    }
    assert_eq!(decoded, 16_384);
}

/// The ITU library's own sequences through the filter banks, where they are at hand.
#[test]
fn itu_library_sequences() {
    let read = |name: &str| {
        test_data::read(
            "g722::itu_library_sequences",
            &format!("codec/g722-stl/{name}"),
        )
    };
    let Some(input) = read("inpsp.bin") else {
        return;
    };
    let (Some(codes), Some(output)) = (read("codspw.cod"), read("outsp1.bin")) else {
        return;
    };
    let words = |bytes: &[u8]| -> Vec<i16> {
        bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect()
    };
    let input = words(&input);
    let codes: Vec<u8> = codes.chunks_exact(2).map(|pair| pair[0]).collect();
    let mut coded = vec![0; input.len() / 2];
    assert_eq!(
        Encoder::new().encode(&input[..coded.len() * 2], &mut coded),
        Ok(codes.len())
    );
    same("encoder", &coded, &codes);
    let mut decoded = vec![0; codes.len() * 2];
    assert_eq!(
        Decoder::new().decode(&codes, &mut decoded),
        Ok(decoded.len())
    );
    same("decoder", &decoded, &words(&output)[..decoded.len()]);
}

/// Equal, or says where not (an `assert_eq` would print a hundred thousand numbers).
fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &[T], theirs: &[T]) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let differing = ours
        .iter()
        .zip(theirs)
        .filter(|(one, other)| one != other)
        .count();
    let first = (0..ours.len()).find(|&n| ours[n] != theirs[n]);
    assert!(
        differing == 0,
        "{what}: {differing} differ, the first at {first:?}: {:?}",
        first.map(|n| (&ours[n], &theirs[n]))
    );
}

/// Sound that visits every segment of the quantisers: a swept sine, noise, silence, full-scale
/// clipping.
fn hard_sound() -> Vec<i16> {
    let mut noise = Rng::new(722);
    let mut phase = 0.0f64;
    (0..64_000)
        .map(|n| {
            phase += std::f64::consts::TAU * (50.0 + f64::from(n) / 8.0) / 16_000.0;
            let level = [32_767.0, 8_000.0, 200.0, 0.0, 60_000.0][(n / 3_000 % 5) as usize];
            (level * phase.sin() * 0.7 + level * 0.3 * noise.symmetric()).clamp(-32_768.0, 32_767.0)
                as i16
        })
        .collect()
}

#[test]
fn bit_for_bit_what_libspandsp_makes() {
    let Some(oracle) = G722::open() else { return };
    for percent in [100, 25] {
        let sound: Vec<i16> = hard_sound()
            .iter()
            .map(|&sample| (i32::from(sample) * percent / 100) as i16)
            .collect();
        let mut coded = vec![0; sound.len() / 2];
        Encoder::new().encode(&sound, &mut coded).unwrap();
        same("encoder", &coded, &oracle.encode(&sound));
        let mut decoded = vec![0; sound.len()];
        Decoder::new().decode(&coded, &mut decoded).unwrap();
        let mut theirs = oracle.decode(&coded);
        if percent == 100 {
            unwrap_overflow(&decoded, &mut theirs);
        }
        same("decoder", &decoded, &theirs);
    }
    // Bytes no encoder would make.
    let mut noise = Rng::new(7);
    let wild: Vec<u8> = (0..32_000).map(|_| noise.next_u64() as u8).collect();
    let mut decoded = vec![0; wild.len() * 2];
    Decoder::new().decode(&wild, &mut decoded).unwrap();
    let mut theirs = oracle.decode(&wild);
    unwrap_overflow(&decoded, &mut theirs);
    same("decoder on noise", &decoded, &theirs);
}

/// libspandsp lets the output of the synthesis bank wrap round where it overflows; the ITU's limits
/// it, as we do. Where we stand at a limit and it is on the far side, it wrapped.
fn unwrap_overflow(ours: &[i16], theirs: &mut [i16]) {
    for (&ours, theirs) in ours.iter().zip(theirs) {
        if matches!(ours, i16::MIN | i16::MAX) && (ours < 0) != (*theirs < 0) {
            *theirs = ours;
        }
    }
}

#[test]
fn the_delay_is_what_we_say() {
    let mut sound = vec![0i16; 320];
    sound[100] = 20_000;
    let mut coded = [0; 160];
    let mut back = [0; 320];
    Encoder::new().encode(&sound, &mut coded).unwrap();
    Decoder::new().decode(&coded, &mut back).unwrap();
    let loudest = (0..320).max_by_key(|&n| back[n].unsigned_abs()).unwrap();
    assert_eq!(loudest, 100 + QMF_DELAY);
}

/// Speech-like: harmonics of 125 Hz (128 samples a period) with a slow swell.
fn voiced(samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| {
            let t = n as f64 / 128.0 * std::f64::consts::TAU;
            let swell = 0.6 + 0.4 * (n as f64 / 9_000.0).sin();
            let sum: f64 = (1..30)
                .map(|k| (f64::from(k) * t + f64::from(k * k)).sin() / f64::from(k))
                .sum();
            (sum * swell * 6_000.0) as i16
        })
        .collect()
}

/// What is done to the decoder after a loss, given what was played and what would have come next.
type Prepare<'a> = &'a dyn Fn(&mut Decoder, &[i16], &[i16]);

/// After a loss the decoder must be right again at once: compare the 20 ms after it with what an
/// undisturbed decoder gives.
#[test]
fn following_the_concealment_heals_faster_than_not() {
    let sound = voiced(16_000);
    let mut coded = vec![0; 8_000];
    Encoder::new().encode(&sound, &mut coded).unwrap();
    let mut clean = vec![0; 16_000];
    Decoder::new().decode(&coded, &mut clean).unwrap();
    let error_after = |prepare: Prepare| -> f64 {
        let (mut error, mut power) = (0.0, 0.0);
        for lost_frame in (5..40).step_by(5) {
            let lost = lost_frame * 320;
            let mut decoder = Decoder::new();
            let mut before = vec![0; lost];
            decoder.decode(&coded[..lost / 2], &mut before).unwrap();
            // Concealment: the last two periods again.
            let played: Vec<i16> = (0..342).map(|n| before[lost - 256 + n % 256]).collect();
            prepare(&mut decoder, &played[..320], &played[320..]);
            let mut after = vec![0; 320];
            decoder
                .decode(&coded[lost / 2 + 160..lost / 2 + 320], &mut after)
                .unwrap();
            for (got, want) in after.iter().zip(&clean[lost + 320..]) {
                error += f64::from(i32::from(*got) - i32::from(*want)).powi(2);
                power += f64::from(*want).powi(2);
            }
        }
        10.0 * (power / error).log10()
    };
    let nothing = error_after(&|_, _, _| {});
    let reset = error_after(&|decoder, _, _| *decoder = Decoder::new());
    let blind = error_after(&|decoder, played, _| decoder.follow(played, &[]));
    let follow = error_after(&Decoder::follow);
    println!(
        "SNR in the 20 ms after a loss: left alone {nothing:.1} dB, reset {reset:.1} dB, followed \
         {follow:.1} dB, without `ahead` {blind:.1} dB"
    );
    assert!(
        follow > nothing + 1.0 && follow > reset + 1.0,
        "left alone {nothing:.1}, reset {reset:.1}, followed {follow:.1}"
    );
}

#[test]
fn following_in_odd_pieces_is_following() {
    let sound = voiced(3_000);
    let mut coded = vec![0; 1_500];
    Encoder::new().encode(&sound, &mut coded).unwrap();
    let after = |pieces: &[usize]| {
        let mut decoder = Decoder::new();
        let mut out = vec![0; 2_000];
        decoder.decode(&coded[..1_000], &mut out).unwrap();
        let mut at = 1_000;
        for &piece in pieces {
            decoder.follow(&sound[at..at + piece], &sound[at + piece..at + piece + 24]);
            at += piece;
        }
        decoder.decode(&coded[1_000..], &mut out[..1_000]).unwrap();
        out
    };
    let whole = after(&[320]);
    for pieces in [
        &[81, 79, 80, 80][..],
        &[1, 318, 1],
        &[7, 7, 7, 7, 292],
        &[0, 319, 0, 1],
    ] {
        assert_eq!(after(pieces), whole, "{pieces:?}");
    }
}

#[test]
fn odd_and_short_are_refused() {
    let mut out = [0; 4];
    assert!(matches!(
        Encoder::new().encode(&[0; 3], &mut out),
        Err(CodecError::FrameLength { samples: 3, .. })
    ));
    assert_eq!(
        Encoder::new().encode(&[0; 10], &mut out),
        Err(CodecError::OutputTooShort { have: 4, need: 5 })
    );
    assert_eq!(
        Decoder::new().decode(&[0; 5], &mut [0; 8]),
        Err(CodecError::OutputTooShort { have: 8, need: 10 })
    );
}
