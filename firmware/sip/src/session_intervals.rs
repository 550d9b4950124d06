//! What the owner wants of session timers (RFC 4028).

/// Smallest interval any phone may insist on, in seconds (section 4).
pub(crate) const MIN_SE_S: u32 = 90;
/// Largest interval that a 422 or a Min-SE can make us ask for, in seconds.
pub(crate) const MAX_SE_S: u32 = 86_400;

/// What the owner wants of session timers, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionIntervals {
    /// Longest time between two signs that the far end is still in the call; `None`: not asked
    /// for, though kept where the far end asks.
    pub wanted_s: Option<u32>,
    /// It is wanted of callers that do not ask for it, too.
    pub of_callers: bool,
    /// Shortest interval taken (Min-SE); 90 at least.
    pub min_s: u32,
}

impl Default for SessionIntervals {
    fn default() -> Self {
        Self {
            wanted_s: None,
            of_callers: false,
            min_s: MIN_SE_S,
        }
    }
}

impl SessionIntervals {
    /// The shortest interval that is taken.
    pub(crate) fn min(self) -> u32 {
        self.min_s.clamp(MIN_SE_S, MAX_SE_S)
    }
}
