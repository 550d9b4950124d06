//! The DTLS side of one media socket: who may handshake there, and whose handshake counts.
//!
//! ```text
//!               before the answer is known                     after it
//! ClientHello ─▶ candidate (passive), runs, proves nothing ─▶ certificate = a fingerprint of the answer? ─▶ Secured
//! agree(active) ─────────────────────────────────▶ candidate (active), to the announced address ─▶ the same ─▶ Secured
//!                                                               otherwise, or too late, or an error ───────▶ Failed
//! ```
//!
//! Rules, and why:
//! - A candidate is one address. Several may run side by side (forks, strangers); the first whose
//!   certificate has an agreed fingerprint wins, and only its address will send and get media.
//! - A wrong certificate from the announced address is an attack or a mistake, and fails the
//!   association. From elsewhere it is a stranger, or a fork whose answer is still to come: it is
//!   kept, bounded, and gets nothing.
//! - Until the call is established, each branch of it is an address of its own: its handshake runs
//!   whichever branch is agreed on, and its keys are kept, so that it can be heard as soon as it
//!   sends, and again after another one.
//! - What strangers can cost is bounded: [`MAX_CANDIDATES`] at once, [`MAX_TRIES`] in all, each
//!   begun by a whole `ClientHello` only.

mod branches;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256, Sha384, Sha512};
use sip::media_security::{Fingerprint, HashName, Setup};

use branches::Branches;

use super::handshake::{Handshake, HandshakeError, HandshakeFactory, LONGEST, Secrets};
use super::record_filter;
use crate::credentials::colons;

/// Handshakes side by side on one socket.
const MAX_CANDIDATES: usize = 4;
/// Handshakes begun between two agreements: with the announced address, and as many with everybody
/// else.
const MAX_TRIES: u32 = 16;
/// How long a handshake may still come to its end after an alert in clear said it will not: anybody
/// can write one.
const AFTER_ALERT: Duration = Duration::from_secs(2);
/// Errors with the announced address until the association is given up: one forged datagram must
/// not end a call.
const MAX_ERRORS: u32 = 3;

/// What was agreed in signalling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// Our role.
    pub(crate) setup: Setup,
    /// The peer's certificate must match these.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// Where the peer says it is.
    pub(crate) announced: SocketAddr,
    /// The call is established. Until then (early media, forks) no failure is final.
    pub(crate) established: bool,
}

/// Why there are no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The certificate shown is not the one signalling named.
    #[error(
        "the certificate shown by {from} is not the one its signalling named: it has SHA-256 \
         {shown}; somebody may be in between"
    )]
    WrongCertificate {
        /// Who showed it.
        from: SocketAddr,
        /// Its fingerprint.
        shown: String,
    },
    /// The handshake failed.
    #[error("the DTLS handshake with {from} failed: {why}")]
    Handshake {
        /// With whom.
        from: SocketAddr,
        /// Why.
        why: HandshakeError,
    },
    /// No handshake in time.
    #[error("no DTLS handshake with {announced} within {} s", LONGEST.as_secs())]
    Silence {
        /// Who should have come.
        announced: SocketAddr,
    },
}

/// A verified peer.
#[derive(Debug, Clone)]
pub struct Secured {
    /// Its address: media goes there and comes from there only.
    pub peer: SocketAddr,
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
    /// Keys and the short authentication string.
    pub secrets: Secrets,
}

/// What the owner should know.
#[derive(Debug)]
pub(crate) enum AssociationEvent {
    /// Keys are there, and belong to whom signalling said: [`Association::secured`].
    Secured,
    /// There will be none.
    Failed(Failure),
}

struct Candidate {
    peer: SocketAddr,
    role: Setup,
    handshake: Handshake,
    /// The handshake is complete.
    secrets: Option<Secrets>,
    /// A fatal alert in clear said it failed; when that is believed, and what it said.
    alert: Option<(Instant, u8)>,
}

