//! Peers from Debian's packages, in networks of their own.

use std::path::Path;

use super::long::{ASTERISK, FLEET, INTEROP};
use super::{Running, before_others};
use crate::build::test_binaries;
use crate::run::works;

/// Modules of `tests::peers` that run beside each other, each list in a network of its own; what is
/// in none makes one more. Two of these make and judge sound all the time, as much as two
/// processors do without a gap; the others wait most of theirs, for timers, mappings and servers.
const SIDE_BY_SIDE: [&[&str]; 5] = [
    &[DESK],
    &["encrypted_baresip::", "encrypted_calls::", "registrar::"],
    &["connections::", "strangers::"],
    &["conformance::", "first_hour::", "links::"],
    &[
        "event_packages::",
        "failover::",
        "first_hour_variants::",
        "nat::",
        "roaming::",
        "tls::",
        "transfers::",
    ],
];

/// Stories of tests/desk in real time.
pub(super) const DESK: &str = "desk::";

pub(super) fn peers(part: &mut Running) {
    let elsewhere: Vec<&str> = SIDE_BY_SIDE
        .iter()
        .flat_map(|names| names.iter())
        .flat_map(|name| ["--skip", name])
        .collect();
    let first = before_others();
    let with = |arguments: &[&str]| {
        let mut share = Running::default();
        // Their phones and peers are many at a time, and in real time all the same.
        let wrapper = if arguments == [DESK] { first } else { &[] };
        let long = [FLEET, ASTERISK, INTEROP].map(|name| ["--skip", name]);
        let arguments = [arguments, &long.concat(), &["--test-threads=1"]].concat();
        in_network_namespace(
            &mut share,
            "real peers",
            "tests::peers",
            wrapper,
            &arguments,
            &[],
        );
        share
    };
    std::thread::scope(|scope| {
        let shares: Vec<_> = SIDE_BY_SIDE
            .into_iter()
            .chain([&elsewhere[..]])
            .map(|names| scope.spawn(move || with(names)))
            .collect();
        for share in shares {
            part.add_from("real peers", share.join());
        }
    });
    if let Ok(netns) = Path::new("scripts/netns").canonicalize() {
        part.repeat_failures(&[&netns.to_string_lossy()]);
    }
}

/// Runs the test program `name` in a network of its own, or skips it where that is not allowed.
pub(super) fn in_network_namespace(
    part: &mut Running,
    what: &str,
    name: &str,
    wrapper: &[&str],
    arguments: &[&str],
    environment: &[(&str, &str)],
) {
    if !works("scripts/netns", &["true"]) {
        return part.skip(
            what,
            "no network namespace is allowed here (needs root, or unprivileged user namespaces)",
        );
    }
    if !part.built() {
        return;
    }
    let netns = match Path::new("scripts/netns").canonicalize() {
        Ok(path) => path.to_string_lossy().into_owned(),
        Err(error) => return part.outcome.fail(what, &format!("scripts/netns: {error}")),
    };
    let wrapper = [&[netns.as_str()], wrapper].concat();
    for binary in test_binaries().into_iter().flatten() {
        if binary.name == name {
            part.binary(binary, &wrapper, arguments, environment);
        }
    }
}
