//! The second try with credentials (RFC 3261 section 22): whom they are shown, and how often.
//!
//! ```text
//! 401, 407 ─▶ asked by the account's own server? ─▶ strong enough? ─▶ not answered before, or stale? ─▶ again, CSeq + 1
//! ```

use crate::api::AccountConfig;
use crate::digest;
use crate::message::{CSeq, Request, Response};
use crate::token::Tokens;

/// Most times one request is sent again with credentials.
const MAX_ROUNDS: u8 = 4;

/// The challenges one request is answering.
#[derive(Debug, Default)]
pub(super) struct Authentication {
    sessions: Vec<digest::DigestSession>,
    rounds: u8,
    /// A second challenge was taken for a stale one already.
    forgiven: bool,
}

/// What became of a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The request carries credentials now, under this `CSeq` number.
    Authorized(u32),
    /// There is nothing to answer with, or it was refused already: the response is the outcome.
    Final,
    /// Credentials there are, but no challenge they may be shown to.
    TooWeak,
}

impl Authentication {
    /// Puts the credentials a challenge asks for into the request. The caller has made sure that
    /// the asking server is one of the account's, or may ask in this `realm`. `proven`: the
    /// account's own took this password before.
    pub(super) fn answer(
        &mut self,
        response: &Response,
        request: &mut Request,
        account: &AccountConfig,
        (realm, proven): (Option<&str>, bool),
        tokens: &mut Tokens,
    ) -> Answer {
        if self.rounds >= MAX_ROUNDS {
            return Answer::Final;
        }
        let mut understood = digest::challenges(&response.headers);
        if let Some(realm) = realm {
            understood.retain(|challenge| challenge.realm == realm);
        }
        let any = !understood.is_empty();
        let strong: Vec<_> = understood
            .into_iter()
            .filter(|challenge| challenge.algorithm.hash >= account.weakest_hash)
            .collect();
        if strong.is_empty() && any {
            return Answer::TooWeak;
        }
        let chosen = digest::choose(strong);
        let Ok(cseq) = request.headers.cseq() else {
            return Answer::Final;
        };
        if chosen.is_empty() {
            return Answer::Final;
        }
        for challenge in chosen {
            let same = |session: &&mut digest::DigestSession| {
                session.challenge().asker == challenge.asker
                    && session.challenge().realm == challenge.realm
            };
            match self.sessions.iter_mut().find(same) {
                // Some servers renew a nonce without saying that the old one was stale. Where the
                // password is known to be right that is believed once.
                Some(session)
                    if proven
                        && !self.forgiven
                        && !challenge.stale
                        && session.challenge().nonce != challenge.nonce =>
                {
                    self.forgiven = true;
                    *session = digest::DigestSession::new(challenge);
                }
                // Answered already and not stale: the password is wrong, and asking again would
                // only lock the account.
                Some(_) if !challenge.stale => return Answer::Final,
                Some(session) => *session = digest::DigestSession::new(challenge),
                None => self.sessions.push(digest::DigestSession::new(challenge)),
            }
        }
        self.rounds += 1;
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
        for session in &mut self.sessions {
            let credentials = digest::Credentials {
                user: &account.auth_user,
                password: &account.password,
            };
            let protected = digest::Protected {
                method: &request.method,
                uri: &uri,
                body: &request.body,
            };
            let value = session.authorize(credentials, protected, &tokens.word(16));
            request.headers.push(session.header(), value);
        }
        Answer::Authorized(number)
    }
}
