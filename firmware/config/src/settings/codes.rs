//! Star codes: `[codes]`. Names, defaults and texts are those of [`crate::codes::CODES`].

use super::{Section, Setting, WhenUnset, setting};
use crate::codes::StarCode;
use crate::value::{TextFormat, ValueKind};

/// One key a code; the text is the table's.
macro_rules! code {
    ($code:ident, $name:literal, $unset:literal, $example:literal, $doc:literal) => {
        setting(
            Section::Codes,
            $name,
            ValueKind::Formatted(TextFormat::Code),
            WhenUnset::Means($unset),
            $example,
            |c, v| c.codes.set(StarCode::$code, v.text()),
            $doc,
        )
    };
}

/// These keys, in the order of the example.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    code!(Redial, "redial", "`*66` in the United States, `*88` elsewhere", "\"*660\"",
        "Redial: calls the number dialled last."),
    code!(CallReturn, "call_return", "`*69` in the United States, `*89` elsewhere", "\"*690\"",
        "Call return: calls who called last."),
    code!(DndOn, "dnd_on", "`*78`", "\"*780\"",
        "Do not disturb: callers hear busy, the phone does not ring."),
    code!(DndOff, "dnd_off", "`*79`", "\"*790\"",
        "Ends do not disturb."),
    code!(ForwardAlways, "forward_always", "`*72`", "\"*720\"",
        "Forwards every call to the number keyed after it."),
    code!(ForwardAlwaysOff, "forward_always_off", "`*73`", "\"*730\"",
        "Ends it."),
    code!(ForwardBusy, "forward_busy", "`*90`", "\"*900\"",
        "Forwards calls that come while the phone is in use."),
    code!(ForwardBusyOff, "forward_busy_off", "`*91`", "\"*910\"",
        "Ends it."),
    code!(ForwardNoAnswer, "forward_no_answer", "`*92`", "\"*920\"",
        "Forwards calls that are not answered within `call.forward_after_s`."),
    code!(ForwardNoAnswerOff, "forward_no_answer_off", "`*93`", "\"*930\"",
        "Ends it."),
    code!(AnonymousOnce, "anonymous_once", "`*67` in the United States, `*87` \
                                            elsewhere", "\"*670\"",
        "Calls the number keyed after it without showing one's own. An emergency call always shows \
         it."),
    code!(AnonymousOn, "anonymous_on", "`*81`", "\"*810\"",
        "Withholds one's own number in every call."),
    code!(AnonymousOff, "anonymous_off", "`*68` in the United States, `*82` elsewhere", "\"*680\"",
        "Shows it again."),
    code!(RejectAnonymousOn, "reject_anonymous_on", "`*77` in the United States, `*83` \
                                                     elsewhere", "\"*770\"",
        "Refuses callers who withhold their number."),
    code!(RejectAnonymousOff, "reject_anonymous_off", "`*87` in the United States, `*84` \
                                                       elsewhere", "\"*870\"",
        "Takes their calls again."),
    code!(Voicemail, "voicemail", "`*86`", "\"*860\"",
        "Calls the mailbox, `dial.voicemail`; without that key the code is dialled as a number."),
    code!(SpeedDialSet, "speed_dial_set", "`*74`", "\"*740\"",
        "Stores a number under a speed dial key: the key (one digit), then the number."),
    code!(Transfer, "transfer", "`*85`", "\"*850\"",
        "Blind transfer: after a flash, connects the call on hold with the number keyed after it."),
    code!(Conference, "conference", "`*76`", "\"*760\"",
        "Conference: after a flash, calls the number keyed after it, and connects all three when \
         it is answered."),
    code!(Park, "park", "`*75`", "\"*750\"",
        "After a flash, transfers the call on hold to `dial.park`; without that key the code is \
         dialled as a number."),
    code!(PickUp, "pick_up", "`*71`", "\"*710\"",
        "Takes the call that rings at a phone of `dial.watch`, else calls `dial.pick_up`, which \
         takes a parked or ringing call; without either key the code is dialled as a number."),
    code!(Intercom, "intercom", "`*80`", "\"*800\"",
        "Calls a phone and asks it to answer by itself."),
    code!(Paging, "paging", "`*58`", "\"*580\"",
        "Speaks to every phone of a group of `[paging]`, whose number is keyed after it; without \
         groups the code is dialled as a number."),
    code!(EchoTest, "echo_test", "`*99#`", "\"*990#\"",
        "Calls `dial.echo_test`, where one hears oneself; without that key the code is dialled as \
         a number."),
    code!(OwnNumber, "own_number", "`*55#`", "\"*550#\"",
        "Speaks one's own number and whether the account is registered."),
    code!(OwnAddress, "own_address", "`*56#`", "\"*560#\"",
        "Speaks the phone's IP address."),
    code!(LastQuality, "last_quality", "`*57#`", "\"*570#\"",
        "Speaks how well the last call was heard."),
    code!(SelfTest, "self_test", "`*95#`", "\"*950#\"",
        "Self-test of speaker, microphone, keys, hook switch, lamps, bell and network; the result \
         is heard."),
    code!(Bundle, "bundle", "`*94#`", "\"*940#\"",
        "Support bundle: logs, status and settings without secrets, written to the card."),
    code!(HistoryToCard, "history_to_card", "`*59#`", "\"*590#\"",
        "Writes the calls and messages the phone remembers to the card, as a table for a \
         spreadsheet."),
    code!(Reboot, "reboot", "`*96#`", "\"*960#\"",
        "Restarts the board."),
    code!(FactoryReset, "factory_reset", "`*99*7378#`", "\"*99*73780#\"",
        "Factory reset: erases every setting, password and history; `offhook.toml` becomes the \
         empty example."),
    code!(SetUpServer, "setup_server", "`**73887*`", "\"**738870*\"",
        "Takes the settings from the server at an address, as in `**73887*192*168*1*5#`."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::CODES;

    #[test]
    fn every_code_has_its_key() {
        let rows = CODES.iter().map(|entry| (entry.name, entry.doc));
        let keys = SETTINGS.iter().map(|setting| (setting.name, setting.doc));
        assert!(rows.eq(keys));
        for (entry, setting) in CODES.iter().zip(SETTINGS) {
            let WhenUnset::Means(text) = setting.when_unset else {
                panic!("{}: the country decides", entry.name);
            };
            assert!(
                text.contains(entry.us) && text.contains(entry.elsewhere),
                "{text}"
            );
        }
    }
}
