//! The second try with credentials (RFC 3261 section 22): whom they are shown, and how often.
//!
//! ```text
//! 401, 407 ─▶ account of the request? ─▶ asked by its own server? ─▶ strong enough? ─▶ not answered before, or stale? ─▶ again, CSeq + 1
//! ```

use std::time::Instant;

use crate::agent::UserAgent;
use crate::api::Event;
use crate::digest;
use crate::ids::RequestId;
use crate::message::{CSeq, Response};

/// Most times one request is sent again with credentials.
const MAX_LOGINS: u8 = 4;

impl UserAgent {
    /// Answers a challenge, if there are credentials, they may be shown to who asks, and they were
    /// not refused just now. `true`: the request is on its way again, or given up with words of its
    /// own.
    pub(super) fn log_in(&mut self, id: RequestId, response: &Response, now: Instant) -> bool {
        let Some(outgoing) = self.outgoing.get_mut(&id) else {
            return false;
        };
        let Some(account) = outgoing.account else {
            return false;
        };
        let (Some(config), Some(line)) =
            (self.config.accounts.get(account), self.lines.get(account))
        else {
            return false;
        };
        let Some(current) = outgoing.current else {
            return false;
        };
        if config.password.is_empty() || outgoing.login_rounds >= MAX_LOGINS {
            return false;
        }
        if !line.trusts(&outgoing.hop.host, current.target.address.ip()) {
            self.events.push_back(Event::Note(format!(
                "{} asks for a password and is not the server of account {}: none is given",
                current.target.address, config.user
            )));
            return false;
        }
        let understood = digest::challenges(&response.headers);
        let weak = understood.len();
        let strong: Vec<_> = understood
            .into_iter()
            .filter(|challenge| challenge.algorithm.hash >= config.weakest_hash)
            .collect();
        if strong.is_empty() && weak > 0 {
            let reason = format!(
                "{} asks for the password by MD5 only, which account {} does not give (digest = \"sha-256\"); let the server offer \
                 SHA-256, or allow MD5 by digest = \"any\"",
                current.target.address, config.user
            );
            self.give_up(id, response.code(), &reason);
            return true;
        }
        let chosen = digest::choose(strong);
        if chosen.is_empty() {
            return false;
        }
        for challenge in chosen {
            let same = |session: &&mut digest::Session| {
                session.challenge().asker == challenge.asker
                    && session.challenge().realm == challenge.realm
            };
            match outgoing.logins.iter_mut().find(same) {
                // Answered already and not stale: the password is wrong, and asking again would
                // only lock the account.
                Some(_) if !challenge.stale => return false,
                Some(session) => *session = digest::Session::new(challenge),
                None => outgoing.logins.push(digest::Session::new(challenge)),
            }
        }
        outgoing.login_rounds += 1;
        let request = &mut outgoing.request;
        let Ok(cseq) = request.headers.cseq() else {
            return false;
        };
        let number = cseq.number.saturating_add(1);
        request.headers.set(
            "CSeq",
            CSeq {
                number,
                method: cseq.method,
            },
        );
        request.headers.remove("Authorization");
        request.headers.remove("Proxy-Authorization");
        let uri = request.uri.to_string();
        for session in &mut outgoing.logins {
            let who = digest::Credentials {
                user: &config.auth_user,
                password: &config.password,
            };
            let what = digest::Protected {
                method: &request.method,
                uri: &uri,
                body: &request.body,
            };
            let value = session.authorize(who, what, &self.tokens.word(16));
            request.headers.push(session.header(), value);
        }
        let (purpose, current) = (outgoing.purpose.clone(), current);
        self.numbered(&purpose, number);
        if !self.send_attempt(id, current, now) {
            self.give_up(id, 503, "it cannot be sent");
        }
        true
    }
}
