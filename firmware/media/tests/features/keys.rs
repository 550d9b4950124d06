//! Digits of a call, as events and as tones.

use media::dtmf::Timing;
use media::{Codec, Command, Event, PacketKind};
use testkit::network::{Link, Loss};

use crate::pair::{ID, Pair, babble, config, link};
use crate::{loud, room, tone_db};

fn digits(pair: &Pair, side: usize) -> Vec<u8> {
    pair.sides[side]
        .events
        .iter()
        .filter_map(|e| {
            if let Event::Digit { event, .. } = e {
                Some(*event)
            } else {
                None
            }
        })
        .collect()
}

fn press(pair: &mut Pair, event: u8, seconds: f64, speech: &[i16]) -> Vec<i16> {
    pair.command(
        0,
        Command::Dtmf {
            id: ID,
            event,
            down: true,
        },
    );
    let mut heard = pair.talk(speech, seconds);
    pair.command(
        0,
        Command::Dtmf {
            id: ID,
            event,
            down: false,
        },
    );
    heard.extend(pair.talk(speech, 0.4));
    heard
}

#[test]
fn keys_are_reported_once_and_silence_the_voice() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    pair.talk(&speech, 1.0);
    pair.tapped.clear();
    for event in [1, 2, 10, 11, 15, 1] {
        press(&mut pair, event, 0.12, &speech);
    }
    assert_eq!(digits(&pair, 1), [1, 2, 10, 11, 15, 1]);
    let kinds: Vec<u8> = pair.tapped.iter().map(|p| p[1] & 0x7F).collect();
    assert!(
        pair.tapped.iter().filter(|p| p[1] & 0x7F == 101).count() >= 6 * 6,
        "{kinds:?}"
    );
    // While a key is sent no sound goes beside it: between its first and last packet there are only
    // events.
    let first = kinds.iter().position(|&k| k == 101).unwrap();
    assert!(
        kinds[first..first + 8].iter().all(|&k| k == 101),
        "{kinds:?}"
    );
    assert_eq!(pair.stats(1).concealed_ms, 0, "a key is no loss");
    assert!(
        loud(&pair.talk(&speech, 1.0)),
        "after the keys the voice is back"
    );
}

#[test]
fn keys_survive_a_bad_network() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 8);
    pair.talk(&speech, 1.0);
    let bad = Link {
        loss: Loss::Random(0.2),
        duplicate: 0.1,
        ..link(20.0, 15.0)
    };
    pair.set_link(0, bad);
    let keys: Vec<u8> = (0..40).map(|n| n % 12).collect();
    for &event in &keys {
        press(&mut pair, event, 0.1, &speech);
    }
    assert_eq!(digits(&pair, 1), keys);
}

#[test]
fn without_telephone_event_keys_are_inband_tones() {
    let mut pair = Pair::new(8000, 40, 1);
    for side in 0..2 {
        let mut config = config(side, Codec::Pcmu, 8000, 40, pair.start);
        config.send_dtmf = None;
        pair.start_stream(side, config);
    }
    pair.talk(&[0; 800], 1.0);
    let heard = press(&mut pair, 5, 0.2, &[0; 800]);
    let key = &heard[800..1600];
    assert!(tone_db(key, 770.0, 8000.0) > -20.0 && tone_db(key, 1336.0, 8000.0) > -20.0);
    assert!(tone_db(key, 697.0, 8000.0) < -30.0 && tone_db(key, 1477.0, 8000.0) < -30.0);
    assert!(!loud(&heard[heard.len() - 800..]), "it ends");
    assert!(digits(&pair, 1).is_empty());
}

#[test]
fn keys_as_tones_are_not_cut_by_comfort_noise() {
    let mut pair = Pair::new(16_000, 80, 1);
    for side in 0..2 {
        let mut config = config(side, Codec::Pcmu, 16_000, 80, pair.start);
        (config.comfort_noise, config.send_dtmf) = (true, None);
        pair.start_stream(side, config);
    }
    let quiet = room(10.0, 2.0);
    pair.talk(&quiet, 2.0);
    let heard = press(&mut pair, 5, 0.3, &quiet);
    assert!(loud(&heard), "key 5 is heard as a tone");
}

