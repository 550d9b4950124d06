//! What a single value cannot show: ports that overlap, halves of a pair, numbers that cannot
//! be reached.
//!
//! ```text
//! Config as read, documents (for the spans) ─▶ cross_check ─▶ problems
//! ```
//!
//! A rule is left out where one of its keys was wrong already: its error has been reported.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, table};
use crate::country;
use crate::error::quote;
use crate::schema::{BlockAction, Eap, EapMethod, FeatureKey, Turn, WifiSecurity};

impl Reader {
    /// None of these keys had a wrong value.
    fn right(&self, names: &[&str]) -> bool {
        !names.iter().any(|name| self.wrong.contains(name))
    }

    /// What a single value cannot show.
    pub(super) fn cross_check(&mut self, documents: &[&DeTable<'_>]) {
        // Errors are placed in the last layer: that is the one a person writes, and what it lies on
        // was looked at on its own before.
        let Some((document, below)) = documents.split_last() else {
            return;
        };
        let span_of = |section: &str, key: &str| {
            table(document, section)
                .and_then(|found| found.get(key))
                .map(|value| value.span().start)
        };
        let network = &self.config.network;
        let (first, last) = network.rtp_ports;
        if self.right(&["sip_port", "rtp_ports"]) && (first..=last).contains(&network.sip_port) {
            let port = network.sip_port;
            let at = span_of("network", "sip_port")
                .or(span_of("network", "rtp_ports"))
                .unwrap_or(0);
            self.problem(
                at,
                format!(
                    "`network.sip_port` {port} is inside `network.rtp_ports` [{first}, {last}]"
                ),
                "choose ports that do not overlap",
            );
        }
        let dial = &self.config.dial;
        if self.right(&["short_timer_ms", "long_timer_ms"])
            && dial.short_timer_ms > dial.long_timer_ms
        {
            let what = format!(
                "`dial.short_timer_ms` {} is longer than `dial.long_timer_ms` {}",
                dial.short_timer_ms, dial.long_timer_ms
            );
            let at = span_of("dial", "short_timer_ms")
                .or(span_of("dial", "long_timer_ms"))
                .unwrap_or(0);
            self.problem(at, what, "make the short timer the shorter one");
        }
        let own = country::plan(self.config.phone.country).emergency;
        let all: Vec<&str> = own
            .iter()
            .copied()
            .chain(self.config.dial.emergency.iter().map(String::as_str))
            .collect();
        let hidden = all.iter().find_map(|long| {
            all.iter()
                .find(|short| long.len() > short.len() && long.starts_with(**short))
                .map(|short| (*long, *short))
        });
        if let Some((long, short)) = hidden.filter(|_| self.right(&["emergency", "country"])) {
            let what = format!(
                "the emergency number `{long}` can never be reached: `{short}` is sent before it \
                 is complete"
            );
            self.problem(
                span_of("dial", "emergency").unwrap_or(0),
                what,
                "remove one of the two",
            );
        }
        let has_hotline = |document: &DeTable<'_>| {
            table(document, "dial").is_some_and(|dial| dial.contains_key("hotline"))
        };
        let hotline = has_hotline(document) || below.iter().any(|document| has_hotline(document));
        if let (Some(at), false) = (span_of("dial", "hotline_after_ms"), hotline) {
            self.problem(
                at,
                "`dial.hotline_after_ms` is set, but there is no `dial.hotline`",
                "add `hotline = \"NUMBER\"` or remove this line",
            );
        }
        let (port, tls) = (self.config.network.sip_port, self.config.tls.sip_port_tls);
        if self.right(&["sip_port", "sip_port_tls"]) && port == tls {
            let at = span_of("tls", "sip_port_tls")
                .or(span_of("network", "sip_port"))
                .unwrap_or(0);
            self.problem(
                at,
                format!("`network.sip_port` and `tls.sip_port_tls` are both {port}"),
                "choose two different ports",
            );
        }
        let given = (
            self.config.tls.certificate.is_some(),
            self.config.tls.key.is_some(),
        );
        let half = match given {
            (true, false) => Some(("certificate", "key")),
            (false, true) => Some(("key", "certificate")),
            (true, true) | (false, false) => None,
        };
        if let Some((there, missing)) = half.filter(|_| self.right(&["certificate", "key"])) {
            self.problem(
                span_of("tls", there).unwrap_or(0),
                format!("`tls.{there}` is set, but there is no `tls.{missing}`"),
                format!("add `{missing} = \"FILE\"` or remove this line"),
            );
        }
        let accounts = &self.config.accounts;
        let twins: Vec<(usize, String)> = (0..accounts.len())
            .filter(|&later| !accounts[later].user.is_empty() && !accounts[later].domain.is_empty())
            .filter(|&later| {
                accounts[..later]
                    .iter()
                    .any(|earlier| earlier.name == accounts[later].name)
            })
            .map(|later| (later, accounts[later].name.clone()))
            .collect();
        for (index, name) in twins {
            let at = match document.get("account").map(Spanned::get_ref) {
                Some(DeValue::Array(list)) => list.get(index).map_or(0, |item| item.span().start),
                Some(_) | None => 0,
            };
            self.problem(
                at,
                format!("two accounts are named {}", quote(&name)),
                "give each its own `name`",
            );
        }
        self.cross_check_calls(&span_of);
        self.cross_check_turn(document, &span_of);
        self.cross_check_appliance(&span_of);
    }

