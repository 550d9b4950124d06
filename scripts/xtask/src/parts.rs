//! The parts of `make test`.

mod long;
mod peers;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::build::{Binary, FEATURES, test_binaries};
use crate::libtest::{Outcome, read_json, read_text};
use crate::run::{run, works};
use peers::in_network_namespace;

/// Test programs that wait for wall-clock time, because they run processes and threads: most of
/// their time nothing happens, so that many run at once. What each waits for is said where it
/// waits.
const ON_THE_CLOCK: [&str; 3] = ["app::lib", "offhook::appliance", "offhook::command_line"];
/// Test programs that play and record in real time: they run when nothing else does.
const IN_REAL_TIME: [&str; 3] = ["app::audio_loop", "board::lib", "tests::card"];

/// Test programs with a part of their own.
const OWN_PART: [&str; 2] = ["tests::peers", "tests::image"];

/// When a part may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Beside [`Lane::Virtual`]: it builds into a directory of its own.
    Cross,
    /// Beside [`Lane::Cross`]: nothing in it depends on how long it takes.
    Virtual,
    /// Alone, after the others: sound and timeouts in real time.
    RealTime,
}

/// A part of `make test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Formatting, clippy, boundaries of the crates, licences.
    Lint,
    /// Unit tests and simulations under virtual time, documentation examples.
    Unit,
    /// Every fuzz target for a few seconds.
    Fuzz,
    /// The scripts of the image.
    Tools,
    /// The program and the unit tests that depend on the processor, for aarch64 under
    /// qemu-aarch64.
    Cross,
    /// Tests of threads, processes and sound cards in real time.
    Timed,
    /// `make run` without a terminal.
    Run,
    /// Peers from Debian's packages.
    Peers,
    /// The binary in a user-mode kernel with simulated GPIO lines and a loopback sound card.
    Board,
    /// The image in QEMU.
    Image,
    /// What takes minutes to hours: see `LONG`.
    Long,
}

impl Part {
    pub(crate) const ALL: [Self; 11] = [
        Self::Lint,
        Self::Unit,
        Self::Fuzz,
        Self::Tools,
        Self::Cross,
        Self::Timed,
        Self::Run,
        Self::Peers,
        Self::Board,
        Self::Image,
        Self::Long,
    ];

    /// Whether it runs only when it is named.
    pub(crate) fn is_extra(self) -> bool {
        matches!(self, Self::Image | Self::Long)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Fuzz => "fuzz",
            Self::Tools => "tools",
            Self::Cross => "cross",
            Self::Timed => "timed",
            Self::Run => "run",
            Self::Peers => "peers",
            Self::Board => "board",
            Self::Image => "image",
            Self::Long => "long",
        }
    }

    /// All names, for an error message.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(" ")
    }

    /// The package sets of scripts/need it takes.
    pub(crate) fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Unit | Self::Timed | Self::Run => &["build", "test"],
            Self::Lint | Self::Fuzz => &["build", "test", "fuzz"],
            Self::Long => &["build", "test", "fuzz", "cross", "peers", "asterisk"],
            Self::Tools => &["build", "test", "flash", "overlays", "bundles", "image"],
            Self::Cross => &["build", "cross"],
            Self::Peers => &["build", "test", "peers"],
            Self::Board => &["build", "test", "board"],
            Self::Image => &["build", "test", "cross", "emulate", "overlays"],
        }
    }

    pub(crate) fn lane(self) -> Lane {
        match self {
            Self::Cross => Lane::Cross,
            Self::Lint | Self::Unit | Self::Fuzz | Self::Tools => Lane::Virtual,
            Self::Timed | Self::Run | Self::Peers | Self::Board | Self::Image | Self::Long => {
                Lane::RealTime
            }
        }
    }

    /// Runs it.
    pub(crate) fn run(self, part: &mut Running) {
        println!("-- {} begins", self.name());
        match self {
            Self::Lint => lint(part),
            Self::Unit => unit(part),
            Self::Fuzz => {
                let mut command = Command::new("scripts/fuzz");
                command.arg("quick");
                part.text_tests("fuzz", command);
            }
            Self::Tools => tools(part),
            Self::Cross => {
                let mut command = Command::new("scripts/cross");
                command.arg("test");
                part.text_tests("aarch64", command);
            }
            Self::Timed => {
                part.binaries(ON_THE_CLOCK.len(), &["--test-threads=6"], |name| {
                    ON_THE_CLOCK.contains(&name)
                });
                part.binaries(1, &[], |name| IN_REAL_TIME.contains(&name));
                part.repeat_failures(&[]);
            }
            Self::Run => part.check(
                "make run without a terminal",
                "make",
                &["--no-print-directory", "run"],
            ),
            Self::Peers => peers::peers(part),
            Self::Board => {
                if part.built() {
                    part.guest_tests();
                }
            }
            Self::Image => image(part),
            Self::Long => long::long(part),
        }
    }
}

