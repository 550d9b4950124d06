//! Stories of what a person sets from the handset, and of who gets through.

use super::two_calls::KEY;
use super::*;
use crate::maintenance::Maintenance;
use crate::output::CallOptions;
use crate::{Caller, Features, LastCaller};

fn caller(name: &str, number: &str, anonymous: bool) -> Caller {
    Caller {
        name: name.to_owned(),
        number: number.to_owned(),
        account: Some(AccountId(0)),
        anonymous,
    }
}

impl Desk {
    fn called_by(&mut self, from: Caller) -> CallId {
        let call = self.phone.new_call();
        let alert = Alert::Normal;
        self.does(Input::Incoming {
            call,
            from,
            alert,
            auto_answer: false,
        });
        call
    }

    /// Lifts, presses a code, hears that it was taken, puts down.
    pub(super) fn sets(&mut self, keys: &str) -> &mut Self {
        self.lifts().presses(keys);
        assert_eq!(
            self.tone,
            Some(Tone::Confirmation),
            "{keys}: {:?}",
            self.said
        );
        let kept = self
            .said
            .iter()
            .any(|output| matches!(output, Output::Remember(_)));
        assert!(kept, "{keys} is not kept");
        self.does(Input::HangUp).rests();
        self
    }
}

#[test]
fn redial_and_call_return() {
    let mut desk = Desk::ready("");
    desk.lifts().presses("*88");
    assert_eq!(desk.state(), State::Congestion, "nothing was dialled yet");
    desk.does(Input::HangUp).lifts().presses("*89");
    assert!(desk.noted("no one called"), "{:?}", desk.said);
    desk.does(Input::HangUp);
    desk.lifts().presses("200#").placed();
    desk.does(Input::HangUp);
    assert_eq!(desk.lifts().presses("*88").placed().1.address, "200");
    desk.does(Input::HangUp);
    let call = desk.called_by(caller("Anna", "301", false));
    desk.ended(call, None).rests();
    let (_, to) = desk.lifts().presses("*89").placed();
    assert_eq!(
        (to.address.as_str(), to.account),
        ("301", Some(AccountId(0)))
    );
    desk.does(Input::HangUp);
    // One who withholds the number cannot be called back; an emergency number is not dialled again.
    let call = desk.called_by(caller("Anonymous", "anonymous", true));
    desk.ended(call, None);
    assert_eq!(desk.lifts().presses("*89").placed().1.address, "301");
    desk.does(Input::HangUp).lifts().presses("112").placed();
    desk.does(Input::HangUp);
    assert_eq!(desk.lifts().presses("*88").placed().1.address, "200");
}

#[test]
fn do_not_disturb_refuses_until_it_ends() {
    let mut desk = Desk::ready("");
    desk.sets("*78");
    let call = desk.rings("anna");
    assert!(desk.said(&Output::Reject(call, 486)));
    desk.rests();
    desk.sets("*79");
    desk.rings("anna");
    assert_eq!(desk.state(), State::Ringing);
}

#[test]
fn forwarding_sends_the_caller_on() {
    let mut desk = Desk::ready("");
    desk.sets("*72300#");
    let call = desk.rings("anna");
    let to = "300".to_owned();
    assert!(desk.said(&Output::Forward { call, to }));
    desk.rests();
    desk.sets("*73");
    // On busy.
    desk.sets("*90301#");
    let (talking, _) = desk.lifts().presses("200#").placed();
    desk.hears(talking, CallUpdate::Ringing);
    let call = desk.rings("anna");
    let to = "301".to_owned();
    assert!(desk.said(&Output::Forward { call, to }), "{:?}", desk.said);
    desk.does(Input::HangUp);
    let call = desk.rings("anna");
    assert_eq!(desk.state(), State::Ringing, "not while it is free");
    desk.ended(call, None);
    desk.sets("*91");
    // On no answer.
    desk.sets("*92302#");
    let call = desk.rings("anna");
    desk.waits_ms(19_990);
    assert_eq!(desk.state(), State::Ringing);
    desk.waits_ms(20);
    let to = "302".to_owned();
    assert!(desk.said(&Output::Forward { call, to }));
    desk.rests();
    desk.sets("*93");
    desk.rings("anna");
    assert_eq!(desk.waits_ms(60_000).state(), State::Ringing);
}

