//! How full the tables are, and what was counted.

use crate::api::{Counters, Tables};
use crate::call::Call;
use crate::transaction::client;
use crate::transaction::table::ClientEntry;

use super::UserAgent;

impl UserAgent {
    /// What was seen and dropped.
    pub fn counters(&self) -> Counters {
        self.transport.counters
    }

    /// How full the tables are.
    pub fn tables(&self) -> Tables {
        Tables {
            client_transactions: self.clients.len() + self.requests_without_transaction(),
            server_transactions: self.servers.len(),
            dialogs: self.calls.values().map(Call::dialog_count).sum::<usize>()
                + self.subscriptions.orphans()
                + self.subscription_dialogs(),
            calls: self.calls.len(),
            lookups: self.lookups.len(),
        }
    }

    /// Requests of ours that still wait for their final answer: when it is 0 after
    /// [`UserAgent::shut_down`], every far end has answered, though answered transactions linger
    /// for repetitions.
    pub fn unanswered(&self) -> usize {
        let waiting = |entry: &ClientEntry| match entry.machine.state() {
            client::State::Calling | client::State::Proceeding => true,
            client::State::Completed | client::State::Accepted | client::State::Done => false,
        };
        self.requests_without_transaction()
            + self
                .clients
                .iter()
                .filter(|(_, entry)| waiting(entry))
                .count()
    }

    fn requests_without_transaction(&self) -> usize {
        let requests = self.requests.values();
        requests
            .filter(|request| request.transaction().is_none())
            .count()
    }
}
