//! When to look for a configuration in the network, and where. No I/O, no clock.
//!
//! ```text
//! [provision] url ───────┐
//! keyed on the phone ────┤
//! DHCP 160, 66, 43 ──────┼─▶ place ─▶ due at start, at `refresh`, every so many hours, soon again after a failure ─▶ Ask
//! _offhook._tcp (DNS-SD) ┘◀─ handle_browsed ◀─ is_browse_due: where none of the others names a server
//! ```
//!
//! What DHCP and DNS-SD say is hearsay: whoever is in the network can say it. It is followed only
//! where the configuration names the authority that vouches for the server (`provision.ca`), or
//! allows `http` outright.

use std::time::{Duration, Instant};

use config::schema::Provision;

/// After the start, so that the network is there; `refresh` cuts it short.
const FIRST: Duration = Duration::from_secs(10);
/// After a failure, doubled each time, up to the last.
const RETRY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// Between two looks for an interface whose address an address wants.
const LOOK: Duration = Duration::from_secs(1);
/// In an address: the phone's hardware address.
const MAC: &str = "{mac}";

/// Why a server that DHCP names is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotFollowed {
    /// Nothing is fetched that way.
    #[error("DHCP names {0}, which is neither https nor http: not followed")]
    Scheme(String),
    /// Whoever answers DHCP could have named any server.
    #[error("DHCP names {0}: not followed, because provision.ca does not say who vouches for it")]
    Untrusted(String),
}

/// When and where.
#[derive(Debug)]
pub(crate) struct Schedule {
    provision: Provision,
    /// What DHCP offered, as it stands in the file.
    dhcp: Option<String>,
    /// The first folder of a server that was keyed.
    keyed: Option<String>,
    /// What the link was found to have.
    found: Option<String>,
    /// When the link is looked at; none: not, or it is looked at now.
    browse_due: Option<Instant>,
    browses: u32,
    due: Option<Instant>,
    /// No one is asked before, whoever wants it.
    not_before: Option<Instant>,
    failures: u32,
    asking: bool,
}

impl Schedule {
    pub(crate) fn new(provision: Provision, now: Instant) -> Self {
        Self {
            provision,
            dhcp: None,
            keyed: None,
            found: None,
            browse_due: Some(now + FIRST),
            browses: 0,
            due: Some(now + FIRST),
            not_before: None,
            failures: 0,
            asking: false,
        }
    }

    /// The server's answers change too often: it is not asked before, not even by an order.
    pub(crate) fn hold_until(&mut self, at: Instant) {
        self.not_before = Some(at);
    }

    /// What DHCP offered (the file's text); something new is looked for at once.
    pub(crate) fn handle_dhcp(&mut self, text: Option<String>, now: Instant) {
        if self.dhcp != text {
            self.dhcp = text;
            if self.provision.url.is_none() {
                self.refresh(now);
            }
        }
    }

    /// Somebody wants it looked for now.
    pub(crate) fn refresh(&mut self, now: Instant) {
        self.failures = 0;
        self.due = Some(now);
        if self.browse_due.is_some() {
            self.browses = 0;
            self.browse_due = Some(now);
        }
    }

    /// A server was keyed in an earlier run.
    pub(crate) fn set_keyed(&mut self, url: &str) {
        self.keyed = Some(url.to_owned());
    }

    /// The server that was keyed is the one from now on.
    pub(crate) fn handle_keyed(&mut self, url: &str, now: Instant) {
        self.keyed = Some(url.to_owned());
        self.refresh(now);
    }

    /// Whether the link is to be looked at now; then [`Schedule::handle_browsed`] must follow.
    pub(crate) fn is_browse_due(&mut self, now: Instant) -> bool {
        let vouched = self.provision.mdns && self.provision.ca.is_some();
        let wanted = vouched && self.found.is_none() && self.named().is_none();
        let is_due = wanted && self.browse_due.is_some_and(|due| due <= now);
        if is_due {
            self.browse_due = None;
        }
        is_due
    }

