//! What a person does with a telephone and what comes of it: the stories of `tests/desk/`, each run
//! in virtual time against phones with simulated boards, cards and network. A story only lifts,
//! presses, flashes, listens, and looks at lamp and bell.
//!
//! `l`, `r` and `s` have the numbers 101, 102 and 103 at one server. A line of a story is one of:
//!
//! | line | what |
//! |---|---|
//! | `with l [call] flash = "key"` | a line of a phone's `offhook.toml`; before all else |
//! | `also in real time` | played with kamailio and baresip, too; `at length`: before a release |
//! | `also on gpio-sim` | played on the kernel's simulated lines, too |
//! | `l lifts`, `l hangs up`, `l flashes`, `l taps the hook` | the hook; a tap is 250 ms |
//! | `l presses 102#` | keys, in a person's rhythm |
//! | `l dials 102` | digits of a rotary dial, 10 pulses a second |
//! | `l presses the mute key` | a key beside the keypad: mute, hands-free, volume-up … |
//! | `l calls 102` | lifts and presses; `l calls 102 and talks`: the far end lifts, too |
//! | `l hears dial`, `l hears nothing` | the tone in the ear |
//! | `the ear of l has -13 dBm0` | how loud it is there, within 1 dB; `is silent` |
//! | `the card of l has gong.wav` | a recording of its owner's; `l hears the recording gong.wav` |
//! | `l has a ringer card` | for its bell alone; `the ringer card of l has -6 dBm0`, `is silent` |
//! | `l has no bell` | nor a buzzer |
//! | `the room of l echoes` | its microphone hears its loudspeaker |
//! | `no one speaks at l` | and nothing else from now on |
//! | `r hears itself` | what it says comes back, within 25 dB; `does not hear itself` |
//! | `l is heard by r`, `l is not heard by r` | whether r hears what l says |
//! | `l fetches http://…` | a URL of `[actions]` that is requested |
//! | `the broker of l connects` | MQTT, where `[mqtt]` names a broker; `is lost` |
//! | `the broker of l has ringing ON` | what a topic of the phone says within 5 s; `nothing` |
//! | `the broker of l orders dnd ON` | by that topic; `keeps` instead: the order is retained |
//! | `l does reboot` | what its appliance was to do, and nothing else since |
//! | `l keeps "dnd":true` | what is kept over restarts |
//! | `l says your-number 1 0 1` | the phone's voice, from now on (`de:point`: German) |
//! | `l has no settings` | as a phone that no one set up |
//! | `l has error 2` | as a phone with a mistake in its settings |
//! | `l writes user = "101"` | a line of the settings keyed on the phone |
//! | `l rings`, `l does not ring` | the bell |
//! | `l sees anna` | the name or number of a caller |
//! | `l and r talk` | speech both ways, of two or three |
//! | `l is idle` | the phone's state |
//! | `lamp line of l is on` | a lamp |
//! | `event 16 goes to r` | a telephone-event (RFC 4733) on its way to a phone |
//! | `the server gets INVITE sip:…` | a request that left a phone, as it begins |
//! | `the server refuses redirections` | a 302 of a called phone becomes 403 for the caller |
//! | `l remembers missed 102` | the newest call of the history, in the file that is kept, too |
//! | `l has a display` | before it is looked at |
//! | `display of l shows Menu` | a text of its status bar or below it |
//! | `display of l does not show Menu` | none |
//! | `display of l is dim` | how bright it is: full, dim or dark |
//! | `ctl l dials 102`, `ctl l answers` … | what `offhook ctl` asks for |
//! | `5 s pass` | time |

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a story that cannot be read or does not come true is a failed test, and names its \
              line"
)]

mod broker;
mod complete;
mod sound;

use std::time::Duration;

use control::api::UserAction;
use offhook_tests::story::{NAMES, NUMBERS, Story as Text, add_digit_map};
use offhook_tests::world::{PhoneId, Setup, World, ms, secs};
use phone::{Maintenance, State, VolumeOf};
use testkit::signal::Source;
use types::FunctionKey;