#[test]
fn nothing_is_forwarded_to_an_emergency_number() {
    let mut desk = Desk::ready("");
    desk.lifts().presses("*72112");
    assert_eq!(desk.state(), State::Congestion);
    assert_eq!(desk.phone.features(), &Features::default());
    // Nor to a barred one, and nothing is sent early.
    let mut desk = Desk::ready("[dial]\ndigit_map = \"0900x.!|x.T\"");
    desk.lifts().presses("*720900");
    assert_eq!(desk.state(), State::Congestion);
    assert_eq!(desk.phone.features(), &Features::default());
}

#[test]
fn the_own_number_is_withheld_once_or_always() {
    let anonymous = |desk: &Desk| desk.placed().1.options.anonymous;
    let mut desk = Desk::ready("");
    desk.lifts().presses("*87200#");
    assert!(anonymous(&desk));
    desk.does(Input::HangUp).lifts().presses("200#");
    assert!(!anonymous(&desk));
    desk.does(Input::HangUp).sets("*81");
    desk.lifts().presses("200#");
    assert!(anonymous(&desk));
    // Never in an emergency.
    desk.does(Input::HangUp).lifts().presses("112");
    let (_, to) = desk.placed();
    assert!(to.emergency && to.options == CallOptions::default());
    desk.does(Input::HangUp).lifts().presses("*87112");
    let (_, to) = desk.placed();
    assert!(to.emergency && !to.options.anonymous && to.address == "112");
    desk.does(Input::HangUp).sets("*82");
    desk.lifts().presses("200#");
    assert!(!anonymous(&desk));
}

#[test]
fn anonymous_callers_are_refused_where_set() {
    let mut desk = Desk::ready("");
    desk.sets("*83");
    let call = desk.called_by(caller("Anonymous", "", true));
    assert!(desk.said(&Output::Reject(call, 433)));
    desk.called_by(caller("Anna", "301", false));
    assert_eq!(desk.state(), State::Ringing);
    desk.does(Input::KeyDown(Key::Hash)).sets("*84");
    desk.called_by(caller("Anonymous", "", true));
    assert_eq!(desk.state(), State::Ringing);
}

#[test]
fn a_speed_dial_number_is_set_from_the_handset() {
    let mut desk = Desk::ready("[dial]\ndigit_map = \"[2-9]xx\"");
    desk.sets("*741205");
    assert_eq!(desk.lifts().presses("1#").placed().1.address, "205");
    let features = desk.phone.features().clone();
    // And is there after the next start.
    let mut desk = Desk::ready("[dial]\ndigit_map = \"[2-9]xx\"");
    desk.phone.restore(features);
    assert_eq!(desk.lifts().presses("1#").placed().1.address, "205");
}

#[test]
fn codes_call_the_numbers_of_the_configuration() {
    let toml = "[dial]\nvoicemail = \"*97\"\necho_test = \"*43\"\npick_up = \"*8\"";
    for (keys, number) in [("*86", "*97"), ("*99#", "*43"), ("*71", "*8")] {
        let mut desk = Desk::ready(toml);
        assert_eq!(desk.lifts().presses(keys).placed().1.address, number);
    }
    // Without one the code is a number like any other.
    let mut desk = Desk::ready("");
    assert_eq!(desk.lifts().presses("*86#").placed().1.address, "*86");
}

#[test]
fn intercom_asks_to_be_answered() {
    let mut desk = Desk::ready("");
    let (_, to) = desk.lifts().presses("*80200#").placed();
    assert!(to.options.intercom && to.address == "200");
}

#[test]
fn a_call_on_hold_is_transferred_blindly() {
    let (mut desk, call) = Desk::talking("[dial]\npark = \"700\"");
    desk.does(Input::Flash).presses("*85300#");
    let to = "300".to_owned();
    assert!(
        desk.said(&Output::BlindTransfer { held: call, to }),
        "{:?}",
        desk.said
    );
    assert_eq!(desk.tone, Some(Tone::Confirmation));
    desk.does(Input::HangUp).rests();
    let (mut desk, call) = Desk::talking("[dial]\npark = \"700\"");
    desk.does(Input::Flash).presses("*75");
    let to = "700".to_owned();
    assert!(desk.said(&Output::BlindTransfer { held: call, to }));
    // Without a call on hold there is nothing to transfer; never to an emergency number.
    let mut desk = Desk::ready("");
    desk.lifts().presses("*85300#");
    assert_eq!(desk.state(), State::Congestion);
    let (mut desk, call) = Desk::talking("");
    desk.does(Input::Flash).presses("*85112");
    assert_eq!(desk.phone.call_state(call), Some(CallState::OnHold));
    assert!(desk.noted("emergency"));
}