    /// The link was looked at; the URL of the server that it has.
    pub(crate) fn handle_browsed(&mut self, url: Option<String>, now: Instant) {
        let again = wait_after(&mut self.browses);
        self.browse_due = Some(now + again);
        if url.is_some() {
            self.found = url;
            self.browses = 0;
            // One that failed waits its time.
            if self.failures == 0 || self.due.is_none() {
                self.due = Some(now);
            }
        }
    }

    /// The place to ask, when it is time; then [`Schedule::handle_answer`] must follow. `mac` gives
    /// the hardware address, twelve small hexadecimal digits, or nothing while there is no
    /// interface: the phone starts before its network does.
    pub(crate) fn ask(
        &mut self,
        mac: impl Fn() -> String,
        now: Instant,
    ) -> Option<Result<String, NotFollowed>> {
        if self.asking
            || self.due.is_none_or(|due| due > now)
            || self.not_before.is_some_and(|at| at > now)
        {
            return None;
        }
        self.due = None;
        let mut source = self.source()?;
        if let Ok(url) = &mut source
            && url.contains(MAC)
        {
            let mac = mac();
            if mac.is_empty() {
                self.due = Some(now + LOOK);
                return None;
            }
            *url = url.replace(MAC, &mac);
        }
        self.asking = source.is_ok();
        Some(source)
    }

    /// The last asking came to an end.
    pub(crate) fn handle_answer(&mut self, well: bool, now: Instant) {
        self.asking = false;
        if well {
            self.failures = 0;
            let hours = u64::from(self.provision.every_h);
            self.due = (hours > 0).then(|| now + Duration::from_secs(3600 * hours));
        } else {
            let wait = wait_after(&mut self.failures);
            self.due = Some(now + wait);
            // It may have another address, or another one may be there.
            self.found = None;
        }
    }

    /// Who is asked without looking at the link.
    fn named(&self) -> Option<String> {
        let offered = || {
            let offered = self.dhcp.as_deref().filter(|_| self.provision.dhcp)?;
            super::offer::url(offered)
        };
        let own = self.provision.url.clone().or_else(|| self.keyed.clone());
        own.or_else(offered)
    }

    /// Where the configuration lies, `{mac}` still in it; the error says why no one is asked.
    fn source(&self) -> Option<Result<String, NotFollowed>> {
        if let Some(url) = &self.provision.url {
            return Some(Ok(url.clone()));
        }
        let url = self.named().or_else(|| self.found.clone())?;
        let url = if url.ends_with('/') {
            format!("{url}{MAC}.toml")
        } else {
            url
        };
        if self.keyed.is_some() {
            return Some(Ok(url));
        }
        let printable = url.len() <= 1024 && control::readable::displayable(&url) == url;
        let shown = crate::net::fetch::shown(&url);
        if !printable || !(url.starts_with("https://") || url.starts_with("http://")) {
            return Some(Err(NotFollowed::Scheme(shown)));
        }
        if self.provision.ca.is_none() && !(url.starts_with("http://") && self.provision.allow_http)
        {
            return Some(Err(NotFollowed::Untrusted(shown)));
        }
        Some(Ok(url))
    }
}

