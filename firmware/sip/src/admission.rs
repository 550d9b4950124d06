//! Admission: whose requests count, and how many of them. Requests are admitted from a server this
//! phone knows, to a contact that no one can guess, or as direct calls where they are allowed.
//! Everything else is dropped without an answer, so that a scanner learns nothing, not even that a
//! phone is here.
//!
//! ```text
//! request ─┬─ inside a dialog (unguessable tags) ─────────▶ admitted
//!          ├─ to our registered contact's random user ────▶ admitted, by that account
//!          ├─ from an address of an account's servers ────▶ admitted, by that account
//!          ├─ from a caller listed or proven by TLS ──────▶ admitted, known
//!          ├─ direct calls of everyone allowed ─┬ in rate ▶ admitted, as a stranger's
//!          │                                    └ else ───▶ 503 with Retry-After, or dropped
//!          └─ else ───────────────────────────────────────▶ dropped, counted
//! ```
//!
//! What strangers may do is limited per host and for all of them together (a datagram's source
//! address can be forged), so that room is left for those who are known.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::host::host_of;
use crate::ids::CallHandle;
use crate::message::{Method, Request};
use crate::transaction::table::MAX_SERVERS;

/// Most calls of strangers at once.
const STRANGER_CALLS: usize = 8;
/// Most server transactions while a stranger's call opens another, and while a request inside of a
/// stranger's call does: the rest of the table is for those who are known.
const STRANGER_TRANSACTIONS: usize = 256;
const STRANGER_TRANSACTIONS_IN_DIALOG: usize = 320;
/// Room kept free in the table for requests inside of dialogs: a flood of calls must not stop a
/// BYE.
const RESERVED: usize = 64;
/// Most hosts remembered.
const MAX_HOSTS: usize = 256;

/// Calls of one strange host, and of all together.
const CALLS_OF_HOST: Rate = Rate::new(10, Duration::from_secs(1));
const CALLS_OF_ALL: Rate = Rate::new(20, Duration::from_millis(250));
/// Answers to one strange host, and to all together: whoever forges a source address must not
/// turn the phone against it.
const ANSWERS_TO_HOST: Rate = Rate::new(50, Duration::from_millis(50));
const ANSWERS_TO_ALL: Rate = Rate::new(200, Duration::from_millis(5));

/// Who may call without a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectCallers {
    /// Those on the list.
    Listed,
    /// Those on the list, and those whose TLS connection has proved a name.
    Proven,
    /// Everyone.
    Everyone,
}

/// One entry of the list of direct callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedCaller {
    /// User part of the caller's From address; `None`: anyone there.
    pub user: Option<String>,
    /// Address of the network.
    pub network: IpAddr,
    /// How many of its leading bits count.
    pub prefix: u8,
}

impl AllowedCaller {
    pub(crate) fn matches(&self, ip: IpAddr, user: Option<&str>) -> bool {
        self.is_at(ip) && self.user.as_deref().is_none_or(|own| user == Some(own))
    }

    /// Whether the address is in its network.
    pub(crate) fn is_at(&self, ip: IpAddr) -> bool {
        let bits = |ip: IpAddr| match ip.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        };
        let ((own, own_v4), (theirs, theirs_v4)) = (bits(self.network), bits(ip));
        let ignored = 128_u32.saturating_sub(u32::from(self.prefix));
        let same = (own ^ theirs).checked_shr(ignored).unwrap_or_default() == 0;
        own_v4 == theirs_v4 && same
    }
}

/// How an account has to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByAccount {
    /// It is the account's.
    Yes(usize),
    /// It comes from an account's server, and is for no account.
    FromServer,
    /// It is for an account, by a transport that proves nothing.
    Insecure,
    /// No account has to do with it.
    No,
}