    /// What keys and screening name must be there.
    fn cross_check_calls(&mut self, span_of: &dyn Fn(&str, &str) -> Option<usize>) {
        let (call, dial) = (&self.config.call, &self.config.dial);
        let mailbox = call.block_action == BlockAction::Voicemail
            || call
                .screen
                .iter()
                .any(|(_, action)| *action == BlockAction::Voicemail);
        let unknown = dial.feature_keys.iter().find_map(|(_, what)| match what {
            FeatureKey::Account(name) => {
                let known = self
                    .config
                    .accounts
                    .iter()
                    .any(|account| account.name == *name);
                (!known).then(|| name.clone())
            }
            FeatureKey::Dial(_)
            | FeatureKey::RedialList
            | FeatureKey::Door
            | FeatureKey::Conference => None,
        });
        if mailbox
            && dial.voicemail.is_none()
            && self.right(&["block_action", "screen", "voicemail"])
        {
            let at = span_of("call", "block_action").or(span_of("call", "screen"));
            self.problem(
                at.unwrap_or(0),
                "callers are sent to the mailbox, but there is no `dial.voicemail`",
                "add `voicemail = \"NUMBER\"` under `[dial]`",
            );
        }
        if let Some(name) = unknown.filter(|_| self.right(&["feature_keys", "name"])) {
            self.problem(
                span_of("dial", "feature_keys").unwrap_or(0),
                format!(
                    "a key chooses the account {}, which there is not",
                    quote(&name)
                ),
                "write the `name` of an account, or its `user@domain`",
            );
        }
    }

    /// Whoever names a user of a TURN server names the server.
    fn cross_check_turn(
        &mut self,
        document: &DeTable<'_>,
        span_of: &dyn Fn(&str, &str) -> Option<usize>,
    ) {
        if !self.right(&["turn", "turn_transport", "turn_user", "turn_password"]) {
            return;
        }
        let half = |turn: &Option<Turn>| {
            let without = turn.as_ref().is_some_and(|turn| turn.server.is_empty());
            without.then_some((
                "there is a transport, user or password of a TURN server, but no `turn`",
                "add `turn = \"HOST\"` or remove this line",
            ))
        };
        if let Some((what, help)) = half(&self.config.network.turn) {
            let keys = ["turn_user", "turn_password", "turn_transport"];
            let at = keys.iter().find_map(|key| span_of("network", key));
            self.problem(at.unwrap_or(0), what, help);
        }
        let accounts: Vec<_> = self.config.accounts.iter().map(|a| half(&a.turn)).collect();
        for (index, found) in accounts.into_iter().enumerate() {
            let Some((what, help)) = found else { continue };
            let at = match document.get("account").map(Spanned::get_ref) {
                Some(DeValue::Array(list)) => list.get(index).map_or(0, |item| item.span().start),
                Some(_) | None => 0,
            };
            self.problem(at, what, help);
        }
    }