/// A part under way: its log and what came of it so far.
#[derive(Debug, Default)]
pub(crate) struct Running {
    pub(crate) log: String,
    pub(crate) outcome: Outcome,
}

impl Running {
    /// One counted check that is no Rust test.
    fn check(&mut self, name: &str, program: &str, arguments: &[&str]) {
        let done = run(Command::new(program).args(arguments));
        let output = done.output();
        self.note(&format!(
            "-- {name}: {program} {}\n{output}",
            arguments.join(" ")
        ));
        let outcome = Outcome::of_check(name, done.success, done.seconds, &output);
        self.outcome.add(outcome);
    }

    /// A check that needs a program which may be missing.
    fn check_if(&mut self, available: bool, name: &str, missing: &str, command: &[&str]) {
        match command {
            [program, arguments @ ..] if available => self.check(name, program, arguments),
            _ => self.skip(name, missing),
        }
    }

    fn skip(&mut self, name: &str, why: &str) {
        let line = format!("SKIPPED: {name}: {why}\n");
        self.note(&line);
        // Counted by itself: it takes no pass from the checks that ran.
        let mut outcome = Outcome::default();
        outcome.take_skips(&line);
        self.outcome.add(outcome);
    }

    fn note(&mut self, text: &str) {
        self.log.push_str(text);
    }

    /// What another ran beside this one, in a thread of its own.
    fn add_from(&mut self, what: &str, other: std::thread::Result<Self>) {
        match other {
            Ok(other) => {
                self.note(&other.log);
                self.outcome.add(other.outcome);
            }
            Err(_) => self.outcome.fail(what, "the thread that ran them panicked"),
        }
    }

    /// Builds the test programs, if that was not done before; false, and a failure, where it fails.
    fn built(&mut self) -> bool {
        if let Err(error) = test_binaries() {
            self.note(error);
            self.outcome.fail("the build", error);
            return false;
        }
        true
    }

