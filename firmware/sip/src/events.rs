//! Event packages (RFC 6665): what this phone subscribes to, what it serves, and what servers
//! report to it unasked.
//!
//! ```text
//! Subscription ── SUBSCRIBE ─▶ notifier      message-summary (RFC 3842), dialog (RFC 4235), reg (RFC 3680)
//!     ▲ └ one leg each notifier that answers: a proxy may fork
//!     └── NOTIFY ◀── notifier ─▶ MessageSummary, WatchedState, RegContact
//! ServedSubscriptions ◀── SUBSCRIBE from a watcher on the list; NOTIFY whenever a call changes
//! NOTIFY unasked: message-summary, check-sync, keep-alive outside, talk, hold, refer inside of a call
//! ```

mod served;
mod subscription;

pub(crate) use served::{ServedSubscriptions, SubscribeRequest};
pub(crate) use subscription::{Subscription, SubscriptionAction, Topic};

use crate::message::Headers;

/// An event package this phone knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    /// What waits in a mailbox.
    MessageSummary,
    /// The calls of a phone.
    Dialog,
    /// The registrations of an address.
    Reg,
    /// What comes of a REFER.
    Refer,
    /// The configuration is to be looked up again.
    CheckSync,
    /// A call is to be answered or resumed.
    Talk,
    /// A call is to be put on hold.
    Hold,
    /// The server asks whether the phone is there.
    KeepAlive,
}

impl Package {
    /// The package a request is about; `None`: one this phone does not know, or none at all.
    pub(crate) fn of(headers: &Headers) -> Option<Self> {
        let value = headers.get("Event")?;
        let name = value.split(';').next().unwrap_or_default().trim();
        Some(match name.to_ascii_lowercase().as_str() {
            "message-summary" => Self::MessageSummary,
            "dialog" => Self::Dialog,
            "reg" => Self::Reg,
            "refer" => Self::Refer,
            "check-sync" => Self::CheckSync,
            "talk" => Self::Talk,
            "hold" => Self::Hold,
            "keep-alive" => Self::KeepAlive,
            _ => return None,
        })
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MessageSummary => "message-summary",
            Self::Dialog => "dialog",
            Self::Reg => "reg",
            Self::Refer => "refer",
            Self::CheckSync => "check-sync",
            Self::Talk => "talk",
            Self::Hold => "hold",
            Self::KeepAlive => "keep-alive",
        }
    }

    /// The type of its documents; empty: they have none.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::MessageSummary => "application/simple-message-summary",
            Self::Dialog => "application/dialog-info+xml",
            Self::Reg => "application/reginfo+xml",
            Self::Refer => "message/sipfrag",
            Self::CheckSync | Self::Talk | Self::Hold | Self::KeepAlive => "",
        }
    }
}

/// Why a subscription is over, as the notifier says (RFC 6665 section 4.1.3), and so what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Termination {
    /// Subscribe again at once: `deactivated`, `timeout`.
    Again,
    /// Subscribe again later: `probation`, `giveup`, and reasons no one knows.
    Later,
    /// Never again by itself: `rejected`, `noresource`, `invariant`.
    Never,
}

/// The Subscription-State of a NOTIFY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubscriptionState {
    /// Over, and how; `None`: it goes on, pending or active.
    pub(crate) terminated: Option<Termination>,
    /// It is not decided yet whether it may be.
    pub(crate) pending: bool,
    /// For how many seconds it goes on.
    pub(crate) expires_s: Option<u32>,
    /// After how many seconds to subscribe again.
    pub(crate) retry_after_s: Option<u32>,
}

impl SubscriptionState {
    /// Reads it; a NOTIFY without one is of a notifier older than RFC 3265, and its subscription
    /// goes on.
    pub(crate) fn of(headers: &Headers) -> Self {
        let value = headers.get("Subscription-State").unwrap_or("active");
        let mut parts = value.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut reason, mut expires_s, mut retry_after_s) = (None, None, None);
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            let number = || crate::message::scan::saturating_u32(value.trim());
            match name.trim().to_ascii_lowercase().as_str() {
                "reason" => reason = Some(value.trim().to_ascii_lowercase()),
                "expires" => expires_s = number(),
                "retry-after" => retry_after_s = number(),
                _ => {}
            }
        }
        let termination = match reason.as_deref() {
            Some("deactivated" | "timeout") => Termination::Again,
            Some("rejected" | "noresource" | "invariant") => Termination::Never,
            Some(_) | None => Termination::Later,
        };
        Self {
            terminated: (name == "terminated").then_some(termination),
            pending: name == "pending",
            expires_s,
            retry_after_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capabilities::ALLOW_EVENTS;
    use crate::env::tests::request;

    fn headers(text: &str) -> Headers {
        request(&format!(
            "NOTIFY sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
             From: <sip:p@192.0.2.9>;tag=p\r\nTo: <sip:a@192.0.2.1>;tag=a\r\nCall-ID: c\r\n\
             CSeq: 2 NOTIFY\r\n{text}\r\n\r\n"
        ))
        .headers
    }

    #[test]
    fn every_package_is_named_in_allow_events() {
        for name in ALLOW_EVENTS.split(", ") {
            let package = Package::of(&headers(&format!("Event: {name};id=7")));
            assert_eq!(package.map(Package::as_str), Some(name));
        }
        for text in ["Event: presence", "o: dialogs", "Event:", "Subject: x"] {
            assert_eq!(Package::of(&headers(text)), None, "{text}");
        }
        assert_eq!(
            Package::of(&headers("o: MESSAGE-SUMMARY")),
            Some(Package::MessageSummary)
        );
    }

    #[test]
    fn every_reason_has_its_rule() {
        use Termination::{Again, Later, Never};
        let read = |text: &str| SubscriptionState::of(&headers(text));
        for (reason, rule) in [
            ("deactivated", Again),
            ("timeout", Again),
            ("probation;retry-after=30", Later),
            ("giveup", Later),
            ("unheard-of", Later),
            ("rejected", Never),
            ("NoResource", Never),
            ("invariant", Never),
        ] {
            let state = read(&format!("Subscription-State: terminated;reason={reason}"));
            assert_eq!(state.terminated, Some(rule), "{reason}");
        }
        assert_eq!(
            read("Subscription-State: terminated").terminated,
            Some(Later)
        );
        let active = read("Subscription-State: ACTIVE ; Expires = 60;x");
        assert_eq!((active.terminated, active.expires_s), (None, Some(60)));
        assert!(read("Subscription-State: pending;expires=1").pending);
        assert_eq!(read("Subject: none").terminated, None);
        let probation = read("Subscription-State: terminated;reason=probation;retry-after=30");
        assert_eq!(probation.retry_after_s, Some(30));
    }
}
