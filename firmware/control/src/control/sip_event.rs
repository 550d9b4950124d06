//! What the user agent reports: each event updates the phone and the call, and becomes a stream
//! where media was agreed.

use std::time::Instant;

use phone::{Alert, CallId, CallUpdate, EndCause, Input};
use sip::EndedBy;
use sip::offer_answer::Negotiated;

use super::{Control, Output, call_span};
use crate::call::CallRecord;
use crate::event::{CallDirection, CallProgress, DigitTransport, Event};
use crate::history::CallOutcome;
use crate::note::Note;
use crate::readable::displayable;

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

/// The user part of an address; the whole where it has none.
pub(super) fn user_of(address: &str) -> String {
    let user = address.split_once(':').and_then(|(_, rest)| {
        let (user, _) = rest.rsplit_once('@')?;
        Some(user.split([';', ':']).next().unwrap_or(user))
    });
    user.unwrap_or(address).to_owned()
}

impl Control {
    pub(super) fn on_sip_event(&mut self, event: sip::Event, now: Instant) {
        match event {
            sip::Event::Registration {
                account,
                until,
                error,
            } => {
                let change = self
                    .accounts
                    .on_registration(account, until, error.as_deref());
                if let Some(event) = change {
                    self.outbox.emit(event);
                    let account = phone::AccountId(account.0);
                    let usable = until.is_some();
                    self.phone
                        .handle(Input::AccountStatus { account, usable }, now);
                }
            }
            sip::Event::MappingChanged { account } => self.regather_all(Some(account.0), now),
            sip::Event::Incoming {
                call,
                account,
                from,
                address,
                anonymous,
                to: _,
                first_called,
                alert_info,
                answer_after_ms,
                offers_ice,
                call_id,
                replaces,
                returned,
            } => {
                let id = self.phone.new_call();
                let _span = call_span(id);
                // As it came: the log escapes what is not text.
                tracing::info!("call {} from {from} (Call-ID {call_id})", id.0);
                let from = displayable(&from);
                if let Some(first) = first_called {
                    self.outbox.note(&Note::Diverted {
                        call: id.0,
                        from: from.clone(),
                        first: displayable(&first),
                    });
                }
                // The replaced call may have ended in this very turn: then there is nothing to take
                // the place of.
                let old = replaces.map(|old| self.calls.by_sip(old).map(|old| old.id));
                let number = match account {
                    // A number or user of the account's domain.
                    Some(_) => user_of(&address),
                    None => address,
                };
                // Who withholds the number is no one of the phone book.
                let known = self.contacts.name_of(&number).filter(|_| !anonymous);
                let from = known.unwrap_or(from);
                let mut record = CallRecord::new(id, call, CallDirection::In, from.clone(), now);
                record.account = account.map(|account| account.0);
                record.offers_ice = offers_ice;
                record.number = if anonymous {
                    String::new()
                } else {
                    displayable(&number)
                };
                self.calls.push(record);
                let input = match old {
                    Some(None) => return self.agent.reject(call, 603, now),
                    Some(Some(old)) => Input::Replacing {
                        call: id,
                        old,
                        from,
                    },
                    None if returned => Input::Returned {
                        call: id,
                        from,
                        account: account.map(|account| phone::AccountId(account.0)),
                    },
                    None => Input::Incoming {
                        call: id,
                        from: phone::Caller {
                            name: from,
                            number,
                            account: account.map(|account| phone::AccountId(account.0)),
                            anonymous,
                        },
                        alert: alert_of(alert_info.as_deref()),
                        auto_answer: answer_after_ms.is_some(),
                    },
                };
                let quiet = self.is_quiet(now);
                self.phone.handle(Input::QuietHours(quiet), now);
                self.phone.handle(input, now);
            }
            sip::Event::Progress {
                call,
                code: _,
                branch,
                media,
            } => self.progress(call, branch, media, now),
            sip::Event::Established { call, media, peer } => {
                self.established(call, media, &peer, now);
            }
            sip::Event::MediaChanged { call, media } => self.media_changed(call, media, now),
            sip::Event::HoldFailed { call, code } => {
                let Some(record) = self.calls.by_sip(call) else {
                    return;
                };
                let wanted = record.hold.is_wanted();
                let (id, held) = (record.id, record.hold.refused());
                let _span = call_span(id);
                self.outbox.note(&Note::HoldRefused { call: id.0, code });
                let update = if wanted && !held {
                    CallUpdate::HoldRefused
                } else {
                    CallUpdate::Held(held)
                };
                self.update_phone(id, update, now);
            }
            sip::Event::PeerChanged { call, peer } => {
                let Some(record) = self.calls.by_sip(call) else {
                    return;
                };
                let id = record.id;
                record.peer = displayable(&peer);
                let peer = record.peer.clone();
                let _span = call_span(id);
                self.outbox.note(&Note::FarEnd {
                    call: id.0,
                    peer: peer.clone(),
                });
                self.update_phone(id, CallUpdate::Peer(peer), now);
            }
            sip::Event::Message {
                account,
                from,
                address,
                text,
            } => self.on_message(account, &from, &address, &text, now),
            sip::Event::MessageSent { message, result } => self.on_message_sent(message, result),
            sip::Event::Published { result, .. } => {
                if let Err(refused) = result {
                    tracing::warn!("what this phone publishes is not taken: {refused}");
                }
            }
            sip::Event::MessagesWaiting { account, summary } => {
                self.on_messages_waiting(account, &summary, now);
            }
            sip::Event::Watched { watch, state } => self.on_watched(watch, state, now),
            sip::Event::CheckSync { account, reboot } => self.on_check_sync(account, reboot),
            sip::Event::RemoteControl { call, action } => {
                self.on_remote_control(call, action, now);
            }
            sip::Event::Redirect { call, to, user } => self.redirected(call, &to, &user, now),
            sip::Event::Digit { call, digit } => {
                if let Some(record) = self.calls.by_sip(call) {
                    self.outbox.emit(Event::Digit {
                        call: record.id.0,
                        digit,
                        via: DigitTransport::Info,
                    });
                }
            }
            sip::Event::DigitRefused { call, digit } => self.on_digit_refused(call, digit),
            sip::Event::Refer { call, to, user } => {
                let Some(record) = self.calls.by_sip(call) else {
                    return self.agent.reject_refer(call, now);
                };
                let id = record.id;
                self.outbox.emit(Event::Refer {
                    call: id.0,
                    to: to.clone(),
                });
                self.update_phone(id, CallUpdate::Refer { to, user }, now);
            }
            sip::Event::Ended {
                call,
                by,
                code,
                reason,
            } => self.ended(call, by, code, &reason, now),
            sip::Event::Lookup(lookup) => self.outbox.push(Output::Lookup(lookup)),
            sip::Event::Connect {
                connection,
                remote,
                transport,
                names,
            } => self.outbox.push(Output::Connect {
                connection,
                remote,
                transport,
                names,
            }),
            sip::Event::Close(connection) => self.outbox.push(Output::Disconnect(connection)),
            sip::Event::PeerChecked { call, result } => self.on_peer_checked(call, result, now),
            sip::Event::Transferred { to, result, .. } => self.outbox.note(&match result {
                Ok(()) => Note::TransferDone { to },
                Err(code) => Note::TransferFailed { to, code },
            }),
        }
    }