impl ByAccount {
    /// The account it belongs to.
    pub(crate) fn account(self) -> Option<usize> {
        match self {
            Self::Yes(account) => Some(account),
            Self::FromServer | Self::Insecure | Self::No => None,
        }
    }
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By an account.
    Account(usize),
    /// Without one, from someone the owner knows.
    Known,
    /// Without one, from anyone.
    Stranger,
}

impl Origin {
    /// The account it came by.
    pub(crate) fn account(self) -> Option<usize> {
        match self {
            Self::Account(account) => Some(account),
            Self::Known | Self::Stranger => None,
        }
    }

    /// Whether room is kept for it.
    pub(crate) fn is_known(self) -> bool {
        match self {
            Self::Account(_) | Self::Known => true,
            Self::Stranger => false,
        }
    }
}

/// What is done with a request outside of any dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is handled.
    Admit(Origin),
    /// It is refused with 503, and this Retry-After in seconds.
    RetryAfter(u32),
    /// It is dropped without an answer.
    Drop,
}

/// A token bucket: so many at once, then one each interval.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    interval: Duration,
}

impl Rate {
    const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval }
    }
}

/// How far a bucket is used up: when it is full again.
#[derive(Debug, Clone, Copy)]
struct Bucket(Instant);

impl Bucket {
    /// When one can be taken; `None`: now.
    fn available_at(self, rate: Rate, now: Instant) -> Option<Instant> {
        let free = self.0 + rate.interval;
        let latest = now + rate.interval * rate.burst;
        (free > latest).then(|| now + free.duration_since(latest))
    }

    fn take(&mut self, rate: Rate, now: Instant) {
        self.0 = self.0.max(now) + rate.interval;
    }
}

/// What a strange host has used up.
#[derive(Debug, Clone, Copy)]
struct Used {
    calls: Bucket,
    answers: Bucket,
}

impl Used {
    fn new(now: Instant) -> Self {
        Self {
            calls: Bucket(now),
            answers: Bucket(now),
        }
    }

    fn full_again(&self) -> Instant {
        self.calls.0.max(self.answers.0)
    }
}

/// Who may call without a server, and what strangers have used up.
#[derive(Debug)]
pub(crate) struct Admission {
    callers: DirectCallers,
    listed: Vec<AllowedCaller>,
    hosts: BTreeMap<IpAddr, Used>,
    all: Used,
    /// Calls of strangers.
    calls: Vec<CallHandle>,
}

impl Admission {
    pub(crate) fn new(callers: DirectCallers, listed: Vec<AllowedCaller>, now: Instant) -> Self {
        Self {
            callers,
            listed,
            hosts: BTreeMap::new(),
            all: Used::new(now),
            calls: Vec::new(),
        }
    }

    /// The owner's list of direct callers.
    pub(crate) fn listed(&self) -> &[AllowedCaller] {
        &self.listed
    }

    /// Whether anyone may call.
    pub(crate) fn is_open(&self) -> bool {
        self.callers == DirectCallers::Everyone
    }

    /// What is done with a request outside of any dialog. `proven`: it came by a TLS connection
    /// whose far end has proved a name.
    pub(crate) fn admit(
        &mut self,
        by: ByAccount,
        request: &Request,
        ip: IpAddr,
        proven: bool,
        now: Instant,
    ) -> Decision {
        match by {
            ByAccount::Yes(account) => Decision::Admit(Origin::Account(account)),
            ByAccount::FromServer => Decision::Admit(Origin::Known),
            ByAccount::Insecure => Decision::Drop,
            ByAccount::No => {
                let user = request.headers.from().ok().and_then(|from| from.uri.user());
                let invite = request.method == Method::Invite;
                self.decide(ip, user.as_deref(), proven, invite, now)
            }
        }
    }

    /// Whether an unreadable request from a strange host deserves an answer.
    pub(crate) fn answers_unreadable(&mut self, ip: IpAddr, now: Instant) -> bool {
        matches!(self.decide(ip, None, false, false, now), Decision::Admit(_))
    }

