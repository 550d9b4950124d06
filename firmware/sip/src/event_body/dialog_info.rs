//! The calls of a phone as it, or its PBX, reports them (RFC 4235): read for busy lamps, written
//! for those who may watch this one.
//!
//! ```text
//! NOTIFY ─▶ DialogInfo ─▶ DialogTable (full or partial, by version) ─▶ WatchedState, RingingDialog
//! Call … ─▶ CallSummary … ─▶ document
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use quick_xml::escape::escape;

use super::xml::{Element, XmlError};
use crate::message::{NameAddr, SipUri, Uri};

/// Most dialogs kept of one watched phone.
const MAX_DIALOGS: usize = 32;
/// Longest text taken out of a document, in bytes.
const MAX_TEXT: usize = 512;

/// What a watched phone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchedState {
    /// Nothing is known of it.
    #[default]
    Unknown,
    /// It has no call.
    Idle,
    /// A call rings there.
    Ringing,
    /// It is in a call, or places one.
    Busy,
}

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallSide {
    Initiator,
    Recipient,
}

/// How far a dialog is (section 3.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialogStage {
    Trying,
    Proceeding,
    Early,
    Confirmed,
    Terminated,
}

impl DialogStage {
    const ALL: [Self; 5] = [
        Self::Trying,
        Self::Proceeding,
        Self::Early,
        Self::Confirmed,
        Self::Terminated,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Proceeding => "proceeding",
            Self::Early => "early",
            Self::Confirmed => "confirmed",
            Self::Terminated => "terminated",
        }
    }
}

/// One dialog of a watched phone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct WatchedDialog {
    id: String,
    stage: DialogStage,
    side: Option<CallSide>,
    /// Call-ID, the watched phone's tag, the other one's.
    ids: Option<(String, String, String)>,
    /// Where the other one can be called.
    target: Option<SipUri>,
}

/// A call that rings at a watched phone, and all that is needed to take it (RFC 3891): the INVITE
/// goes to who calls, and names the dialog as that one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RingingDialog {
    pub(crate) target: SipUri,
    /// Value of the Replaces header.
    pub(crate) replaces: String,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DialogInfo {
    version: u32,
    full: bool,
    dialogs: Vec<WatchedDialog>,
}

impl DialogInfo {
    /// Reads a body of `application/dialog-info+xml`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, XmlError> {
        let root = Element::parse(body)?;
        if root.name != "dialog-info" {
            return Err(XmlError::Malformed);
        }
        let number = crate::message::scan::saturating_u32;
        Ok(Self {
            version: root.attribute("version").and_then(number).unwrap_or(0),
            full: root.attribute("state") != Some("partial"),
            dialogs: root
                .all("dialog")
                .take(MAX_DIALOGS)
                .map(WatchedDialog::read)
                .collect(),
        })
    }
}

impl WatchedDialog {
    fn read(dialog: &Element) -> Self {
        let short = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
        let attribute = |name: &str| dialog.attribute(name).map(short);
        let stage = dialog.child("state").map(Element::trimmed);
        let ids = (
            attribute("call-id"),
            attribute("local-tag"),
            attribute("remote-tag"),
        );
        Self {
            id: attribute("id").unwrap_or_default(),
            // One that says nothing goes on all the same.
            stage: DialogStage::ALL
                .into_iter()
                .find(|known| stage.is_some_and(|text| text.eq_ignore_ascii_case(known.as_str())))
                .unwrap_or(DialogStage::Confirmed),
            side: match dialog.attribute("direction") {
                Some("initiator") => Some(CallSide::Initiator),
                Some("recipient") => Some(CallSide::Recipient),
                Some(_) | None => None,
            },
            ids: match ids {
                (Some(call_id), Some(local), Some(remote)) => Some((call_id, local, remote)),
                (..) => None,
            },
            target: remote_target(dialog),
        }
    }

    fn rings(&self) -> bool {
        match self.stage {
            DialogStage::Early | DialogStage::Proceeding => self.side != Some(CallSide::Initiator),
            DialogStage::Trying => self.side == Some(CallSide::Recipient),
            DialogStage::Confirmed | DialogStage::Terminated => false,
        }
    }

    fn ringing(&self) -> Option<RingingDialog> {
        let (call_id, local, remote) = self.ids.as_ref().filter(|_| self.rings())?;
        // What a stranger wrote goes into a header: no more than tokens.
        let is_plain = |text: &String| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && b != b';' && b != b',')
        };
        if ![call_id, local, remote].into_iter().all(is_plain) {
            return None;
        }
        Some(RingingDialog {
            target: self.target.clone()?,
            // Who calls sees its own tag as the local one.
            replaces: format!("{call_id};to-tag={remote};from-tag={local};early-only"),
        })
    }
}

/// `<remote><target uri="…"/>`, else the identity.
fn remote_target(dialog: &Element) -> Option<SipUri> {
    let remote = dialog.child("remote")?;
    let target = remote.child("target").and_then(|t| t.attribute("uri"));
    let identity = || remote.child("identity").map(Element::trimmed);
    let text = target.or_else(identity)?;
    let uri = Uri::parse(text).ok()?;
    Some(uri.as_sip()?.clone().for_request())
}

