//! The self-test in virtual time: what is played, switched and printed, on boards that are whole
//! and boards that are not.

use super::*;

const RATE: u32 = 8000;
const PERIOD: usize = 80;

/// A self-test with a user who does what it asks: speaks, presses these keys, moves the hook.
struct Person {
    speaks: bool,
    keys: &'static str,
    hook: &'static [bool],
    /// So many looks at the network find nothing.
    offline: u32,
}

/// Report, everything switched, everything heard, how it ended.
fn outcome_of(parts: BoardParts, person: &Person) -> (Vec<String>, Vec<Action>, Vec<i16>, bool) {
    let mut test = SelfTest::new(RATE, parts);
    let (mut said, mut switched, mut ear) = (Vec::new(), Vec::new(), Vec::new());
    let (mut keys, mut hook) = (person.keys.chars(), person.hook.iter());
    let (mut phase, mut looks) = (0.0_f32, 0);
    for period in 0..100 * 180 {
        while let Some(wish) = test.poll() {
            match wish {
                Action::Print(line) => said.push(line),
                Action::End(well) => return (said, switched, ear, well),
                Action::CheckNetwork => {
                    looks += 1;
                    test.network(if looks > person.offline {
                        Ok(Passed::Addresses(vec!["eth0 10.0.0.2".to_owned()]))
                    } else {
                        Err(Fault::NoAddress)
                    });
                }
                Action::Lamp(..) | Action::Ring(_) => switched.push(wish),
            }
        }
        // Something every half second.
        if period % 50 == 0 && test.inside() > 0.0 {
            match test.current() {
                Some(Step::Keys) => {
                    if let Some(key) = keys.next() {
                        test.handle(BoardEvent::KeyDown(key));
                    }
                }
                Some(Step::Hook) => {
                    if let Some(off) = hook.next() {
                        test.handle(BoardEvent::Hook(*off));
                    }
                }
                Some(
                    Step::Speaker | Step::Microphone | Step::Lamps | Step::Bell | Step::Network,
                )
                | None => {}
            }
        }
        let mut capture = [0_i16; PERIOD];
        for sample in &mut capture {
            phase += 0.3;
            *sample = if person.speaks {
                (3000.0 * phase.sin()) as i16
            } else {
                0
            };
        }
        let mut playback = [0_i16; PERIOD];
        test.process(&capture, &mut playback);
        ear.extend_from_slice(&playback);
    }
    panic!("it never ended: {said:?}");
}

fn desk() -> BoardParts {
    BoardParts {
        keys: "123*".chars().collect(),
        hook: true,
        lamps: true,
        bell: true,
    }
}

/// How often the sound crosses zero in a second, halved: its pitch.
fn pitch(sound: &[i16]) -> f32 {
    let crossings = sound
        .windows(2)
        .filter(|pair| pair[0] < 0 && pair[1] >= 0)
        .count();
    crossings as f32 * RATE as f32 / sound.len() as f32
}

#[test]
fn a_whole_board_passes() {
    let person = Person {
        speaks: true,
        keys: "12*3",
        hook: &[false, true],
        offline: 3,
    };
    let (said, switched, ear, well) = outcome_of(desk(), &person);
    assert!(well, "{said:?}");
    assert_eq!(
        said.iter().filter(|line| line.contains(" ok: ")).count(),
        7,
        "{said:?}"
    );
    assert!(
        said.last()
            .unwrap()
            .contains("network    ok: eth0 10.0.0.2"),
        "{said:?}"
    );
    let lamps: Vec<_> = switched
        .iter()
        .filter(|wish| matches!(wish, Action::Lamp(_, true)))
        .collect();
    assert_eq!(lamps.len(), 3);
    assert_eq!(
        switched
            .iter()
            .filter(|wish| **wish == Action::Ring(true))
            .count(),
        2
    );
    assert_eq!(
        switched.last(),
        Some(&Action::Ring(false)),
        "the bell is silent in the end"
    );
    // The network came at the fourth look; a high tone said so, just before the closing tones.
    let high = &ear[ear.len() - ((0.8 + 0.75) * 8000.0) as usize..][..3200];
    assert!((pitch(high) - 880.0).abs() < 10.0, "{}", pitch(high));
    // The speaker's tone after one beep, and the voice given back as it was.
    assert!((pitch(&ear[8000..16_000]) - 440.0).abs() < 5.0);
    let voice = &ear[((2.7 + 1.0 + 3.2) * 8000.0) as usize..][..8000];
    assert!(
        (pitch(voice) - 0.3 * RATE as f32 / std::f32::consts::TAU).abs() < 8.0,
        "{}",
        pitch(voice)
    );
}

#[test]
fn what_does_not_work_is_named() {
    let person = Person {
        speaks: false,
        keys: "13",
        hook: &[false],
        offline: 1000,
    };
    let (said, _, ear, well) = outcome_of(desk(), &person);
    assert!(!well);
    let failed: Vec<_> = said.iter().filter(|line| line.contains("FAILED")).collect();
    assert_eq!(failed.len(), 4, "{said:?}");
    assert!(failed[3].contains("network") && failed[3].contains("no address"));
    assert!(failed[0].contains("microphone") && failed[0].contains("nothing was heard"));
    assert!(failed[1].contains("2 *") && failed[2].contains("put down, but never lifted"));
    // A low tone closes it.
    let low = ear.len() - ((1.5 + 0.8) * 8000.0) as usize;
    assert!(
        (pitch(&ear[low..low + 7000]) - 200.0).abs() < 10.0,
        "{}",
        pitch(&ear[low..low + 7000])
    );
}

#[test]
fn what_a_board_has_not_is_passed_over() {
    let person = Person {
        speaks: true,
        keys: "",
        hook: &[],
        offline: 0,
    };
    let (said, switched, _, well) = outcome_of(BoardParts::default(), &person);
    assert!(well && switched.is_empty());
    assert_eq!(
        said.iter()
            .filter(|line| line.ends_with("this board has none"))
            .count(),
        4
    );
}

#[test]
fn every_key_has_the_tones_of_a_telephone() {
    assert_eq!(dtmf('1'), (697.0, 1209.0));
    assert_eq!(dtmf('#'), (941.0, 1477.0));
    assert_eq!(dtmf('D'), (941.0, 1633.0));
}
