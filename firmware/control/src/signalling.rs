//! What the agent tells: each event becomes news for the phone, and a stream where media was
//! agreed.

use std::net::SocketAddr;
use std::time::Instant;

use phone::{Alert, CallUpdate, EndCause, Input};
use serde_json::json;
use sip::EndedBy;
use sip::offer_answer::Negotiated;
use sip::privacy::Fingerprint;

use super::{CallRecord, Control, Output, Stage, Way};
use crate::readable::shown;

/// What the agent is told of the configuration.
pub(super) fn agent_config(
    config: &config::Config,
    local: SocketAddr,
    fingerprint: Option<&Fingerprint>,
    seed: [u8; 32],
) -> sip::AgentConfig {
    let accounts = config
        .accounts
        .iter()
        .map(|account| sip::AccountConfig {
            user: account.user.clone(),
            domain: account.domain.clone(),
            auth_user: account
                .auth_user
                .clone()
                .unwrap_or_else(|| account.user.clone()),
            password: account.password.0.clone(),
            weakest_hash: match account.digest {
                config::schema::DigestPolicy::Any => sip::digest::Hash::Md5,
                config::schema::DigestPolicy::Sha256 => sip::digest::Hash::Sha256,
            },
            display_name: account.display_name.clone(),
            transport: account.transport,
            registrar: account.registrar.clone(),
            outbound_proxy: account.outbound_proxy.clone(),
            expires_s: account.expires_s,
            register: account.register,
            privacy: crate::negotiate::privacy(config, Some(account), fingerprint),
        })
        .collect();
    sip::AgentConfig {
        accounts,
        user: config.phone.user.clone(),
        display_name: config.phone.name.clone(),
        user_agent: concat!("Offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
        direct_calls: config.call.direct,
        auto_answer: config.call.auto_answer_ms.is_some(),
        codecs: config.codecs.order.clone(),
        privacy: crate::negotiate::privacy(config, None, fingerprint),
        local,
        tls_port: config.tls.sip_port_tls,
        seed,
    }
}

/// How an Alert-Info value asks to be rung (Bellcore names, and the URNs of RFC 7462).
fn alert_of(alert_info: Option<&str>) -> Alert {
    let Some(value) = alert_info.map(str::to_ascii_lowercase) else {
        return Alert::Normal;
    };
    for number in 1..=5_u8 {
        if value.contains(&format!("bellcore-dr{number}")) {
            return Alert::Distinctive(number);
        }
    }
    if value.contains("urn:alert:source:internal") || value.contains("alert-internal") {
        Alert::Distinctive(2)
    } else if value.contains("urn:alert:tune:silent") || value.contains("silent") {
        Alert::Silent
    } else {
        Alert::Normal
    }
}

impl Control {
    pub(super) fn signalled(&mut self, event: sip::Event, now: Instant) {
        match event {
            sip::Event::Registration {
                account,
                until,
                error,
            } => self.registered(account, until, error.as_deref(), now),
            sip::Event::Incoming {
                call,
                account,
                from,
                to: _,
                alert_info,
                answer_after_ms,
                call_id,
                replaces,
            } => {
                let old = replaces
                    .and_then(|old| self.place_of_sip(old))
                    .map(|place| self.calls[place].id);
                let id = self.phone.new_call();
                // As it came: the log shows what is no text by its number.
                tracing::info!("call {} from {from} (Call-ID {call_id})", id.0);
                let from = shown(&from);
                let mut record = CallRecord::new(id, call, Way::In, from.clone(), now);
                record.account = account.map(|account| account.0);
                self.calls.push(record);
                self.tell_call(self.calls.len() - 1);
                if replaces.is_some() {
                    // The call may have ended in this very turn: then there is nothing to take the
                    // place of.
                    return match old {
                        Some(old) => self.phone.handle(
                            Input::Replacing {
                                call: id,
                                old,
                                from,
                            },
                            now,
                        ),
                        None => self.agent.reject(call, 603, now),
                    };
                }
                let alert = alert_of(alert_info.as_deref());
                let auto_answer = answer_after_ms.is_some();
                self.phone.handle(
                    Input::Incoming {
                        call: id,
                        from,
                        alert,
                        auto_answer,
                    },
                    now,
                );
            }
            sip::Event::Progress {
                call,
                code: _,
                media,
            } => self.progress(call, media, now),
            sip::Event::Established { call, media, peer } => {
                self.established(call, media, &peer, now)
            }
            sip::Event::MediaChanged { call, media } => self.media_changed(call, media, now),
            sip::Event::HoldFailed { call, code } => {
                let Some(place) = self.place_of_sip(call) else {
                    return;
                };
                let record = &mut self.calls[place];
                record.hold_asked = None;
                let (id, held) = (record.id, record.stage == Stage::OnHold);
                self.note(&format!(
                    "call {}: hold or resume was refused with {code}",
                    id.0
                ));
                self.phone
                    .handle(Input::Call(id, CallUpdate::Held(held)), now);
            }
            sip::Event::Digit { call, digit } => {
                if let Some(place) = self.place_of_sip(call) {
                    let id = self.calls[place].id.0;
                    self.tell(&json!({"event": "digit", "call": id, "digit": digit.to_string(), "via": "info"}));
                }
            }
            sip::Event::Refer { call, to, user } => {
                let Some(place) = self.place_of_sip(call) else {
                    return self.agent.reject_refer(call, now);
                };
                let id = self.calls[place].id;
                self.tell(&json!({"event": "refer", "call": id.0, "to": to}));
                self.phone
                    .handle(Input::Call(id, CallUpdate::Refer { to, user }), now);
            }
            sip::Event::Ended {
                call,
                by,
                code,
                reason,
            } => self.ended(call, by, code, &reason, now),
            sip::Event::Lookup(lookup) => self.outputs.push_back(Output::Lookup(lookup)),
            sip::Event::Connect {
                connection,
                remote,
                transport,
                names,
            } => self.outputs.push_back(Output::Connect {
                connection,
                remote,
                transport,
                names,
            }),
            sip::Event::Close(connection) => self.outputs.push_back(Output::Disconnect(connection)),
            sip::Event::Note(text) => self.note(&text),
        }
    }

    fn registered(
        &mut self,
        account: sip::AccountId,
        until: Option<Instant>,
        error: Option<&str>,
        now: Instant,
    ) {
        let Some(line) = self.lines.get_mut(account.0) else {
            return;
        };
        let name = line.name.clone();
        let error = error.map(shown);
        if line.error != error
            && let Some(error) = &error
        {
            tracing::warn!("account {name}: {error}");
        }
        if line.until.is_none() && until.is_some() {
            tracing::info!("account {name}: registered");
        }
        line.until = until;
        let event = json!({"event": "registration", "account": name, "registered": until.is_some(), "error": error});
        line.error = error;
        self.tell(&event);
        self.phone.handle(
            Input::AccountStatus {
                account: phone::AccountId(account.0),
                usable: until.is_some(),
            },
            now,
        );
    }

    fn progress(&mut self, call: sip::CallHandle, media: Option<Negotiated>, now: Instant) {
        let Some(place) = self.place_of_sip(call) else {
            return;
        };
        let id = self.calls[place].id;
        // A 180 without sound after another leg's early media does not silence what is heard
        // already: one leg at a time, and the agent tells of the leg whose sound counts by sending
        // its media.
        let (stage, update) = match media {
            Some(media) => {
                self.agree(place, media, now);
                (Stage::EarlyMedia, CallUpdate::EarlyMedia)
            }
            None if self.calls[place].stage == Stage::EarlyMedia => return,
            None => (Stage::Ringback, CallUpdate::Ringing),
        };
        if self.calls[place].stage != stage {
            self.calls[place].stage = stage;
            self.tell_call(place);
        }
        self.phone.handle(Input::Call(id, update), now);
    }

    fn established(&mut self, call: sip::CallHandle, media: Negotiated, peer: &str, now: Instant) {
        let Some(place) = self.place_of_sip(call) else {
            return;
        };
        self.agree(place, media, now);
        let record = &mut self.calls[place];
        record.stage = Stage::Talking;
        record.setup = Some(now.saturating_duration_since(record.began));
        if !peer.is_empty() {
            record.peer = shown(peer);
        }
        let id = record.id;
        self.expect_sound(place);
        self.shake_hands(place, now);
        self.tell_call(place);
        self.phone
            .handle(Input::Call(id, CallUpdate::Answered), now);
        self.tell_hold_by_peer(place, now);
    }

    fn media_changed(&mut self, call: sip::CallHandle, media: Negotiated, now: Instant) {
        let Some(place) = self.place_of_sip(call) else {
            return;
        };
        let receives = media.direction.receives();
        self.agree(place, media, now);
        let record = &mut self.calls[place];
        let id = record.id;
        // An offer of theirs may cross ours: ours is answered only when the direction says what we
        // asked for.
        let told = match record.hold_asked {
            Some(true) if !receives => Some(true),
            Some(false) if receives || record.stage == Stage::OnHold => Some(false),
            Some(_) | None => None,
        };
        if let Some(held) = told {
            record.hold_asked = None;
            record.stage = if held { Stage::OnHold } else { Stage::Talking };
            self.tell_call(place);
            self.phone
                .handle(Input::Call(id, CallUpdate::Held(held)), now);
        }
        self.tell_hold_by_peer(place, now);
    }

    /// The far end holds us when it does not want our sound and we did not ask for that.
    fn tell_hold_by_peer(&mut self, place: usize, now: Instant) {
        let record = &mut self.calls[place];
        let Some(agreed) = record.media.as_ref() else {
            return;
        };
        let held = !agreed.direction.sends();
        if held != record.held_by_peer {
            record.held_by_peer = held;
            let id = record.id;
            self.phone
                .handle(Input::Call(id, CallUpdate::HeldByPeer(held)), now);
        }
    }

    fn ended(
        &mut self,
        call: sip::CallHandle,
        by: EndedBy,
        code: Option<u16>,
        reason: &str,
        now: Instant,
    ) {
        let Some(place) = self.place_of_sip(call) else {
            return;
        };
        let whose = match by {
            EndedBy::Local => "ended here",
            EndedBy::Remote => "ended by the far end",
            EndedBy::Failure => "failed",
        };
        let record = &mut self.calls[place];
        record.stage = Stage::Ended;
        let reason = record.why.take().unwrap_or_else(|| shown(reason));
        record.cause = Some(match code {
            Some(code) => format!("{whose}: {code} {reason}"),
            None => format!("{whose}: {reason}"),
        });
        let id = record.id;
        self.last_call = Some(record.status());
        self.tell_call(place);
        self.phone.handle(
            Input::Call(id, CallUpdate::Ended(EndCause { code, reason })),
            now,
        );
        self.stop_sound(place, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alert_info_is_read_as_phones_write_it() {
        assert_eq!(alert_of(None), Alert::Normal);
        assert_eq!(
            alert_of(Some("<http://127.0.0.1/Bellcore-dr3>")),
            Alert::Distinctive(3)
        );
        assert_eq!(
            alert_of(Some("<urn:alert:source:internal>")),
            Alert::Distinctive(2)
        );
        assert_eq!(
            alert_of(Some("<http://x>;info=alert-internal")),
            Alert::Distinctive(2)
        );
        assert_eq!(
            alert_of(Some("<http://www.notused.com>;info=silent")),
            Alert::Silent
        );
        assert_eq!(alert_of(Some("<http://x/ring.wav>")), Alert::Normal);
    }
}