    /// Runs the test programs whose names are wanted, so many at a time.
    fn binaries(&mut self, at_a_time: usize, arguments: &[&str], is_wanted: impl Fn(&str) -> bool) {
        if !self.built() {
            return;
        }
        let wanted: Vec<&Binary> = test_binaries()
            .into_iter()
            .flatten()
            .filter(|binary| is_wanted(&binary.name))
            .collect();
        let next = AtomicUsize::new(0);
        let run_in_turn = || {
            let mut share = Self::default();
            while let Some(binary) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                share.binary(binary, &[], arguments, &[]);
            }
            share
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(run_in_turn)).collect();
            for worker in workers {
                self.add_from("test programs", worker.join());
            }
        });
    }

    /// Runs a test program, behind the words of `wrapper`, with more in its environment.
    fn binary(
        &mut self,
        binary: &Binary,
        wrapper: &[&str],
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) {
        let mut words = wrapper.iter();
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&binary.path);
                command
            }
            None => Command::new(&binary.path),
        };
        command
            .args([
                "-Z",
                "unstable-options",
                "--format=json",
                "--report-time",
                "--show-output",
            ])
            .args(arguments)
            .env("RUSTC_BOOTSTRAP", "1")
            .envs(environment.iter().copied())
            .current_dir(&binary.directory);
        let done = run(&mut command);
        let (mut outcome, log) = read_json(&binary.name, &done.stdout);
        outcome.take_skips(&done.stderr);
        outcome.take_status(&binary.name, done.success, &done.output());
        self.note(&format!("-- {}\n{log}{}", binary.name, done.stderr));
        self.outcome.add(outcome);
    }

    /// Runs the tests that failed once more, alone: what they wait for is real time, and another
    /// test, or another machine on the same host, may have had the processors meanwhile. Both runs
    /// are in the log, and the report names each.
    fn repeat_failures(&mut self, wrapper: &[&str]) {
        let mut log = String::new();
        let again = std::cell::RefCell::new(&mut log);
        self.outcome.repeat_failures(|name| {
            let (program, test) = name.split_once(' ')?;
            let mut binaries = test_binaries().into_iter().flatten();
            let binary = binaries.find(|binary| binary.name == program)?;
            let mut alone = Self::default();
            alone.binary(binary, wrapper, &["--exact", test, "--test-threads=1"], &[]);
            again.borrow_mut().push_str(&alone.log);
            Some(alone.outcome)
        });
        self.note(&log);
    }

    /// Runs the tests of the user-mode guest, and those that failed once more, each in a guest of
    /// its own: their time is real, too.
    fn guest_tests(&mut self) {
        let guest = || Command::new("tests/board/run.sh");
        self.text_tests("board", guest());
        let mut log = String::new();
        let again = std::cell::RefCell::new(&mut log);
        self.outcome.repeat_failures(|test| {
            let mut alone = Self::default();
            let mut command = guest();
            command.arg(test);
            alone.text_tests(test, command);
            again.borrow_mut().push_str(&alone.log);
            Some(alone.outcome)
        });
        self.note(&log);
    }

    /// Runs a program that prints its tests as libtest's text.
    fn text_tests(&mut self, name: &str, mut command: Command) {
        let done = run(&mut command);
        let output = done.output();
        let mut outcome = read_text(&output);
        outcome.take_status(name, done.success, &output);
        self.note(&format!("-- {name}\n{output}"));
        self.outcome.add(outcome);
    }
}

fn lint(part: &mut Running) {
    part.check_if(
        works("cargo", &["fmt", "--version"]),
        "rustfmt",
        "cargo-fmt is not installed (rustup component add rustfmt)",
        &["cargo", "fmt", "--all", "--check"],
    );
    let clippy = [
        "cargo",
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
    ];
    part.check_if(
        works("cargo", &["clippy", "--version"]),
        "clippy",
        "not installed (rustup component add clippy)",
        &[&clippy[..], &["--", "-D", "warnings"]].concat(),
    );
    part.check("boundaries of the crates", "scripts/check-boundaries", &[]);
    let deny = [
        "cargo",
        "deny",
        "--offline",
        "--log-level",
        "error",
        "check",
    ];
    part.check_if(
        works("cargo", &["deny", "--version"]),
        "licences and sources of dependencies",
        "cargo-deny is not installed (make deny installs it)",
        &[&deny[..], &["licenses", "bans", "sources"]].concat(),
    );
}

fn unit(part: &mut Running) {
    // Two at a time: where a program ends with one long test, another uses the second processor.
    part.binaries(2, &[], |name| {
        ![&ON_THE_CLOCK[..], &IN_REAL_TIME, &OWN_PART]
            .iter()
            .any(|others| others.contains(&name))
    });
    let mut examples = Command::new("cargo");
    examples.args([
        "test",
        "--workspace",
        "--features",
        FEATURES,
        "--doc",
        "--no-fail-fast",
    ]);
    part.text_tests("documentation examples", examples);
}

