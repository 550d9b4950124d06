//! Files of the run directory: what the phone reports to its next process and to the image's
//! scripts.

/// The phone has run well for a while: the slot it was started from may be kept.
pub(crate) const SLOT_GOOD: &str = "slot-good";
/// The next process begins with the self-test.
pub(crate) const SELF_TEST: &str = "self-test";
