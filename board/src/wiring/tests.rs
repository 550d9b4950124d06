use super::*;
use crate::profile::{Override, Profile};

/// A board on a table: lines with contacts to ground, and a person who does what is asked.
struct Bench {
    levels: Vec<(u32, bool)>,
    finder: WiringFinder,
    now: Instant,
    asked: Option<Instruction>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Bench {
    /// Lines 2 to 27; those of `low` read low at rest: contacts that are closed.
    fn new(low: &[u32]) -> Self {
        let levels: Vec<(u32, bool)> = (2..28).map(|line| (line, !low.contains(&line))).collect();
        let now = Instant::now();
        let finder = WiringFinder::new(&levels, now);
        Self {
            levels,
            finder,
            now,
            asked: None,
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += ms(10);
            self.finder.handle_timeout(self.now);
            self.asked = self.finder.poll_instruction().or(self.asked);
        }
    }

    fn set(&mut self, line: u32, high: bool) {
        let found = self.levels.iter_mut().find(|(number, _)| *number == line);
        found.unwrap().1 = high;
        self.finder.handle_edge(line, high, self.now);
    }

    /// A contact moves and bounces for so long.
    fn move_contact(&mut self, line: u32, high: bool, bounce: Duration) {
        let end = self.now + bounce;
        self.set(line, high);
        while self.now + ms(6) <= end {
            self.now += ms(3);
            self.set(line, !high);
            self.now += ms(3);
            self.set(line, high);
        }
        self.wait(ms(1000));
    }

    fn hook(&mut self, line: u32, closed_at_rest: bool, bounce: Duration) {
        self.wait(ms(2100));
        assert_eq!(self.asked, Some(Instruction::Lift));
        self.move_contact(line, closed_at_rest, bounce);
        assert_eq!(self.asked, Some(Instruction::PutDown));
        self.move_contact(line, !closed_at_rest, bounce / 2);
        assert_eq!(self.asked, Some(Instruction::FirstKey('1')));
    }

    fn key(&mut self, a: u32, b: u32, diode: Option<u32>) {
        let scanned = self.finder.wants_scan();
        assert!(scanned.contains(&a) && scanned.contains(&b), "{scanned:?}");
        let both = [(a, b), (b, a)].map(|(driven, reads_low)| Joined { driven, reads_low });
        let seen: Vec<Joined> = both
            .into_iter()
            .filter(|joined| diode.is_none_or(|driven| joined.driven == driven))
            .collect();
        for joined in [&seen[..], &seen[..], &[]] {
            self.finder.handle_scan(joined, self.now);
            self.wait(ms(60));
        }
    }

    /// Presses every key that is asked for and there.
    fn keypad(&mut self, rows: &[u32], columns: &[u32], driven: Option<bool>) {
        for key in KEYS {
            let mut at = ["123A", "456B", "789C", "*0#D"].iter().enumerate();
            let (row, column) = at
                .find_map(|(row, keys)| Some((row, keys.find(key)?)))
                .unwrap();
            match columns.get(column) {
                Some(column) => {
                    let (row, column) = (rows[row], *column);
                    let diode = driven.map(|row_drives| if row_drives { row } else { column });
                    self.key(row, column, diode);
                }
                None => self.wait(STEP_TIMEOUT),
            }
        }
        assert!(self.finder.is_done());
    }

    fn findings(&self) -> &Findings {
        self.finder.findings()
    }
}

/// What is written is what the board reads.
fn profile(findings: &Findings) -> Profile {
    let toml = findings.to_toml();
    let document: toml::Table = toml::from_str(&toml).unwrap();
    let mut owned = Vec::new();
    for (table, keys) in document["hardware"].as_table().unwrap() {
        for (key, value) in keys.as_table().unwrap() {
            owned.push((table.clone(), key.clone(), value.to_string()));
        }
    }
    let overrides: Vec<Override<'_>> = owned
        .iter()
        .map(|(table, key, value)| Override { table, key, value })
        .collect();
    Profile::load_over("/nowhere".as_ref(), "sim", &overrides).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_hook_is_found_with_its_contact_and_its_bounce() {
    for (closed_at_rest, contact) in [
        (false, crate::hook::Contact::NormallyOpen),
        (true, crate::hook::Contact::NormallyClosed),
    ] {
        for bounce in [0, 12, 90, 300] {
            let mut bench = Bench::new(if closed_at_rest { &[23] } else { &[] });
            bench.hook(23, closed_at_rest, ms(bounce));
            let hook = bench.findings().hook.clone().unwrap();
            assert_eq!((hook.line, hook.normally_closed), (23, closed_at_rest));
            let found = hook.bounce.as_millis() as u64;
            assert!(found <= bounce && found + 8 >= bounce, "{bounce}: {found}");
            let debounce = hook.debounce_ms();
            assert!(debounce >= 20 && debounce > found, "{bounce}: {debounce}");
            let hook = profile(bench.findings()).hook.unwrap();
            assert_eq!(
                (hook.contact, u64::from(hook.debounce_ms)),
                (contact, debounce)
            );
        }
    }
}

#[test]
fn nothing_wired_is_reported_and_ends() {
    let mut bench = Bench::new(&[]);
    bench.wait(ms(60_000));
    assert!(bench.finder.is_done());
    assert_eq!(bench.findings().to_toml(), "");
    assert!(bench.findings().report()[0].contains("no single line changed"));
}

#[test]
fn a_line_that_moves_by_itself_is_named_and_no_hook() {
    let mut bench = Bench::new(&[]);
    for _ in 0..30 {
        let high = bench.levels[5].1;
        bench.set(7, !high);
        bench.wait(ms(50));
    }
    bench.wait(ms(1000));
    bench.move_contact(23, false, ms(0));
    assert_eq!(bench.findings().restless, [7]);
    assert_eq!(
        bench.findings().hook.as_ref().map(|hook| hook.line),
        Some(23)
    );
}

#[test]
fn a_matrix_is_found_whichever_way_its_diodes_look() {
    for columns in [&[16, 26, 27][..], &[16, 26, 27, 20]] {
        for diodes in [None, Some(true), Some(false)] {
            let mut bench = Bench::new(&[]);
            bench.hook(23, false, ms(5));
            bench.keypad(&[5, 6, 12, 13], columns, diodes);
            let found = bench.findings().keypad.clone().unwrap();
            let turned = diodes == Some(false);
            let rows = vec![5, 6, 12, 13];
            let wanted = if turned {
                (columns.to_vec(), rows)
            } else {
                (rows, columns.to_vec())
            };
            assert_eq!((found.rows.clone(), found.columns.clone()), wanted);
            assert_eq!(
                found.labels[0],
                if turned {
                    "147*"
                } else {
                    &"123A"[..columns.len()]
                }
            );
            assert_eq!(found.has_diodes, diodes.is_some());
            let keypad = profile(bench.findings()).keypad.unwrap();
            assert_eq!(keypad.keys.get_ref(), &found.labels);
        }
    }
}

#[test]
fn a_key_pressed_with_its_neighbour_is_named() {
    let mut bench = Bench::new(&[]);
    bench.hook(23, false, ms(5));
    let two = [(5, 16), (5, 26)].map(|(driven, reads_low)| Joined { driven, reads_low });
    bench.finder.handle_scan(&two, bench.now);
    bench.finder.handle_scan(&[], bench.now);
    bench.wait(ms(200_000));
    assert_eq!(
        (
            bench.findings().unclear_keys.as_slice(),
            &bench.findings().keypad
        ),
        (&['1'][..], &None)
    );
}

/// Dials 5: winds up, runs back with so many pulses a second, so much of each open.
fn dial(bench: &mut Bench, pulse: u32, off_normal: Option<u32>, pps: f64, open: f64) {
    let rest = bench
        .levels
        .iter()
        .find(|(line, _)| *line == pulse)
        .unwrap()
        .1;
    let period = Duration::from_secs_f64(1.0 / pps);
    let away = off_normal.map(|line| {
        let rest = bench
            .levels
            .iter()
            .find(|(number, _)| *number == line)
            .unwrap()
            .1;
        bench.set(line, !rest);
        (line, rest)
    });
    bench.wait(ms(400));
    let step = |bench: &mut Bench, time: Duration| {
        bench.now += time;
        bench.finder.handle_timeout(bench.now);
    };
    for _ in 0..5 {
        bench.set(pulse, !rest);
        // It bounces for 2 ms.
        step(bench, ms(1));
        bench.set(pulse, rest);
        step(bench, ms(1));
        bench.set(pulse, !rest);
        step(bench, period.mul_f64(open).saturating_sub(ms(2)));
        bench.set(pulse, rest);
        step(bench, period.mul_f64(1.0 - open));
    }
    if let Some((line, rest)) = away {
        bench.set(line, rest);
    }
    bench.wait(ms(1000));
}

#[test]
fn a_dial_is_found_with_and_without_off_normal_and_inverted() {
    for pps in [8.0, 10.0, 16.0, 22.0] {
        for open in [0.5, 0.61, 0.72] {
            for inverted in [false, true] {
                for off_normal in [None, Some((25, false)), Some((25, true))] {
                    let mut low = Vec::new();
                    if !inverted {
                        low.push(24);
                    }
                    if off_normal.is_some_and(|(_, closed_at_rest)| closed_at_rest) {
                        low.push(25);
                    }
                    let mut bench = Bench::new(&low);
                    bench.hook(23, false, ms(5));
                    dial(&mut bench, 24, off_normal.map(|(line, _)| line), pps, open);
                    let found = bench.findings().dial.clone().unwrap();
                    assert_eq!((found.pulse, found.pulses), (24, 5), "{found:?}");
                    assert_eq!(found.pulse_closed_high, inverted);
                    assert_eq!(
                        found.off_normal,
                        off_normal.map(|(line, _)| line),
                        "{pps} {open}"
                    );
                    assert_eq!(
                        found.off_normal_away_high,
                        off_normal.is_some_and(|(_, closed_at_rest)| closed_at_rest)
                    );
                    let rate = f64::from(found.pulses_per_second);
                    assert!((rate - pps).abs() < 0.5, "{pps}: {rate}");
                    let percent = f64::from(found.break_percent);
                    assert!((percent - 100.0 * open).abs() < 6.0, "{open}: {percent}");
                    let rotary = profile(bench.findings()).rotary.unwrap();
                    let high = crate::gpio::ActiveLevel::High;
                    assert_eq!(rotary.pulse_closed == high, inverted);
                    assert_eq!(rotary.off_normal.is_some(), off_normal.is_some());
                }
            }
        }
    }
}
