//! Digits by INFO, as PBXs send and take them where telephone-event was not negotiated
//! (application/dtmf-relay, application/dtmf).

use types::Key;

use crate::action::{OutgoingRequest, Purpose, Reply, Turn};
use crate::api::Event;
use crate::message::Method;

use super::state::State;
use super::{Call, InDialog};

impl Call {
    /// Sends a digit by INFO, of so many ms.
    pub(crate) fn send_digit(&mut self, digit: char, length_ms: u16, turn: &mut Turn<'_>) {
        let Some(key) = Key::from_char(digit) else {
            return;
        };
        let State::Up(established) = &mut self.state else {
            return;
        };
        let mut request = established.dialog.request(&Method::Info);
        request
            .headers
            .push("Content-Type", "application/dtmf-relay");
        request.body = format!("Signal={}\r\nDuration={length_ms}\r\n", key.as_char())
            .into_bytes()
            .into();
        turn.send(OutgoingRequest::in_dialog(
            &established.dialog,
            Purpose::Digit(self.handle, key),
            self.account,
            request,
        ));
    }

    /// What became of a digit sent by INFO: the owner hears of a far end that does not take it, and
    /// can send it otherwise.
    pub(crate) fn handle_digit_outcome(&mut self, key: Key, code: u16, turn: &mut Turn<'_>) {
        // Section 12.2.1.2: these say that there is no far end any more.
        if code >= 300 && !matches!(code, 408 | 481 | 503) && matches!(self.state, State::Up(_)) {
            turn.event(Event::DigitRefused {
                call: self.handle,
                digit: key.as_char(),
            });
        }
        self.handle_in_dialog_outcome(code, turn);
    }

    /// Sends a flash by INFO.
    pub(crate) fn send_flash(&mut self, turn: &mut Turn<'_>) {
        let State::Up(established) = &mut self.state else {
            return;
        };
        let mut request = established.dialog.request(&Method::Info);
        let kind = "application/hook-flash";
        request.headers.push("Content-Type", kind);
        request.body = b"signal=hf\r\n".to_vec().into();
        turn.send(OutgoingRequest::in_dialog(
            &established.dialog,
            Purpose::InDialog(self.handle),
            self.account,
            request,
        ));
    }

    /// INFO: digits, or nothing to do.
    pub(super) fn handle_info(&mut self, asked: InDialog<'_>, turn: &mut Turn<'_>) {
        let request = asked.request;
        // RFC 6086 section 4.2.2: this phone takes no package, and says so.
        if request.headers.get("Info-Package").is_some() {
            let reply = Reply::refusal(469).with("Recv-Info", "");
            return turn.respond(asked.transaction, reply);
        }
        if request.body.is_empty() {
            return turn.respond(asked.transaction, Reply::new(200));
        }
        let kind = request.headers.content_type().ok().flatten();
        let text = String::from_utf8_lossy(&request.body);
        let key = match kind.as_ref().map_or("", |kind| kind.name.as_str()) {
            "application/dtmf-relay" => text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                name.trim()
                    .eq_ignore_ascii_case("signal")
                    .then(|| key_of(value))?
            }),
            "application/dtmf" => key_of(&text),
            _ => {
                let accept = "application/dtmf-relay, application/dtmf";
                let reply = Reply::refusal(415).with("Accept", accept);
                return turn.respond(asked.transaction, reply);
            }
        };
        match key {
            Some(key) => {
                turn.respond(asked.transaction, Reply::new(200));
                turn.event(Event::Digit {
                    call: self.handle,
                    digit: key.as_char(),
                });
            }
            None => turn.respond(asked.transaction, Reply::not_allowed(400)),
        }
    }
}

/// The key a body names: a character, or the event code of `*` and `#`.
fn key_of(text: &str) -> Option<Key> {
    let text = text.trim();
    match text {
        "10" => return Some(Key::Star),
        "11" => return Some(Key::Hash),
        _ => {}
    }
    let mut chars = text.chars();
    let key = Key::from_char(chars.next()?);
    key.filter(|_| chars.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_phones_write_them() {
        for (text, digit) in [
            ("5", Some('5')),
            (" 10 ", Some('*')),
            ("11", Some('#')),
            ("a", Some('A')),
            ("12", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(key_of(text).map(Key::as_char), digit, "{text}");
        }
    }
}
