//! A phone with two slots on which the power goes after every single step.

use super::*;

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Image {
    Old,
    New,
    /// Its phone never becomes good.
    Broken,
    /// Half written.
    Torn,
}

/// What the bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Good,
    Broken,
    Foreign,
    /// Signed; its content cannot be read.
    Damaged,
}

/// Power is gone.
struct Cut;

/// Everything that outlives a power cut, and how many more steps there is power for.
#[derive(Debug, Clone)]
struct Phone {
    ledger: String,
    kept: Slot,
    armed: bool,
    slots: [Image; 2],
    on_card: Option<Content>,
    download: Option<Content>,
    report: String,
    installs: u32,
    power: u32,
}

fn index(slot: Slot) -> usize {
    usize::from(slot == Slot::B)
}

impl Phone {
    fn new(content: Content, origin: Origin) -> Self {
        Self {
            ledger: String::new(),
            kept: Slot::A,
            armed: false,
            slots: [Image::Old; 2],
            on_card: (origin == Origin::Card).then_some(content),
            download: (origin == Origin::Network).then_some(content),
            report: String::new(),
            installs: 0,
            power: u32::MAX,
        }
    }

    /// One step to the medium, or the end of it.
    fn spend(&mut self) -> Result<(), Cut> {
        self.power = self.power.checked_sub(1).ok_or(Cut)?;
        Ok(())
    }

    /// The firmware's choice; the flag is cleared before anything is booted.
    fn boot(&mut self) -> Slot {
        if std::mem::take(&mut self.armed) {
            self.kept.other()
        } else {
            self.kept
        }
    }

