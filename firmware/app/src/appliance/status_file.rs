//! `status.txt`: what the phone made of its configuration, for whoever reads the card in a
//! computer. The text, and when it may be written.
//!
//! ```text
//! Facts ─▶ text ─▶ Writer ─▶ Some(text) to write: errors at once, the rest when it is quiet, never the same twice
//! ```
//!
//! There is no time and no counter in it, so that a phone that only runs writes nothing: cards wear
//! out.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use control::Status;

use super::account_watch::AccountWatch;

/// A text must stand so long before it is written.
const QUIET: Duration = Duration::from_secs(10);
/// Two writes of what the network does are at least so far apart; a card that flaps with its
/// registrar would not live long.
const APART: Duration = Duration::from_secs(600);
/// Most bytes taken of what the image says.
pub(crate) const MAX_IMAGE: u64 = 2048;

/// Everything the file says.
pub(crate) struct Facts<'a> {
    /// The board's profile.
    pub(crate) board: &'a str,
    /// One line about the configuration, and its errors.
    pub(crate) report: &'a str,
    pub(crate) errors: Option<&'a config::Errors>,
    /// What the last look for a configuration in the network came to.
    pub(crate) network: Option<&'a str>,
    /// Why another SIP port is used than the configured one.
    pub(crate) port: Option<&'a str>,
    pub(crate) status: &'a Status,
    /// Accounts that do not register, and what was found out about them.
    pub(crate) accounts: &'a AccountWatch,
    /// Interface and address, each once.
    pub(crate) addresses: &'a [String],
    /// What was found of the wiring the last time somebody asked.
    pub(crate) wiring: &'a str,
    /// What the image says.
    pub(crate) image: &'a str,
}

/// The text.
pub(crate) fn text(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "Offhook {} on {}\n", facts.status.version, facts.board);
    if !env!("OFFHOOK_COMMIT").is_empty() {
        let _ = writeln!(out, "Commit: {}", env!("OFFHOOK_COMMIT"));
    }
    let _ = writeln!(out, "Configuration: {}", facts.report);
    if let Some(network) = facts.network {
        let _ = writeln!(out, "From the network: {network}");
    }
    if let Some(port) = facts.port {
        let _ = writeln!(out, "SIP port: {port}");
    }
    if let Some(errors) = facts.errors {
        out.push_str("\nErrors:\n");
        for error in &errors.0 {
            let _ = writeln!(
                out,
                "  {}, line {}, column {}: {}\n      help: {}",
                error.file, error.line, error.column, error.what, error.help
            );
        }
    }
    out.push_str("\nAccounts:\n");
    for line in &facts.status.lines {
        let state = match (&line.error, line.registered) {
            (_, true) => "registered".to_owned(),
            (Some(error), false) => format!("not registered: {error}"),
            (None, false) => "not registered".to_owned(),
        };
        let _ = writeln!(out, "  {} ({}): {state}", line.account, line.uri);
        for finding in facts.accounts.findings(&line.account) {
            let _ = writeln!(out, "    {finding}");
        }
        if let Some(server) = &line.server {
            let _ = writeln!(out, "      server: {server}");
        }
        for server in &line.silent_servers {
            let _ = writeln!(out, "      does not answer: {server}");
        }
        // A registration that works is refreshed for ever; only where it does not is the file
        // written for each attempt.
        let attempts = line.attempts.iter().filter(|_| !line.registered);
        for attempt in attempts {
            let server = attempt.server.as_deref().unwrap_or("no server");
            let next = attempt.next.as_deref().unwrap_or("at once");
            let (at, result) = (&attempt.at, &attempt.result);
            let _ = writeln!(out, "      {at} {server}: {result}; next: {next}");
        }
    }
    if facts.status.lines.is_empty() {
        out.push_str("  none: calls between phones need no account\n");
    }
    if let Some(mqtt) = &facts.status.mqtt {
        let state = match (&mqtt.error, mqtt.connected) {
            (_, true) => "connected".to_owned(),
            (Some(error), false) => format!("not connected: {error}"),
            (None, false) => "not connected yet".to_owned(),
        };
        let _ = writeln!(out, "\nMQTT broker: {}: {state}", mqtt.broker);
    }
    out.push_str("\nAddresses:\n");
    for address in facts.addresses {
        let _ = writeln!(out, "  {address}");
    }
    if facts.addresses.is_empty() {
        let fault = facts.status.network.as_deref();
        let _ = writeln!(out, "  none: {}", fault.unwrap_or("is the network up?"));
    }
    let _ = writeln!(out, "\nSound card: {}", facts.status.audio.device);
    if !facts.status.hardware.is_empty() {
        out.push_str("\nHardware that is not in use:\n");
        for fault in &facts.status.hardware {
            let _ = writeln!(out, "  {}", control::readable::displayable(fault));
        }
    }
    if !facts.wiring.is_empty() {
        out.push_str("\nWiring, as found the last time:\n");
        for line in facts.wiring.lines() {
            let _ = writeln!(out, "  {}", control::readable::displayable(line));
        }
    }
    let mut image = facts
        .image
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .peekable();
    if image.peek().is_some() {
        out.push_str("\nImage:\n");
        for line in image {
            let _ = writeln!(out, "  {}", control::readable::displayable(line));
        }
    }
    out
}

