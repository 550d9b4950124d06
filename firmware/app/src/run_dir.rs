//! Files of the run directory, by which the phone, its next process and the image's scripts leave
//! word for each other.

/// The phone has run well for a while: the slot it was started from may be kept.
pub(crate) const SLOT_GOOD: &str = "slot-good";
/// The next process begins with the self-test.
pub(crate) const SELF_TEST: &str = "self-test";
