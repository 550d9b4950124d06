use std::path::Path;

use super::*;

#[test]
fn a_board_without_lines_reports_on_hook_once() {
    let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
    let now = Instant::now();
    let mut board = Board::open(&profile, now).unwrap();
    board.handle_ready(now);
    assert_eq!(board.poll_event(), Some(BoardEvent::Hook(false)));
    board.ring(Some(&[1000, 4000]), now);
    board.lamp(Lamp::InUse, LampState::Fast, now);
    assert_eq!(
        (board.poll_event(), board.poll_fault(), board.poll_timeout()),
        (None, None, None)
    );
    board.shutdown().unwrap();
}

#[test]
fn a_missing_chip_is_one_clear_error() {
    let text = "name = \"x\"\n[gpio]\nchip = \"no-such-chip\"\n[hook]\nline = 17\n";
    let profile = Profile::parse(Path::new("x"), text).unwrap();
    let mut board = Board::open(&profile, Instant::now()).unwrap();
    let text = board.poll_fault().unwrap().to_string();
    assert!(
        text.starts_with("[hook]: GPIO line 17 of chip `no-such-chip`: there "),
        "{text}"
    );
    assert!(text.contains("; "), "{text}");
    assert_eq!(board.poll_fault(), None);
}

/// A profile in which every device is on a chip or at a path that does not exist.
const ALL_MISSING: &str = r#"
name = "x"
[gpio]
chip = "no-such-chip"
[hook]
line = 17
[flash]
line = 1
[rotary]
pulse = 2
[keypad]
rows = [3]
columns = [4]
keys = ["1"]
[ringer]
kind = "bell"
lines = [5, 8]
[lamps]
line = 6
message = 7
[watchdog]
device = "/dev/no-such-watchdog"
timeout_s = 15
"#;

#[test]
fn missing_devices_are_reported_and_left_out() {
    let profile = Profile::parse(Path::new("x"), ALL_MISSING).unwrap();
    let now = Instant::now();
    let mut board = Board::open(&profile, now).unwrap();
    let failed: Vec<_> = board.failed().iter().map(ToString::to_string).collect();
    let of = |device: &str| failed.iter().filter(|text| text.contains(device)).count();
    for (device, count) in [
        ("[hook]", 1),
        ("[flash]", 1),
        ("[rotary]", 1),
        ("[keypad]", 1),
        ("[ringer]", 1),
        ("[lamps]", 2),
        ("watchdog /dev/no-such-watchdog", 1),
    ] {
        assert_eq!(of(device), count, "{device}: {failed:#?}");
    }
    let reported: Vec<_> = std::iter::from_fn(|| board.poll_fault()).collect();
    assert_eq!(reported, board.failed());
    // What is left is a phone by `ctl` and by its sound card.
    board.handle_ready(now);
    assert_eq!(board.poll_event(), Some(BoardEvent::Hook(false)));
    board.ring(Some(&[1000, 4000]), now);
    board.lamp(Lamp::Line, LampState::On, now);
    assert_eq!(board.feed_watchdog(now), None);
    board.shutdown().unwrap();
}

/// A watchdog that takes no food.
struct Refusing;

impl Watchdog for Refusing {
    fn timeout(&self) -> Duration {
        Duration::from_secs(15)
    }
    fn feed(&mut self, _now: Instant) -> Result<(), BoardError> {
        Err(BoardError::Gone {
            device: "watchdog".to_owned(),
            problem: "EIO".to_owned(),
        })
    }
    fn disarm(&mut self) -> Result<(), BoardError> {
        self.feed(Instant::now())
    }
}

/// A watchdog that refuses some feeds; it remembers what it was asked.
#[derive(Clone)]
struct Moody {
    refuses: std::rc::Rc<std::cell::Cell<bool>>,
    disarmed: std::rc::Rc<std::cell::Cell<bool>>,
}

impl Watchdog for Moody {
    fn timeout(&self) -> Duration {
        Duration::from_secs(15)
    }
    fn feed(&mut self, _now: Instant) -> Result<(), BoardError> {
        if self.refuses.get() {
            return Refusing.feed(Instant::now());
        }
        Ok(())
    }
    fn disarm(&mut self) -> Result<(), BoardError> {
        self.disarmed.set(true);
        Ok(())
    }
}

#[test]
fn a_watchdog_that_refuses_a_feed_is_fed_again() {
    let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
    let t0 = Instant::now();
    let at = |s: u64| t0 + Duration::from_secs(s);
    let mut board = Board::open(&profile, t0).unwrap();
    let moody = Moody {
        refuses: std::rc::Rc::default(),
        disarmed: std::rc::Rc::default(),
    };
    board.set_watchdog(Box::new(moody.clone()));
    assert!(board.feed_watchdog(at(0)).is_some());
    moody.refuses.set(true);
    assert_eq!(
        (board.feed_watchdog(at(1)), board.failed().len()),
        (None, 1)
    );
    assert_eq!(
        (board.feed_watchdog(at(5)), board.failed().len()),
        (None, 1)
    );
    moody.refuses.set(false);
    assert!(board.feed_watchdog(at(6)).is_some(), "given up");
    assert_eq!((board.failed(), moody.disarmed.get()), (&[][..], false));
    // One that takes none for half its time is switched off before it resets the board.
    moody.refuses.set(true);
    for second in 10..=16 {
        board.feed_watchdog(at(second));
        assert!(!moody.disarmed.get(), "{second}");
    }
    board.feed_watchdog(at(18));
    assert!(moody.disarmed.get());
    assert_eq!(board.failed().len(), 1);
    moody.refuses.set(false);
    assert_eq!(board.feed_watchdog(at(19)), None);
}

#[test]
fn inputs_that_work_are_listed_apart() {
    let profile = Profile::parse(Path::new("x"), ALL_MISSING).unwrap();
    let board = Board::open(&profile, Instant::now()).unwrap();
    assert_eq!(
        board.wanted_inputs(),
        ["[hook]", "[flash]", "[rotary]", "[keypad]"]
    );
    assert!(board.working_inputs().is_empty());
    let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
    let board = Board::open(&profile, Instant::now()).unwrap();
    assert!(board.wanted_inputs().is_empty());
}

#[test]
fn a_watchdog_that_fails_later_is_listed_once() {
    let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
    let now = Instant::now();
    let mut board = Board::open(&profile, now).unwrap();
    assert_eq!(board.failed(), []);
    board.set_watchdog(Box::new(Refusing));
    board.feed_watchdog(now);
    board.feed_watchdog(now);
    assert_eq!(board.failed().len(), 1);
    assert_eq!(board.poll_fault().as_ref(), board.failed().first());
}