/// Says when a text is to be written.
#[derive(Debug)]
pub(crate) struct Writer {
    /// What lies on the card.
    written: Option<String>,
    written_at: Option<Instant>,
    /// What is to be written there, and since when.
    waiting: Option<(String, Instant)>,
}

impl Writer {
    /// With what lies on the card now.
    pub(crate) fn new(on_card: Option<String>) -> Self {
        Self {
            written: on_card,
            written_at: None,
            waiting: None,
        }
    }

    /// What the file should say now; `urgent`: somebody waits for it (errors, an order). Returns
    /// what to write, once.
    pub(crate) fn offer(&mut self, text: String, urgent: bool, now: Instant) -> Option<String> {
        if self.written.as_ref() == Some(&text) {
            self.waiting = None;
            return None;
        }
        let since = match self.waiting.take() {
            Some((waiting, since)) if waiting == text => since,
            Some(_) | None => now,
        };
        let quiet = now.saturating_duration_since(since) >= QUIET;
        let apart = self
            .written_at
            .is_none_or(|at| now.saturating_duration_since(at) >= APART);
        if urgent || (quiet && apart) {
            self.written = Some(text.clone());
            self.written_at = Some(now);
            return Some(text);
        }
        self.waiting = Some((text, since));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::{Control, Identity};

    fn status(toml: &str) -> Status {
        let now = Instant::now();
        let identity = Identity {
            seed: [7; 32],
            local: "10.0.0.2:5060"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
            card: (48_000, 240),
            ntp: 0,
            known: control::KnownPeers::default(),
            features: phone::Features::default(),
            history: control::history::History::default(),
            credentials: None,
        };
        Control::new(&config::load(toml, "f").unwrap(), identity, now).status(now)
    }

    #[test]
    fn errors_are_named_with_their_place_and_no_secret() {
        let bad = "[[account]]\nuser = \"101\"\ndomain = \"pbx\"\npassword = \"hunter2\"\n\
                   transprot = \"udp\"\n";
        let errors = config::load(bad, "offhook.toml").unwrap_err();
        let status =
            status("[[account]]\nuser = \"101\"\ndomain = \"pbx\"\npassword = \"hunter2\"\n");
        let text = text(&Facts {
            board: "rpi3",
            report: "offhook.toml has an error: the last good configuration stays in use; correct \
                     the file",
            errors: Some(&errors),
            network: None,
            port: None,
            status: &status,
            accounts: &AccountWatch::default(),
            addresses: &["eth0 192.168.1.20".to_owned()],
            wiring: "hook: line 23\n\n[hardware.hook]\nline = 23\n",
            image: "slot: a\n\nupdate: refused: the signature is not ours\u{1b}[2J\n",
        });
        assert!(
            text.contains(
                "  offhook.toml, line 5, column 1: there is no key `transprot` in `account`\n      \
                 help: did you mean `transport`?\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("  101@pbx (sip:101@pbx): not registered\n")
                && text.contains("  eth0 192.168.1.20\n")
        );
        assert!(
            text.contains(
                "Image:\n  slot: a\n  update: refused: the signature is not ours\u{fffd}[2J\n"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "Wiring, as found the last time:\n  hook: line 23\n  \n  [hardware.hook]\n  \
                 line = 23\n"
            ),
            "{text}"
        );
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn a_phone_that_only_runs_writes_nothing() {
        let t0 = Instant::now();
        let mut writer = Writer::new(None);
        let mut writes = 0;
        for tick in 0..4 * 86_400 {
            let now = t0 + Duration::from_millis(250) * tick;
            writes += usize::from(writer.offer("steady".into(), false, now).is_some());
        }
        assert_eq!(writes, 1);
        let mut again = Writer::new(Some("steady".into()));
        assert_eq!(
            again.offer("steady".into(), true, t0),
            None,
            "nor at the next start"
        );
    }

    #[test]
    fn a_flapping_line_does_not_wear_the_card_out() {
        let t0 = Instant::now();
        let mut writer = Writer::new(None);
        let mut writes = 0;
        // Every 30 s the registrar comes or goes, for a day.
        for tick in 0..4 * 86_400_u32 {
            let text = format!("registered: {}", tick / 120 % 2);
            writes += u32::from(
                writer
                    .offer(text, false, t0 + Duration::from_millis(250) * tick)
                    .is_some(),
            );
        }
        assert!(writes > 1 && writes <= 86_400 / 600 + 1, "{writes}");
    }

    #[test]
    fn errors_are_written_at_once() {
        let t0 = Instant::now();
        let mut writer = Writer::new(Some("old".into()));
        assert_eq!(writer.offer("bad".into(), true, t0).as_deref(), Some("bad"));
        assert_eq!(writer.offer("bad".into(), true, t0), None);
        assert_eq!(writer.offer("good".into(), false, t0), None);
    }
}
