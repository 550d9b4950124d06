//! An INVITE that takes the place of a call (RFC 3891): whose, and whether it may.
//!
//! ```text
//! Replaces ─▶ DialogIds ─┬─ a call that is answered, or that we placed and is not answered yet ─▶ Incoming { replaces }
//!                        ├─ early-only and it is answered ─▶ 486       over already ─▶ 603
//!                        └─ none, or one that still rings here ─▶ 481     not by its account, not by TLS as it ─▶ 403
//! ```
//!
//! Whoever knows a call's tags is one of its two ends, or learnt them from one, or reads their
//! signalling. So admission comes first, as for every INVITE; what came by an account is replaced
//! by that account only, and what uses TLS by TLS only.

use std::collections::VecDeque;

use crate::dialog::Dialog;
use crate::message::Headers;

/// How many dialogs that are over are remembered.
const MAX_ENDED: usize = 16;

/// What names a dialog, seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DialogIds {
    call_id: String,
    local_tag: String,
    remote_tag: String,
}

impl DialogIds {
    pub(crate) fn of(dialog: &Dialog) -> Self {
        Self {
            call_id: dialog.call_id.clone(),
            local_tag: dialog.local_tag().to_owned(),
            remote_tag: dialog.remote_tag().to_owned(),
        }
    }

    /// The Replaces value for the far end: seen from there our tag is the remote one.
    pub(crate) fn replaces(&self) -> String {
        format!(
            "{};to-tag={};from-tag={}",
            self.call_id, self.remote_tag, self.local_tag
        )
    }
}

/// The Replaces header of an INVITE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replaces {
    pub(crate) dialog: DialogIds,
    /// Only an early dialog is meant.
    pub(crate) early_only: bool,
}

impl Replaces {
    /// The one Replaces of a request; `Err`: more than one, or one that names no dialog.
    pub(crate) fn of(headers: &Headers) -> Result<Option<Self>, u16> {
        let mut all = headers.values("Replaces");
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(text), None) => Self::parse(text).map(Some).ok_or(481),
            (Some(_), Some(_)) => Err(400),
        }
    }

    fn parse(text: &str) -> Option<Self> {
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
        Some(Self {
            dialog: DialogIds {
                call_id: call_id.to_owned(),
                local_tag: tag(to.filter(|tag| !tag.is_empty())?),
                remote_tag: tag(from.filter(|tag| !tag.is_empty())?),
            },
            early_only: early,
        })
    }
}

/// The dialogs that ended last: an INVITE that wants to replace one of them comes too late.
#[derive(Debug, Default)]
pub(crate) struct EndedDialogs(VecDeque<DialogIds>);

impl EndedDialogs {
    pub(crate) fn push(&mut self, dialog: &Dialog) {
        if self.0.len() >= MAX_ENDED {
            self.0.pop_front();
        }
        self.0.push_back(DialogIds::of(dialog));
    }

    pub(crate) fn contains(&self, ids: &DialogIds) -> bool {
        self.0.contains(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaces_value_is_read_or_refused() {
        let read = |text: &str| {
            Replaces::parse(text).map(|found| {
                let ids = found.dialog;
                (ids.call_id, ids.local_tag, ids.remote_tag, found.early_only)
            })
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
