//! Hooks as they come, through the board's own decoder: contacts that bounce for up to 300 ms and
//! lose edges, in every country. A lift that answers is never a flash, a flash is one, and a
//! handset that is down is down.

use std::time::{Duration, Instant};

use board::BoardEvent;
use board::hook::{Contact, HookDecoder};
use offhook_tests::world::{PhoneId, Setup, World, number_of, secs};
use phone::State;
use testkit::Rng;
use types::Country;

/// As in the profiles.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Longest bounce, in ms.
const BOUNCE_MS: f64 = 300.0;

/// Moves of the contact in ms: it goes to `level` at 0 and bounces until it is there.
fn bouncing(rng: &mut Rng, level: bool, longest_ms: f64) -> Vec<(f64, bool)> {
    let mut moves = vec![(0.0, level)];
    let end = rng.unit() * longest_ms;
    let mut t = 0.0;
    loop {
        // Most strokes are shorter than what a debouncer takes out, some are longer.
        let stroke = |rng: &mut Rng| match rng.below(4) {
            0 => 1.0 + rng.unit() * 90.0,
            _ => 0.1 + rng.unit() * 12.0,
        };
        let (there, back) = (stroke(rng), stroke(rng));
        if t + there + back > end {
            return moves;
        }
        moves.push((t + there, !level));
        moves.push((t + there + back, level));
        t += there + back;
    }
}

/// What the decoder makes of it; one edge in `lost` is not delivered.
fn decoded(
    rng: &mut Rng,
    lifted: bool,
    moves: &[(f64, bool)],
    lost: usize,
) -> Vec<(Duration, bool)> {
    let t0 = Instant::now();
    let begin = secs(1);
    let mut hook = HookDecoder::new(Contact::NormallyOpen, DEBOUNCE, lifted, t0);
    let (mut level, mut next, mut seen) = (lifted, 0, Vec::new());
    for tick in 0..20_000u64 {
        // Tenths of a millisecond.
        let now = Duration::from_micros(tick * 100);
        let mut note = |event: Option<BoardEvent>| {
            if let Some(BoardEvent::Hook(off)) = event
                && now > begin
            {
                seen.push((now.saturating_sub(begin), off));
            }
        };
        while let Some((at, to)) = moves.get(next)
            && begin + Duration::from_secs_f64(at / 1000.0) <= now
        {
            level = *to;
            next += 1;
            // Without the last one no one knows that it moved.
            if lost == 0 || next == moves.len() || rng.below(lost) > 0 {
                note(hook.handle_edge(level, t0 + now));
            }
        }
        if hook.poll_timeout().is_some_and(|due| due <= t0 + now) {
            note(hook.handle_level(level, t0 + now));
        }
    }
    assert_eq!(seen.last().map(|(_, off)| *off), Some(level), "{moves:?}");
    seen
}

/// The phone sees it, and two seconds pass.
fn play(world: &mut World, id: PhoneId, seen: &[(Duration, bool)]) {
    for (after, off) in seen {
        world.board_event(id, *after, BoardEvent::Hook(*off));
    }
    world.run(secs(2));
}

#[test]
fn no_bounce_makes_a_flash_of_a_lift_or_hides_one() {
    let seeds: u64 = std::env::var("OFFHOOK_HOOK_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4);
    let (mut lifts, mut flashes, mut downs) = (0, 0, 0);
    for country in Country::ALL {
        let plan = config::country::plan(*country);
        let (from, to) = plan.flash_window_ms;
        for seed in 1..=seeds {
            let mut rng = Rng::for_purpose(seed, &format!("hook {country:?}"));
            let setup = Setup::default()
                .country(country.as_str())
                .toml("call", "flash = \"hook\"");
            let (mut world, l, r) = World::pair("hook traces", seed, &setup);
            world.call(r, &number_of(l));
            world.expect_state(l, State::Ringing, secs(5));
            world.run(secs(1));
            let lost = [0, 8, 3][rng.below(3)];
            let what = format!("{country:?} seed {seed}, window {from} to {to} ms");

            let moves = bouncing(&mut rng, true, BOUNCE_MS);
            let seen = decoded(&mut rng, false, &moves, lost);
            play(&mut world, l, &seen);
            assert_eq!(
                world.state(l),
                State::Talking,
                "{what}: lifted by {moves:?}"
            );
            assert_eq!(
                world.state(r),
                State::Talking,
                "{what}: lifted by {moves:?}"
            );
            let held = world[l].status(world.now())["calls"][0]["state"].clone();
            assert_eq!(held, "talking", "{what}: lifted by {moves:?}");
            lifts += 1;

            // A tap of the hook well within the window, by a contact that bounces as they do.
            let length = f64::from(from) + f64::from(to - from) * (0.35 + 0.3 * rng.unit());
            let mut moves = bouncing(&mut rng, false, 15.0);
            let up = bouncing(&mut rng, true, 15.0);
            moves.extend(up.into_iter().map(|(at, level)| (at + length, level)));
            let seen = decoded(&mut rng, true, &moves, 0);
            play(&mut world, l, &seen);
            assert_eq!(
                world.state(l),
                State::DialTone,
                "{what}: tapped by {moves:?}"
            );
            play(&mut world, l, &seen);
            assert_eq!(world.state(l), State::Talking, "{what}: tapped again");
            flashes += 2;

            let moves = bouncing(&mut rng, false, BOUNCE_MS);
            let seen = decoded(&mut rng, true, &moves, lost);
            play(&mut world, l, &seen);
            world.run(secs(1));
            assert_eq!(world.state(l), State::Idle, "{what}: down by {moves:?}");
            let calls = world[l].status(world.now())["calls"].clone();
            assert_eq!(calls, serde_json::json!([]), "{what}: down by {moves:?}");
            downs += 1;
            world.quiet();
        }
    }
    println!("sim hook traces: {lifts} lifts, {flashes} flashes, {downs} times down");
}
