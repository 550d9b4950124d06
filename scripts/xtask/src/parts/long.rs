//! What takes minutes to hours.

use std::process::Command;

use super::Running;
use super::peers::{DESK, in_network_namespace};
use crate::build::test_binaries;

/// A test whose thoroughness is a number: `make test` runs it briefly, `make test-long` with this.
struct LongTest {
    /// Test program, as [`Binary::name`].
    program: &'static str,
    /// What its tests' names contain; empty: all of them.
    filter: &'static str,
    /// Environment in which it does more.
    environment: &'static [(&'static str, &'static str)],
    /// It runs in a network of its own.
    in_network: bool,
}

/// The tests of `make test-long`: minutes to hours, before a release.
const LONG: &[LongTest] = &[
    LongTest {
        program: "sip::message",
        filter: "hostile::",
        environment: &[("OFFHOOK_FUZZ", "100000")],
        in_network: false,
    },
    // A router that forgets after thirty seconds, as routers do, and the phone's own keepalives.
    LongTest {
        program: "tests::peers",
        filter: "nat::",
        environment: &[("OFFHOOK_REAL_NAT", "1")],
        in_network: true,
    },
    LongTest {
        program: "media::clocks",
        filter: "clocks_500_ppm",
        environment: &[("OFFHOOK_DRIFT_MINUTES", "1440")],
        in_network: false,
    },
    LongTest {
        program: "media::lib",
        filter: "talk_makes_at_most_one_digit",
        environment: &[("OFFHOOK_TALK_OFF_HOURS", "8")],
        in_network: false,
    },
    LongTest {
        program: "tests::peers",
        filter: "real_time::",
        environment: &[("OFFHOOK_REAL_TIME_SECONDS", "600")],
        in_network: true,
    },
    LongTest {
        program: "tests::peers",
        filter: DESK,
        environment: &[("OFFHOOK_DESK_AT_LENGTH", "1")],
        in_network: true,
    },
    LongTest {
        program: "tests::peers",
        filter: FLEET,
        environment: &[],
        in_network: true,
    },
    LongTest {
        program: "tests::peers",
        filter: INTEROP,
        environment: &[],
        in_network: true,
    },
    LongTest {
        program: "tests::peers",
        filter: ASTERISK,
        environment: &[("OFFHOOK_ASTERISK", ASTERISK_FOLDER)],
        in_network: true,
    },
];

/// Two hundred phones, which take a minute to come back to their server.
pub(super) const FLEET: &str = "fleet::";
/// Phones of other makers, for as long as a session timer takes.
pub(super) const INTEROP: &str = "interop::";
/// Tests with a server that Debian's stable release does not have; and where that is kept.
pub(super) const ASTERISK: &str = "asterisk::";
const ASTERISK_FOLDER: &str = "/var/cache/offhook-tests/asterisk";

pub(super) fn long(part: &mut Running) {
    if !part.built() {
        return;
    }
    part.check("the guide as a book", "scripts/guide", &[]);
    part.check("Asterisk", "tests/asterisk.sh", &[ASTERISK_FOLDER]);
    for test in LONG {
        if test.in_network {
            let arguments = [test.filter, "--test-threads=1"];
            in_network_namespace(
                part,
                test.filter,
                test.program,
                &[],
                &arguments,
                test.environment,
            );
            continue;
        }
        let Some(binary) = test_binaries()
            .into_iter()
            .flatten()
            .find(|binary| binary.name == test.program)
        else {
            part.outcome.fail(
                test.program,
                "there is no test program of this name; see LONG",
            );
            continue;
        };
        part.binary(binary, &[], &[test.filter], test.environment);
    }
    for arguments in [&["control"][..], &[]] {
        part.check("RealtimeSanitizer", "scripts/realtime-sanitizer", arguments);
    }
    let mut cross = Command::new("scripts/cross");
    cross.arg("test-all");
    part.text_tests("aarch64", cross);
    let mut fuzz = Command::new("scripts/fuzz");
    fuzz.env("FUZZ_SECONDS", "600");
    part.text_tests("fuzz", fuzz);
}
