//! Card clocks that differ: ±200 ppm for a day, and the delay stays where it was.

use std::time::Duration;

use offhook_tests::world::{Setup, World, ms, secs};
use phone::State;

/// A call for this many hours between cards of +200 and −200 ppm; the delay each way, measured each
/// hour by correlation.
fn drift(name: &str, hours: u32, step: Duration) {
    let mut setup = Setup::default();
    setup.card.keep = secs(12);
    let mut world = World::new(name, 24);
    world.network.capture.keep_sip_only();
    setup.card.ppm = 200.0;
    let l = world.phone(setup.clone());
    setup.card.ppm = -200.0;
    let r = world.phone(setup);
    world.connect(l, r);
    // The drift has to be measured before it can be corrected; a minute is what a person would not
    // notice.
    for id in [l, r] {
        world[id].card.recording = true;
    }
    world.run(secs(60));
    let first = [world.compare(l, r, secs(8)), world.compare(r, l, secs(8))];
    let mut range = [(f64::MAX, f64::MIN); 2];
    let mut least = 1f64;
    for _ in 0..(hours * 3_600) / step.as_secs() as u32 {
        for id in [l, r] {
            world[id].card.recording = false;
        }
        world.run(step.saturating_sub(secs(10)));
        for id in [l, r] {
            world[id].card.recording = true;
        }
        world.run(secs(10));
        for (n, (from, to)) in [(l, r), (r, l)].into_iter().enumerate() {
            let found = world.compare(from, to, secs(8));
            range[n] = (range[n].0.min(found.delay_s), range[n].1.max(found.delay_s));
            least = least.min(found.correlation);
            let moved = (found.delay_s - first[n].delay_s) * 1e3;
            assert!(
                moved.abs() <= 5.0,
                "after {:.1} h the delay moved by {moved:.1} ms: {found:?}",
                world.now().as_secs_f64() / 3_600.0
            );
            assert!(found.correlation > 0.97, "{found:?}");
        }
    }
    let stats = [world[l].stream_stats()[0], world[r].stream_stats()[0]];
    assert!(
        (stats[0].drift_ppm + 400.0).abs() < 40.0 && (stats[1].drift_ppm - 400.0).abs() < 40.0,
        "measured {} and {} ppm",
        stats[0].drift_ppm,
        stats[1].drift_ppm
    );
    assert!(
        stats
            .iter()
            .all(|s| s.lost == 0 && s.concealed * 1_000 < s.received),
        "{stats:?}"
    );
    assert_eq!(
        (world.state(l), world.state(r)),
        (State::Talking, State::Talking)
    );
    let shown = |(low, high): (f64, f64)| format!("{:.1} to {:.1} ms", low * 1e3, high * 1e3);
    let text = format!(
        "l to r {} (first {:.1}), r to l {} (first {:.1}), least likeness {least:.3}, drift \
         measured {:.0} and {:.0} ppm, concealed {} and {} of {}",
        shown(range[0]),
        first[0].delay_s * 1e3,
        shown(range[1]),
        first[1].delay_s * 1e3,
        stats[0].drift_ppm,
        stats[1].drift_ppm,
        stats[0].concealed,
        stats[1].concealed,
        stats[1].received
    );
    world.hang_up(l);
    world.run(ms(500));
    world.quiet();
    world.report(&text);
}

#[test]
fn drift_for_an_hour() {
    drift("drift 1 h", 1, secs(120));
}

#[test]
fn drift_for_a_day() {
    drift("drift 24 h", 24, secs(3_600));
}
