//! Which branch of a forked call is heard.

use super::*;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn described(port: u16) -> Negotiated {
    Negotiated {
        remote_rtp: at(port),
        ..crate::test_media::agreed(sip::media_security::Protection::Clear, false)
    }
}

/// The port of the branch that is chosen.
fn port(choice: Option<Choice>) -> Option<u16> {
    choice.map(|choice| choice.media.remote_rtp.port())
}

/// Three branches, of which the second is the last one that was chosen.
fn three() -> EarlyBranches {
    let mut branches = EarlyBranches::default();
    assert!(branches.describe(1, &described(4000), false, 0));
    assert!(branches.describe(2, &described(4002), false, 0));
    // One that is heard is not left for one that may never send.
    assert!(!branches.describe(3, &described(4004), true, 10));
    branches
}

#[test]
fn newest_branch_that_sends_is_chosen() {
    let now = crate::test_origin();
    let mut branches = three();
    assert_eq!(branches.others().collect::<Vec<_>>(), [at(4004), at(4000)]);
    assert_eq!(port(branches.on_source(at(4000), true, 20, now)), None);
    let newer = branches.on_source(at(4004), true, 20, now);
    assert_eq!(port(newer), Some(4004));
    assert_eq!(branches.others().collect::<Vec<_>>(), [at(4002), at(4000)]);
    assert_eq!(port(branches.on_source(at(4004), true, 30, now)), None);
    assert_eq!(port(branches.on_source(at(4999), false, 30, now)), None);
}

#[test]
fn older_branch_is_heard_again_when_the_newest_stops() {
    let now = crate::test_origin();
    let later = now + Duration::from_secs(1);
    let mut branches = three();
    branches.on_source(at(4000), true, 20, now);
    branches.on_source(at(4004), true, 20, later);
    // The second one said nothing meanwhile, the first one does.
    assert_eq!(port(branches.on_silence(90, later)), Some(4000));
    // Of none it is known any more that it sends.
    let much_later = now + Duration::from_secs(10);
    assert_eq!(port(branches.on_silence(95, much_later)), None);
    // In silence any of them is heard, whether newer or not.
    branches.on_source(at(4004), true, 95, much_later);
    let older = branches.on_source(at(4002), false, 95, much_later);
    assert_eq!(port(older), Some(4002));
}

#[test]
fn branch_of_which_nothing_can_be_heard_drives_out_no_other() {
    let now = crate::test_origin();
    let mut branches = three();
    branches.on_source(at(4000), true, 20, now);
    let newer = branches.on_source(at(4004), true, 20, now);
    assert_eq!(port(newer), Some(4004));
    // Not one packet of it was believed.
    assert_eq!(port(branches.on_silence(20, now)), Some(4000));
    assert_eq!(port(branches.on_source(at(4004), true, 40, now)), None);
    let in_silence = branches.on_source(at(4004), false, 40, now);
    assert!(in_silence.is_some_and(|choice| !choice.audible));
    // A new description is a new chance.
    branches.describe(3, &described(4004), true, 50);
    branches.on_source(at(4000), false, 50, now);
    let newer = branches.on_source(at(4004), true, 60, now);
    assert_eq!(port(newer), Some(4004));
}

#[test]
fn number_of_branches_is_limited() {
    let mut branches = EarlyBranches::default();
    for number in 0..40 {
        let port = 4000 + 2 * number as u16;
        branches.describe(number, &described(port), number > 0, 0);
    }
    assert_eq!(branches.branches.len(), MAX_BRANCHES);
    assert_eq!(branches.others().count(), MAX_BRANCHES - 1);
    assert_eq!(branches.chosen, Some((0, 0)), "the one that is heard stays");
}