#[test]
fn maintenance_is_handed_out_once() {
    for (keys, what) in [
        ("*95#", Maintenance::SelfTest),
        ("*94#", Maintenance::Bundle),
        ("*59#", Maintenance::HistoryToCard),
        ("*96#", Maintenance::Reboot),
        ("*99*7378#", Maintenance::FactoryReset),
    ] {
        let mut desk = Desk::ready("");
        desk.lifts().presses(keys);
        let times = desk
            .said
            .iter()
            .filter(|said| **said == Output::Maintenance(what));
        assert_eq!(times.count(), 1, "{keys}");
    }
}

#[test]
fn a_provisioning_server_is_keyed() {
    for (keys, url) in [
        ("**73887*10*0*0*5#", "https://10.0.0.5/"),
        ("**73887*10*0*0*5*8443#", "https://10.0.0.5:8443/"),
    ] {
        let mut desk = Desk::ready("");
        desk.lifts().presses(keys);
        let wanted = Output::SetUpServer(url.to_owned());
        assert_eq!(
            desk.said.iter().filter(|said| **said == wanted).count(),
            1,
            "{keys}"
        );
        assert_eq!(desk.tone, Some(Tone::Confirmation));
    }
    // Without `#`, by the long timer; what is no address is refused.
    let mut desk = Desk::ready("");
    desk.lifts().presses("**73887*10*0*0*5").waits_ms(20_000);
    assert!(desk.said(&Output::SetUpServer("https://10.0.0.5/".to_owned())));
    for wrong in ["**73887*10*0*0#", "**73887*#", "**73887*101#"] {
        let mut desk = Desk::ready("");
        desk.lifts().presses(wrong);
        assert_eq!(desk.state(), State::Congestion, "{wrong}");
        let set = |said: &Output| matches!(said, Output::SetUpServer(_));
        assert!(!desk.said.iter().any(set), "{wrong}");
    }
    // The owner's server is not replaced by whoever lifts the handset.
    let mut desk = Desk::ready("[provision]\nurl = \"https://p.example/x\"");
    desk.lifts().presses("**73887*10*0*0*5#").waits_ms(20_000);
    let set = |said: &Output| matches!(said, Output::SetUpServer(_));
    assert!(!desk.said.iter().any(set));
}

#[test]
fn a_code_can_be_changed_or_turned_off() {
    let mut desk = Desk::ready("[codes]\ndnd_on = \"*3\"\ndnd_off = \"\"");
    desk.sets("*3");
    assert!(desk.phone.features().dnd);
    desk.lifts().presses("*79").waits_ms(3000);
    assert_eq!(desk.placed().1.address, "*79", "it is a number now");
}

#[test]
fn recent_calls_of_earlier_runs_are_called_again() {
    let mut desk = Desk::ready("");
    let caller = LastCaller {
        number: "301".to_owned(),
        account: Some(AccountId(0)),
    };
    desk.phone.set_recent(["200".to_owned()], Some(caller));
    assert_eq!(desk.lifts().presses("*88").placed().1.address, "200");
    desk.does(Input::HangUp);
    assert_eq!(desk.lifts().presses("*89").placed().1.address, "301");
}

#[test]
fn a_ringing_phone_is_silenced_or_refuses() {
    let mut desk = Desk::ready("");
    desk.rings("anna");
    desk.presses("*");
    assert_eq!((desk.state(), desk.ring), (State::Ringing, None));
    desk.lifts();
    assert_eq!(desk.state(), State::Talking, "it can still be answered");
    desk.does(Input::HangUp);
    let call = desk.rings("anna");
    assert!(desk.ring.is_some(), "the next call is heard");
    desk.presses("#");
    assert!(desk.said(&Output::Reject(call, 486)));
    desk.rests();
}

