//! The last attempts of an account to register, for people.

use std::collections::VecDeque;
use std::time::Instant;

use crate::flow::Target;

/// Attempts remembered.
const MAX_ATTEMPTS: usize = 20;

/// One attempt to register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationAttempt {
    /// When it ended.
    pub at: Instant,
    /// The server it went to; `None`: none was found.
    pub server: Option<Target>,
    /// What came of it: a status and what it means.
    pub result: String,
    /// When the next attempt follows; `None`: at once, or none does.
    pub next: Option<Instant>,
}

/// The last attempts, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RegistrationHistory(VecDeque<RegistrationAttempt>);

impl RegistrationHistory {
    pub(crate) fn push(&mut self, attempt: RegistrationAttempt) {
        if self.0.len() >= MAX_ATTEMPTS {
            self.0.pop_front();
        }
        self.0.push_back(attempt);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RegistrationAttempt> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_twenty_are_kept() {
        let at = crate::timer::epoch();
        let mut history = RegistrationHistory::default();
        for n in 0..100 {
            history.push(RegistrationAttempt {
                at,
                server: None,
                result: n.to_string(),
                next: None,
            });
        }
        let results: Vec<&str> = history.iter().map(|a| a.result.as_str()).collect();
        assert_eq!(results.len(), MAX_ATTEMPTS);
        assert_eq!((results[0], results[19]), ("80", "99"));
    }
}