/// What a document changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableStep {
    Applied,
    /// It is older than what is known.
    Stale,
    /// One before it was lost: all is to be asked for again.
    Gap,
}

/// The dialogs of one watched phone.
#[derive(Debug, Default)]
pub(crate) struct DialogTable {
    version: Option<u32>,
    /// The whole state was asked for, and did not come yet.
    incomplete: bool,
    dialogs: BTreeMap<String, WatchedDialog>,
}

impl DialogTable {
    /// Applies a document (section 4.3).
    pub(crate) fn apply(&mut self, info: DialogInfo) -> TableStep {
        if info.full {
            self.dialogs.clear();
            self.incomplete = false;
        } else {
            match self.version {
                Some(known) if info.version <= known => return TableStep::Stale,
                Some(known) if info.version == known.saturating_add(1) => {}
                // Some servers never say all, nor count as section 4.3 wants: a lamp that follows
                // what they do say is worth more than none.
                Some(_) | None if self.incomplete => {}
                Some(_) | None => {
                    self.incomplete = true;
                    return TableStep::Gap;
                }
            }
        }
        self.version = Some(info.version);
        for dialog in info.dialogs {
            if dialog.stage == DialogStage::Terminated {
                self.dialogs.remove(&dialog.id);
            } else if self.dialogs.len() < MAX_DIALOGS || self.dialogs.contains_key(&dialog.id) {
                self.dialogs.insert(dialog.id.clone(), dialog);
            }
        }
        TableStep::Applied
    }

    /// What the phone does: what rings there comes first, since it can be taken.
    pub(crate) fn state(&self) -> WatchedState {
        if self.version.is_none() {
            WatchedState::Unknown
        } else if self.dialogs.values().any(WatchedDialog::rings) {
            WatchedState::Ringing
        } else if self.dialogs.is_empty() {
            WatchedState::Idle
        } else {
            WatchedState::Busy
        }
    }

    /// A call that rings there and can be taken.
    pub(crate) fn ringing(&self) -> Option<RingingDialog> {
        self.dialogs.values().find_map(WatchedDialog::ringing)
    }
}

/// One call of this phone, as those who watch it see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallSummary {
    pub(crate) id: u64,
    pub(crate) stage: DialogStage,
    /// `None`: it is answered, and it does not matter any more.
    pub(crate) side: Option<CallSide>,
    /// Call-ID, our tag, theirs: only while the call rings, and only where whoever reads them may
    /// take the call.
    pub(crate) ids: Option<(String, String, String)>,
    /// The other one, where it does not withhold who it is.
    pub(crate) remote: Option<NameAddr>,
    /// Where the other one can be called.
    pub(crate) target: Option<Uri>,
    /// The call began over TLS.
    pub(crate) secure: bool,
}

/// Writes a document that names every call (section 4.1). `secure`: no one on the way can read it;
/// otherwise nothing in it lets a call be taken that uses TLS.
pub(crate) fn document(version: u32, entity: &str, calls: &[CallSummary], secure: bool) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" \
         version=\"{version}\" state=\"full\" entity=\"{}\">\r\n",
        escape(entity)
    );
    for call in calls {
        // Writing to a String cannot fail.
        let _ = write_call(&mut text, call, secure);
    }
    text.push_str("</dialog-info>\r\n");
    text
}