#[test]
fn the_bell_reminds_of_a_call_on_hold() {
    let (mut desk, held) =
        Desk::talking("[call]\nflash = \"key\"\nhold_reminder_s = 60\nhowler_after_s = 10");
    desk.does(Input::Flash).waits_ms(30_000).waits_ms(10_010);
    assert_eq!((desk.state(), desk.ring), (State::OnHold, None));
    desk.waits_ms(60_000);
    assert!(desk.ring.is_some());
    assert_eq!(desk.waits_ms(2_000).ring, None);
    assert!(desk.waits_ms(58_500).ring.is_some(), "and again");
    desk.does(Input::Flash);
    assert_eq!((desk.ring, &desk.connected[..]), (None, &[held][..]));
}

#[test]
fn a_flash_goes_to_the_network_where_configured() {
    let (mut desk, call) = Desk::talking("[call]\nflash = \"network\"");
    desk.puts_down().waits_ms(200).lifts();
    assert!(desk.said(&Output::FlashToNetwork(call)), "{:?}", desk.said);
    assert_eq!(
        (desk.state(), &desk.connected[..]),
        (State::Talking, &[call][..])
    );
    assert!(desk.does(Input::Flash).said(&Output::FlashToNetwork(call)));
}

#[test]
fn bars_hold_for_every_way_of_dialling() {
    let map = "[dial]\ndigit_map = \"0900x.!|x.T\"\n";
    let refused = |desk: &Desk, way: &str| {
        let placed = desk
            .said
            .iter()
            .any(|said| matches!(said, Output::PlaceCall { .. }));
        assert!(!placed && desk.noted("barred"), "{way}: {:?}", desk.said);
        assert_eq!(desk.state(), State::Congestion, "{way}");
    };
    let mut desk = Desk::ready(map);
    desk.lifts().presses("0900");
    refused(&desk, "keys");
    for target in ["0900555", "sip:0900555@pbx"] {
        let mut desk = Desk::ready(&format!("{map}[dial.speed]\n7 = \"{target}\"\n"));
        desk.lifts().presses("7#");
        refused(&desk, "speed dial");
        let mut desk = Desk::ready(&format!("{map}hotline = \"{target}\"\n"));
        desk.lifts();
        refused(&desk, "hotline");
        let mut desk = Desk::ready(map);
        desk.lifts().does(Input::Dial(target.to_owned()));
        refused(&desk, "ctl");
    }
    let mut desk = Desk::ready(map);
    desk.called_by(caller("x", "0900555", false));
    desk.does(Input::KeyDown(Key::Hash)).lifts().presses("*89");
    refused(&desk, "call return");
}

#[test]
fn an_address_of_the_own_domain_goes_by_its_account() {
    let mut desk = Desk::ready("[dial.speed]\n7 = \"sip:anna@PBX\"\n8 = \"sip:bob@elsewhere\"");
    assert_eq!(
        desk.lifts().presses("7#").placed().1.account,
        Some(AccountId(0))
    );
    desk.does(Input::HangUp);
    assert_eq!(desk.lifts().presses("8#").placed().1.account, None);
    for (address, account) in [
        ("sip:anna@pbx:5060", Some(AccountId(0))),
        ("sip:anna@pbx.;transport=tcp", Some(AccountId(0))),
        ("sips:anna@Pbx", Some(AccountId(0))),
        ("sip:anna@pbx:5070", None),
        ("sip:anna@pbx.example", None),
        ("sip:pbx@[2001:db8::1]:5060", None),
    ] {
        let mut desk = Desk::ready(&format!("[dial.speed]\n7 = \"{address}\""));
        let placed = desk.lifts().presses("7#").placed().1.account;
        assert_eq!(placed, account, "{address}");
    }
}

#[test]
fn a_named_caller_is_answered_at_once() {
    for (microphone, muted) in [("", true), ("intercom_microphone = true\n", false)] {
        let mut desk = Desk::ready(&format!("[call]\nintercom = [\"103\"]\n{microphone}"));
        let call = desk.called_by(caller("Door", "103", false));
        assert!(desk.said(&Output::Answer(call)));
        assert!(desk.ring.is_some(), "no one is listened to unawares");
        assert_eq!((&desk.connected[..], desk.muted), (&[call][..], muted));
        assert_eq!(desk.waits_ms(1000).ring, None);
        desk.lifts();
        assert!(!desk.muted && desk.connected == [call]);
        desk.does(Input::HangUp).rests();
        // No one else is.
        desk.called_by(caller("Anna", "102", false));
        assert_eq!(
            (desk.state(), &desk.connected[..]),
            (State::Ringing, &[][..])
        );
    }
}

