//! What the notifiers of one subscription say together.

use super::leg::Content;
use super::{Subscription, SubscriptionAction, Topic};
use crate::event_body::{MessageSummary, WatchedState};

impl Subscription {
    /// What all notifiers say together, where that is news.
    pub(super) fn report(&mut self) -> Vec<SubscriptionAction> {
        let action = match self.topic {
            Topic::Registration => None,
            Topic::Messages => {
                let all = self.legs.iter().filter_map(|leg| match &leg.content {
                    Content::Messages(summary) => summary.clone(),
                    Content::Dialogs(_) | Content::Registration => None,
                });
                // Where no one says anything any more, what was said last holds.
                all.reduce(MessageSummary::merged)
                    .map(SubscriptionAction::Messages)
            }
            Topic::Dialogs { .. } => {
                let all = self.legs.iter().map(|leg| match &leg.content {
                    Content::Dialogs(table) => table.state(),
                    Content::Messages(_) | Content::Registration => WatchedState::Unknown,
                });
                let state = all.max_by_key(|state| match state {
                    WatchedState::Unknown => 0,
                    WatchedState::Idle => 1,
                    WatchedState::Busy => 2,
                    WatchedState::Ringing => 3,
                });
                let state = state.unwrap_or_default();
                (self.reported.replace(state) != Some(state))
                    .then_some(SubscriptionAction::Watched(state))
            }
        };
        action.into_iter().collect()
    }
}