/// The pause after one more failure.
fn wait_after(failures: &mut u32) -> Duration {
    let wait = RETRY.0.saturating_mul(1 << (*failures).min(12));
    *failures += 1;
    wait.min(RETRY.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(toml: &str) -> (Schedule, Instant) {
        let now = Instant::now();
        let config = config::load(&format!("[provision]\n{toml}"), "f")
            .unwrap_or_else(|errors| panic!("{errors}"));
        (Schedule::new(config.provision, now), now)
    }

    fn mac() -> String {
        "0242ac110002".to_owned()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_asks_at_start_then_every_so_often() {
        let (mut schedule, t0) = schedule("url = \"https://p.example/{mac}.toml\"\nevery_h = 2");
        assert_eq!(schedule.ask(mac, t0), None);
        let at = t0 + 10 * SECOND;
        assert_eq!(
            schedule.ask(mac, at),
            Some(Ok("https://p.example/0242ac110002.toml".to_owned()))
        );
        assert_eq!(schedule.ask(mac, at), None, "one at a time");
        schedule.handle_answer(true, at);
        assert_eq!(schedule.ask(mac, at + 7199 * SECOND), None);
        assert!(schedule.ask(mac, at + 7200 * SECOND).is_some());
    }

    #[test]
    fn a_failure_is_tried_again_soon_then_seldom() {
        let (mut schedule, t0) = schedule("url = \"https://p.example/x\"");
        let (mut at, mut waits) = (t0, Vec::new());
        for _ in 0..10 {
            let asked = (0..4000)
                .map(|s| at + s * SECOND)
                .find(|now| schedule.ask(mac, *now).is_some())
                .unwrap();
            waits.push(asked.duration_since(at).as_secs());
            schedule.handle_answer(false, asked);
            at = asked;
        }
        assert_eq!(waits, [10, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        schedule.refresh(at);
        assert!(schedule.ask(mac, at).is_some(), "somebody asked for it");
    }

    #[test]
    fn dhcp_is_followed_only_to_a_verified_server() {
        let offered = |toml: &str, text: &str| {
            let (mut schedule, t0) = schedule(toml);
            schedule.handle_dhcp(Some(text.to_owned()), t0);
            schedule.ask(mac, t0)
        };
        let ours = "ca = \"ca.pem\"";
        assert_eq!(
            offered(ours, "option66=p.example\n"),
            Some(Ok("https://p.example/0242ac110002.toml".to_owned()))
        );
        assert_eq!(
            offered(
                ours,
                "option66=p.example\noption160=https://q.example/a/{mac}\n"
            ),
            Some(Ok("https://q.example/a/0242ac110002".to_owned()))
        );
        assert_eq!(offered("", ""), None);
        for (toml, text) in [
            ("", "option66=p.example"),
            ("", "option160=https://mallory.example/"),
            (ours, "option66=tftp://p.example/x"),
            ("", "option160=http://p.example/x"),
        ] {
            assert!(matches!(offered(toml, text), Some(Err(_))), "{toml} {text}");
        }
        assert_eq!(
            offered("allow_http = true", "option160=http://p.example/x"),
            Some(Ok("http://p.example/x".to_owned()))
        );
        assert_eq!(
            offered("dhcp = false\nca = \"ca.pem\"", "option66=p.example"),
            None
        );
        assert!(
            offered(
                "url = \"https://own.example/x\"",
                "option160=https://q.example/"
            )
            .is_none(),
            "the configured one waits its time"
        );
    }

    #[test]
    fn an_address_with_the_phones_own_in_it_waits_for_an_interface() {
        for (toml, offered) in [
            ("url = \"https://p.example/{mac}.toml\"", None),
            ("ca = \"ca.pem\"", Some("option66=p.example\n")),
        ] {
            let (mut schedule, t0) = schedule(toml);
            schedule.handle_dhcp(offered.map(str::to_owned), t0);
            for second in 10..30 {
                assert_eq!(
                    schedule.ask(String::new, t0 + second * SECOND),
                    None,
                    "no one is asked for no one's file"
                );
            }
            assert_eq!(
                schedule.ask(mac, t0 + 30 * SECOND),
                Some(Ok("https://p.example/0242ac110002.toml".to_owned())),
                "as soon as there is one"
            );
        }
        let (mut schedule, t0) = schedule("url = \"https://p.example/all.toml\"");
        assert!(
            schedule.ask(String::new, t0 + 10 * SECOND).is_some(),
            "not needed, not waited for"
        );
    }

    #[test]
    fn what_is_held_is_asked_by_no_order() {
        let (mut schedule, t0) = schedule("url = \"https://p.example/x\"");
        schedule.hold_until(t0 + 300 * SECOND);
        schedule.refresh(t0);
        assert_eq!(schedule.ask(mac, t0 + 299 * SECOND), None);
        assert!(schedule.ask(mac, t0 + 300 * SECOND).is_some());
    }

    #[test]
    fn what_dhcp_says_is_reported_without_its_path() {
        let (mut schedule, t0) = schedule("");
        schedule.handle_dhcp(Some("option160=https://p.example/t0ken/x".to_owned()), t0);
        let refused = schedule.ask(mac, t0).unwrap().unwrap_err().to_string();
        assert!(
            refused.contains("https://p.example/…") && !refused.contains("t0ken"),
            "{refused}"
        );
    }

    #[test]
    fn the_link_is_looked_at_where_no_one_names_a_server() {
        let (mut schedule, t0) = schedule("ca = \"ca.pem\"");
        assert!(!schedule.is_browse_due(t0 + 9 * SECOND));
        let at = t0 + 10 * SECOND;
        assert!(schedule.is_browse_due(at));
        assert!(!schedule.is_browse_due(at), "one at a time");
        schedule.handle_browsed(None, at);
        assert!(!schedule.is_browse_due(at + 29 * SECOND));
        let at = at + 30 * SECOND;
        assert!(schedule.is_browse_due(at), "soon again");
        schedule.handle_browsed(Some("https://phones.local:8443/".to_owned()), at);
        let file = "https://phones.local:8443/0242ac110002.toml".to_owned();
        assert_eq!(schedule.ask(mac, at), Some(Ok(file.clone())));
        schedule.handle_answer(true, at);
        assert!(!schedule.is_browse_due(at + 3600 * SECOND), "it is known");
        let at = at + 24 * 3600 * SECOND;
        assert_eq!(schedule.ask(mac, at), Some(Ok(file)));
        schedule.handle_answer(false, at);
        assert!(schedule.is_browse_due(at), "it may have moved");
        schedule.handle_browsed(Some("https://phones.local/".to_owned()), at);
        assert_eq!(schedule.ask(mac, at + 29 * SECOND), None, "it has failed");
        assert!(schedule.ask(mac, at + 30 * SECOND).is_some());
    }

    #[test]
    fn the_link_is_not_looked_at_in_vain() {
        for (toml, dhcp) in [
            ("", None),
            ("ca = \"ca.pem\"\nmdns = false", None),
            ("ca = \"ca.pem\"\nurl = \"https://p.example/x\"", None),
            ("ca = \"ca.pem\"", Some("option66=p.example\n")),
        ] {
            let (mut schedule, t0) = schedule(toml);
            schedule.handle_dhcp(dhcp.map(str::to_owned), t0);
            assert!(!schedule.is_browse_due(t0 + 3600 * SECOND), "{toml}");
        }
        let (mut schedule, t0) = schedule("ca = \"ca.pem\"");
        schedule.handle_keyed("https://10.0.0.5/", t0);
        assert!(!schedule.is_browse_due(t0 + 3600 * SECOND));
    }

    #[test]
    fn a_keyed_server_is_asked_at_once_and_before_what_dhcp_says() {
        let (mut schedule, t0) = schedule("");
        schedule.handle_dhcp(Some("option66=p.example\n".to_owned()), t0);
        schedule.handle_keyed("https://10.0.0.5/", t0);
        let file = "https://10.0.0.5/0242ac110002.toml".to_owned();
        assert_eq!(schedule.ask(mac, t0), Some(Ok(file)));
    }

    #[test]
    fn nothing_is_asked_where_nothing_is_configured() {
        let (mut schedule, t0) = schedule("");
        assert_eq!(schedule.ask(mac, t0 + 3600 * SECOND), None);
    }
}
