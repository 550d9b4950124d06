//! Who the telephone is, how it dials and how its calls behave: `[phone]`, `[dial]`, `[call]`,
//! `[codecs]`.

use types::{Codec, DtmfMethod, Language, OpusBand};

use super::{Section, Setting, WhenUnset, setting};
use crate::schema::{BlockAction, DirectCaller, FeatureKey, Flash, Hours, SessionTimer};
use crate::value::{TextFormat, Value, ValueKind};

const CODECS: &[&str] = &[
    Codec::Opus.as_str(),
    Codec::G722.as_str(),
    Codec::Pcmu.as_str(),
    Codec::Pcma.as_str(),
];

pub(super) const OPUS_BANDS: &[&str] = &[
    OpusBand::Narrow.as_str(),
    OpusBand::Wide.as_str(),
    OpusBand::SuperWide.as_str(),
    OpusBand::Full.as_str(),
];
pub(super) const DTMF_METHODS: &[&str] = &[
    DtmfMethod::Auto.as_str(),
    DtmfMethod::Rfc4733.as_str(),
    DtmfMethod::Info.as_str(),
    DtmfMethod::Inband.as_str(),
];

/// These keys, by section, in the order of the example. A later key may build on an earlier one of
/// its section.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Phone, "country", ValueKind::Country, WhenUnset::Default("\"us\""), "\"de\"",
        |c, v| if let Value::Country(country) = v { c.phone.country = country },
        "Country whose tones, ringing cadence, flash window and emergency numbers the phone uses \
         (`gb` is `uk`)."),
    setting(Section::Phone, "language",
        ValueKind::Choice(&[Language::English.as_str(), Language::German.as_str()]),
        WhenUnset::Means("German in Germany, Austria and Switzerland, English elsewhere"),
        "\"de\"",
        |c, v| c.phone.language = Language::from_name(&v.text()),
        "Language of what the phone speaks: own number and address, faults, set-up by keypad \
         (`en`, `de`)."),
    setting(Section::Phone, "speech", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.phone.speech = v.bool(),
        "A voice says after the tone what a star code has set, why a number cannot be called and \
         what is wrong with the settings."),
    setting(Section::Phone, "name", ValueKind::Text(64, false), WhenUnset::Default("\"Offhook\""),
        "\"Kitchen\"",
        |c, v| c.phone.name = v.text(),
        "Name shown to others in calls without a server."),
    setting(Section::Phone, "user", ValueKind::SipUser, WhenUnset::Default("\"phone\""),
        "\"kitchen\"",
        |c, v| c.phone.user = v.text(),
        "User part of the phone's own address in calls without a server: `sip:USER@address`."),
    setting(Section::Phone, "user_agent", ValueKind::Text(64, true),
        WhenUnset::Means("`Offhook/VERSION`"), "\"\"",
        |c, v| c.phone.user_agent = Some(v.text()),
        "What the phone says of itself to servers and other phones (`User-Agent`, `Server`). An \
         empty text: nothing."),
    setting(Section::Phone, "log", ValueKind::LogFilter, WhenUnset::Default("\"info\""),
        "\"info,offhook=debug\"",
        |c, v| c.phone.log = v.text(),
        "What is logged: error, warn, info, debug or trace, also for single parts of the program."),

    setting(Section::Dial, "digit_map", ValueKind::DigitMap, WhenUnset::Means("the numbering plan \
        of `phone.country`: numbers whose length it fixes go at once, all others after the short \
        timer or with `#`"), "\"<00:+>x.T|0x.T|[1-8]xx|1900x.!\"",
        |c, v| c.dial.digit_map = v.text(),
        "Which numbers exist (RFC 3435 digit map): `x` any digit, `[1-3]` one of these, `.` none \
         or more of it, `|` or, a final `T` \"until the digit timer\". Besides, `<a:b>` dials b \
         for a, `,` gives a second dial tone, a final `!` bars. A complete number is sent at once, \
         one that could be longer after the short timer, and `#` sends at once. What the map bars \
         is barred however it is dialled: by keys, speed dial, hotline, redirection or transfer."),
    setting(Section::Dial, "service_codes", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.dial.service_codes = v.bool(),
        "Service codes of the country's networks (`*31#0301234`, `#21#`, `*21*0301234#`, `*#06#`) \
         are dialled whole, `#` included, besides what the digit map says. `false`: only the digit \
         map counts."),
    setting(Section::Dial, "long_timer_ms", ValueKind::Number(1000, 60000),
        WhenUnset::Default("10000"), "15000",
        |c, v| c.dial.long_timer_ms = v.number() as u32,
        "Digit timer in ms while the number is not complete."),
    setting(Section::Dial, "short_timer_ms", ValueKind::Number(500, 30000),
        WhenUnset::Default("3000"), "4000",
        |c, v| c.dial.short_timer_ms = v.number() as u32,
        "Digit timer in ms while the number is complete but could be longer."),
    setting(Section::Dial, "emergency", ValueKind::Numbers(16), WhenUnset::Default("[]"),
        "[\"117\"]",
        |c, v| c.dial.emergency = v.texts(),
        "Emergency numbers in addition to those of the country: matched first, sent at once, never \
         blocked."),
    setting(Section::Dial, "emergency_route", ValueKind::SipUri, WhenUnset::Means("none"),
        "\"sip:112@10.0.0.2\"",
        |c, v| c.dial.emergency_route = Some(v.text()),
        "Address that is called for an emergency number when no account is registered."),
    setting(Section::Dial, "hotline", ValueKind::Target, WhenUnset::Means("none"), "\"101\"",
        |c, v| c.dial.hotline = Some((v.text(), 0)),
        "Number or SIP address that is dialled automatically after lifting the handset."),
    setting(Section::Dial, "hotline_after_ms", ValueKind::Number(0, 60000),
        WhenUnset::Default("0"), "5000",
        |c, v| if let Some(hotline) = &mut c.dial.hotline { hotline.1 = v.number() as u32 },
        "How long after lifting `hotline` is dialled; a key pressed before that dials as usual."),
    setting(Section::Dial, "voicemail", ValueKind::Target, WhenUnset::Means("none"), "\"*97\"",
        |c, v| c.dial.voicemail = Some(v.text()),
        "Number or SIP address of the mailbox, called by the star code `voicemail`."),
    setting(Section::Dial, "echo_test", ValueKind::Target, WhenUnset::Means("none"), "\"*43\"",
        |c, v| c.dial.echo_test = Some(v.text()),
        "Number or SIP address that sends one's own voice back, called by the star code \
         `echo_test`."),
    setting(Section::Dial, "park", ValueKind::Target, WhenUnset::Means("none"), "\"700\"",
        |c, v| c.dial.park = Some(v.text()),
        "Number to which the PBX wants a call transferred that is to be parked; used by the star \
         code `park`."),
    setting(Section::Dial, "pick_up", ValueKind::Target, WhenUnset::Means("none"), "\"*8\"",
        |c, v| c.dial.pick_up = Some(v.text()),
        "Number that takes a parked call or one that rings elsewhere; called by the star code \
         `pick_up`."),
    setting(Section::Dial, "watch", ValueKind::FormattedList(TextFormat::Target, 8),
        WhenUnset::Default("[]"), "[\"205\", \"sip:anna@10.0.0.7\"]",
        |c, v| c.dial.watch = v.texts(),
        "Other phones whose calls are watched (RFC 4235): extensions of the first account, or SIP \
         addresses of phones that allow it with `call.watched_by`. Each has a lamp: the first one \
         the first line of `watched` in the board's `[lamps]`, and so on; it is lit while that \
         phone is in a call and flashes while it rings. A call that rings there is taken by the \
         star code `pick_up`."),
    setting(Section::Dial, "contacts", ValueKind::Contacts(500), WhenUnset::Default("{}"),
        "{ \"Anna Berg\" = \"+49301234567\" }",
        |c, v| c.dial.contacts = v.pairs(),
        "Names of callers by number or address. The file `contacts.vcf` (vCard) on the card adds \
         to them. A number is the same with and without the country's code."),
    setting(Section::Dial, "phone_book", ValueKind::Formatted(TextFormat::Url),
        WhenUnset::Means("none"), "\"https://pbx.example.net/phonebook.xml\"",
        |c, v| c.dial.phone_book = Some(v.text()),
        "Where a server has more contacts: vCard, or XML as Yealink and Grandstream phones read \
         it. Fetched at the start and every six hours; `http` only with `provision.allow_http`."),
    setting(Section::Dial, "feature_keys", ValueKind::FeatureKeys, WhenUnset::Default("{}"),
        "{ 1 = \"205\", 2 = \"*66\" }",
        |c, v| c.dial.feature_keys = v.pairs().iter()
            .filter_map(|(key, what)| Some((key.parse().ok()?, FeatureKey::from_text(what))))
            .collect(),
        "What the keys beside the keypad do, 1 to 8 (`feature` of the board's `[keys]`): dial a \
         number, an address or a star code, or, with `account:NAME`, have the next number called \
         by that account; `redial-list` speaks the numbers dialled before, one a press, and dials \
         the one spoken last; `door` fetches `actions.door`; `conference` connects \
         the call on hold and the one in the hand. With the handset down they switch to \
         hands-free. The key of a phone of `watch` takes the call that rings there."),
    setting(Section::Dial, "speed", ValueKind::SpeedDial(100), WhenUnset::Default("{}"),
        "{ 1 = \"sip:echo@10.0.0.7\", 2 = \"0301234567\" }",
        |c, v| c.dial.speed_dial = v.pairs(),
        "Speed dial: the keys pressed and the number or SIP address they stand for."),

    setting(Section::Call, "auto_answer", ValueKind::AfterMs(60000), WhenUnset::Default("false"),
        "true",
        |c, v| c.call.auto_answer_ms = match v { Value::Bool(true) => Some(0),
            Value::Number(ms) => Some(ms as u32),
            _other => None },
        "Answer every incoming call automatically: `false` never, `true` at once, or after this \
         many milliseconds. The handset need not be lifted, and the microphone is on. Only with \
         this key set may a caller by an account ask to be answered at once; the phone rings then, \
         and that caller hears nothing until the handset is lifted."),
    setting(Section::Call, "direct", ValueKind::Bool, WhenUnset::Means("placed; accepted from \
        everyone where there is no account"), "false",
        |c, v| c.call.direct = Some(v.bool()),
        "Calls between phones without a server. `true`: they are placed, and accepted from \
         everyone; `false`: neither. Without this key they are placed, and accepted from everyone \
         only where no account is configured: whoever reaches the SIP port could ring the phone. \
         Callers on `direct_from` and, unless this key is `false`, phones known by their \
         certificate (`[[tls.pin]]`) are accepted all the same."),
    setting(Section::Call, "direct_from", ValueKind::FormattedList(TextFormat::DirectCaller, 64),
        WhenUnset::Default("[]"), "[\"192.168.1.0/24\", \"sip:bob@10.0.0.7\"]",
        |c, v| c.call.direct_from = v.texts().iter()
            .filter_map(|text| DirectCaller::from_text(text)).collect(),
        "Whose calls without a server are accepted, whatever `direct` says: addresses, networks, \
         or a user at an address. With this list no one else's are, except of phones known by \
         their certificate. Without it a host may call only now and then, and its call gives way \
         to a call of an account that comes before it is answered."),
    setting(Section::Call, "watched_by", ValueKind::FormattedList(TextFormat::DirectCaller, 64),
        WhenUnset::Default("[]"), "[\"sip:anna@10.0.0.7\"]",
        |c, v| c.call.watched_by = v.texts().iter()
            .filter_map(|text| DirectCaller::from_text(text)).collect(),
        "Who may watch this phone (busy lamps, RFC 4235), and take a call that rings here: \
         addresses, networks, or a user at an address. They learn whether it is in use and who \
         calls. Where phones watch each other by way of a server, name the server's address."),
    setting(Section::Call, "no_answer_s", ValueKind::Number(5, 3600), WhenUnset::Default("120"),
        "60",
        |c, v| c.call.no_answer_s = v.number() as u32,
        "Seconds a call may ring before it is given up, placed (never an emergency call) or \
         received; what a caller asks for (`Expires`) can only be shorter."),
    setting(Section::Call, "session_timer", ValueKind::Choice(&["answer", "offer", "always"]),
        WhenUnset::Default("\"offer\""), "\"always\"",
        |c, v| c.call.session_timer = match v.text().as_str() {
            "answer" => SessionTimer::Answer,
            "always" => SessionTimer::Always,
            _other => SessionTimer::Offer,
        },
        "When the phone asks for a session timer (RFC 4028), which ends a call whose far end \
         vanished. `offer`: in the calls it places; `always`: in those it answers, too; `answer`: \
         never, though one that the far end asks for is kept."),
    setting(Section::Call, "session_timer_s", ValueKind::Number(90, 86400),
        WhenUnset::Default("1800"), "600",
        |c, v| c.call.session_timer_s = v.number() as u32,
        "Seconds after which, at the latest, phone and far end make sure that the other one is \
         still in the call (session timer, RFC 4028); a call whose far end does not answer then is \
         ended."),
    setting(Section::Call, "session_timer_min_s", ValueKind::Number(90, 3600),
        WhenUnset::Default("90"), "120",
        |c, v| c.call.session_timer_min_s = v.number() as u32,
        "Seconds that a far end may ask for as `session_timer_s` at the least (Min-SE, RFC 4028): \
         a call that asks for less gets 422 and is placed again with this. Where it is more than \
         `session_timer_s`, it counts as that, too."),
    setting(Section::Call, "early_media", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.call.early_media = v.bool(),
        "Answer the caller's session description while the phone rings (183 Session Progress in \
         place of 180 Ringing), for exchanges that want the media path before the answer. The \
         caller hears silence then instead of a ringing tone of its own."),
    setting(Section::Call, "media_timeout_s", ValueKind::Number(0, 3600), WhenUnset::Default("60"),
        "300",
        |c, v| c.call.media_timeout_s = v.number() as u32,
        "Seconds the phone sends sound to an address from which nothing at all arrives, neither \
         RTP nor RTCP. Then it asks the far end by SIP whether the call is still there, and goes \
         on where it answers: a voicemail that only listens keeps the call. Otherwise it stops \
         sending and ends the call; so it does where a caller's sound goes to an address that \
         never sent anything and takes no part in the signalling. Time on hold does not count. \
         `0`: no limit."),
    setting(Section::Call, "flash", ValueKind::Choice(&["hook", "key", "network", "off"]),
        WhenUnset::Default("\"hook\""), "\"key\"",
        |c, v| c.call.flash = match v.text().as_str() { "key" => Flash::Key,
            "network" => Flash::Network, "off" => Flash::Off, _other => Flash::Hook },
        "What makes a flash (hold, second call, swap): a short press of the hook switch within the \
         country's window, only the flash key, or nothing; `network`: as `hook`, but the flash is \
         sent to the network (RFC 4733 event 16, or INFO), which does what it likes. With `hook`, \
         putting the handset down in a call silences it at once and ends the call when the window \
         has passed; with `key` and `off` it ends the call at once."),
    setting(Section::Call, "waiting", ValueKind::Bool, WhenUnset::Default("true"), "false",
        |c, v| c.call.waiting = v.bool(),
        "Call waiting: during a call a second caller hears ringing and you a short tone. `false`: \
         the second caller hears busy."),
    setting(Section::Call, "flash_menu", ValueKind::Bool, WhenUnset::Means("`true`, in the United \
        States `false`"), "false",
        |c, v| c.call.flash_menu = Some(v.bool()),
        "With two calls a digit after the flash says what to do: 1 ends the call that was heard, 2 \
         swaps, 3 connects all three, 4 connects the other two and leaves you out; with a second \
         caller waiting, 0 refuses. Without a digit the flash swaps or answers. `false`: the flash \
         acts at once; in a call that you placed with another on hold it connects all three, and \
         the next one ends the call added last."),
    setting(Section::Call, "forward_after_s", ValueKind::Number(5, 120), WhenUnset::Default("20"),
        "30",
        |c, v| c.call.forward_after_s = v.number() as u32,
        "Seconds a call rings before it is forwarded, where forwarding on no answer is set (star \
         code `forward_no_answer`)."),
    setting(Section::Call, "hold_reminder_s", ValueKind::Number(0, 600), WhenUnset::Default("60"),
        "120",
        |c, v| c.call.hold_reminder_s = v.number() as u32,
        "Seconds after which the bell reminds of a call on hold that no one listens to, and again \
         after as many; 0: never."),
    setting(Section::Call, "block", ValueKind::FormattedList(TextFormat::Caller, 100),
        WhenUnset::Default("[]"), "[\"0900*\", \"*@spam.example\", \"anonymous\"]",
        |c, v| c.call.block = v.texts(),
        "Callers who do not get through: numbers, addresses or names, `*` for any characters, `?` \
         for one; `anonymous` is who withholds the number."),
    setting(Section::Call, "allow", ValueKind::FormattedList(TextFormat::Caller, 100),
        WhenUnset::Default("[]"), "[\"0900123\"]",
        |c, v| c.call.allow = v.texts(),
        "Exceptions to `block`. With `block = [\"*\"]` only these get through."),
    setting(Section::Call, "block_action",
        ValueKind::Choice(&["reject", "busy", "silent", "voicemail"]),
        WhenUnset::Default("\"reject\""), "\"silent\"",
        |c, v| c.call.block_action = BlockAction::from_name(&v.text())
            .unwrap_or(BlockAction::Reject),
        "What a blocked caller meets: a refusal, the busy tone, ringing without a sound here, or \
         the mailbox (`dial.voicemail`)."),
    setting(Section::Call, "screen", ValueKind::Words(100,
        &["reject", "busy", "silent", "voicemail"]), WhenUnset::Default("{}"),
        "{ \"0900*\" = \"reject\", \"*@work.example\" = \"busy\" }",
        |c, v| c.call.screen = v.pairs().into_iter()
            .filter_map(|(pattern, action)| Some((pattern, BlockAction::from_name(&action)?)))
            .collect(),
        "Callers by pattern as in `block`, and what each meets. The first that fits counts, and \
         goes before `block`; `allow` goes before both."),
    setting(Section::Call, "quiet_hours", ValueKind::Formatted(TextFormat::Hours),
        WhenUnset::Means("none"), "\"22:00-07:00\"",
        |c, v| c.call.quiet_hours = Hours::from_text(&v.text()),
        "When the bell is silent, every day, by the phone's clock (`system.time_zone`). The lamps \
         show who calls."),
    setting(Section::Call, "quiet_except", ValueKind::FormattedList(TextFormat::Caller, 100),
        WhenUnset::Default("[]"), "[\"0301234\"]",
        |c, v| c.call.quiet_except = v.texts(),
        "Callers who ring in quiet hours all the same: patterns as in `block`."),
    setting(Section::Call, "intercom", ValueKind::FormattedList(TextFormat::Caller, 32),
        WhenUnset::Default("[]"), "[\"103\", \"door*\"]",
        |c, v| c.call.intercom = v.texts(),
        "Callers who are answered at once, without lifting: patterns as in `block`. Only calls by \
         an account, or from an address of `direct_from`. The phone rings for a second, and the \
         caller hears nothing until the handset is lifted."),
    setting(Section::Call, "intercom_microphone", ValueKind::Bool, WhenUnset::Default("false"),
        "true",
        |c, v| c.call.intercom_microphone = v.bool(),
        "`true`: callers of `intercom` hear the room as soon as they are answered."),
    setting(Section::Call, "ring", ValueKind::Rings(100), WhenUnset::Default("{}"), "{ \"030*\" = \
        2, \"*berg*\" = 4 }",
        |c, v| c.call.ring = v.pairs(),
        "How callers ring: a pattern as in `block`, and a distinctive cadence from 1 to 5 \
         (Bellcore-dr1 to -dr5). What the caller asks for by Alert-Info goes first."),
    setting(Section::Call, "transfer_on_hangup", ValueKind::Bool, WhenUnset::Default("false"),
        "true",
        |c, v| c.call.transfer_on_hangup = v.bool(),
        "Attended transfer: with one call on hold and a second one that you placed ringing or \
         talking, putting the handset down connects the two and leaves you out. `false`: both \
         calls end."),
    setting(Section::Call, "key_tones", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.call.key_tones = v.bool(),
        "During a call you hear your own key tones in the handset. While dialling you always do."),
    setting(Section::Call, "dtmf", ValueKind::Choice(DTMF_METHODS), WhenUnset::Default("\"auto\""),
        "\"inband\"",
        |c, v| c.call.dtmf = DtmfMethod::from_name(&v.text()).unwrap_or_default(),
        "How the digits of a call are sent. `rfc4733`: as events beside the sound; `info`: by \
         SIP; `inband`: as tones in the sound. `auto`: events where the far end knows them, else \
         by SIP, and as tones where it refuses that."),
    setting(Section::Call, "dtmf_ms", ValueKind::Number(40, 1000),
        WhenUnset::Means("50 as an event, 80 as a tone"), "120",
        |c, v| c.call.dtmf_ms = Some(v.number() as u16),
        "Shortest digit that is sent, in milliseconds. One whose key is held for longer lasts as \
         long as that."),
    setting(Section::Call, "dtmf_gap_ms", ValueKind::Number(40, 1000), WhenUnset::Default("50"),
        "80",
        |c, v| c.call.dtmf_gap_ms = v.number() as u16,
        "Shortest pause between two digits, in milliseconds."),
    setting(Section::Call, "howler_after_s", ValueKind::Number(1, 600), WhenUnset::Default("30"),
        "20",
        |c, v| c.call.howler_after_s = v.number() as u32,
        "Seconds of busy or congestion tone, with the handset still lifted, before the howler."),
    setting(Section::Call, "howler_s", ValueKind::Number(0, 600), WhenUnset::Default("60"), "30",
        |c, v| c.call.howler_s = v.number() as u32,
        "Seconds of howler before the phone falls silent."),

    setting(Section::Codecs, "order", ValueKind::Preference(CODECS),
        WhenUnset::Default("[\"opus\", \"g722\", \"pcmu\", \"pcma\"]"), "[\"pcma\", \"opus\"]",
        |c, v| c.codecs.order = v.texts().iter().filter_map(|name| Codec::from_name(name))
            .collect(),
        "Codecs that are offered and accepted, best first."),
    setting(Section::Codecs, "ptime_ms", ValueKind::OneNumber(&[10, 20, 30, 40, 60]),
        WhenUnset::Default("20"), "30",
        |c, v| c.codecs.ptime_ms = v.number() as u8,
        "Milliseconds of sound in a packet."),
    setting(Section::Codecs, "opus_bitrate", ValueKind::Number(6_000, 128_000),
        WhenUnset::Means("what suits the band: 40000 for wideband"), "24000",
        |c, v| c.codecs.opus_bitrate = Some(v.number() as u32),
        "Bits a second of Opus, for slow links; the far end is asked to keep to it, too \
         (`maxaveragebitrate`). What the far end asks for goes first where it is less."),
    setting(Section::Codecs, "opus_band", ValueKind::Choice(OPUS_BANDS),
        WhenUnset::Means("`wide` is sent, anything is received"), "\"full\"",
        |c, v| c.codecs.opus_band = OpusBand::from_name(&v.text()),
        "The widest band of Opus: `narrow` (4 kHz), `wide` (8 kHz), `super-wide` (12 kHz) or \
         `full` (20 kHz). More than `wide` is for hands-free phones with a good microphone."),
    setting(Section::Codecs, "dtx", ValueKind::Bool, WhenUnset::Default("false"), "true",
        |c, v| c.codecs.dtx = v.bool(),
        "`true`: in silence next to nothing is sent, and the far end makes a noise like that of \
         the room (DTX of Opus; comfort noise, RFC 3389, with G.722 and G.711), where it knows \
         how to. Saves half of the traffic of a call."),
];
