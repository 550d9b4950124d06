//! The inputs that a person moves: hook, keys, dial. An update whose driver for one of them is
//! missing must be rolled back: no one could use the phone, though the rest of it works.
//!
//! ```text
//! state_dir/inputs (those that worked in the slot that was kept) ─▶ on trial: all of them there? ─▶ Health
//!        ▲── written where it differs, once a slot is good
//! ```
//!
//! A keypad that never works is not in the list, so that it does not block updates.

/// In the state directory.
pub(crate) const FILE: &str = "inputs";
/// Longest such file.
pub(crate) const MAX_BYTES: u64 = 1024;

/// Which inputs this slot must have.
#[derive(Debug)]
pub(crate) struct Inputs {
    on_trial: bool,
    /// The inputs that worked in the last good slot, one a line; `None`: unknown.
    before: Option<String>,
}

impl Inputs {
    /// `before`: the file's text.
    pub(crate) fn new(on_trial: bool, before: Option<String>) -> Self {
        Self { on_trial, before }
    }

    /// Whether nothing is missing: on trial what worked before, and where no one knows that, all
    /// that the board's description names.
    pub(crate) fn are_present(&self, wanted: &[&str], working: &[&str]) -> bool {
        let is_there = |name: &str| working.contains(&name);
        match (&self.before, self.on_trial) {
            (_, false) => true,
            (Some(before), true) => before.lines().all(is_there),
            (None, true) => wanted.iter().all(|name| is_there(name)),
        }
    }

    /// The slot is good with these: the file's new text, where it differs.
    pub(crate) fn keep(&mut self, working: &[&str]) -> Option<String> {
        let text: String = working.iter().flat_map(|name| [*name, "\n"]).collect();
        if self.before.as_ref() == Some(&text) {
            return None;
        }
        self.before = Some(text.clone());
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [&str; 2] = ["[hook]", "[keypad]"];

    #[test]
    fn a_slot_on_trial_has_what_the_one_before_had() {
        let mut old = Inputs::new(false, None);
        assert!(old.are_present(&BOTH, &["[hook]"]), "not on trial");
        // The keypad never worked here.
        let before = old.keep(&["[hook]"]);
        assert_eq!(old.keep(&["[hook]"]), None, "written once");
        let new = Inputs::new(true, before);
        assert!(new.are_present(&BOTH, &["[hook]"]));
        assert!(!new.are_present(&BOTH, &["[keypad]"]));
        assert!(
            !new.are_present(&[], &[]),
            "the new description lost its hook"
        );
    }

    #[test]
    fn where_no_one_knows_all_must_be_there() {
        let new = Inputs::new(true, None);
        assert!(new.are_present(&BOTH, &BOTH));
        assert!(!new.are_present(&BOTH, &["[keypad]"]));
        assert!(new.are_present(&[], &[]));
    }
}
