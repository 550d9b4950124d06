//! What is heard of a call that we placed before it is answered: of one branch at a time.

use std::net::SocketAddr;
use std::time::Instant;

use media::{Command, OtherSources, StreamId};
use phone::{CallId, CallUpdate, Input};
use sip::offer_answer::Negotiated;

use super::{Control, call_span};
use crate::early_branches::{Choice, EarlyBranches};

impl Control {
    /// A branch described its media. One that is heard goes on being heard until the new one sends.
    pub(super) fn describe_branch(
        &mut self,
        call: CallId,
        branch: u32,
        media: Negotiated,
        now: Instant,
    ) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let (heard, received) = (record.early_sound.is_heard(), record.stats.received);
        let branches = &mut record.early_branches;
        if branches.describe(branch, &media, heard, received) {
            self.agree(call, media, now);
        } else {
            self.expect_dtls(call, &media, now);
        }
        self.watch_branches(call);
    }

    /// It was answered: no other branch is heard any more.
    pub(super) fn forget_branches(&mut self, call: CallId) {
        if let Some(record) = self.calls.get(call) {
            record.early_branches = EarlyBranches::default();
            self.watch_branches(call);
        }
    }

    /// Tells the engine which other branches may send.
    fn watch_branches(&mut self, call: CallId) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let sources: OtherSources = record.early_branches.others().collect();
        let Some(id) = record.stream.filter(|_| record.in_engine > 0) else {
            return;
        };
        if record.watched != sources {
            record.watched = sources;
            self.outbox.media(Command::WatchSources { id, sources });
        }
    }

    /// A branch that is not heard sends.
    pub(super) fn on_other_source(&mut self, id: StreamId, from: SocketAddr, now: Instant) {
        let early = self.calls.by_stream(id);
        let Some(record) = early.filter(|record| record.has_early_media()) else {
            return;
        };
        let (call, received) = (record.id, record.stats.received);
        let heard = record.early_sound.is_heard();
        if let Some(choice) = record.early_branches.on_source(from, heard, received, now) {
            let heard = self.hear_branch(call, choice, now);
            self.on_early_sound(call, heard, now);
        }
    }

    /// Figures of what is heard came: whether it goes on, or another branch is heard instead.
    pub(super) fn on_early_figures(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call).filter(|call| call.has_early_media()) else {
            return;
        };
        let received = record.stats.received;
        let mut heard = record.early_sound.on_figures(received);
        if heard == Some(false)
            && let Some(choice) = record.early_branches.on_silence(received, now)
            && self.hear_branch(call, choice, now).is_some()
        {
            heard = None;
        }
        self.on_early_sound(call, heard, now);
    }

    /// Another branch is heard from now on. Returns what changed.
    fn hear_branch(&mut self, call: CallId, choice: Choice, now: Instant) -> Option<bool> {
        let _span = call_span(call);
        tracing::debug!(
            "early media of another branch, at {}",
            choice.media.remote_rtp
        );
        self.agree(call, choice.media, now);
        self.watch_branches(call);
        let record = self.calls.get(call)?;
        let heard = choice.audible.then(|| record.early_sound.on_first());
        heard.flatten()
    }

    /// The far end is heard before it answers, or is heard no more.
    pub(super) fn on_early_sound(&mut self, call: CallId, heard: Option<bool>, now: Instant) {
        if let Some(heard) = heard {
            let update = CallUpdate::EarlySound(heard);
            self.phone.handle(Input::Call(call, update), now);
        }
    }
}
