//! Answers, and their absence, for as long as they hold.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::question::{Answer, AskError, Question, Record};

/// Questions whose answer is kept.
const MAX_ENTRIES: usize = 128;

/// What is known of a question.
pub(super) type Known = Result<Vec<Record>, AskError>;

/// The cache.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Question, (Instant, Known)>,
}

impl Cache {
    /// What is known now.
    pub(super) fn get(&self, question: &Question, now: Instant) -> Option<&Known> {
        let (until, known) = self.entries.get(question)?;
        (now < *until).then_some(known)
    }

    /// An answer came.
    pub(super) fn keep(&mut self, question: Question, answer: &Answer, now: Instant) {
        self.insert(question, answer.ttl, Ok(answer.records.clone()), now);
    }

    /// No answer came; that is believed for a while (RFC 2308 section 7).
    pub(super) fn keep_failure(
        &mut self,
        question: Question,
        error: AskError,
        holds: Duration,
        now: Instant,
    ) {
        self.insert(question, holds, Err(error), now);
    }

    /// Another network may answer differently.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    fn insert(&mut self, question: Question, holds: Duration, known: Known, now: Instant) {
        if holds.is_zero() {
            self.entries.remove(&question);
            return;
        }
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.retain(|_, (until, _)| now < *until);
        }
        if self.entries.len() >= MAX_ENTRIES {
            self.entries.clear();
        }
        self.entries.insert(question, (now + holds, known));
    }
}
