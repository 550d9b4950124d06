//! The branches of a forked call that may be heard before it is answered: the newest one that sends
//! is, one at a time (RFC 3960 section 3.2).
//!
//! ```text
//! 183 with a description ─▶ describe ─┐
//! engine: another one sends ─▶ on_source ─┼─▶ the branch to hear now ─▶ agree
//! engine: silence ─▶ on_silence ──────┘
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::offer_answer::Negotiated;

/// How long ago one that still sends was reported at most: the engine says so twice a second.
const RECENT: Duration = Duration::from_millis(1500);
/// Most branches kept: as many as the engine watches, and the one that is heard.
const MAX_BRANCHES: usize = 9;

/// One branch.
#[derive(Debug)]
struct Branch {
    number: u32,
    media: Negotiated,
    /// When it was last known to send while another one was heard.
    sent_at: Option<Instant>,
    /// It was chosen because it sends, and nothing of it could be heard: it has other keys, or
    /// somebody else sends in its name.
    unheard: bool,
}

impl Branch {
    fn choice(&self) -> Choice {
        Choice {
            media: self.media.clone(),
            audible: !self.unheard,
        }
    }
}

/// A branch to be heard from now on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    /// What is agreed with it.
    pub(crate) media: Negotiated,
    /// What it sends can be heard, as far as is known.
    pub(crate) audible: bool,
}

/// The branches of one call that described their media, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct EarlyBranches {
    branches: Vec<Branch>,
    /// The number of the one that is chosen, and how many packets were received before.
    chosen: Option<(u32, u64)>,
}

impl EarlyBranches {
    /// A branch describes its media. `heard`: the one that is chosen is heard. Returns whether this
    /// one is chosen.
    pub(crate) fn describe(
        &mut self,
        number: u32,
        media: &Negotiated,
        heard: bool,
        received: u64,
    ) -> bool {
        self.branches.retain(|branch| branch.number != number);
        let at = self.branches.partition_point(|b| b.number < number);
        let branch = Branch {
            number,
            media: media.clone(),
            sent_at: None,
            unheard: false,
        };
        self.branches.insert(at, branch);
        let chosen = self.chosen.map(|(chosen, _)| chosen);
        let becomes = chosen == Some(number) || chosen.is_none() || !heard;
        if becomes {
            self.chosen = Some((number, received));
        }
        if self.branches.len() > MAX_BRANCHES {
            let chosen = self.chosen.map(|(chosen, _)| chosen);
            let oldest = self.branches.iter().position(|b| Some(b.number) != chosen);
            oldest.map(|oldest| self.branches.remove(oldest));
        }
        becomes
    }

    /// Another branch sends from this address. Returns it where it is to be heard from now on: it
    /// is newer, or the one that is chosen is silent.
    pub(crate) fn on_source(
        &mut self,
        from: SocketAddr,
        heard: bool,
        received: u64,
        now: Instant,
    ) -> Option<Choice> {
        let chosen = self.chosen.map(|(chosen, _)| chosen);
        let mut branches = self.branches.iter_mut().rev();
        let branch = branches
            .find(|branch| branch.media.remote_rtp == from && Some(branch.number) != chosen)?;
        branch.sent_at = Some(now);
        let newer = chosen.is_none_or(|chosen| branch.number > chosen);
        (!branch.unheard && newer || !heard).then(|| {
            self.chosen = Some((branch.number, received));
            branch.choice()
        })
    }

    /// The branch that is chosen fell silent. Returns the newest of the others that still sends.
    pub(crate) fn on_silence(&mut self, received: u64, now: Instant) -> Option<Choice> {
        let (chosen, before) = self.chosen?;
        for branch in &mut self.branches {
            branch.unheard |= branch.number == chosen && received == before;
        }
        let sends = |branch: &&Branch| {
            let recent = |at| now.saturating_duration_since(at) <= RECENT;
            branch.number != chosen && branch.sent_at.is_some_and(recent)
        };
        let next = self.branches.iter().rev().find(sends)?;
        self.chosen = Some((next.number, received));
        Some(next.choice())
    }

    /// Where the branches that are not chosen send from, the newest first.
    pub(crate) fn others(&self) -> impl Iterator<Item = SocketAddr> {
        let chosen = self.chosen.map(|(chosen, _)| chosen);
        let is_chosen = move |branch: &&Branch| Some(branch.number) == chosen;
        let heard = self.branches.iter().find(is_chosen);
        let heard = heard.map(|branch| branch.media.remote_rtp);
        let others = self.branches.iter().rev().map(|b| b.media.remote_rtp);
        others.filter(move |address| Some(*address) != heard)
    }
}

#[cfg(test)]
mod tests;
