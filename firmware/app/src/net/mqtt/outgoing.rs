//! What waits for the broker: the newest state of each topic, and a few events. A broker that is
//! slow, or gone, makes nothing grow, and no one wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::Publication;
use tokio::sync::Notify;

/// Most messages that wait: more than the phone has topics.
const MOST: usize = 128;

/// The driver's end. Dropped, the connection is closed in good order.
pub(crate) struct Sender(Arc<Outgoing>);

/// The task's end.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    waiting: Mutex<VecDeque<Publication>>,
    is_closed: AtomicBool,
    news: Notify,
    closing: Notify,
}

/// Both ends.
pub(super) fn channel() -> (Sender, Arc<Outgoing>) {
    let outgoing = Arc::new(Outgoing::default());
    (Sender(Arc::clone(&outgoing)), outgoing)
}

impl Sender {
    /// One message more. A state takes the place of an older one that still waits; when there are
    /// too many the oldest event is left out.
    pub(crate) fn send(&self, publication: Publication) {
        let mut waiting = self.0.waiting();
        if publication.retain {
            waiting.retain(|older| older.topic != publication.topic);
        }
        if waiting.len() >= MOST {
            let event = waiting.iter().position(|older| !older.retain);
            waiting.remove(event.unwrap_or(0));
        }
        waiting.push_back(publication);
        drop(waiting);
        self.0.news.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.news.notify_one();
        self.0.closing.notify_one();
    }
}

impl Outgoing {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Publication>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message; none: there are no more. Nothing is lost when this is given up.
    pub(super) async fn next(&self) -> Option<Publication> {
        loop {
            let news = self.news.notified();
            if let Some(publication) = self.waiting().pop_front() {
                return Some(publication);
            }
            if self.is_closed.load(Ordering::Acquire) {
                return None;
            }
            news.await;
        }
    }

    /// The driver's end is gone.
    pub(super) async fn closed(&self) {
        while !self.is_closed.load(Ordering::Acquire) {
            self.closing.notified().await;
        }
    }

    /// Forgets what waits.
    pub(super) fn clear(&self) {
        self.waiting().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(topic: &str, payload: usize, retain: bool) -> Publication {
        Publication {
            topic: topic.to_owned(),
            payload: payload.to_string(),
            retain,
        }
    }

    #[tokio::test]
    async fn of_each_state_the_newest_waits_and_a_flood_of_events_is_cut() {
        let (sender, outgoing) = channel();
        for round in 0..1000 {
            sender.send(publication("ringing", round, true));
            sender.send(publication("event", round, false));
        }
        assert_eq!(outgoing.waiting().len(), MOST);
        drop(sender);
        let mut states = Vec::new();
        let mut last_event = String::new();
        while let Some(next) = outgoing.next().await {
            if next.retain {
                states.push(next.payload);
            } else {
                last_event = next.payload;
            }
        }
        assert_eq!(states, ["999"]);
        assert_eq!(last_event, "999");
        outgoing.closed().await;
    }

    #[tokio::test]
    async fn order_is_kept_and_a_waiting_task_wakes() {
        let (sender, outgoing) = channel();
        let task = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(next) = outgoing.next().await {
                seen.push(next.topic);
            }
            seen
        });
        tokio::task::yield_now().await;
        for topic in ["a", "b", "c"] {
            sender.send(publication(topic, 0, true));
            tokio::task::yield_now().await;
        }
        drop(sender);
        assert_eq!(task.await.unwrap(), ["a", "b", "c"]);
    }
}
