//! The board crate alone, on gpio-sim, snd-aloop and softdog.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use board::{Board, BoardEvent, Profile};
use testkit::measure::{Clip, align, level_dbfs};
use testkit::signal::Source;
use types::{Lamp, LampState};

use crate::chip::{BELL, Chip, FLASH, HOOK, LAMP_IN_USE, LAMP_LINE, LAMPS_WATCHED, LINES};
use crate::keypad::with_contacts;
use crate::loopback::Loopback;

pub(crate) fn profile() -> Profile {
    let root = std::env::var("OFFHOOK_ROOT").unwrap();
    Profile::load(&Path::new(&root).join("board/profiles"), "gpio-sim").unwrap()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The board on the chip, as the phone would own it, driven for a while by its descriptor alone.
fn run(board: &mut Board, time: Duration) -> Vec<BoardEvent> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let end = Instant::now() + time;
    let mut seen = Vec::new();
    loop {
        board.handle_ready(Instant::now());
        seen.extend(std::iter::from_fn(|| board.poll_event()));
        let left = end.saturating_duration_since(Instant::now()).as_millis() as u16;
        if left == 0 {
            break;
        }
        poll(
            &mut [PollFd::new(board.as_fd(), PollFlags::POLLIN)],
            PollTimeout::from(left),
        )
        .unwrap();
    }
    assert_eq!(board.poll_fault(), None);
    seen
}