    /// One start: until the phone restarts (true), has nothing more to do (false), or the power is
    /// cut.
    fn start(&mut self) -> Result<bool, Cut> {
        let running = self.boot();
        if matches!(self.slots[index(running)], Image::Broken | Image::Torn) {
            // Never good: the watchdog resets it. Nothing falls back from the kept one.
            assert_ne!(running, self.kept, "the kept slot does not work: {self:?}");
            return Ok(true);
        }
        self.spend()?;
        self.kept = running;
        let mut agent = Agent::new(running, &self.ledger);
        let steps = agent.started();
        if self.run(&mut agent, None, steps)? {
            return Ok(true);
        }
        for origin in [Origin::Card, Origin::Network] {
            let found = match origin {
                Origin::Card => self.on_card,
                Origin::Network => self.download,
            };
            let Some(content) = found else { continue };
            let bundle = FoundBundle {
                id: BundleId::named("1"),
                origin,
                name: "bundle".to_owned(),
            };
            let steps = agent.found(&bundle);
            if self.run(&mut agent, Some((&bundle, content)), steps)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn run(
        &mut self,
        agent: &mut Agent,
        bundle: Option<(&FoundBundle, Content)>,
        steps: Vec<Step>,
    ) -> Result<bool, Cut> {
        for step in steps {
            self.spend()?;
            match (step, bundle) {
                (Step::Record(text), _) => self.ledger = text,
                (Step::Report(text), _) => self.report = text,
                (Step::WaitUntilIdle, _) => {}
                (Step::Arm, _) => self.armed = true,
                (Step::RestartOnce, _) => return Ok(true),
                (Step::RemoveFromCard(_), _) => self.on_card = None,
                (Step::RemoveDownload, _) => self.download = None,
                (Step::Check, Some((found, content))) => {
                    let check = match content {
                        Content::Foreign => Check::Refused("foreign".to_owned()),
                        Content::Good | Content::Broken | Content::Damaged => Check::Fine,
                    };
                    let steps = agent.checked(found, check);
                    return self.run(agent, bundle, steps);
                }
                (Step::Install, Some((found, content))) => {
                    let outcome = self.install(agent.running.other(), content)?;
                    let steps = agent.installed(found, outcome);
                    return self.run(agent, bundle, steps);
                }
                (Step::Check | Step::Install, None) => panic!("no bundle to look at"),
            }
        }
        Ok(false)
    }

    fn install(&mut self, into: Slot, content: Content) -> Result<Install, Cut> {
        self.installs += 1;
        self.slots[index(into)] = Image::Torn;
        self.spend()?;
        self.slots[index(into)] = match content {
            Content::Good => Image::New,
            Content::Broken => Image::Broken,
            Content::Damaged | Content::Foreign => return Ok(Install::Failed("EIO".to_owned())),
        };
        self.spend()?;
        Ok(Install::Done)
    }

    /// Starts again and again until nothing is left to do; the number of starts.
    fn run_to_rest(&mut self) -> u32 {
        for starts in 1..50 {
            match self.start() {
                Ok(true) | Err(Cut) => self.power = u32::MAX,
                Ok(false) => return starts,
            }
        }
        panic!("it restarts for ever: {self:?}");
    }

    fn running(&self) -> Image {
        self.slots[index(self.kept)]
    }
}

/// Every phone that lost its power after each of its steps, then ran to its end.
fn cut_everywhere(content: Content, origin: Origin, end: impl Fn(&Phone, u32)) {
    for power in 0.. {
        let mut phone = Phone::new(content, origin);
        phone.power = power;
        let mut was_cut = false;
        // Until the power goes, restarts included.
        for _ in 0..50 {
            match phone.start() {
                Ok(true) => {}
                Ok(false) => break,
                Err(Cut) => {
                    was_cut = true;
                    break;
                }
            }
        }
        phone.power = u32::MAX;
        phone.run_to_rest();
        end(&phone, power);
        if !was_cut {
            assert!(power > 3, "only {power} places to cut at");
            return;
        }
    }
}

#[test]
fn a_good_bundle_is_in_use_after_any_power_cut() {
    for origin in [Origin::Card, Origin::Network] {
        cut_everywhere(Content::Good, origin, |phone, power| {
            assert_eq!(phone.running(), Image::New, "cut after {power}: {phone:?}");
            assert!(
                phone.ledger.contains(" good"),
                "cut after {power}: {phone:?}"
            );
            assert_eq!(
                (phone.on_card, phone.download),
                (None, None),
                "cut after {power}"
            );
            assert!(!phone.armed);
        });
    }
}

#[test]
fn a_broken_bundle_is_rolled_back_after_any_power_cut() {
    for origin in [Origin::Card, Origin::Network] {
        cut_everywhere(Content::Broken, origin, |phone, power| {
            assert_eq!(phone.running(), Image::Old, "cut after {power}: {phone:?}");
            assert!(
                phone.ledger.contains(" bad"),
                "cut after {power}: {phone:?}"
            );
            assert!(
                phone.report.starts_with("rolled back: "),
                "{}",
                phone.report
            );
        });
    }
}

#[test]
fn a_foreign_bundle_is_never_installed() {
    for origin in [Origin::Card, Origin::Network] {
        cut_everywhere_foreign(origin);
    }
}

fn cut_everywhere_foreign(origin: Origin) {
    for power in 0..12 {
        let mut phone = Phone::new(Content::Foreign, origin);
        phone.power = power;
        phone.run_to_rest();
        assert_eq!(phone.installs, 0);
        assert_eq!(phone.slots, [Image::Old; 2]);
        assert!(phone.ledger.contains(" refused foreign"), "{phone:?}");
        assert_eq!(
            phone.on_card.is_some(),
            origin == Origin::Card,
            "the card is a person's"
        );
        assert_eq!(phone.download, None);
    }
}

#[test]
fn two_power_cuts_lose_no_working_slot() {
    for first in 0..16 {
        for second in 0..16 {
            let mut phone = Phone::new(Content::Good, Origin::Card);
            phone.power = first;
            let _ = phone.start();
            phone.power = second;
            let _ = phone.start();
            phone.power = u32::MAX;
            phone.run_to_rest();
            // Two cuts in the two trials look like a slot that does not work.
            let state = (phone.running(), phone.ledger.contains(" bad"));
            assert!(
                matches!(state, (Image::New, false) | (Image::Old, true)),
                "cut after {first} and {second}: {phone:?}"
            );
        }
    }
}

#[test]
fn a_damaged_bundle_is_refused_after_three_starts() {
    let mut phone = Phone::new(Content::Damaged, Origin::Card);
    for start in 1..=2 {
        assert_eq!(phone.run_to_rest(), 1);
        assert!(
            phone.report.contains("tried again at the next start"),
            "{}",
            phone.report
        );
        assert_eq!(phone.installs, start);
    }
    phone.run_to_rest();
    assert_eq!(phone.report, "refused: bundle: EIO");
    phone.run_to_rest();
    assert_eq!((phone.installs, phone.running()), (3, Image::Old));
    assert_eq!(phone.report, "refused: bundle: EIO");
}

#[test]
fn what_is_not_the_bundles_fault_is_not_recorded() {
    let bundle = FoundBundle {
        id: BundleId::named("1"),
        origin: Origin::Card,
        name: "bundle".to_owned(),
    };
    let mut agent = Agent::new(Slot::A, "");
    for _ in 0..5 {
        let unknown = agent.checked(&bundle, Check::Unknown("clock".to_owned()));
        let not_begun = agent.installed(&bundle, Install::NotBegun("no service".to_owned()));
        for steps in [unknown, not_begun] {
            assert!(
                matches!(&steps[..], [Step::Report(text)] if text.ends_with("tried again at the \
                    next start")),
                "{steps:?}"
            );
        }
    }
    assert_eq!(agent.found(&bundle), [Step::Check]);
}

#[test]
fn an_attempt_is_counted_only_when_the_phone_is_idle() {
    let bundle = FoundBundle {
        id: BundleId::named("1"),
        origin: Origin::Card,
        name: "bundle".to_owned(),
    };
    let mut agent = Agent::new(Slot::A, "");
    let steps = agent.installed(&bundle, Install::Done);
    let [
        Step::Record(installed),
        Step::Report(_),
        Step::WaitUntilIdle,
        Step::Record(trying),
        Step::Arm,
        Step::RestartOnce,
    ] = &steps[..]
    else {
        panic!("{steps:?}")
    };
    assert_eq!(installed, "1 card installed b\n");
    assert_eq!(trying, "1 card trying b 1\n");
}

#[test]
fn the_last_download_is_reported_though_its_file_is_gone() {
    let agent = Agent::new(Slot::A, "1 card good\n2 network refused foreign\n");
    assert_eq!(
        agent.nothing_downloaded("https://u/x"),
        [Step::Report("refused: https://u/x: foreign".to_owned())]
    );
    let agent = Agent::new(Slot::A, "2 network refused foreign\n1 card good\n");
    assert_eq!(agent.nothing_downloaded("https://u/x"), []);
}