fn tools(part: &mut Running) {
    part.check("kernel fragments are checked", "tests/fragments.sh", &[]);
    part.check(
        "completing the root tree (post-build)",
        "tests/image/post_build_test.sh",
        &[],
    );
    part.check("make image", "tests/image/make_image_test.sh", &[]);
    part.check(
        "the sources of an image (SOURCES=debian)",
        "tests/image/sources_test.sh",
        &[],
    );
    part.check(
        "bundles that are refused",
        "tests/image/refused_test.sh",
        &[],
    );
    part.check(
        "packing an image and writing it to a card",
        "tests/flash.sh",
        &[],
    );
    let overlays = std::fs::read_dir("board/overlays")
        .into_iter()
        .flatten()
        .flatten();
    for overlay in overlays.map(|entry| entry.path()) {
        if overlay
            .extension()
            .is_some_and(|extension| extension == "dts")
        {
            let path = overlay.to_string_lossy();
            let arguments = ["-@", "-I", "dts", "-O", "dtb", "-o", "/dev/null", &path];
            part.check("device tree overlay", "dtc", &arguments);
        }
    }
    match std::env::var("BUILDROOT").ok().or_else(unpacked_buildroot) {
        Some(tree) => part.check(
            "Buildroot's defconfigs",
            "make",
            &[
                "--no-print-directory",
                "-C",
                "buildroot",
                "check",
                &format!("BUILDROOT={tree}"),
            ],
        ),
        None => part.skip(
            "Buildroot's defconfigs",
            "no tree at hand (BUILDROOT=/path/to/buildroot)",
        ),
    }
}

/// The tree that `make image` unpacked, where it did.
fn unpacked_buildroot() -> Option<String> {
    let folder = std::env::current_dir().ok()?.join("target/image");
    let mut trees = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path());
    let tree = trees.find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("buildroot-") && path.join("Makefile").is_file()
    })?;
    Some(tree.display().to_string())
}

/// Words that put a command before everything else, where that is allowed (root).
fn before_others() -> &'static [&'static str] {
    let niceness = run(Command::new("nice").args(["-n", "-10", "nice"])).stdout;
    if niceness.trim() == "-10" {
        &["nice", "-n", "-10"]
    } else {
        &[]
    }
}

fn image(part: &mut Running) {
    /// Tests of sound and time: each has the machine to itself.
    const ALONE: [&str; 2] = ["from_the_card_to_a_call", "sooner_than_a_stock_debian"];
    part.check("slots", "tests/image/slots_test.sh", &[]);
    part.check("the radio", "tests/image/radio_test.sh", &[]);
    part.check("802.1X on the cable", "tests/image/eap_test.sh", &[]);
    part.check("the list of parts (SPDX)", "tests/image/sbom_test.sh", &[]);
    part.check(
        "completing the root tree (post-build)",
        "tests/image/post_build_test.sh",
        &[],
    );
    part.check("make image", "tests/image/make_image_test.sh", &[]);
    part.check(
        "what make image leaves for each board",
        "tests/image/boards.sh",
        &[],
    );
    let failed = part.outcome.counts.failed;
    // The phone as the image carries it: the release binary for aarch64.
    part.check("aarch64 release binary", "scripts/cross", &["build"]);
    part.check("image", "tests/image/build.sh", &["target/image"]);
    if part.outcome.counts.failed > failed {
        return;
    }
    part.check(
        "stock Debian beside it",
        "tests/image/stock.sh",
        &["target/image"],
    );
    // An emulated sound card is in real time only when its machine gets the processor.
    let first = before_others();
    let mut tests = |arguments: &[&str]| {
        in_network_namespace(
            part,
            "the image in QEMU",
            "tests::image",
            first,
            arguments,
            &[],
        );
    };
    if let Ok(only) = std::env::var("OFFHOOK_IMAGE_ONLY") {
        return tests(&[&only, "--test-threads=1"]);
    }
    tests(&[ALONE[0], ALONE[1], "--test-threads=1"]);
    // Of the others two at a time: each emulated machine has one processor.
    tests(&["--skip", ALONE[0], "--skip", ALONE[1], "--test-threads=2"]);
}
