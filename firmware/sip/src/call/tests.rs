//! Every state and every event, and the changes of a session.

mod placing;
mod session;

use std::time::Duration;

use super::*;
use crate::env::Env;
use crate::env::tests::{env, media, request, response};
use crate::message::{SipUri, Uri};
use crate::transfer::{DialogIds, Transfer};

const CALL: CallHandle = CallHandle(1);

const CONSULTED: CallHandle = CallHandle(2);

const SERVER: TransactionId = 10;

const ASKED: TransactionId = 11;

fn sdp(extra: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n{extra}"
    )
}

/// A request of the far end; in its dialog after the first INVITE.
fn theirs(method: &str, cseq: u32, body: &str) -> Request {
    let tag = if cseq == 1 && method == "INVITE" {
        ""
    } else {
        ";tag=a"
    };
    let kind = match method {
        _ if body.is_empty() => "",
        "INFO" => "Content-Type: application/dtmf\r\n",
        _ => "Content-Type: application/sdp\r\n",
    };
    let refer_to = if method == "REFER" {
        "Refer-To: <sip:carol@192.0.2.20>\r\n"
    } else {
        ""
    };
    request(&format!(
        "{method} sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{cseq}\r\n\
         From: <sip:p@192.0.2.9>;tag=p\r\n\
         To: <sip:a@192.0.2.1>{tag}\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:p@192.0.2.9>\r\n\
         {refer_to}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// One call and all it needs.
struct Desk {
    env: Env,
    now: Instant,
    call: Call,
    /// The requests it sent.
    sent: Vec<Request>,
}

impl Desk {
    /// A call placed here, ringing there.
    fn calling() -> Self {
        let (mut env, now) = (env(), crate::timer::epoch());
        let target = Uri::parse("sip:p@192.0.2.9").unwrap();
        let placement = Placement {
            ids: InviteIds {
                from: NameAddr::parse("<sip:a@192.0.2.1>;tag=a").unwrap(),
                to: NameAddr::new(target.clone()),
                call_id: "c".into(),
                cseq: 1,
            },
            route: route(&target),
            target,
            media: media(),
            order: ReferOrder::default(),
            options: InviteOptions::default(),
        };
        let mut turn = Turn::new(&mut env, now);
        let call = Call::place(CALL, None, placement, &mut turn).unwrap();
        let actions = turn.into_actions();
        let mut desk = Self {
            env,
            now,
            call,
            sent: Vec::new(),
        };
        assert_eq!(desk.summary(actions), "INVITE");
        desk
    }

    /// Their call, with this session description.
    fn called(body: &str) -> Self {
        let (mut env, now) = (env(), crate::timer::epoch());
        let invite = theirs("INVITE", 1, body);
        let contact = SipUri::at("192.0.2.1:5060".parse().unwrap()).with_user("a");
        let dialog = Dialog::of_callee(&invite, "a", contact, None).unwrap();
        let mut turn = Turn::new(&mut env, now);
        let call = Call::incoming(CALL, None, SERVER, dialog, &invite, &mut turn);
        Self {
            env,
            now,
            call,
            sent: Vec::new(),
        }
    }

    fn ringing() -> Self {
        Self::called(&sdp(""))
    }

    fn answered() -> Self {
        let mut desk = Self::ringing();
        assert_eq!(
            desk.act(|call, turn| call.answer(media(), turn)),
            "200 Established"
        );
        desk
    }

    fn up() -> Self {
        let mut desk = Self::answered();
        assert_eq!(desk.event(Do::Ack), "→ Up");
        desk
    }

    fn leaving() -> Self {
        let mut desk = Self::answered();
        assert_eq!(desk.event(Do::HangUp), "Ended → Leaving");
        desk
    }

    fn transferring() -> Self {
        let mut desk = Self::up();
        let target = Uri::parse("sip:carol@192.0.2.20").unwrap();
        let transfer = Transfer::asking(Some(CONSULTED), &target, "carol", desk.now);
        let did = desk.act(|call, turn| call.start_transfer(transfer, Some(&target), turn));
        assert_eq!(did, "Ended REFER");
        desk
    }

    fn act(&mut self, act: impl FnOnce(&mut Call, &mut Turn<'_>)) -> String {
        let mut turn = Turn::new(&mut self.env, self.now);
        act(&mut self.call, &mut turn);
        let actions = turn.into_actions();
        self.summary(actions)
    }

    /// What it wants done, in words.
    fn summary(&mut self, actions: Vec<Action>) -> String {
        let words: Vec<String> = actions
            .into_iter()
            .map(|action| match action {
                Action::Send(_, outgoing) => {
                    let method = outgoing.request.method.to_string();
                    self.sent.push(outgoing.request);
                    method
                }
                Action::SendInvite { redirected, .. } => format!("Again({redirected})"),
                Action::Acknowledge { .. } => "ACK".into(),
                Action::Cancel(_) => "CANCEL".into(),
                Action::Respond(_, reply) => reply.code.to_string(),
                Action::RepeatResponse(_) => "Repeat".into(),
                Action::HangUp(_) => "HangUp".into(),
                Action::TakeBack(_) => "TakeBack".into(),
                Action::TransferOver(_) => "TransferOver".into(),
                Action::NotifyReferrer(code) => format!("Notify({code})"),
                Action::Event(event) => {
                    let text = format!("{event:?}");
                    let end = text.find([' ', '{', '(']).unwrap_or(text.len());
                    text[..end].to_owned()
                }
            })
            .collect();
        words.join(" ")
    }

    /// Does it; what followed, and the new state if it is another one.
    fn event(&mut self, event: Do) -> String {
        let before = self.state();
        let early = self.call.is_calling();
        let mut ask = |method: &str, body: &str| {
            let request = theirs(method, 2, body);
            self.act(|call, turn| {
                let asked = InDialog {
                    transaction: ASKED,
                    request: &request,
                    early,
                    subscribed: false,
                    trusted: false,
                };
                call.handle_request(asked, turn);
            })
        };
        let did = match event {
            Do::Bye => ask("BYE", ""),
            Do::Reinvite => ask("INVITE", &sdp("a=sendonly\r\n")),
            Do::UpdateOffer => ask("UPDATE", &sdp("a=sendonly\r\n")),
            Do::Update => ask("UPDATE", ""),
            Do::Info => ask("INFO", "5"),
            Do::Options => ask("OPTIONS", ""),
            Do::Notify => ask("NOTIFY", ""),
            Do::Refer => ask("REFER", ""),
            Do::HangUp => self.act(|call, turn| call.hang_up(None, turn)),
            Do::Ack => {
                let ack = theirs("ACK", 1, "");
                self.act(|call, turn| call.handle_ack(&ack, turn))
            }
            Do::Cancel => {
                self.act(|call, turn| call.handle_cancel(SERVER, &Headers::default(), turn))
            }
            Do::Timeout => match self.call.deadline() {
                Some(at) => {
                    self.now = at;
                    self.act(Call::handle_timeout)
                }
                None => String::new(),
            },
            Do::Direction => self.act(|call, turn| call.set_direction(Direction::SendOnly, turn)),
            Do::Digit => self.act(|call, turn| call.send_digit('5', 160, turn)),
            Do::Gone => self.act(|call, turn| call.handle_in_dialog_outcome(481, turn)),
            Do::Ring => self.act(Call::ring),
            Do::Answer => self.act(|call, turn| call.answer(media(), turn)),
            Do::Reject => self.act(|call, turn| call.reject(486, turn)),
            Do::Moved => {
                let contact = SipUri::at("192.0.2.7:5060".parse().unwrap());
                self.act(|call, turn| call.handle_local_address(contact, turn))
            }
        };
        let after = self.state();
        if before == after {
            did
        } else {
            format!("{did} → {after}").trim_start().to_owned()
        }
    }

    fn state(&self) -> &'static str {
        match self.call.state {
            State::Calling(_) => "Calling",
            State::Ringing(_) => "Ringing",
            State::Answered(..) => "Answered",
            State::Up(_) => "Up",
            State::Leaving(..) => "Leaving",
            State::Transferring(..) => "Transferring",
            State::Over(_) => "Over",
        }
    }

    /// A response to our INVITE from this branch.
    fn invite_response(&mut self, code: u16, tag: &str, body: &str) -> String {
        let invite = self.sent[0].clone();
        let mut found = response(&invite, code, &[("Contact", "<sip:p@192.0.2.9>")]);
        let mut to = invite.headers.to().unwrap();
        to.params.set("tag", Some(tag));
        found.headers.set("To", to);
        if !body.is_empty() {
            found.headers.push("Content-Type", "application/sdp");
            found.body = body.as_bytes().to_vec().into();
        }
        let dialog = Dialog::of_caller(&invite, &found, None);
        self.act(|call, turn| {
            if found.is_success() {
                call.handle_answer(&found, dialog.unwrap(), false, turn);
            } else {
                call.handle_invite_response(&found, dialog, turn);
            }
        })
    }
}

fn route(target: &Uri) -> InitialRoute {
    InitialRoute {
        identity: None,
        routes: Vec::new(),
        hop: crate::locate::Hop::of(target),
        contact: SipUri::at("192.0.2.1:5060".parse().unwrap()).with_user("a"),
    }
}

#[derive(Debug, Clone, Copy)]
enum Do {
    HangUp,
    Bye,
    Reinvite,
    UpdateOffer,
    Update,
    Info,
    Options,
    Notify,
    Refer,
    Ack,
    Cancel,
    Timeout,
    Direction,
    Digit,
    Gone,
    Ring,
    Answer,
    Reject,
    Moved,
}

fn check(start: fn() -> Desk, table: &[(Do, &str); 19]) {
    for (event, expected) in *table {
        let mut desk = start();
        assert_eq!(
            desk.event(event),
            expected,
            "{event:?} in {}",
            start().state()
        );
    }
}

#[test]
fn calling_and_every_event() {
    check(
        Desk::calling,
        &[
            (Do::HangUp, "Ended CANCEL → Over"),
            (Do::Bye, "200"),
            (Do::Reinvite, "500"),
            (Do::UpdateOffer, "491"),
            (Do::Update, "200"),
            (Do::Info, "200 Digit"),
            (Do::Options, "200"),
            (Do::Notify, "481"),
            (Do::Refer, "403"),
            (Do::Ack, ""),
            (Do::Cancel, "487"),
            (Do::Timeout, ""),
            (Do::Direction, ""),
            (Do::Digit, ""),
            (Do::Gone, "Ended → Over"),
            (Do::Ring, ""),
            (Do::Answer, ""),
            (Do::Reject, ""),
            (Do::Moved, ""),
        ],
    );
}

#[test]
fn ringing_and_every_event() {
    check(
        Desk::ringing,
        &[
            (Do::HangUp, "Ended 480 → Over"),
            (Do::Bye, "200 Ended 487 → Over"),
            (Do::Reinvite, "500"),
            (Do::UpdateOffer, "500"),
            (Do::Update, "200"),
            (Do::Info, "200 Digit"),
            (Do::Options, "200"),
            (Do::Notify, "481"),
            (Do::Refer, "403"),
            (Do::Ack, ""),
            (Do::Cancel, "Ended 487 → Over"),
            (Do::Timeout, "Ended 487 → Over"),
            (Do::Direction, ""),
            (Do::Digit, ""),
            (Do::Gone, "Ended BYE → Over"),
            (Do::Ring, "180"),
            (Do::Answer, "200 Established → Answered"),
            (Do::Reject, "Ended 486 → Over"),
            (Do::Moved, ""),
        ],
    );
}

#[test]
fn answered_and_every_event() {
    check(
        Desk::answered,
        &[
            (Do::HangUp, "Ended → Leaving"),
            (Do::Bye, "200 Ended → Over"),
            (Do::Reinvite, "491"),
            (Do::UpdateOffer, "200 MediaChanged"),
            (Do::Update, "200"),
            (Do::Info, "200 Digit"),
            (Do::Options, "200"),
            (Do::Notify, "481"),
            (Do::Refer, "500"),
            (Do::Ack, "→ Up"),
            (Do::Cancel, "487"),
            (Do::Timeout, "Repeat"),
            (Do::Direction, ""),
            (Do::Digit, ""),
            (Do::Gone, "Ended BYE → Over"),
            (Do::Ring, ""),
            (Do::Answer, ""),
            (Do::Reject, ""),
            (Do::Moved, ""),
        ],
    );
}

#[test]
fn up_and_every_event() {
    check(
        Desk::up,
        &[
            (Do::HangUp, "Ended BYE → Over"),
            (Do::Bye, "200 Ended → Over"),
            (Do::Reinvite, "200 MediaChanged"),
            (Do::UpdateOffer, "200 MediaChanged"),
            (Do::Update, "200"),
            (Do::Info, "200 Digit"),
            (Do::Options, "200"),
            (Do::Notify, "481"),
            (Do::Refer, "Refer"),
            (Do::Ack, ""),
            (Do::Cancel, "487"),
            (Do::Timeout, ""),
            (Do::Direction, "INVITE"),
            (Do::Digit, "INFO"),
            (Do::Gone, "Ended BYE → Over"),
            (Do::Ring, ""),
            (Do::Answer, ""),
            (Do::Reject, ""),
            (Do::Moved, "INVITE"),
        ],
    );
}

#[test]
fn leaving_and_every_event() {
    check(
        Desk::leaving,
        &[
            (Do::HangUp, ""),
            (Do::Bye, "200 → Over"),
            (Do::Reinvite, "500"),
            (Do::UpdateOffer, "500"),
            (Do::Update, "200"),
            (Do::Info, "200 Digit"),
            (Do::Options, "200"),
            (Do::Notify, "481"),
            (Do::Refer, "403"),
            (Do::Ack, "BYE → Over"),
            (Do::Cancel, "487"),
            (Do::Timeout, "Repeat"),
            (Do::Direction, ""),
            (Do::Digit, ""),
            (Do::Gone, "BYE → Over"),
            (Do::Ring, ""),
            (Do::Answer, ""),
            (Do::Reject, ""),
            (Do::Moved, ""),
        ],
    );
}

#[test]
fn transferring_and_every_event() {
    check(
        Desk::transferring,
        &[
            (Do::HangUp, "TransferOver BYE → Over"),
            (Do::Bye, "200 TransferOver → Over"),
            (Do::Reinvite, "200"),
            (Do::UpdateOffer, "200"),
            (Do::Update, "200"),
            (Do::Info, "200 Digit"),
            (Do::Options, "200"),
            (Do::Notify, "481"),
            (Do::Refer, "403"),
            (Do::Ack, ""),
            (Do::Cancel, "487"),
            (Do::Timeout, "Transferred Incoming TakeBack → Up"),
            (Do::Direction, ""),
            (Do::Digit, ""),
            (Do::Gone, "TransferOver BYE → Over"),
            (Do::Ring, ""),
            (Do::Answer, ""),
            (Do::Reject, ""),
            (Do::Moved, ""),
        ],
    );
}