    /// What is done with a request that came by no account. `user`: of its From address; `proven`:
    /// it came by a TLS connection whose far end has proved a name; `invite`: it asks for a call.
    fn decide(
        &mut self,
        ip: IpAddr,
        user: Option<&str>,
        proven: bool,
        invite: bool,
        now: Instant,
    ) -> Decision {
        if self.listed.iter().any(|caller| caller.matches(ip, user)) {
            return Decision::Admit(Origin::Known);
        }
        match self.callers {
            DirectCallers::Proven | DirectCallers::Everyone if proven => {
                return Decision::Admit(Origin::Known);
            }
            DirectCallers::Listed | DirectCallers::Proven => return Decision::Drop,
            DirectCallers::Everyone => {}
        }
        if !self.may_answer(ip, now) {
            return Decision::Drop;
        }
        if !invite {
            return Decision::Admit(Origin::Stranger);
        }
        let Self { hosts, all, .. } = self;
        let Some(used) = hosts.get_mut(&host_of(ip)) else {
            return Decision::Drop;
        };
        let wait = [
            used.calls.available_at(CALLS_OF_HOST, now),
            all.calls.available_at(CALLS_OF_ALL, now),
        ];
        if let Some(at) = wait.into_iter().flatten().max() {
            let seconds = at.duration_since(now).as_secs() + 1;
            return Decision::RetryAfter(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        used.calls.take(CALLS_OF_HOST, now);
        all.calls.take(CALLS_OF_ALL, now);
        Decision::Admit(Origin::Stranger)
    }

    /// Whether one more answer may go to a strange host; counts it.
    fn may_answer(&mut self, ip: IpAddr, now: Instant) -> bool {
        if self.all.answers.available_at(ANSWERS_TO_ALL, now).is_some() {
            return false;
        }
        let host = host_of(ip);
        if !self.hosts.contains_key(&host) && self.hosts.len() >= MAX_HOSTS {
            self.hosts.retain(|_, used| used.full_again() > now);
            // Who used least is forgotten first.
            let least = self.hosts.iter().min_by_key(|(_, used)| used.full_again());
            if let Some(least) = least.map(|(host, _)| *host)
                && self.hosts.len() >= MAX_HOSTS
            {
                self.hosts.remove(&least);
            }
        }
        let used = self.hosts.entry(host).or_insert_with(|| Used::new(now));
        if used.answers.available_at(ANSWERS_TO_HOST, now).is_some() {
            return false;
        }
        used.answers.take(ANSWERS_TO_HOST, now);
        self.all.answers.take(ANSWERS_TO_ALL, now);
        true
    }

    /// A stranger's call began.
    pub(crate) fn handle_stranger_call(&mut self, call: CallHandle) {
        self.calls.push(call);
    }

    /// A call is over.
    pub(crate) fn handle_call_over(&mut self, call: CallHandle) {
        self.calls.retain(|other| *other != call);
    }

    /// The calls of strangers.
    pub(crate) fn stranger_calls(&self) -> &[CallHandle] {
        &self.calls
    }

    /// Whether another call finds room beside `transactions` server transactions.
    pub(crate) fn has_room(&self, origin: Origin, transactions: usize) -> bool {
        transactions + RESERVED < MAX_SERVERS
            && (origin.is_known() || self.has_room_for_stranger(transactions))
    }

    fn has_room_for_stranger(&self, transactions: usize) -> bool {
        self.calls.len() < STRANGER_CALLS && transactions < STRANGER_TRANSACTIONS
    }

    /// Whether a request inside of this call finds room beside `transactions` server transactions.
    pub(crate) fn has_room_in_dialog(&self, call: CallHandle, transactions: usize) -> bool {
        !self.calls.contains(&call) || transactions < STRANGER_TRANSACTIONS_IN_DIALOG
    }
}

#[cfg(test)]
mod tests;