/// The users of the server: `l`, `r` and `s`.
const USERS: [(&str, &str); 3] = [
    (NUMBERS[0], "one"),
    (NUMBERS[1], "two"),
    (NUMBERS[2], "three"),
];

/// A story under way.
struct Story {
    world: World,
}

impl Story {
    /// Three phones at one server, with what the story says of their configuration.
    fn begin(text: &Text) -> Self {
        let mut world = World::new(&format!("desk {}", text.name), 1);
        world.add_registrar(&USERS);
        for ((user, password), name) in USERS.iter().zip(NAMES) {
            let mut sections = text.settings(name);
            let account = sections.remove("account").unwrap_or_default();
            let server = "10.0.0.100";
            let mut setup = Setup::default().account_with(user, password, server, &account);
            add_digit_map(&mut sections);
            for (section, toml) in &sections {
                setup = setup.toml(section, toml);
            }
            let cancels = sections
                .get("board.audio")
                .is_some_and(|audio| audio.contains("echo_canceller = \"on\""));
            // Its card is one that a canceller works with.
            let setup = if cancels {
                setup.card(16_000, 10)
            } else {
                setup
            };
            let id = world.phone(setup);
            if cancels {
                let now = world.now();
                world[id].cancel_echoes(now);
            }
        }
        world.until("all are registered", secs(5), |world| {
            (0..3)
                .all(|id| world[PhoneId(id)].status(world.now())["lines"][0]["registered"] == true)
        });
        Self { world }
    }

    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let id = |name: &str| {
            let found = NAMES.iter().position(|known| *known == name);
            PhoneId(found.unwrap_or_else(|| panic!("no phone is named {name}: {line}")))
        };
        match words[..] {
            ["the", "server", "refuses", "redirections"] => {
                self.world.reg().refuses_redirections = true;
            }
            [length, "s", "pass" | "passes"] => {
                let length: f64 = length.parse().unwrap_or_else(|_| panic!("{line}"));
                self.world.run(Duration::from_secs_f64(length));
            }
            ["the", "server", "gets", ..] => {
                let begin = line.strip_prefix("the server gets ").unwrap_or_default();
                self.sent(begin);
            }
            ["event", event, "goes", "to", phone] => {
                let event = event.parse().unwrap_or_else(|_| panic!("{line}"));
                self.event_sent(id(phone), event, line);
            }
            ["the", "ear", "of", phone, "has", level, "dBm0"] => {
                let level = level.parse().unwrap_or_else(|_| panic!("{line}"));
                self.loudness(id(phone), level, line);
            }
            ["the", "ear", "of", phone, "is", "silent"] => {
                self.world.run(ms(700));
                self.world.assert_silent(id(phone), ms(500));
            }
            ["the", "card", "of", phone, "has", file] => self.add_recording(id(phone), file),
            [phone, "hears", "the", "recording", file] => self.hears_recording(id(phone), file),
            [phone, "has", "no", "bell"] => self.world[id(phone)].control.set_no_ringer(),
            [phone, "has", "a", "ringer", "card"] => self.world[id(phone)].add_ringer_card(),
            ["the", "ringer", "card", "of", phone, ref how @ ..] => {
                self.ringer_card(id(phone), how, line);
            }
            ["the", "room", "of", phone, "echoes"] => {
                self.world[id(phone)].card.couple(sound::ECHO);
            }
            ["no", "one", "speaks", "at", phone] => {
                self.world[id(phone)].card.microphone = Source::silence();
            }
            [phone, "hears", "itself"] => self.hears_itself(id(phone), true, line),
            [phone, "does", "not", "hear", "itself"] => {
                self.hears_itself(id(phone), false, line);
            }
            [phone, "is", "not", "heard", "by", other] => {
                self.world.run(secs(3));
                let found = self.world.compare(id(phone), id(other), secs(2));
                assert!(found.correlation < 0.4, "{line}: {found:?}");
            }
            [phone, "does", what] => {
                let wanted = match what {
                    "self-test" => Maintenance::SelfTest,
                    "bundle" => Maintenance::Bundle,
                    "reboot" => Maintenance::Reboot,
                    "factory-reset" => Maintenance::FactoryReset,
                    "history-to-card" => Maintenance::HistoryToCard,
                    _ => panic!("not understood: {line}"),
                };
                let done = std::mem::take(&mut self.world[id(phone)].maintained);
                assert_eq!(done, [wanted], "{line}");
            }
            [phone, "is", "set", "up", "by", url] => {
                let asked = std::mem::take(&mut self.world[id(phone)].set_up_servers);
                assert_eq!(asked, [url], "{line}");
            }
            [phone, "is", "heard", "by", other, ref rest @ ..] => {
                // Voices that are mixed hide each other a little.
                let least = match rest {
                    [] => 0.8,
                    ["in", "a", "call"] => MIXED,
                    _ => panic!("not understood: {line}"),
                };
                self.world.run(secs(3));
                let found = self.world.compare(id(phone), id(other), secs(2));
                assert!(found.correlation > least, "{line}: {found:?}");
            }
            [phone, "fetches", url] => {
                let id = id(phone);
                self.world.until(line, secs(3), |world| {
                    world[id].fetched.iter().any(|f| f == url)
                });
            }
            ["the", "broker", "of", phone, ..] => self.broker(id(phone), &words[4..], line),
            [phone, "keeps", text] => {
                let files = &self.world[id(phone)].files;
                let kept = files
                    .get(control::features::FILE)
                    .map_or("", String::as_str);
                assert!(kept.contains(text), "{line}: {kept}");
            }
            [phone, "presses", "the", key, "key"] => {
                let found = FunctionKey::from_name(key);
                let key = found.unwrap_or_else(|| panic!("no such key: {line}"));
                self.world.press_function(id(phone), key);
                self.world.run(ms(100));
            }
            ["lamp", lamp, "of", phone, "is", state] => self.lamp(id(phone), lamp, state),
            [phone, "has", "a", "display"] => self.world.add_display(id(phone)),
            ["display", "of", phone, "is", brightness] => {
                let (_, found) = self.world.screen(id(phone));
                assert_eq!(found.as_str(), brightness, "{line}");
            }
            ["display", "of", phone, ..] => self.display(id(phone), line),
            ["ctl", phone, ..] => self.ctl(id(phone), &words[2..], line),
            [phone, "remembers", outcome, number] => self.remembers(id(phone), outcome, number),
            [phone, "lifts"] => self.world.lift(id(phone)),
            [phone, "hangs", "up"] => self.world.hang_up(id(phone)),
            [phone, "flashes"] => {
                self.world.flash(id(phone));
                self.world.run(ms(100));
            }
            [phone, "taps", "the", "hook"] => {
                self.world.hang_up(id(phone));
                self.world.run(ms(250));
                self.world.lift(id(phone));
                self.world.run(ms(100));
            }
            [phone, "presses", keys] => self.world.press(id(phone), keys),
            [phone, "dials", digits] => self.world.dial(id(phone), digits),
            [phone, "calls", number] => self.world.call(id(phone), number),
            [phone, "calls", number, "and", "talks"] => self.connect(id(phone), number),
            [phone, "hears", tone] => self.hears(id(phone), tone),
            [phone, "says", ..] => self.says(id(phone), &words[2..], line),
            [phone, "has", "error", code] => {
                let code = code.parse().unwrap_or_else(|_| panic!("{line}"));
                self.world.set_config_fault(id(phone), code);
            }
            [phone, "has", "no", "settings"] => {
                self.world.offer_set_up(id(phone));
            }
            [phone, "writes", ..] => {
                let wanted = line.split_once(" writes ").map_or("", |(_, text)| text);
                let files = &self.world[id(phone)].files;
                let text = files.get("offhook.toml").map_or("", String::as_str);
                assert!(text.lines().any(|known| known == wanted), "{line}:\n{text}");
            }
            [phone, "rings"] => {
                let id = id(phone);
                self.world
                    .until(line, secs(5), |world| world[id].ring.is_some());
            }
            [phone, "does", "not", "ring"] => {
                let id = id(phone);
                for _ in 0..20 {
                    assert!(self.world[id].ring.is_none(), "{line}");
                    self.world.run(ms(100));
                }
            }
            [phone, "sees", name] => self.sees(id(phone), name),
            [phone, "is", state] => {
                let id = id(phone);
                let wanted = State::ALL.into_iter().find(|known| known.as_str() == state);
                let wanted = wanted.unwrap_or_else(|| panic!("no such state: {line}"));
                self.world.expect_state(id, wanted, secs(8));
            }
            [.., "talk"] => {
                let all: Vec<PhoneId> = words
                    .iter()
                    .filter(|word| !matches!(**word, "and" | "talk"))
                    .map(|word| id(word))
                    .collect();
                self.talk(&all, line);
            }
            _ => panic!("not understood: {line}"),
        }
    }

    fn connect(&mut self, from: PhoneId, number: &str) {
        self.world.call(from, number);
        let user = USERS.iter().position(|(user, _)| number.contains(user));
        let to = PhoneId(user.unwrap_or_else(|| panic!("whose number is {number}?")));
        self.world.expect_state(to, State::Ringing, secs(5));
        self.world.lift(to);
        self.world.expect_state(to, State::Talking, secs(5));
        self.world.expect_state(from, State::Talking, secs(5));
    }

    fn hears(&mut self, id: PhoneId, tone: &str) {
        let wanted = (tone != "nothing").then_some(tone);
        let what = format!("{} hears {tone}", NAMES[id.0]);
        self.world.until(&what, secs(8), |world| {
            let status = world[id].status(world.now());
            status["tone"].as_str() == wanted
        });
    }

    fn sees(&mut self, id: PhoneId, name: &str) {
        let what = format!("{} sees {name}", NAMES[id.0]);
        self.world.until(&what, secs(5), |world| {
            let status = world[id].status(world.now());
            let calls = status["calls"].as_array().cloned().unwrap_or_default();
            let shown = |call: &serde_json::Value| {
                call["peer"]
                    .as_str()
                    .is_some_and(|peer| peer.contains(name))
            };
            calls.iter().any(shown)
        });
    }

    fn lamp(&mut self, id: PhoneId, lamp: &str, state: &str) {
        let what = format!("lamp {lamp} of {} is {state}", NAMES[id.0]);
        self.world.until(&what, secs(2), |world| {
            let lamps = &world[id].lamps;
            let shown = lamps.iter().find(|(known, _)| known.as_str() == lamp);
            shown.map_or("off".to_owned(), |(_, state)| state.to_string()) == state
        });
    }

    /// The newest call of the history, and of the file it is kept in.
    fn remembers(&mut self, id: PhoneId, outcome: &str, number: &str) {
        let what = format!("{} remembers {outcome} {number}", NAMES[id.0]);
        self.world.until(&what, secs(5), |world| {
            let newest = world[id].control.history().next();
            newest.is_some_and(|call| {
                let found = serde_json::to_value(call.outcome).unwrap_or_default();
                found == outcome && call.number == number
            })
        });
        let phone = &self.world[id];
        let text = phone
            .files
            .get(control::history::FILE)
            .map_or("", String::as_str);
        let kept = control::history::History::parse(text.as_bytes()).unwrap_or_default();
        assert!(
            kept.newest_first().eq(phone.control.history()),
            "{what}: not kept"
        );
    }

    /// A text stands on the display within two seconds, or does not stand there now.
    fn display(&mut self, id: PhoneId, line: &str) {
        let (wanted, text) = match line.split_once(" does not show ") {
            Some((_, text)) => (false, text),
            None => (
                true,
                line.split_once(" shows ").map_or("", |(_, text)| text),
            ),
        };
        assert!(!text.is_empty(), "not understood: {line}");
        let mut shown = Vec::new();
        for _ in 0..20 {
            let (screen, _) = self.world.screen(id);
            shown = screen.lines();
            shown.push(screen.title);
            if shown.iter().any(|line| line.contains(text)) == wanted {
                return;
            }
            self.world.run(ms(100));
        }
        panic!("{line}: {shown:?}");
    }

    fn ctl(&mut self, id: PhoneId, words: &[&str], line: &str) {
        let action = match words {
            ["dials", number] => UserAction::Dial((*number).to_owned()),
            ["transfers", "to", number] => UserAction::Transfer((*number).to_owned()),
            ["answers"] => UserAction::Answer,
            ["rejects"] => UserAction::Reject,
            ["connects", "all"] => UserAction::Conference,
            ["mutes"] => UserAction::Mute(true),
            ["unmutes"] => UserAction::Mute(false),
            ["sets", of, "to", db, "dB"] => {
                let of = VolumeOf::from_name(of).unwrap_or_else(|| panic!("{line}"));
                UserAction::Volume(of, db.parse().unwrap_or_else(|_| panic!("{line}")))
            }
            _ => panic!("not understood: {line}"),
        };
        let done = self.world.request(id, &action);
        assert_eq!(done, Ok(()), "{line}");
        self.world.run(ms(100));
    }

    /// Each hears the others, and in a call of two no one else.
    fn talk(&mut self, all: &[PhoneId], line: &str) {
        self.world.run(secs(4));
        let least = if all.len() > 2 { MIXED } else { 0.8 };
        for from in all {
            for to in all.iter().filter(|to| *to != from) {
                let found = self.world.compare(*from, *to, secs(2));
                let who = (NAMES[from.0], NAMES[to.0]);
                assert!(found.correlation > least, "{line}: {who:?} {found:?}");
            }
        }
        for other in (0..3).map(PhoneId).filter(|id| !all.contains(id)) {
            let found = self.world.compare(all[0], other, secs(2));
            let who = NAMES[other.0];
            assert!(found.correlation < 0.4, "{line}: {who} listens: {found:?}");
        }
    }

    /// A request of a phone to the server begins like this.
    fn sent(&mut self, begin: &str) {
        let server = offhook_tests::world::registrar_ip();
        let what = format!("the server gets {begin}");
        self.world.until(&what, secs(5), |world| {
            let mut packets = world.network.capture.packets();
            packets.any(|packet| {
                packet.datagram.to.ip() == server
                    && packet.datagram.bytes.starts_with(begin.as_bytes())
            })
        });
    }
}