impl Candidate {
    fn poll_timeout(&self) -> Option<Instant> {
        let alert = self.alert.map(|(at, _)| at);
        self.handshake.poll_timeout().into_iter().chain(alert).min()
    }
}

/// One socket's association.
pub(crate) struct Association {
    agreed: Option<Agreement>,
    candidates: Vec<Candidate>,
    branches: Branches,
    tries: u32,
    strangers: u32,
    errors: u32,
    deadline: Option<Instant>,
    secured: Option<Secured>,
    failed: Option<Failure>,
    event: VecDeque<AssociationEvent>,
    out: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// IPv4 in IPv6 clothes is IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn reachable(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

/// Whether a datagram begins a handshake: a record of epoch 0 with a whole `ClientHello` header in
/// it. Nothing else makes a candidate.
fn is_client_hello(datagram: &[u8]) -> bool {
    const RECORD: usize = 13;
    const HELLO: usize = 12 + 2 + 32;
    matches!(datagram, [22, 254, _, 0, 0, ..])
        && datagram.len() >= RECORD + HELLO
        && datagram[RECORD] == 1
}

/// RFC 8122 section 5: of every hash the peer used, one fingerprint must be the certificate's. None
/// at all matches nothing.
pub(crate) fn matches(certificate: &[u8], fingerprints: &[Fingerprint]) -> bool {
    let of = |hash: HashName| match hash {
        HashName::Sha256 => Sha256::digest(certificate).to_vec(),
        HashName::Sha384 => Sha384::digest(certificate).to_vec(),
        HashName::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    !fingerprints.is_empty()
        && fingerprints.iter().all(|wanted| {
            let is = of(wanted.hash);
            fingerprints
                .iter()
                .any(|one| one.hash == wanted.hash && one.bytes == is)
        })
}

impl Association {
    /// Nothing agreed yet: whoever says hello is heard, and gets nothing.
    pub(crate) fn new() -> Self {
        Self {
            agreed: None,
            candidates: Vec::new(),
            branches: Branches::default(),
            tries: 0,
            strangers: 0,
            errors: 0,
            deadline: None,
            secured: None,
            failed: None,
            event: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    /// Keys of the agreement in force.
    pub(crate) fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    /// Signalling agreed, again or for the first time. The same fingerprints at the same address:
    /// everything stays as it is (RFC 5763 section 6.6). An address of 0.0.0.0 (hold) is no
    /// address.
    pub(crate) fn agree(
        &mut self,
        mut agreed: Agreement,
        factory: &HandshakeFactory,
        now: Instant,
    ) {
        if let Some(before) = &self.agreed {
            if !reachable(agreed.announced) {
                agreed.announced = before.announced;
            }
            if before.fingerprints == agreed.fingerprints
                && plain(before.announced) == plain(agreed.announced)
            {
                let becomes_established = agreed.established && !before.established;
                // Roles of a running association do not change, whatever a later offer says.
                agreed.setup = before.setup;
                agreed.established |= before.established;
                self.agreed = Some(agreed);
                if becomes_established {
                    self.forget_branches();
                }
                if becomes_established && self.secured.is_none() {
                    self.drain(factory, now);
                }
                return;
            }
        }
        let was_early = self
            .agreed
            .as_ref()
            .is_none_or(|before| !before.established);
        let early = was_early && !agreed.established;
        if early {
            self.branches.remember(agreed.announced);
        }
        tracing::debug!("DTLS: {:?} towards {}", agreed.setup, agreed.announced);
        let before = self.secured.take().map(|secured| secured.peer);
        self.failed = None;
        self.tries = 0;
        self.strangers = 0;
        self.errors = 0;
        self.event.clear();
        // What was in use under another agreement, or ran with the announced address or in the
        // other role, is over. Others may be forks, and of a call that is not established they are.
        let (setup, announced) = (agreed.setup, agreed.announced);
        self.candidates.retain(|candidate| {
            let is_announced = plain(candidate.peer) == plain(announced);
            if early && !is_announced {
                return true;
            }
            let certificate = candidate.handshake.certificate();
            let wrong =
                certificate.is_some_and(|certificate| !matches(certificate, &agreed.fingerprints));
            let used = before == Some(candidate.peer);
            candidate.role == setup && !used && !(wrong && is_announced)
        });
        let established = agreed.established;
        self.agreed = Some(agreed);
        if established {
            self.forget_branches();
        }
        self.evaluate_candidates();
        if self.secured.is_some() {
            return;
        }
        self.deadline = established.then_some(now + LONGEST);
        self.begin_active(factory, now);
    }

    /// Another branch of a call that is not established: where it waits for our `ClientHello` it
    /// gets one, and nothing else changes.
    pub(crate) fn expect(&mut self, branch: &Agreement, factory: &HandshakeFactory, now: Instant) {
        let established = self
            .agreed
            .as_ref()
            .is_some_and(|agreed| agreed.established);
        if established || branch.established || !reachable(branch.announced) {
            return;
        }
        self.branches.remember(branch.announced);
        let at = plain(branch.announced);
        let runs = self.candidates.iter().any(|one| plain(one.peer) == at);
        if branch.setup == Setup::Active && !runs {
            self.begin(branch.announced, Setup::Active, factory, now);
        }
    }

    /// The call is established: only whom it was agreed on with is of interest from now on.
    fn forget_branches(&mut self) {
        let branches = std::mem::take(&mut self.branches);
        let Some(agreed) = &self.agreed else { return };
        self.candidates.retain(|candidate| {
            candidate.role == agreed.setup && !branches.is_of_another(candidate.peer, agreed)
        });
    }

    /// The call is established now. A wrong certificate counts; what else came to nothing before is
    /// tried once more.
    fn drain(&mut self, factory: &HandshakeFactory, now: Instant) {
        match self.failed.take() {
            Some(failure @ Failure::WrongCertificate { .. }) => return self.fail(failure),
            Some(Failure::Handshake { .. } | Failure::Silence { .. }) => self.tries = 0,
            None => {}
        }
        self.errors = 0;
        self.deadline = Some(now + LONGEST);
        self.begin_active(factory, now);
    }

    /// Where we are active and nothing runs with the announced address: a `ClientHello`.
    fn begin_active(&mut self, factory: &HandshakeFactory, now: Instant) {
        let Some(agreed) = &self.agreed else { return };
        let announced = agreed.announced;
        let runs = self
            .candidates
            .iter()
            .any(|candidate| plain(candidate.peer) == plain(announced));
        if agreed.setup == Setup::Active
            && reachable(announced)
            && !runs
            && self.failed.is_none()
            && self.secured.is_none()
        {
            self.begin(announced, Setup::Active, factory, now);
        }
    }

    fn begin(
        &mut self,
        peer: SocketAddr,
        role: Setup,
        factory: &HandshakeFactory,
        now: Instant,
    ) -> bool {
        let announced = self.agreed.as_ref().map(|agreed| plain(agreed.announced));
        let tries = if announced == Some(plain(peer)) {
            &mut self.tries
        } else {
            &mut self.strangers
        };
        if *tries >= MAX_TRIES {
            return false;
        }
        *tries += 1;
        if self.candidates.len() >= MAX_CANDIDATES {
            let Some(index) = self.to_be_displaced(peer) else {
                return false;
            };
            self.candidates.remove(index);
        }
        let mut out = VecDeque::new();
        match Handshake::new(factory, role, now, &mut out) {
            Ok(handshake) => {
                self.out.extend(out.into_iter().map(|bytes| (peer, bytes)));
                self.candidates.push(Candidate {
                    peer,
                    role,
                    handshake,
                    secrets: None,
                    alert: None,
                });
                true
            }
            Err(why) => {
                self.fail(Failure::Handshake { from: peer, why });
                false
            }
        }
    }

    /// Which handshake makes room for one with this address: a stranger's, or that of another
    /// branch for the one that is agreed on.
    fn to_be_displaced(&self, peer: SocketAddr) -> Option<usize> {
        let announced = self.agreed.as_ref().map(|agreed| plain(agreed.announced));
        let is_announced = |address| announced == Some(plain(address));
        let in_use = self.secured.as_ref().map(|secured| secured.peer);
        let free = |one: &Candidate| !is_announced(one.peer) && Some(one.peer) != in_use;
        let stranger = |one: &Candidate| free(one) && !self.branches.contains(one.peer);
        let index = self.candidates.iter().position(stranger);
        index.or_else(|| {
            let candidates = self.candidates.iter();
            is_announced(peer).then(|| candidates.clone().position(free))?
        })
    }

    /// A datagram came. It is DTLS by its first byte and no more is known of it.
    pub(crate) fn handle_datagram(
        &mut self,
        from: SocketAddr,
        bytes: &[u8],
        factory: &HandshakeFactory,
        now: Instant,
    ) {
        let known = self
            .candidates
            .iter()
            .position(|candidate| plain(candidate.peer) == plain(from));
        let index = match known {
            Some(index) => index,
            None if self.may_begin_handshake(from, bytes)
                && self.begin(from, Setup::Passive, factory, now) =>
            {
                self.candidates.len() - 1
            }
            None => return,
        };
        let candidate = &mut self.candidates[index];
        // Anybody can write one: the library does not see it, and it is believed after a while
        // only.
        if candidate.secrets.is_none()
            && let Some(what) = record_filter::fatal_alert_in_clear(bytes)
        {
            candidate.alert.get_or_insert((now + AFTER_ALERT, what));
        }
        let mut out = VecDeque::new();
        let outcome = candidate.handshake.handle_datagram(bytes, now, &mut out);
        self.out.extend(out.into_iter().map(|bytes| (from, bytes)));
        self.progress(index, outcome, factory, now);
    }

    /// Whether a datagram from a new address may begin a handshake: where one is waited for, or
    /// with what may be another branch of a call that is not established.
    fn may_begin_handshake(&self, from: SocketAddr, bytes: &[u8]) -> bool {
        let may = self.agreed.as_ref().is_none_or(|agreed| {
            let is_announced = plain(agreed.announced) == plain(from);
            let is_missing = self.secured.is_none() && self.failed.is_none();
            let may_be_branch = !agreed.established && !is_announced;
            (agreed.setup == Setup::Passive && is_missing) || may_be_branch
        });
        may && is_client_hello(bytes)
    }

    /// Time passed.
    pub(crate) fn handle_timeout(&mut self, factory: &HandshakeFactory, now: Instant) {
        let due = |candidate: &Candidate| candidate.poll_timeout().is_some_and(|at| at <= now);
        while let Some(index) = self.candidates.iter().position(due) {
            let candidate = &mut self.candidates[index];
            let peer = candidate.peer;
            let mut out = VecDeque::new();
            let outcome = match candidate.alert {
                Some((at, what)) if at <= now => Err(HandshakeError::Alert(what)),
                Some(_) | None => candidate.handshake.handle_timeout(now, &mut out),
            };
            self.out.extend(out.into_iter().map(|bytes| (peer, bytes)));
            let spins = outcome.is_ok() && due(&self.candidates[index]);
            self.progress(index, outcome, factory, now);
            if spins {
                // A timer that does not move would hang the phone; a crate's mistake costs this
                // handshake only.
                self.candidates.retain(|candidate| candidate.peer != peer);
            }
        }
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            if let Some(agreed) = &self.agreed
                && self.secured.is_none()
            {
                let announced = agreed.announced;
                self.fail(Failure::Silence { announced });
            }
        }
    }

    /// When to call [`Association::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let candidates = self.candidates.iter().filter_map(Candidate::poll_timeout);
        candidates.chain(self.deadline).min()
    }

    /// What must leave on the socket.
    pub(crate) fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.out.pop_front()
    }

    /// What the owner should know.
    pub(crate) fn poll_event(&mut self) -> Option<AssociationEvent> {
        self.event.pop_front()
    }

    /// A candidate may have come further, or to an end.
    fn progress(
        &mut self,
        index: usize,
        outcome: Result<(), HandshakeError>,
        factory: &HandshakeFactory,
        now: Instant,
    ) {
        let candidate = &mut self.candidates[index];
        let outcome = outcome.and_then(|()| match candidate.handshake.take_secrets() {
            Some(secrets) => secrets.map(|secrets| {
                candidate.secrets = Some(secrets);
                candidate.alert = None;
            }),
            None => Ok(()),
        });
        match outcome {
            Ok(()) => self.evaluate_candidates(),
            Err(why) => {
                let candidate = self.candidates.remove(index);
                self.lost(&candidate, why, factory, now);
            }
        }
    }

    /// A handshake broke off.
    fn lost(
        &mut self,
        candidate: &Candidate,
        why: HandshakeError,
        factory: &HandshakeFactory,
        now: Instant,
    ) {
        tracing::debug!("DTLS handshake with {} broke off: {why}", candidate.peer);
        let announced = self
            .agreed
            .as_ref()
            .is_some_and(|agreed| plain(agreed.announced) == plain(candidate.peer));
        // One that was complete needs nothing more: its keys are in use, or no one wants them.
        if !announced || candidate.secrets.is_some() {
            return;
        }
        // Silence has its own deadline: until then it is tried again.
        self.errors += u32::from(why != HandshakeError::Unanswered);
        if matches!(why, HandshakeError::Alert(_)) || self.errors >= MAX_ERRORS {
            self.fail(Failure::Handshake {
                from: candidate.peer,
                why,
            });
        } else {
            self.begin_active(factory, now);
        }
    }

    /// Looks at every certificate shown, now that something is new: a candidate, or what was
    /// agreed.
    fn evaluate_candidates(&mut self) {
        let Some(agreed) = &self.agreed else { return };
        if self.secured.is_some() || self.failed.is_some() {
            return;
        }
        let mut wrong = None;
        for candidate in &self.candidates {
            let Some(certificate) = candidate.handshake.certificate() else {
                continue;
            };
            let of_another = self.branches.is_of_another(candidate.peer, agreed);
            if of_another || candidate.role != agreed.setup {
                continue;
            }
            let fingerprint: [u8; 32] = Sha256::digest(certificate).into();
            if matches(certificate, &agreed.fingerprints) {
                if let Some(secrets) = &candidate.secrets {
                    self.secured = Some(Secured {
                        peer: candidate.peer,
                        fingerprint,
                        secrets: secrets.clone(),
                    });
                    self.deadline = None;
                    self.event.push_back(AssociationEvent::Secured);
                    return;
                }
            } else if plain(candidate.peer) == plain(agreed.announced) {
                wrong = Some(Failure::WrongCertificate {
                    from: candidate.peer,
                    shown: colons(&fingerprint),
                });
            }
        }
        if let Some(wrong) = wrong {
            self.fail(wrong);
        }
    }

    /// Gives up: handshakes under way with the announced address are dropped where they stand.
    fn fail(&mut self, failure: Failure) {
        if self.failed.is_some() || self.secured.is_some() {
            return;
        }
        if let Some(agreed) = &self.agreed {
            let announced = plain(agreed.announced);
            self.candidates
                .retain(|candidate| plain(candidate.peer) != announced);
            if agreed.established {
                self.event
                    .push_back(AssociationEvent::Failed(failure.clone()));
            }
        }
        self.deadline = None;
        self.failed = Some(failure);
    }
}

#[cfg(test)]
mod tests;
