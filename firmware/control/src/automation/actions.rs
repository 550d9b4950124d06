//! HTTP requests to home automation when something happens: URLs with the caller put in.

use std::fmt::Write as _;

use super::{FarEnd, Moment};

/// The addresses.
#[derive(Debug)]
pub(crate) struct Actions {
    urls: config::schema::Actions,
}

impl Actions {
    pub(super) fn new(config: &config::Config) -> Self {
        Self {
            urls: config.actions.clone(),
        }
    }

    /// Nothing is ever fetched.
    pub(super) fn is_off(&self) -> bool {
        self.urls == config::schema::Actions::default()
    }

    /// The addresses to be fetched because of what began.
    pub(super) fn urls(&self, moments: &[Moment], far_end: FarEnd<'_>) -> Vec<String> {
        let urls = &self.urls;
        let url = |moment: &Moment| match moment {
            Moment::Ringing => urls.ringing.as_ref(),
            Moment::Answered => urls.answered.as_ref(),
            Moment::HungUp => urls.hung_up.as_ref(),
            Moment::Missed => None,
            Moment::Registered => urls.registered.as_ref(),
            Moment::Unregistered => urls.unregistered.as_ref(),
            Moment::DndOn => urls.dnd_on.as_ref(),
            Moment::DndOff => urls.dnd_off.as_ref(),
        };
        let due = moments.iter().filter_map(url);
        due.map(|url| filled(url, far_end)).collect()
    }

    /// The address that opens the door.
    pub(super) fn door(&self, far_end: FarEnd<'_>) -> Option<String> {
        self.urls.door.as_ref().map(|url| filled(url, far_end))
    }
}

/// The address with number and name of the far end.
fn filled(url: &str, far_end: FarEnd<'_>) -> String {
    url.replace("{number}", &escaped(far_end.number))
        .replace("{name}", &escaped(far_end.name))
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
    fn each_change_has_its_address_and_a_caller_writes_none() {
        let toml = "[actions]\nringing = \"http://h/r?n={number}&c={name}\"\n\
                    hung_up = \"http://h/e\"\n\
                    dnd_on = \"http://h/d\"\ndoor = \"http://h/door\"\n";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let actions = Actions::new(&config);
        assert!(!actions.is_off());
        let caller = FarEnd {
            number: "0301&x=1#",
            name: "Anna Berg/..",
        };
        let asked = actions.urls(&[Moment::Ringing], caller);
        assert_eq!(asked, ["http://h/r?n=0301%26x%3D1%23&c=Anna%20Berg%2F.."]);
        assert!(actions.urls(&[Moment::Answered], caller).is_empty());
        let both = actions.urls(&[Moment::HungUp, Moment::DndOn], caller);
        assert_eq!(both, ["http://h/e", "http://h/d"]);
        assert_eq!(actions.door(caller).as_deref(), Some("http://h/door"));
        let config = config::Config::default();
        assert!(Actions::new(&config).is_off());
    }
}