/// Least correlation of a voice that is mixed with another.
const MIXED: f64 = 0.45;
fn run(name: &str) {
    let text = Text::read(&Text::folder(), name);
    let mut story = Story::begin(&text);
    for line in text.steps() {
        println!("{line}");
        story.step(line);
    }
    story.world.quiet();
}

/// One test a story, so that each is found by its name.
macro_rules! stories {
    ($($name:ident)*) => {
        const STORIES: &[&str] = &[$(stringify!($name),)*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*
    };
}

stories! {
    actions
    anonymous
    blind_transfer
    block_list
    busy_is_spoken
    call_quality
    call_return
    call_waiting
    conference
    conference_by_code
    conference_key
    contact_names
    ctl_verbs
    digit_map_bars
    display_calls
    display_german
    display_menu
    display_menu_in_the_way
    display_settings
    do_not_disturb
    feature_keys
    flash_event
    flash_to_network
    forward_always
    forward_busy
    forward_by_transfer
    forward_no_answer
    forward_refused
    hands_free
    hands_free_echo
    history
    hold_reminder
    home_automation
    home_automation_orders
    home_automation_refuses
    hook_flash
    intercom_code
    intercom_named
    maintenance_codes
    missed_call_lamp
    mute_key
    own_number
    paging
    paging_in_a_call
    park_and_pick_up
    quiet_hours
    redial
    redial_list
    reject_anonymous
    ring_in_the_speaker
    ring_recording
    ring_sounds
    ring_without_a_bell
    ringer_card
    rotary_dial
    rotary_refused
    rotary_speed_dial
    rotary_two_calls
    screening
    service_codes
    set_up_by_keys
    set_up_mistakes
    silence_and_reject
    speed_dial
    spoken_error_code
    spoken_errors
    spoken_settings
    transfer_comes_back
    two_calls
    voicemail
    volume_keys
}
