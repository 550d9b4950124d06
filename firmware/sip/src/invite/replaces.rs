//! An INVITE that takes the place of a call (RFC 3891): whose, and whether it may.
//!
//! ```text
//! Replaces ─▶ Ids ─┬─ a call that stands, or that we placed and is not answered yet ─▶ Incoming { replaces }, answered at once
//!                  ├─ early-only and it stands ─▶ 486       over already ─▶ 603
//!                  └─ none, or one that still rings here ─▶ 481     not by its account, not by TLS as it ─▶ 403
//! ```
//!
//! Who knows a call's tags is one of its two ends, or was told by one of them, or reads their
//! signalling. So admission comes first (`sip::admission`), as for every INVITE; what came by an account
//! is replaced by that account only, and what goes by TLS by TLS only.

use crate::agent::UserAgent;
use crate::dialog::Dialog;
use crate::ids::CallHandle;
use crate::message::Request;

use super::{CallState, Phase};

/// How many dialogs that are over are remembered.
const MAX_OVER: usize = 16;

/// What names a dialog, seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    call_id: String,
    local_tag: String,
    remote_tag: String,
}

impl Ids {
    fn of(dialog: &Dialog) -> Self {
        Self {
            call_id: dialog.call_id.clone(),
            local_tag: dialog.local_tag().to_owned(),
            remote_tag: dialog.remote_tag().to_owned(),
        }
    }

    /// Reads a Replaces value; and whether only an early dialog is meant.
    fn read(text: &str) -> Option<(Self, bool)> {
        let mut parts = text.split(';').map(str::trim);
        let call_id = parts
            .next()
            .filter(|id| !id.is_empty() && id.bytes().all(|b| b.is_ascii_graphic()))?;
        let (mut to, mut from, mut early) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| {
                (name.trim(), Some(value.trim()))
            });
            let slot = match (name.to_ascii_lowercase().as_str(), value) {
                ("to-tag", Some(_)) => &mut to,
                ("from-tag", Some(_)) => &mut from,
                ("early-only", None) => {
                    early = true;
                    continue;
                }
                ("to-tag" | "from-tag", None) => return None,
                _ => continue,
            };
            if slot.replace(value.unwrap_or_default().to_owned()).is_some() {
                return None;
            }
        }
        // Section 3: a tag of 0 stands for none, as phones of RFC 2543 have.
        let tag = |tag: String| if tag == "0" { String::new() } else { tag };
        let ids = Self {
            call_id: call_id.to_owned(),
            local_tag: tag(to.filter(|tag| !tag.is_empty())?),
            remote_tag: tag(from.filter(|tag| !tag.is_empty())?),
        };
        Some((ids, early))
    }
}

impl UserAgent {
    /// The call an INVITE takes the place of; none: it is an ordinary one. The status of the
    /// refusal else.
    pub(super) fn replaced(
        &self,
        account: Option<usize>,
        request: &Request,
        secure: bool,
    ) -> Result<Option<CallHandle>, u16> {
        let mut all = request.headers.values("Replaces");
        let Some(text) = all.next() else {
            return Ok(None);
        };
        let (None, Some((ids, early_only))) = (all.next(), Ids::read(text)) else {
            return Err(400);
        };
        let is = |dialog: &Dialog| Ids::of(dialog) == ids;
        let owns = |state: &CallState| {
            state.dialog.as_ref().is_some_and(is) || state.legs.iter().any(|leg| is(&leg.dialog))
        };
        let Some((call, state)) = self.calls.iter().find(|(_, state)| owns(state)) else {
            return Err(if self.over.contains(&ids) { 603 } else { 481 });
        };
        let dialogs = state
            .dialog
            .iter()
            .chain(state.legs.iter().map(|leg| &leg.dialog));
        if state.account != account
            || (!secure && dialogs.filter(|dialog| is(dialog)).any(Dialog::is_secure))
        {
            return Err(403);
        }
        match state.phase {
            Phase::Answered | Phase::Up if early_only => Err(486),
            Phase::Answered | Phase::Up | Phase::Calling => Ok(Some(*call)),
            // An early dialog that was not begun here.
            Phase::Ringing => Err(481),
            Phase::Leaving | Phase::Handing => Err(603),
        }
    }

    /// Remembers the dialog of a call that is over.
    pub(super) fn remember_over(&mut self, state: &CallState) {
        if let Some(dialog) = &state.dialog {
            if self.over.len() >= MAX_OVER {
                self.over.pop_front();
            }
            self.over.push_back(Ids::of(dialog));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaces_value_is_read_or_refused() {
        let read = |text: &str| {
            Ids::read(text).map(|(ids, early)| (ids.call_id, ids.local_tag, ids.remote_tag, early))
        };
        let ids = |early| Some(("98732@x".to_owned(), "t".to_owned(), "f".to_owned(), early));
        assert_eq!(read("98732@x;to-tag=t;from-tag=f"), ids(false));
        assert_eq!(
            read("98732@x ;from-tag=f ; TO-TAG=t;x=y;early-only"),
            ids(true)
        );
        assert_eq!(
            read("a;to-tag=0;from-tag=f"),
            Some(("a".into(), String::new(), "f".into(), false))
        );
        for bad in [
            "",
            "a",
            "a;to-tag=t",
            "a;from-tag=f",
            "a;to-tag=;from-tag=f",
            "a;to-tag;from-tag=f",
            "a;to-tag=t;to-tag=u;from-tag=f",
            ";to-tag=t;from-tag=f",
            "a b;to-tag=t;from-tag=f",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
