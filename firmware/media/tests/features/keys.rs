//! Digits of a call, as events and as tones.

use media::{Codec, Command, Event};
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
