//! The thread of a display that answers late, not at all, or again.
//!
//! Wall clock: two threads wait for each other.

use std::time::Instant;

use board::BoardError;
use display::Body;

use super::*;

#[derive(Debug, Default)]
struct Seen {
    pictures: Vec<(u32, Light)>,
    fails: bool,
}

/// A panel that remembers what it was given, and takes its time.
struct Slow {
    seen: Arc<Mutex<Seen>>,
    takes: Duration,
}

impl Panel for Slow {
    fn size(&self) -> (u32, u32) {
        (128, 64)
    }

    fn show(&mut self, picture: &Picture<'_>, light: Light) -> Result<(), BoardError> {
        std::thread::sleep(self.takes);
        let mut seen = self.seen.lock().unwrap();
        if seen.fails {
            return Err(BoardError::Gone {
                device: "[display]".to_owned(),
                problem: "nothing answers".to_owned(),
            });
        }
        let lit = (0..64).flat_map(|y| (0..128).map(move |x| (x, y)));
        let lit = lit.filter(|(x, y)| picture.is_lit(*x, *y)).count();
        seen.pictures.push((lit as u32, light));
        Ok(())
    }
}

fn screen(text: &str) -> (Screen, Brightness) {
    let body = Body::Page {
        lines: vec![text.to_owned()],
        first: 0,
    };
    let screen = Screen {
        title: String::new(),
        icons: Vec::new(),
        body,
    };
    (screen, Brightness::Full)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn started(takes: Duration, fails: bool) -> (Display, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen {
        fails,
        ..Seen::default()
    }));
    let panel = Slow {
        seen: Arc::clone(&seen),
        takes,
    };
    (Display::start(Box::new(panel)).unwrap(), seen)
}

#[test]
fn the_newest_picture_counts_and_no_one_waits_for_it() {
    let (mut display, seen) = started(Duration::from_millis(100), false);
    let begin = Instant::now();
    for n in 0..200 {
        display.show(screen(&"x".repeat(n)));
    }
    let last = screen("the last one");
    display.show(last.clone());
    assert!(begin.elapsed() < Duration::from_millis(90), "it waited");
    let wanted = display::render(&last.0, 128, 64).lit();
    until("the last one", || {
        let seen = seen.lock().unwrap();
        seen.pictures.last() == Some(&(wanted, Light::Full))
    });
    let pictures = seen.lock().unwrap().pictures.len();
    assert!(pictures < 20, "{pictures} were drawn");
    drop(display);
    let seen = seen.lock().unwrap();
    assert_eq!(
        seen.pictures.last().map(|(_, light)| *light),
        Some(Light::Off)
    );
}

#[test]
fn a_display_that_fails_is_reported_and_tried_again() {
    let (mut display, seen) = started(Duration::ZERO, true);
    display.show(screen("hello"));
    until("a fault", || display.fault().is_some());
    assert_eq!(
        display.fault().unwrap(),
        "[display] failed: nothing answers"
    );
    seen.lock().unwrap().fails = false;
    // By itself, though nothing new is to be seen.
    until("the display is back", || display.fault().is_none());
    assert_eq!(seen.lock().unwrap().pictures.len(), 1);
}
