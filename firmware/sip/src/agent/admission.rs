//! Which account, if any, a request outside of a dialog belongs to; what belongs to none is
//! decided by [`Admission`](crate::admission::Admission).

use std::time::Instant;

use crate::admission::{Decision, Origin};
use crate::flow::{Flow, Transport};
use crate::message::{Method, Request};

use super::UserAgent;

/// How an account has to do with a request.
enum ByAccount {
    /// It is the account's.
    Yes(usize),
    /// It comes from an account's server, and is for no account.
    FromServer,
    /// It is for an account, by a transport that proves nothing.
    Insecure,
    No,
}

impl UserAgent {
    /// What is done with a request outside of any dialog.
    pub(super) fn admit(&mut self, flow: Flow, request: &Request, now: Instant) -> Decision {
        match self.by_account(flow, request) {
            ByAccount::Yes(account) => Decision::Admit(Origin::Account(account)),
            ByAccount::FromServer => Decision::Admit(Origin::Known),
            ByAccount::Insecure => Decision::Drop,
            ByAccount::No => {
                let user = request.headers.from().ok().and_then(|from| from.uri.user());
                let proven = flow.connection().is_some_and(|connection| {
                    self.transport.connections.has_proved_name(connection)
                });
                let (ip, invite) = (flow.remote().ip(), request.method == Method::Invite);
                self.admission
                    .decide(ip, user.as_deref(), proven, invite, now)
            }
        }
    }

    /// The account a request belongs to.
    pub(super) fn account_by(&self, flow: Flow, request: &Request) -> Option<usize> {
        match self.by_account(flow, request) {
            ByAccount::Yes(account) => Some(account),
            ByAccount::FromServer | ByAccount::Insecure | ByAccount::No => None,
        }
    }

    fn by_account(&self, flow: Flow, request: &Request) -> ByAccount {
        let user = request.uri.user().unwrap_or_default();
        // An account that uses TLS accepts nothing else: the address of a datagram proves nothing.
        let fits = |account: usize| {
            flow.is_secure()
                || self
                    .env
                    .config
                    .accounts
                    .get(account)
                    .is_none_or(|a| a.transport != Transport::Tls)
        };
        if let Some(account) = self
            .registrations
            .iter()
            .position(|registration| registration.contact_user() == user)
        {
            return if fits(account) {
                ByAccount::Yes(account)
            } else {
                ByAccount::Insecure
            };
        }
        let ip = flow.remote().ip();
        let known = |account: &usize| {
            self.registrations[*account].servers().has_address(ip) && fits(*account)
        };
        let called = |account: &usize| {
            let to = request.headers.to().ok().and_then(|to| to.uri.user());
            self.env
                .config
                .accounts
                .get(*account)
                .is_some_and(|a| a.user == user || Some(&a.user) == to.as_ref())
        };
        let accounts = || (0..self.registrations.len()).filter(known);
        match accounts().find(called).or_else(|| accounts().next()) {
            // Direct calls from the server's own host name neither account.
            Some(account) if self.admission.is_open() && !called(&account) => ByAccount::FromServer,
            Some(account) => ByAccount::Yes(account),
            None => ByAccount::No,
        }
    }

    /// Whether an unreadable request from here deserves an answer.
    pub(super) fn answers(&mut self, flow: Flow, now: Instant) -> bool {
        let ip = flow.remote().ip();
        self.registrations
            .iter()
            .any(|registration| registration.servers().has_address(ip))
            || matches!(
                self.admission.decide(ip, None, false, false, now),
                Decision::Admit(_)
            )
    }

    /// A call of someone known came in: strangers' calls that no one has answered make room for it.
    pub(super) fn make_room_for_known(&mut self, now: Instant) {
        for handle in self.admission.stranger_calls().to_vec() {
            self.on_call(handle, now, |call, turn| {
                if call.is_ringing() {
                    call.reject(486, turn);
                }
            });
        }
    }
}
