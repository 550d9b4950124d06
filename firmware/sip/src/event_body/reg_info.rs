//! The registrations of an address as its registrar reports them (RFC 3680).
//!
//! ```text
//! <reginfo> <registration aor= state=> <contact state= event= retry-after=> <uri>sip:…</uri>
//! ```

use super::xml::{Element, XmlError};
use crate::message::Uri;

/// Most contacts looked at.
const MAX_CONTACTS: usize = 64;

/// What became of one contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContactState {
    /// Calls reach it.
    Active,
    /// It is gone: to be registered again at once, or after so many seconds.
    Gone { retry_after_s: Option<u32> },
    /// It is gone and is not to come back (section 5.2).
    Rejected,
}

/// One contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegContact {
    /// User part of its address.
    pub(crate) user: Option<String>,
    pub(crate) state: ContactState,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegInfo {
    /// Every contact is named; otherwise only those that changed are.
    pub(crate) full: bool,
    pub(crate) contacts: Vec<RegContact>,
}

impl RegInfo {
    /// Reads a body of `application/reginfo+xml`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, XmlError> {
        let root = Element::parse(body)?;
        if root.name != "reginfo" {
            return Err(XmlError::Malformed);
        }
        let contacts = root
            .all("registration")
            .flat_map(|registration| registration.all("contact"))
            .take(MAX_CONTACTS)
            .map(|contact| RegContact {
                user: contact
                    .child("uri")
                    .and_then(|uri| Uri::parse(uri.trimmed()).ok())
                    .and_then(|uri| uri.user()),
                state: state_of(contact),
            })
            .collect();
        Ok(Self {
            full: root.attribute("state") != Some("partial"),
            contacts,
        })
    }
}

fn state_of(contact: &Element) -> ContactState {
    if contact.attribute("state") != Some("terminated") {
        return ContactState::Active;
    }
    match contact.attribute("event") {
        Some("rejected") => ContactState::Rejected,
        _ => ContactState::Gone {
            retry_after_s: contact
                .attribute("retry-after")
                .and_then(crate::message::scan::saturating_u32),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_and_their_fate_are_read() {
        let contact = |rest: &str, user: &str| {
            format!("<contact id=\"1\" {rest}><uri> sip:{user}@192.0.2.1:5060 </uri></contact>")
        };
        let body = format!(
            "<?xml version=\"1.0\"?>\
             <reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"3\" state=\"partial\">\
             <registration aor=\"sip:1@x\" id=\"a\" state=\"active\">{}{}{}{}</registration>\
             </reginfo>",
            contact("state=\"active\" event=\"registered\"", "one"),
            contact("state=\"terminated\" event=\"deactivated\"", "two"),
            contact(
                "state=\"terminated\" event=\"probation\" retry-after=\"30\"",
                "three"
            ),
            contact("state=\"terminated\" event=\"rejected\"", "four"),
        );
        let info = RegInfo::parse(body.as_bytes()).unwrap();
        assert!(!info.full);
        let found: Vec<(Option<&str>, ContactState)> = info
            .contacts
            .iter()
            .map(|contact| (contact.user.as_deref(), contact.state))
            .collect();
        let gone = |retry_after_s| ContactState::Gone { retry_after_s };
        assert_eq!(
            found,
            [
                (Some("one"), ContactState::Active),
                (Some("two"), gone(None)),
                (Some("three"), gone(Some(30))),
                (Some("four"), ContactState::Rejected),
            ]
        );
        assert!(RegInfo::parse(b"<reginfo version=\"0\"/>").unwrap().full);
        assert_eq!(RegInfo::parse(b"<presence/>"), Err(XmlError::Malformed));
    }
}