#[test]
fn a_blocked_caller_does_not_get_through() {
    let block = "[call]\nblock = [\"0900*\"]\n";
    for (action, refused) in [("reject", Some(603)), ("busy", Some(486)), ("silent", None)] {
        let mut desk = Desk::ready(&format!("{block}block_action = \"{action}\"\n"));
        let call = desk.called_by(caller("x", "0900555", false));
        if let Some(code) = refused {
            assert!(desk.said(&Output::Reject(call, code)), "{action}");
            desk.rests();
        } else {
            let alert = Alert::Silent;
            assert_eq!(
                desk.ring,
                Some(RingStyle { alert }),
                "rings without a sound"
            );
            assert!(desk.said(&Output::Ringing(call)));
            desk.ended(call, None).rests();
        }
        desk.called_by(caller("y", "030555", false));
        let alert = Alert::Normal;
        assert_eq!(desk.ring, Some(RingStyle { alert }), "{action}");
    }
}

#[test]
fn callers_and_accounts_ring_differently() {
    let ring = "[call.ring]\n\"030*\" = 4\n";
    let mut desk = Desk::ready(ring);
    desk.called_by(caller("Anna", "030555", false));
    let alert = Alert::Distinctive(4);
    assert_eq!(desk.ring, Some(RingStyle { alert }));
}

#[test]
fn a_prefix_chooses_the_account() {
    let second = "[[account]]\nuser = \"7\"\ndomain = \"other\"\nprefix = \"9\"\n\
                  [dial]\ndigit_map = \"9xxx|[1-8]xx|955!\"\n";
    let mut desk = Desk::ready(second);
    let account = AccountId(1);
    desk.does(Input::AccountStatus {
        account,
        usable: true,
    });
    let (_, to) = desk.lifts().presses("9201").placed();
    assert_eq!((to.address.as_str(), to.account), ("201", Some(account)));
    desk.does(Input::HangUp);
    let (_, to) = desk.lifts().presses("201").placed();
    assert_eq!(
        (to.address.as_str(), to.account),
        ("201", Some(AccountId(0)))
    );
}

#[test]
fn a_missed_call_blinks_until_the_handset_is_lifted() {
    let mut desk = Desk::ready("");
    let call = desk.rings("anna");
    let slow = Output::Lamp(Lamp::Message, LampState::Slow);
    assert!(desk.ended(call, Some(487)).said(&slow));
    assert!(
        desk.lifts()
            .said(&Output::Lamp(Lamp::Message, LampState::Off))
    );
    desk.does(Input::HangUp);
    // Another phone took it: not missed.
    let call = desk.rings("anna");
    let reason = "answered elsewhere".to_owned();
    let cause = EndCause {
        code: Some(487),
        reason,
    };
    assert!(!desk.hears(call, CallUpdate::Ended(cause)).said(&slow));
}

#[test]
fn ctl_does_what_the_keys_do() {
    let (mut desk, call) = Desk::talking(KEY);
    desk.does(Input::TransferTo("300".to_owned()));
    let to = "300".to_owned();
    assert!(
        desk.said(&Output::BlindTransfer { held: call, to }),
        "{:?}",
        desk.said
    );
    desk.does(Input::HangUp).rests();
    // Never to an emergency number: the call stays.
    let (mut desk, call) = Desk::talking(KEY);
    desk.does(Input::TransferTo("112".to_owned()));
    assert_eq!(desk.connected, [call]);
    let second = desk.rings("anna");
    assert!(desk.does(Input::Refuse).said(&Output::Reject(second, 486)));
    let third = desk.rings("berta");
    desk.does(Input::AnswerWaiting);
    assert_eq!(desk.connected, [third]);
    desk.does(Input::ConnectAll);
    assert_eq!(desk.connected, [call, third]);
    desk.does(Input::HangUp).rests();
    let fourth = desk.rings("carla");
    assert!(desk.does(Input::Refuse).said(&Output::Reject(fourth, 486)));
    desk.rests();
}