fn open() -> Board {
    let board = Board::open(&profile(), Instant::now()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(board.failed(), []);
    board
}

pub(crate) fn hook(chip: &Chip) {
    let mut board = open();
    assert_eq!(run(&mut board, ms(100)), [BoardEvent::Hook(false)]);
    chip.lift();
    assert_eq!(run(&mut board, ms(100)), [BoardEvent::Hook(true)]);
    // A bouncing contact is one move; the kernel debounces, the level is read afterwards.
    for _ in 0..5 {
        chip.pull(HOOK, true);
        chip.pull(HOOK, false);
    }
    chip.put_down();
    assert_eq!(run(&mut board, ms(100)), [BoardEvent::Hook(false)]);
    chip.pull(FLASH, false);
    assert_eq!(run(&mut board, ms(100)), [BoardEvent::FlashKey]);
    chip.pull(FLASH, true);
    assert_eq!(run(&mut board, ms(100)), []);
    board.shutdown().unwrap();
    chip.lift();
    let mut board = open();
    assert_eq!(
        run(&mut board, ms(100)),
        [BoardEvent::Hook(true)],
        "opened off hook"
    );
    board.shutdown().unwrap();
}

pub(crate) fn keypad(chip: &Chip) {
    let mut board = open();
    run(&mut board, ms(100));
    with_contacts(chip, |contacts| {
        for key in "123456789*0#".chars() {
            contacts.down(key);
            assert_eq!(run(&mut board, ms(200)), [BoardEvent::KeyDown(key)]);
            contacts.up(key);
            assert_eq!(run(&mut board, ms(200)), [BoardEvent::KeyUp(key)]);
        }
        // Two keys of a column and one of a row.
        for key in ['1', '7', '2'] {
            contacts.down(key);
            assert_eq!(run(&mut board, ms(200)), [BoardEvent::KeyDown(key)]);
        }
        for key in ['7', '2', '1'] {
            contacts.up(key);
            assert_eq!(run(&mut board, ms(200)), [BoardEvent::KeyUp(key)]);
        }
    });
    board.shutdown().unwrap();
}

pub(crate) fn rotary(chip: &Chip) {
    let mut board = open();
    run(&mut board, ms(100));
    for digit in ['1', '5', '0'] {
        let counted = (0..5).any(|_| {
            std::thread::scope(|scope| {
                let hand = scope.spawn(|| chip.dial(digit));
                let mut seen = Vec::new();
                while !hand.is_finished() {
                    seen.extend(run(&mut board, ms(50)));
                }
                seen.extend(run(&mut board, ms(100)));
                let in_time = hand.join().unwrap();
                if in_time {
                    assert_eq!(seen, [BoardEvent::Rotary(digit)]);
                }
                in_time
            })
        });
        assert!(counted, "the machine is too busy to dial {digit}");
    }
    board.shutdown().unwrap();
}

/// Reads both bell lines as fast as it can while the board runs; returns the rises of the first.
pub(crate) fn watch_bell(chip: &Chip, time: Duration) -> usize {
    let (end, mut rises, mut before) = (Instant::now() + time, 0, false);
    while Instant::now() < end {
        let lines = (chip.value(BELL[0]), chip.value(BELL[1]));
        // Two reads are two moments: both high is only believed when it stays.
        if lines == (true, true) {
            assert!(
                !(chip.value(BELL[0]) && chip.value(BELL[1]) && chip.value(BELL[0])),
                "both bell lines are high"
            );
        }
        if lines.0 && !before {
            rises += 1;
        }
        before = lines.0;
        std::thread::sleep(ms(2));
    }
    rises
}

pub(crate) fn bell_and_lamps(chip: &Chip) {
    let mut board = open();
    run(&mut board, ms(50));
    assert_eq!(BELL.map(|line| chip.value(line)), [false, false]);
    let now = Instant::now();
    board.ring(Some(&[1000, 2000]), now);
    board.lamp(Lamp::Line, LampState::On, now);
    board.lamp(Lamp::InUse, LampState::Fast, now);
    let rises = std::thread::scope(|scope| {
        let watch = scope.spawn(|| watch_bell(chip, ms(1500)));
        run(&mut board, ms(1600));
        watch.join().unwrap()
    });
    println!("bell: {rises} swings in a second");
    // On a busy machine the guest misses some; the frequency itself is tested in virtual time.
    assert!(
        (8..=27).contains(&rises),
        "{rises} swings of a 25 Hz bell in a second"
    );
    assert!(chip.value(LAMP_LINE));
    // One lamp a watched phone, each by itself; of the third there is none here.
    for watched in 0..3 {
        board.lamp(Lamp::Watched(watched), LampState::On, Instant::now());
    }
    board.lamp(Lamp::Watched(0), LampState::Off, Instant::now());
    run(&mut board, ms(5));
    assert_eq!(LAMPS_WATCHED.map(|line| chip.value(line)), [false, true]);
    let lit = (0..40).filter(|_| {
        run(&mut board, ms(10));
        chip.value(LAMP_IN_USE)
    });
    let lit = lit.count();
    assert!(
        (10..=30).contains(&lit),
        "a fast lamp was lit {lit} of 40 times"
    );
    assert_eq!(
        BELL.map(|line| chip.value(line)),
        [false, false],
        "the pause of the cadence"
    );
    board.ring(Some(&[]), Instant::now());
    run(&mut board, ms(5));
    board.shutdown().unwrap();
    assert_eq!(
        [BELL[0], BELL[1], LAMP_LINE, LAMP_IN_USE, LAMPS_WATCHED[1]].map(|line| chip.value(line)),
        [false; 5]
    );
}

pub(crate) fn panic_silences(chip: &Chip) {
    let mut board = open();
    run(&mut board, ms(50));
    board.ring(Some(&[]), Instant::now());
    run(&mut board, ms(5));
    assert!(
        BELL.iter().any(|&line| chip.value(line)),
        "the bell does not ring"
    );
    // The board itself is alive: a release build drops nothing when it panics. The hook alone must
    // do it.
    let panicked = std::panic::catch_unwind(|| panic!("(this panic belongs to the test)"));
    assert!(panicked.is_err());
    assert_eq!(BELL.map(|line| chip.value(line)), [false, false]);
    board.shutdown().unwrap();
}

pub(crate) fn errors(_chip: &Chip) {
    let error = |text: &str| {
        let profile = Profile::parse(Path::new("x"), &format!("name = \"x\"\n{text}")).unwrap();
        let board = Board::open(&profile, Instant::now()).unwrap_or_else(|e| panic!("{e}"));
        match board.failed() {
            [fault] => fault.to_string(),
            others => panic!("not one fault: {text}: {others:?}"),
        }
    };
    let got = error("[gpio]\nchip = \"offhook-test\"\n[hook]\nline = 99\n");
    assert_eq!(
        got,
        format!(
            "[hook]: GPIO line 99 of chip `offhook-test`: does not exist; the chip has lines 0 to \
             {}",
            LINES - 1
        )
    );
    let got = error("[gpio]\nchip = \"offhook-test\"\n[hook]\nline = \"HOOK\"\n");
    assert!(
        got.starts_with(
            "[hook]: GPIO line `HOOK` of chip `offhook-test`: does not exist; `gpioinfo`"
        ),
        "{got}"
    );
    let got = error("[gpio]\nchip = \"pinctrl\"\n[hook]\nline = 1\n");
    assert_eq!(
        got,
        "[hook]: GPIO line 1 of chip `pinctrl`: there is no such chip; the chips on this machine \
         are gpiochip0 (offhook-test)"
    );
    let holder = open();
    let got = error("[gpio]\nchip = \"offhook-test\"\n[lamps]\nline = 0\n");
    assert!(
        got.starts_with(
            "[lamps]: GPIO line 0 of chip `offhook-test`: is held by `offhook`; stop that program"
        ),
        "{got}"
    );
    holder.shutdown().unwrap();
}

pub(crate) fn watchdog(_chip: &Chip) {
    let mut board = open();
    assert_eq!(
        board.feed_watchdog(Instant::now()),
        Some(Duration::from_secs(30))
    );
    board.shutdown().unwrap();
    let state = std::fs::read_to_string("/sys/class/watchdog/watchdog0/state");
    assert!(
        state.as_deref().map_or("inactive", str::trim) == "inactive",
        "{state:?}"
    );
}

pub(crate) fn sound(_chip: &Chip) {
    let request = board::audio::AudioRequest {
        capture: "hw:Loopback,0,0".to_owned(),
        playback: "hw:Loopback,0,0".to_owned(),
        rate_hz: 48_000,
        codec_rate_hz: 48_000,
        period_ms: 10,
        periods: 4,
        microphone_channel: types::MicrophoneChannel::Mix,
    };
    let mut card = board::audio::open(&request).unwrap_or_else(|e| panic!("{e}"));
    println!("{:?}", card.format());
    let loopback = Loopback::open();
    let mut voice = vec![0; 48_000 * 2];
    Source::voice(7, 48_000).read(0, &mut voice);
    loopback.say(&voice);
    // The card is a wire: it plays what it hears.
    let (mut period, mut xruns) = (vec![0; card.format().period_frames], 0);
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        match card.read(&mut period).unwrap() {
            board::audio::Period::Ready => {
                card.write(&period).unwrap();
            }
            board::audio::Period::NotYet => std::thread::sleep(ms(2)),
            board::audio::Period::Xrun { .. } => xruns += 1,
        }
    }
    let heard = loopback.heard();
    drop(loopback);
    let clip = |samples: &[i16]| Clip {
        rate_hz: 48_000,
        samples: samples.to_vec(),
    };
    println!("{:.2} s heard", heard.len() as f64 / 48_000.0);
    let got = align(&clip(&voice[..48_000]), &clip(&heard), 2.0);
    println!("{got:?}, {xruns} xruns, {:.1} dBFS", level_dbfs(&heard));
    assert!(got.correlation > 0.95 && got.gain_db.abs() < 1.0, "{got:?}");
    let Err(busy) = board::audio::open(&request) else {
        panic!("opened twice")
    };
    println!("{busy}");
    assert!(
        busy.to_string().starts_with("hw:Loopback,0,0: ")
            && busy.to_string().contains("another program holds it"),
        "{busy}"
    );
}