#[test]
fn a_key_heard_as_a_tone_is_reported_once() {
    for codec in [Codec::Pcmu, Codec::Opus] {
        let mut pair = Pair::new(16_000, 80, 1);
        for side in 0..2 {
            let mut config = config(side, codec, 16_000, 80, pair.start);
            (config.send_dtmf, config.recv_dtmf) = (None, None);
            pair.start_stream(side, config);
        }
        let speech = babble(16_000, 3.0);
        pair.talk(&speech, 3.0);
        assert!(digits(&pair, 1).is_empty(), "{codec:?}: talk is no key");
        for event in [5, 11, 0, 0] {
            press(&mut pair, event, 0.15, &speech);
        }
        let inband = |e: &Event| matches!(e, Event::Digit { inband: true, .. });
        assert_eq!(digits(&pair, 1), [5, 11, 0, 0], "{codec:?}");
        let heard = pair.sides[1].events.iter().filter(|e| inband(e)).count();
        assert_eq!(heard, 4, "{codec:?}: said to be tones");
    }
}

/// The left side's keys, each let go at once.
fn type_keys(pair: &mut Pair, keys: &[u8]) {
    for &event in keys {
        for down in [true, false] {
            pair.command(
                0,
                Command::Dtmf {
                    id: ID,
                    event,
                    down,
                },
            );
        }
    }
}

/// Of each key sent as events: when it begins and how long it lasts, in ms.
fn events_sent(pair: &mut Pair, keys: &[u8]) -> Vec<(u32, u32)> {
    pair.wiretap = Some(Vec::new());
    type_keys(pair, keys);
    pair.talk(&[0; 80], 2.0);
    let sent = pair.wiretap.take().unwrap_or_default();
    let mut events: Vec<(u32, u32)> = Vec::new();
    let mut first = None;
    for (side, kind, _, bytes) in sent {
        if (side, kind) != (0, PacketKind::Rtp) || bytes[1] & 0x7F != 101 {
            continue;
        }
        let timestamp = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let at = timestamp.wrapping_sub(*first.get_or_insert(timestamp)) / 8;
        let lasts = u32::from(u16::from_be_bytes([bytes[14], bytes[15]])) / 8;
        match events.last_mut() {
            Some((start, length)) if *start == at => *length = lasts,
            Some(_) | None => events.push((at, lasts)),
        }
    }
    events
}

#[test]
fn keys_last_and_lie_apart_as_is_set() {
    for (timing, lasts, apart) in [
        (Timing::default(), 60, 60),
        (
            Timing {
                shortest_ms: Some(120),
                gap_ms: 100,
            },
            120,
            100,
        ),
    ] {
        let mut pair = Pair::new(8000, 40, 1);
        for side in 0..2 {
            let mut config = config(side, Codec::Pcmu, 8000, 40, pair.start);
            config.dtmf = timing;
            pair.start_stream(side, config);
        }
        pair.talk(&[0; 80], 1.0);
        // Let go at once: as short as they may be, in whole packets.
        let wanted: Vec<(u32, u32)> = (0..3).map(|n| (n * (lasts + apart), lasts)).collect();
        assert_eq!(events_sent(&mut pair, &[1, 2, 3]), wanted, "{timing:?}");
    }
}

#[test]
fn keys_as_tones_last_and_lie_apart_as_is_set() {
    let mut pair = Pair::new(8000, 40, 1);
    for side in 0..2 {
        let mut config = config(side, Codec::Pcmu, 8000, 40, pair.start);
        config.send_dtmf = None;
        config.dtmf = Timing {
            shortest_ms: Some(200),
            gap_ms: 140,
        };
        pair.start_stream(side, config);
    }
    pair.talk(&[0; 80], 1.0);
    type_keys(&mut pair, &[1, 2]);
    let heard = pair.talk(&[0; 80], 1.0);
    // Loud in each 10 ms or not, and how long each of it lasts.
    let mut runs: Vec<(bool, usize)> = Vec::new();
    for piece in heard.chunks_exact(80).map(loud) {
        match runs.last_mut() {
            Some((sounds, length)) if *sounds == piece => *length += 10,
            Some(_) | None => runs.push((piece, 10)),
        }
    }
    let [
        (false, _),
        (true, first),
        (false, gap),
        (true, second),
        (false, _),
    ] = runs[..]
    else {
        panic!("{runs:?}");
    };
    assert!(first.abs_diff(200) <= 20, "{runs:?}");
    assert!(second.abs_diff(200) <= 20, "{runs:?}");
    assert!(gap.abs_diff(140) <= 20, "{runs:?}");
}