    /// Whom a redirection names is called unless the dial plan bars it: our credentials go along.
    fn redirected(&mut self, call: sip::CallHandle, to: &str, user: &str, now: Instant) {
        let id = self.calls.by_sip(call).map(|record| record.id);
        let barred = id.and_then(|id| self.phone.bars_redirection(id, user));
        if let Some(record) = self.calls.by_sip(call) {
            let _span = call_span(record.id);
            let to = displayable(to);
            let call = record.id.0;
            self.outbox.note(&match &barred {
                None => Note::Redirected { call, to },
                Some(why) => Note::RedirectionBarred {
                    call,
                    to,
                    why: why.to_string(),
                },
            });
        }
        self.agent.decide_redirection(call, barred.is_none(), now);
    }

    fn update_phone(&mut self, call: CallId, update: CallUpdate, now: Instant) {
        self.phone.handle(Input::Call(call, update), now);
    }

    fn progress(
        &mut self,
        call: sip::CallHandle,
        branch: u32,
        media: Option<Negotiated>,
        now: Instant,
    ) {
        let Some(record) = self.calls.by_sip(call) else {
            return;
        };
        let (id, incoming) = (record.id, record.direction == CallDirection::In);
        let update = match media {
            // Our own early media: the phone goes on ringing.
            Some(media) if incoming => return self.agree(id, media, now),
            Some(media) => {
                self.describe_branch(id, branch, media, now);
                CallUpdate::EarlyMedia
            }
            // A 180 without sound after another leg's early media does not silence what is heard
            // already: one leg at a time, and the agent reports the leg whose sound counts by
            // sending its media.
            None if record.media.is_some() => return,
            None => CallUpdate::Ringing,
        };
        self.update_phone(id, update, now);
    }

