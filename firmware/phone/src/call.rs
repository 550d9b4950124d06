//! The calls of the phone: a small table, bounded, whose numbers are never used twice.
//!
//! ```text
//! new id ─▶ Call { state, peer, … } ─▶ removed when it ends, by us or by the far end; later updates of it find nothing
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use crate::input::{AccountId, Alert, CallId, Encryption};
use crate::output::Destination;

/// Most calls at once: one talking, one on hold, one waiting.
pub(crate) const MAX_CALLS: usize = 3;

/// What one call is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallState {
    /// Outgoing, no response yet.
    Calling,
    /// Outgoing, the far end rings.
    Ringback,
    /// Outgoing, the far end is heard before it answers.
    EarlyMedia,
    /// Established; it has the handset.
    Talking,
    /// Established; we hold it.
    OnHold,
    /// Incoming, it rings.
    Ringing,
    /// Incoming, it waits behind another call.
    Waiting,
}

impl CallState {
    /// The state's name in `status` and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calling => "calling",
            Self::Ringback => "ringback",
            Self::EarlyMedia => "early_media",
            Self::Talking => "talking",
            Self::OnHold => "on_hold",
            Self::Ringing => "ringing",
            Self::Waiting => "waiting",
        }
    }

    /// The call belongs to the handset: putting it down ends it. An unanswered incoming call
    /// goes on ringing instead.
    pub(crate) fn of_handset(self) -> bool {
        match self {
            Self::Calling | Self::Ringback | Self::EarlyMedia | Self::Talking | Self::OnHold => {
                true
            }
            Self::Ringing | Self::Waiting => false,
        }
    }
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) state: CallState,
    /// The far end, for log and history.
    pub(crate) peer: String,
    /// The account it came or goes by, where that is known.
    pub(crate) account: Option<AccountId>,
    pub(crate) emergency: bool,
    /// Further routes to try when this one fails before it is answered.
    pub(crate) routes: VecDeque<Destination>,
    /// How an incoming call asks to be rung.
    pub(crate) alert: Alert,
    pub(crate) encryption: Encryption,
    /// The warning about missing encryption was given.
    pub(crate) warned: bool,
    /// When it is forwarded because no one answers.
    pub(crate) forward_at: Option<Instant>,
    /// The call it is to replace: that one ends when this one is answered, and is taken
    /// back when it fails.
    pub(crate) instead_of: Option<CallId>,
    /// The call on hold for which it was placed: the consultation before a transfer.
    pub(crate) consults: Option<CallId>,
    /// That call joins when this one is answered.
    pub(crate) joins: bool,
    /// It came back because its transfer failed.
    pub(crate) returned: bool,
}

impl Call {
    /// A call with nothing out of the ordinary about it.
    pub(crate) fn new(id: CallId, state: CallState, peer: String) -> Self {
        Self {
            id,
            state,
            peer,
            account: None,
            emergency: false,
            routes: VecDeque::new(),
            alert: Alert::Normal,
            encryption: Encryption::default(),
            warned: false,
            forward_at: None,
            instead_of: None,
            consults: None,
            joins: false,
            returned: false,
        }
    }
}

/// Text from the far end as it may stand in log and history: one line, not longer than a name
/// needs.
pub(crate) fn one_line(text: &str) -> String {
    const MOST: usize = 128;
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST)
        .collect()
}

/// All calls, the longest untouched first.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    list: Vec<Call>,
    next: u32,
}

impl Calls {
    /// An id that no call ever had.
    pub(crate) fn new_id(&mut self) -> CallId {
        let id = CallId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    /// The far end is somebody else now.
    pub(crate) fn set_peer(&mut self, id: CallId, peer: String) {
        if let Some(call) = self.list.iter_mut().find(|call| call.id == id) {
            call.peer = peer;
        }
    }

    /// Sees that an id from outside is not given again.
    pub(crate) fn used(&mut self, id: CallId) {
        if id.0 >= self.next {
            self.next = id.0.wrapping_add(1);
        }
    }

    pub(crate) fn full(&self) -> bool {
        self.list.len() >= MAX_CALLS
    }

    pub(crate) fn push(&mut self, call: Call) {
        debug_assert!(!self.full());
        self.list.push(call);
    }

    /// The call that this one is still to replace, while it exists.
    pub(crate) fn take_replaced(&mut self, id: CallId) -> Option<CallId> {
        let call = self.list.iter_mut().find(|call| call.id == id)?;
        let old = call.instead_of.take()?;
        self.get(old).map(|old| old.id)
    }

    /// The call that this one was placed for is to join it.
    pub(crate) fn set_joins(&mut self, id: CallId) {
        if let Some(call) = self.list.iter_mut().find(|call| call.id == id) {
            call.joins = call.consults.is_some();
        }
    }

    /// The call that is to join this one, once.
    pub(crate) fn take_joins(&mut self, id: CallId) -> Option<CallId> {
        let call = self.list.iter_mut().find(|call| call.id == id)?;
        call.consults.filter(|_| std::mem::take(&mut call.joins))
    }

    pub(crate) fn get(&self, id: CallId) -> Option<&Call> {
        self.list.iter().find(|call| call.id == id)
    }

    pub(crate) fn remove(&mut self, id: CallId) -> Option<Call> {
        let at = self.list.iter().position(|call| call.id == id)?;
        Some(self.list.remove(at))
    }

    /// Sets what is known of a call's encryption.
    pub(crate) fn set_encryption(&mut self, id: CallId, encryption: Encryption) {
        if let Some(call) = self.list.iter_mut().find(|call| call.id == id) {
            call.warned &= encryption == Encryption::Missing;
            call.encryption = encryption;
        }
    }

    /// Whether the warning about this call's missing encryption is still to be given; from now on
    /// it counts as given.
    pub(crate) fn take_warning(&mut self, id: CallId) -> bool {
        let call = self.list.iter_mut().find(|call| call.id == id);
        call.is_some_and(|call| {
            call.encryption == Encryption::Missing && !std::mem::replace(&mut call.warned, true)
        })
    }

    /// Sets a call's state and makes it the last touched.
    pub(crate) fn set(&mut self, id: CallId, state: CallState) {
        if let Some(mut call) = self.remove(id) {
            call.state = state;
            self.list.push(call);
        }
    }

    /// The call in this state that was untouched longest.
    pub(crate) fn first(&self, state: CallState) -> Option<CallId> {
        self.list
            .iter()
            .find(|call| call.state == state)
            .map(|call| call.id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Call> {
        self.list.iter()
    }
}
