//! Message waiting (RFC 3842): what the mailbox says.
//!
//! ```text
//! Messages-Waiting: yes
//! Message-Account: sip:*97@pbx.example
//! Voice-Message: 2/8 (0/2)        new/old (urgent new/urgent old)
//! ```

/// Most lines looked at.
const MAX_LINES: usize = 64;
/// Longest account shown, in bytes.
const MAX_ACCOUNT: usize = 256;

/// What waits in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageSummary {
    /// There are messages.
    pub waiting: bool,
    /// The address that plays them, where the server says so.
    pub account: Option<String>,
    /// Voice messages not heard yet.
    pub new: u32,
    /// Voice messages heard before.
    pub old: u32,
    /// Those of `new` that are urgent.
    pub urgent_new: u32,
    /// Those of `old` that are urgent.
    pub urgent_old: u32,
}

impl MessageSummary {
    /// Reads a body of `application/simple-message-summary`; `None`: it does not say whether
    /// messages wait.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(body);
        let mut summary = Self::default();
        let mut said = false;
        for line in text.lines().take(MAX_LINES) {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "messages-waiting" => {
                    said = true;
                    summary.waiting = value.eq_ignore_ascii_case("yes");
                }
                "message-account" if !value.is_empty() && value.len() <= MAX_ACCOUNT => {
                    summary.account = Some(value.to_owned());
                }
                "voice-message" => summary.read_counts(value),
                _ => {}
            }
        }
        said.then_some(summary)
    }

    /// `new/old` and, in parentheses, how many of them are urgent.
    fn read_counts(&mut self, value: &str) {
        let (all, urgent) = value.split_once('(').unwrap_or((value, ""));
        let pair = |text: &str| {
            let (new, old) = text.split_once('/')?;
            Some((number(new)?, number(old)?))
        };
        if let Some((new, old)) = pair(all) {
            (self.new, self.old) = (new, old);
        }
        if let Some((new, old)) = pair(urgent.trim_end_matches(')')) {
            (self.urgent_new, self.urgent_old) = (new, old);
        }
    }

    /// What two mailboxes, or two branches of one subscription, have together (RFC 3842 section
    /// 3.9).
    pub(crate) fn merged(self, other: Self) -> Self {
        Self {
            waiting: self.waiting || other.waiting,
            account: self.account.or(other.account),
            new: self.new.saturating_add(other.new),
            old: self.old.saturating_add(other.old),
            urgent_new: self.urgent_new.saturating_add(other.urgent_new),
            urgent_old: self.urgent_old.saturating_add(other.urgent_old),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    crate::message::scan::saturating_u32(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_account_and_urgency_are_read() {
        let body = b"Messages-Waiting: yes\r\nMessage-Account: sip:*97@pbx.example\r\n\
                     Voice-Message: 2/8 (1/3)\r\nFax-Message: 9/9\r\n\r\nTo: <x>\r\n";
        let summary = MessageSummary::parse(body).unwrap();
        assert_eq!(
            summary,
            MessageSummary {
                waiting: true,
                account: Some("sip:*97@pbx.example".to_owned()),
                new: 2,
                old: 8,
                urgent_new: 1,
                urgent_old: 3,
            }
        );
    }

    #[test]
    fn odd_bodies_say_what_they_say() {
        let parse = |text: &str| MessageSummary::parse(text.as_bytes());
        for (text, waiting, new) in [
            ("messages-waiting:YES\nvoice-message: 1/0", true, 1),
            ("Messages-Waiting: no\r\nVoice-Message: 0/3\r\n", false, 0),
            (
                "Messages-Waiting : yes\r\nVoice-Message: x/y (z)\r\n",
                true,
                0,
            ),
            (
                "Messages-Waiting: yes\r\nVoice-Message: 99999999999/0\r\n",
                true,
                u32::MAX,
            ),
        ] {
            let summary = parse(text).unwrap();
            assert_eq!((summary.waiting, summary.new), (waiting, new), "{text}");
        }
        for text in ["", "Voice-Message: 1/0", "yes", "\u{0}:"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn two_mailboxes_add_up() {
        let of = |text: &str| MessageSummary::parse(text.as_bytes()).unwrap();
        let both = of("Messages-Waiting: no\nVoice-Message: 0/2")
            .merged(of("Messages-Waiting: yes\nVoice-Message: 1/1 (1/0)"));
        assert_eq!(
            (both.waiting, both.new, both.old, both.urgent_new),
            (true, 1, 3, 1)
        );
    }
}
