//! HTTP requests to home automation when something happens: URLs with the caller put in.
//!
//! ```text
//! state, registration, do not disturb ─▶ Actions::observe ─▶ Output::Fetch(URL)     (what changed, once)
//! ```

use std::fmt::Write as _;

use phone::State;

/// What the phone is like, as far as actions go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Situation {
    pub(crate) state: State,
    pub(crate) registered: bool,
    pub(crate) dnd: bool,
}

/// The addresses, and what the phone was like before.
#[derive(Debug)]
pub(crate) struct Actions {
    urls: config::schema::Actions,
    before: Situation,
}

impl Actions {
    pub(crate) fn new(config: &config::Config, now: Situation) -> Self {
        Self {
            urls: config.actions.clone(),
            before: now,
        }
    }

    /// Nothing is ever fetched.
    pub(crate) fn is_off(&self) -> bool {
        self.urls == config::schema::Actions::default()
    }

    /// The addresses to be fetched because of what changed.
    pub(crate) fn observe(&mut self, now: Situation, caller: (&str, &str)) -> Vec<String> {
        let before = std::mem::replace(&mut self.before, now);
        let began = |state: State| now.state == state && before.state != state;
        let urls = &self.urls;
        let wanted = [
            (began(State::Ringing), &urls.ringing),
            (
                began(State::Talking) && before.state != State::OnHold,
                &urls.answered,
            ),
            (began(State::Idle), &urls.hung_up),
            (now.registered && !before.registered, &urls.registered),
            (!now.registered && before.registered, &urls.unregistered),
            (now.dnd && !before.dnd, &urls.dnd_on),
            (!now.dnd && before.dnd, &urls.dnd_off),
        ];
        let due = wanted.into_iter().filter(|(due, _)| *due);
        due.filter_map(|(_, url)| url.as_ref())
            .map(|url| filled(url, caller))
            .collect()
    }

    /// The address that opens the door.
    pub(crate) fn door(&self, caller: (&str, &str)) -> Option<String> {
        self.urls.door.as_ref().map(|url| filled(url, caller))
    }
}

/// The address with number and name of the far end.
fn filled(url: &str, (number, name): (&str, &str)) -> String {
    url.replace("{number}", &escaped(number))
        .replace("{name}", &escaped(name))
}

/// As it may stand in a URL (RFC 3986 section 2.3): a caller writes no address.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_reported_once_and_a_caller_writes_no_address() {
        let toml = "[actions]\nringing = \"http://h/r?n={number}&c={name}\"\n\
                    hung_up = \"http://h/e\"\n\
                    dnd_on = \"http://h/d\"\ndoor = \"http://h/door\"\n";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let rest = Situation {
            state: State::Idle,
            registered: false,
            dnd: false,
        };
        let mut actions = Actions::new(&config, rest);
        assert!(!actions.is_off());
        let rings = Situation {
            state: State::Ringing,
            ..rest
        };
        let caller = ("0301&x=1#", "Anna Berg/..");
        let asked = actions.observe(rings, caller);
        assert_eq!(asked, ["http://h/r?n=0301%26x%3D1%23&c=Anna%20Berg%2F.."]);
        assert!(actions.observe(rings, caller).is_empty(), "once");
        let busy = Situation { dnd: true, ..rest };
        assert_eq!(actions.observe(busy, caller), ["http://h/e", "http://h/d"]);
        assert_eq!(actions.door(caller).as_deref(), Some("http://h/door"));
        let config = config::Config::default();
        assert!(Actions::new(&config, rest).is_off());
    }
}
