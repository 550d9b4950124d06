//! Who may ring: requests count only from a server this phone knows, to an address nobody can
//! guess, or where direct calls are allowed. Everybody else is dropped without a word, so that a
//! scanner learns nothing, not even that a phone is here.
//!
//! ```text
//! request ─┬─ inside a dialog (unguessable tags) ──────────────▶ in
//!          ├─ to our registered contact's random user ─────────▶ in, by that account
//!          ├─ from an address of an account's servers ─────────▶ in, by that account
//!          ├─ direct calls allowed ────────────────────────────▶ in
//!          └─ else ────────────────────────────────────────────▶ dropped, counted
//! ```

use crate::agent::UserAgent;
use crate::flow::{Flow, Transport};
use crate::message::Request;

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// By an account.
    Account(usize),
    /// Without one.
    Direct,
}

impl UserAgent {
    /// Whether a request outside of any dialog may come in, and by which account.
    pub(crate) fn admit(&self, flow: Flow, request: &Request) -> Option<Entry> {
        let user = request.uri.user().unwrap_or_default();
        // A line that speaks TLS hears nothing else: the address of a datagram proves nothing.
        let fits = |line: usize| {
            flow.is_secure()
                || self
                    .config
                    .accounts
                    .get(line)
                    .is_none_or(|a| a.transport != Transport::Tls)
        };
        if let Some(line) = self
            .lines
            .iter()
            .position(|line| line.contact_user() == user)
        {
            return fits(line).then_some(Entry::Account(line));
        }
        let ip = flow.remote().ip();
        let known = |line: &usize| self.lines[*line].knows(ip) && fits(*line);
        let called = |line: &usize| {
            let to = request.headers.to().ok().and_then(|to| to.uri.user());
            self.config
                .accounts
                .get(*line)
                .is_some_and(|a| a.user == user || Some(&a.user) == to.as_ref())
        };
        let lines = || (0..self.lines.len()).filter(known);
        if let Some(line) = lines().find(called).or_else(|| lines().next()) {
            // Direct calls from the server's own host name neither account: they are no line's.
            if self.config.direct_calls && !called(&line) {
                return Some(Entry::Direct);
            }
            return Some(Entry::Account(line));
        }
        self.config.direct_calls.then_some(Entry::Direct)
    }

    /// Whether an unreadable request from here deserves an answer.
    pub(crate) fn answers(&self, flow: Flow) -> bool {
        self.config.direct_calls || self.lines.iter().any(|line| line.knows(flow.remote().ip()))
    }
}