fn write_call(text: &mut String, call: &CallSummary, secure: bool) -> std::fmt::Result {
    let side = match call.side {
        Some(CallSide::Initiator) => " direction=\"initiator\"",
        Some(CallSide::Recipient) => " direction=\"recipient\"",
        None => "",
    };
    write!(text, "<dialog id=\"{}\"", call.id)?;
    if let Some((call_id, local, remote)) = call.ids.as_ref().filter(|_| secure || !call.secure) {
        write!(
            text,
            " call-id=\"{}\" local-tag=\"{}\" remote-tag=\"{}\"",
            escape(call_id.as_str()),
            escape(local.as_str()),
            escape(remote.as_str())
        )?;
    }
    write!(text, "{side}><state>{}</state>", call.stage.as_str())?;
    if let Some(remote) = &call.remote {
        let display = remote.display.as_deref().unwrap_or_default();
        write!(
            text,
            "<remote><identity display=\"{}\">{}</identity>",
            escape(display),
            escape(remote.uri.to_string())
        )?;
        if let Some(target) = &call.target {
            write!(text, "<target uri=\"{}\"/>", escape(target.to_string()))?;
        }
        text.push_str("</remote>");
    }
    text.push_str("</dialog>\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: u32, state: &str, dialogs: &str) -> DialogInfo {
        let text = format!(
            "<?xml version=\"1.0\"?><dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" \
             version=\"{version}\" state=\"{state}\" entity=\"sip:205@pbx\">{dialogs}</dialog-info>"
        );
        DialogInfo::parse(text.as_bytes()).unwrap()
    }

    fn dialog(id: &str, stage: &str, rest: &str) -> String {
        format!("<dialog id=\"{id}\" {rest}><state>{stage}</state></dialog>")
    }

    #[test]
    fn state_follows_the_dialogs() {
        let mut table = DialogTable::default();
        assert_eq!(table.state(), WatchedState::Unknown);
        let both = dialog("a", "confirmed", "") + &dialog("b", "early", "direction=\"recipient\"");
        for (dialogs, state) in [
            (String::new(), WatchedState::Idle),
            (dialog("a", "trying", ""), WatchedState::Busy),
            (
                dialog("a", "trying", "direction=\"recipient\""),
                WatchedState::Ringing,
            ),
            (
                dialog("a", "early", "direction=\"initiator\""),
                WatchedState::Busy,
            ),
            (dialog("a", "early", ""), WatchedState::Ringing),
            (both, WatchedState::Ringing),
            (dialog("a", "CONFIRMED", ""), WatchedState::Busy),
            (dialog("a", "terminated", ""), WatchedState::Idle),
        ] {
            assert_eq!(table.apply(info(1, "full", &dialogs)), TableStep::Applied);
            assert_eq!(table.state(), state, "{dialogs}");
        }
    }

    #[test]
    fn partial_documents_are_applied_in_their_order() {
        let mut table = DialogTable::default();
        let early = dialog("a", "early", "");
        assert_eq!(table.apply(info(0, "partial", &early)), TableStep::Gap);
        table.apply(info(4, "full", &early));
        assert_eq!(table.apply(info(4, "partial", "")), TableStep::Stale);
        assert_eq!(table.apply(info(6, "partial", "")), TableStep::Gap);
        let step = table.apply(info(5, "partial", &dialog("b", "confirmed", "")));
        assert_eq!(
            (step, table.state()),
            (TableStep::Applied, WatchedState::Ringing)
        );
        table.apply(info(6, "partial", &dialog("a", "terminated", "")));
        assert_eq!(table.state(), WatchedState::Busy);
    }

    #[test]
    fn number_of_dialogs_is_limited() {
        let mut table = DialogTable::default();
        table.apply(info(0, "full", ""));
        for version in 1..100 {
            let one = dialog(&version.to_string(), "confirmed", "");
            table.apply(info(version, "partial", &one));
        }
        assert_eq!(table.dialogs.len(), MAX_DIALOGS);
    }

    #[test]
    fn ringing_call_is_named_as_its_caller_sees_it() {
        let rest =
            "call-id=\"c1@x\" local-tag=\"theirs\" remote-tag=\"callers\" direction=\"recipient\"";
        let remote = "<remote><identity>sip:anna@pbx</identity>\
                      <target uri=\"sip:anna@192.0.2.9:5060;x=y?Replaces=evil\"/></remote>";
        let text = |stage: &str, rest: &str, remote: &str| {
            format!("<dialog id=\"a\" {rest}><state>{stage}</state>{remote}</dialog>")
        };
        let ringing = |dialogs: &str| {
            let mut table = DialogTable::default();
            table.apply(info(1, "full", dialogs));
            table.ringing()
        };
        let found = ringing(&text("early", rest, remote)).unwrap();
        assert_eq!(
            found.replaces,
            "c1@x;to-tag=callers;from-tag=theirs;early-only"
        );
        assert!(
            !found.target.to_string().contains("evil"),
            "{}",
            found.target
        );
        assert!(
            found
                .target
                .to_string()
                .starts_with("sip:anna@192.0.2.9:5060")
        );
        for (stage, rest, remote) in [
            ("confirmed", rest, remote),
            ("early", "direction=\"recipient\"", remote),
            ("early", rest, ""),
            ("early", &rest.replace("c1@x", "c1;to-tag=x"), remote),
            ("early", &rest.replace("theirs", "a&#13;&#10;b"), remote),
        ] {
            assert_eq!(
                ringing(&text(stage, rest, remote)),
                None,
                "{stage} {rest} {remote}"
            );
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let remote = NameAddr::parse("\"<A&B>\" <sip:a@192.0.2.9>").unwrap();
        let call = CallSummary {
            id: 7,
            stage: DialogStage::Early,
            side: Some(CallSide::Recipient),
            ids: Some(("c&1".into(), "l".into(), "r".into())),
            target: Some(remote.uri.clone()),
            remote: Some(remote),
            secure: true,
        };
        let read = |secure| {
            let text = document(3, "sip:\"me\"@x", std::slice::from_ref(&call), secure);
            let mut table = DialogTable::default();
            table.apply(DialogInfo::parse(text.as_bytes()).unwrap());
            (table.state(), table.ringing())
        };
        let (state, ringing) = read(true);
        assert_eq!(state, WatchedState::Ringing);
        assert_eq!(
            ringing.unwrap().replaces,
            "c&1;to-tag=r;from-tag=l;early-only"
        );
        assert_eq!(
            read(false),
            (WatchedState::Ringing, None),
            "not in the clear"
        );
    }
}
