//! The transfer of one call, and the subscription to another.

use super::*;
use crate::env::tests::{env, request};
use crate::message::SipUri;

const HELD: CallHandle = CallHandle(1);
const CONSULTED: CallHandle = CallHandle(2);

fn target() -> Uri {
    SipUri::at("192.0.2.8:5060".parse().unwrap()).into()
}

fn asking() -> (Transfer, Instant) {
    let now = crate::timer::epoch();
    (
        Transfer::asking(Some(CONSULTED), &target(), "carol", now),
        now,
    )
}

fn notify(headers: &str, body: &str) -> Request {
    request(&format!(
        "NOTIFY sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
         From: <sip:p@192.0.2.9>;tag=p\r\n\
         To: <sip:a@192.0.2.1>;tag=a\r\nCall-ID: c\r\nCSeq: 2 NOTIFY\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn dialog() -> Dialog {
    let invite = request(
        "INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
         From: <sip:p@192.0.2.9>;tag=p\r\n\
         To: <sip:a@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:p@192.0.2.9>\r\n\
         \r\n",
    );
    let contact = SipUri::at("192.0.2.1:5060".parse().unwrap()).with_user("a");
    Dialog::of_callee(&invite, "a", contact, None).unwrap()
}

#[test]
fn a_status_line_is_read_from_a_fragment() {
    for (body, code) in [
        (&b"SIP/2.0 200 OK\r\n"[..], Some(200)),
        (b"SIP/2.0 100", Some(100)),
        (b"SIP/2.0 486 Busy\r\nContact: <sip:a@b>\r\n", Some(486)),
        (b"SIP/2.0 99 x", None),
        (b"SIP/2.0 +20 x", None),
        (b"SIP/2.0 20", None),
        (b"HTTP/1.1 200 OK", None),
        (b"\xff", None),
        (b"", None),
    ] {
        assert_eq!(status_in(body), code, "{body:?}");
    }
}

#[test]
fn refused_refer_ends_the_transfer() {
    let (mut transfer, now) = asking();
    for (code, step) in [
        (202, TransferStep::Wait),
        (200, TransferStep::Wait),
        (403, TransferStep::Done(Err(403))),
        (603, TransferStep::Done(Err(603))),
    ] {
        assert_eq!(transfer.handle_refer_outcome(code, now), step);
    }
}

#[test]
fn notify_decides_by_event_body_and_state() {
    let (mut transfer, now) = asking();
    let fragment = "Content-Type: message/sipfrag;version=2.0\r\n";
    let active = "Event: refer\r\nSubscription-State: active;expires=60\r\n";
    let over = "Event: refer;id=2\r\nSubscription-State: terminated;reason=noresource\r\n";
    for (headers, body, code, step) in [
        (
            format!("{active}{fragment}"),
            "SIP/2.0 100 Trying\r\n",
            200,
            TransferStep::Wait,
        ),
        (
            format!("{active}{fragment}"),
            "SIP/2.0 200 OK\r\n",
            200,
            TransferStep::Done(Ok(())),
        ),
        (
            format!("{over}{fragment}"),
            "SIP/2.0 486 Busy\r\n",
            200,
            TransferStep::Done(Err(486)),
        ),
        (over.to_owned(), "", 200, TransferStep::Done(Err(487))),
        (active.to_owned(), "", 200, TransferStep::Wait),
        (
            format!("{active}Content-Type: text/plain\r\n"),
            "x",
            415,
            TransferStep::Wait,
        ),
        (
            "Event: presence\r\n".to_owned(),
            "",
            481,
            TransferStep::Wait,
        ),
        (String::new(), "", 481, TransferStep::Wait),
    ] {
        let (reply, found) = transfer.handle_notify(&notify(&headers, body), now);
        assert_eq!((reply.code, found), (code, step), "{headers}{body}");
    }
}

#[test]
fn refusal_that_may_pass_is_asked_again_once() {
    for code in [400, 491, 500, 503] {
        let (mut transfer, now) = asking();
        let again = now + ASK_AGAIN;
        assert_eq!(transfer.handle_refer_outcome(code, now), TransferStep::Wait);
        assert_eq!(transfer.deadline(), again);
        assert_eq!(transfer.handle_timeout(now), TransferStep::Wait);
        assert_eq!(
            transfer.handle_timeout(again),
            TransferStep::Again(target())
        );
        assert_eq!(transfer.deadline(), now + TRANSFER_TIME, "{code}");
        let refused = TransferStep::Done(Err(code));
        assert_eq!(transfer.handle_refer_outcome(code, again), refused);
    }
    // One that was never answered cannot be in such a moment.
    let now = crate::timer::epoch();
    let mut blind = Transfer::asking(None, &target(), "carol", now);
    assert_eq!(
        blind.handle_refer_outcome(500, now),
        TransferStep::Done(Err(500))
    );
}

#[test]
fn consulted_call_takes_no_notify() {
    let now = crate::timer::epoch();
    let mut transfer = Transfer::consulted_call(HELD, "carol", now);
    let (reply, step) = transfer.handle_notify(&notify("Event: refer\r\n", ""), now);
    assert_eq!((reply.code, step), (481, TransferStep::Wait));
    assert_eq!((transfer.consulted(), transfer.other()), (None, Some(HELD)));
}

#[test]
fn time_limit_depends_on_the_role() {
    let (mut transfer, now) = asking();
    let end = now + TRANSFER_TIME;
    assert!(
        TRANSFER_TIME > crate::timer::T1_64,
        "a REFER not answered is known first"
    );
    assert_eq!(transfer.deadline(), end);
    assert_eq!(transfer.handle_timeout(end), TransferStep::Done(Err(408)));
    assert_eq!(transfer.consulted(), Some(CONSULTED));
    assert!(transfer.returns(), "whom it was sent to still waits");
    transfer.handle_other_over(now);
    assert_eq!(transfer.consulted(), None);
    assert_eq!(transfer.handle_timeout(end), TransferStep::Done(Err(408)));
    assert!(!transfer.returns(), "it was replaced, perhaps");
    let mut consulted = Transfer::consulted_call(HELD, "carol", now);
    assert_eq!(consulted.handle_timeout(now), TransferStep::NotReplaced);
    consulted.handle_other_over(now);
    assert_eq!(consulted.deadline(), now + LAST_CHANCE);
    consulted.handle_other_over(now + Duration::from_secs(1));
    assert_eq!(consulted.deadline(), now + LAST_CHANCE, "never later");
}

fn read(refer_to: &str, before: &ReferOrder, first: bool) -> Result<ReferRequest, u16> {
    let refer = request(&format!(
        "REFER sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2\r\n\
         From: <sip:p@192.0.2.9>;tag=p\r\n\
         To: <sip:a@192.0.2.1>;tag=a\r\nCall-ID: c\r\nCSeq: 7 REFER\r\n\
         {refer_to}Referred-By: <sip:p@192.0.2.9>;x=y\r\n\r\n"
    ));
    ReferRequest::read(1, &refer, &dialog(), before, first).map_err(|refusal| refusal.code)
}

#[test]
fn refer_is_read_or_refused() {
    let none = ReferOrder::default();
    let good =
        "Refer-To: <sip:carol@192.0.2.20?Replaces=1%3Bto-tag%3Da%3Bfrom-tag%3Db&Subject=x>\r\n";
    let found = read(good, &none, true).unwrap();
    assert_eq!(found.target().to_string(), "sip:carol@192.0.2.20");
    assert_eq!((found.id(), found.is_quiet()), (None, false));
    let mut invite = notify("", "");
    found.order().write(&mut invite.headers);
    assert_eq!(
        invite.headers.get("Replaces"),
        Some("1;to-tag=a;from-tag=b")
    );
    assert_eq!(
        invite.headers.get("Referred-By"),
        Some("<sip:p@192.0.2.9>;x=y")
    );
    assert_eq!(invite.headers.get("Subject"), None);
    assert_eq!(read(good, &none, false).unwrap().id(), Some(7));
    for (text, code) in [
        ("", 400),
        ("Refer-To: <sip:a@b>\r\nRefer-To: <sip:c@d>\r\n", 400),
        ("Refer-To: <sip:a@b;method=BYE>\r\n", 603),
        ("Refer-To: <mailto:a@b>\r\n", 400),
        ("Refer-To: <sip:a@b?Replaces=1&Replaces=2>\r\n", 400),
    ] {
        assert_eq!(read(text, &none, true).unwrap_err(), code, "{text}");
    }
}

#[test]
fn sixth_refer_in_a_row_is_refused() {
    let mut order = ReferOrder::default();
    for _ in 0..5 {
        order = read("Refer-To: <sip:a@b>\r\n", &order, true)
            .unwrap()
            .order()
            .clone();
    }
    assert_eq!(
        read("Refer-To: <sip:a@b>\r\n", &order, true).unwrap_err(),
        603
    );
}

#[test]
fn subscription_ends_with_the_final_status() {
    let mut subscriptions = ReferSubscriptions::default();
    let (old, new) = (CallHandle(1), CallHandle(2));
    subscriptions.insert(new, ReferSubscription::new(old, None, Some(3)));
    assert!(subscriptions.has_referrer(old));
    let mut dialog = dialog();
    let first = subscriptions
        .notify(new, 100, Some(&mut dialog), "x")
        .unwrap();
    assert_eq!(first.request.headers.get("Event"), Some("refer;id=3"));
    assert_eq!(&first.request.body[..], b"SIP/2.0 100 Trying\r\n");
    let last = subscriptions
        .notify(new, 200, Some(&mut dialog), "x")
        .unwrap();
    let state = last.request.headers.get("Subscription-State").unwrap();
    assert!(state.starts_with("terminated"), "{state}");
    assert!(!subscriptions.has_referrer(old));
    assert!(
        subscriptions
            .notify(new, 200, Some(&mut dialog), "x")
            .is_none()
    );
}

#[test]
fn ended_call_leaves_its_dialog_to_the_subscription() {
    let mut subscriptions = ReferSubscriptions::default();
    let (old, new) = (CallHandle(1), CallHandle(2));
    subscriptions.insert(new, ReferSubscription::new(old, None, None));
    let own = dialog();
    assert_eq!(subscriptions.handle_call_over(old, None, Some(&own)), None);
    assert_eq!(subscriptions.orphans(), 1);
    // 486 ended the new call; a 200 would be no reason.
    for (code, last) in [(Some(486), 486), (Some(200), 487), (None, 487)] {
        assert_eq!(subscriptions.handle_call_over(new, code, None), Some(last));
    }
    let notify = subscriptions.notify(new, 486, None, "x").unwrap();
    assert!(notify.request.headers.cseq().unwrap().number > 8);
    assert_eq!(subscriptions.orphans(), 0);
}

#[test]
fn refused_notify_ends_the_subscription() {
    let mut subscriptions = ReferSubscriptions::default();
    let (old, new) = (CallHandle(1), CallHandle(2));
    subscriptions.insert(new, ReferSubscription::new(old, None, None));
    subscriptions.handle_notify_outcome(new, 200);
    assert!(subscriptions.has_referrer(old));
    subscriptions.handle_notify_outcome(new, 481);
    assert!(!subscriptions.has_referrer(old));
}

#[test]
fn replaces_names_the_dialog_from_the_other_end() {
    let ids = DialogIds::of(&dialog());
    assert_eq!(ids.replaces(), "c;to-tag=p;from-tag=a");
    let mut ended = EndedDialogs::default();
    assert!(!ended.contains(&ids));
    ended.push(&dialog());
    assert!(ended.contains(&ids));
    for number in 0..20 {
        let mut other = dialog();
        other.call_id = number.to_string();
        ended.push(&other);
    }
    assert!(!ended.contains(&ids), "only the last ones are remembered");
}

#[test]
fn refer_says_who_asks() {
    let env = env();
    let mut dialog = dialog();
    let target = Uri::parse("sip:carol@192.0.2.20").unwrap();
    let request = refer(&mut dialog, &target, None, &env);
    let headers = &request.headers;
    assert_eq!(headers.get("Refer-To"), Some("<sip:carol@192.0.2.20>"));
    assert_eq!(headers.get("Referred-By"), Some("<sip:a@192.0.2.1>"));
}

#[test]
fn who_called_without_a_name_has_none_in_a_refer() {
    let mut env = env();
    env.config.accounts = vec![crate::AccountConfig::new("101", "example.org", "secret")];
    let target = Uri::parse("sip:carol@192.0.2.20").unwrap();
    let by = |local: &str| {
        let mut dialog = dialog();
        dialog.local = NameAddr::parse(local).unwrap();
        let request = refer(&mut dialog, &target, Some(0), &env);
        request.headers.get("Referred-By").map(str::to_owned)
    };
    let named = by("<sip:101@example.org>;tag=1");
    assert_eq!(named.as_deref(), Some("<sip:101@example.org>"));
    let withheld = by("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1");
    assert_eq!(
        withheld.as_deref(),
        Some("<sip:anonymous@anonymous.invalid>")
    );
}