    /// The same for cable, radio and provisioning.
    fn cross_check_appliance(&mut self, span_of: &dyn Fn(&str, &str) -> Option<usize>) {
        let (link, wifi, provision) =
            (&self.config.link, &self.config.wifi, &self.config.provision);
        let mut found: Vec<(Option<usize>, &str, &str)> = Vec::new();
        if self.right(&["address", "gateway"])
            && let Some(gateway) = link.gateway
            && !link.ipv4.reaches(gateway)
        {
            found.push((
                span_of("network", "gateway").or(span_of("network", "address")),
                "`network.gateway` is not in the network of `network.address`",
                "write the router's address in that network, or correct the prefix length",
            ));
        }
        found.extend(
            missing_for_eap(&link.eap)
                .filter(|_| {
                    self.right(&[
                        "eap",
                        "eap_user",
                        "eap_password",
                        "eap_ca",
                        "eap_certificate",
                        "eap_key",
                    ])
                })
                .map(|(key, what, help)| {
                    (
                        span_of("network", key).or(span_of("network", "eap")),
                        what,
                        help,
                    )
                }),
        );
        let open = wifi.security == WifiSecurity::Open;
        if self.right(&["ssid", "password", "security"]) {
            let password = !wifi.password.0.is_empty();
            if wifi.ssid.is_some() && !password && !open {
                found.push((
                    span_of("wifi", "ssid"),
                    "the Wi-Fi network has no password",
                    "add `password = \"…\"`, or `security = \"open\"` if the network has none",
                ));
            }
            if password && open {
                found.push((
                    span_of("wifi", "password"),
                    "`wifi.security` is \"open\", but there is a password",
                    "remove one of the two lines",
                ));
            }
            if wifi.security == WifiSecurity::Wpa3 && wifi.password.0.len() == 64 {
                found.push((
                    span_of("wifi", "password"),
                    "WPA3 does not accept a key of 64 digits",
                    "write the password itself",
                ));
            }
        }
        let plain = provision
            .url
            .as_deref()
            .is_some_and(|url| url.starts_with("http:"));
        if plain && !provision.allow_http && self.right(&["url", "allow_http"]) {
            found.push((
                span_of("provision", "url"),
                "`provision.url` is not encrypted: anyone on the path can read the passwords and \
                 configure the phone",
                "write `https://`, or add `allow_http = true` under `[provision]`",
            ));
        }
        for (at, what, help) in found
            .into_iter()
            .map(|(at, what, help)| (at.unwrap_or(0), what.to_owned(), help))
            .collect::<Vec<_>>()
        {
            self.problem(at, what, help);
        }
    }
}

/// What IEEE 802.1X lacks: the key it is said of, what is wrong, and how to correct it. Without the
/// authority anybody could play the switch and be given the password.
fn missing_for_eap(eap: &Eap) -> Option<(&'static str, &'static str, &'static str)> {
    let by_password = match eap.method {
        None => {
            let more = !eap.user.is_empty()
                || !eap.password.0.is_empty()
                || eap.ca.is_some()
                || eap.certificate.is_some()
                || eap.key.is_some();
            return more.then_some((
                "eap_user",
                "there are settings for IEEE 802.1X, but no `network.eap`",
                "add `eap = \"peap\"`, \"ttls\" or \"tls\", or remove them",
            ));
        }
        Some(EapMethod::Tls) => false,
        Some(EapMethod::Peap | EapMethod::Ttls) => true,
    };
    if eap.ca.is_none() {
        return Some((
            "eap",
            "`network.eap` is set, but there is no `network.eap_ca`",
            "add `eap_ca = \"FILE\"`: the authority of the RADIUS server's certificate",
        ));
    }
    if by_password && (eap.user.is_empty() || eap.password.0.is_empty()) {
        return Some((
            "eap",
            "`network.eap` needs a user and a password",
            "add `eap_user` and `eap_password`",
        ));
    }
    if !by_password && (eap.certificate.is_none() || eap.key.is_none()) {
        return Some((
            "eap",
            "`network.eap` is \"tls\", which needs a certificate and its key",
            "add `eap_certificate = \"FILE\"` and `eap_key = \"FILE\"`",
        ));
    }
    None
}