    fn established(&mut self, call: sip::CallHandle, media: Negotiated, peer: &str, now: Instant) {
        let Some(record) = self.calls.by_sip(call) else {
            return;
        };
        let id = record.id;
        let _span = call_span(id);
        self.forget_branches(id);
        self.agree(id, media, now);
        let dialog = self.agent.dialog_identity(call);
        if let Some(record) = self.calls.get(id) {
            record.dialog = dialog;
            record.setup = Some(now.saturating_duration_since(record.began));
            if !peer.is_empty() {
                record.peer = displayable(peer);
            }
        }
        self.expect_media(id);
        self.agree_dtls(id, now);
        self.check_early_peer(id);
        self.update_phone(id, CallUpdate::Answered, now);
        self.report_hold_by_peer(id, now);
        // Checks may have ended while it rang.
        self.confirm_path(id, now);
    }

    fn media_changed(&mut self, call: sip::CallHandle, media: Negotiated, now: Instant) {
        let Some(record) = self.calls.by_sip(call) else {
            return;
        };
        let id = record.id;
        let held = record.hold.on_media(media.direction.receives());
        let _span = call_span(id);
        self.agree(id, media, now);
        if let Some(held) = held {
            self.update_phone(id, CallUpdate::Held(held), now);
        }
        self.report_hold_by_peer(id, now);
    }

    /// The far end holds us when it does not want our sound and we did not ask for that.
    fn report_hold_by_peer(&mut self, call: CallId, now: Instant) {
        let Some(record) = self.calls.get(call) else {
            return;
        };
        let Some(agreed) = record.media.as_ref() else {
            return;
        };
        let held = !agreed.direction.sends();
        if std::mem::replace(&mut record.held_by_peer, held) != held {
            self.update_phone(call, CallUpdate::HeldByPeer(held), now);
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
        let Some(record) = self.calls.by_sip(call) else {
            return;
        };
        let whose = match by {
            EndedBy::Local => "ended here",
            EndedBy::Remote => "ended by the far end",
            EndedBy::Failure => "failed",
        };
        let reason = record
            .end_reason
            .take()
            .unwrap_or_else(|| displayable(reason));
        record.cause = Some(match code {
            Some(code) => format!("{whose}: {code} {reason}"),
            None => format!("{whose}: {reason}"),
        });
        // As the phone decides whether it was missed.
        let elsewhere = code == Some(200) || reason.contains("elsewhere");
        let outcome = match (record.direction, by) {
            _ if record.setup.is_some() => CallOutcome::Answered,
            (CallDirection::Out, _) => CallOutcome::Failed,
            (CallDirection::In, EndedBy::Local) => CallOutcome::Refused,
            (CallDirection::In, _) if elsewhere => CallOutcome::AnsweredElsewhere,
            (CallDirection::In, _) => CallOutcome::Missed,
        };
        record.outcome = Some((outcome, now));
        let id = record.id;
        let _span = call_span(id);
        self.last_call = Some(record.status(CallProgress::Ended));
        let event = record.event(CallProgress::Ended);
        self.outbox.emit(event);
        self.update_phone(id, CallUpdate::Ended(EndCause { code, reason }), now);
        self.stop_stream(id, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alert_info_of_known_phones_is_understood() {
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
