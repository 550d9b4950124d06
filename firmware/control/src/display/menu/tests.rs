//! The menu by its keys alone.

use super::*;
use crate::test_origin;

struct Known {
    volumes: std::cell::Cell<Volumes>,
    features: Features,
    calls: usize,
}

fn known() -> Known {
    Known {
        volumes: std::cell::Cell::new(Volumes::default()),
        features: Features::default(),
        calls: 9,
    }
}

impl MenuFacts for Known {
    fn language(&self) -> Language {
        Language::English
    }
    fn history(&self) -> Vec<HistoryEntry> {
        let entry = |n: usize| HistoryEntry {
            time: 1_772_357_400,
            direction: CallDirection::In,
            outcome: CallOutcome::Missed,
            number: if n == 3 {
                String::new()
            } else {
                format!("20{n}")
            },
            name: format!("Caller {n}"),
            account: Some(0),
            duration_s: 0,
            mos: None,
            encryption: "none".to_owned(),
            reason: "ended by the far end".to_owned(),
            text: None,
        };
        (0..self.calls).map(entry).collect()
    }
    fn contacts(&self) -> Vec<Contact> {
        let contact = |name: &str| Contact {
            name: name.to_owned(),
            number: format!("1{}", name.len()),
        };
        ["Éva", "Bob", "anna", "Amir", "Zoë", "Борис"]
            .map(contact)
            .to_vec()
    }
    fn volumes(&self) -> Volumes {
        self.volumes.get()
    }
    fn features(&self) -> Features {
        self.features.clone()
    }
    fn network(&self) -> Vec<String> {
        (0..20).map(|n| format!("line {n}")).collect()
    }
    fn about(&self) -> Vec<String> {
        vec!["version".to_owned()]
    }
    fn moment(&self, _: u64) -> String {
        "Sun 1 Mar 10:30".to_owned()
    }
}

/// Keys one after the other. Returns the menu, if it is open then, and what was ordered last.
fn keyed(keys: &str, facts: &Known) -> (Option<Menu>, Option<MenuAction>) {
    let now = test_origin();
    let mut menu: Option<Menu> = None;
    let mut ordered = None;
    for key in keys.chars().map(|key| Key::from_char(key).unwrap()) {
        match &mut menu {
            None => menu = Menu::open(key, facts, now),
            Some(open) => ordered = open.handle_key(key, facts, now).or(ordered),
        }
        menu = menu.filter(|menu| !menu.is_closed());
    }
    (menu, ordered)
}

fn screen(keys: &str, facts: &Known) -> Screen {
    let (menu, _) = keyed(keys, facts);
    menu.unwrap().screen(facts, Vec::new())
}

fn selected(keys: &str, facts: &Known) -> String {
    match screen(keys, facts).body {
        Body::List { items, selected } => items[selected].text.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_page_is_reached_and_left() {
    let facts = known();
    for (keys, title) in [
        ("5", "Menu"),
        ("#", "Menu"),
        ("2", "Calls"),
        ("55", "Calls"),
        ("555", "Missed"),
        ("585", "Phone book"),
        ("5855", "Dial"),
        ("5885", "Volume"),
        ("588585", "Speaker"),
        ("58885", "Ringing"),
        ("5888855", "Menu"),
        ("588885", "Network"),
        ("566#", "About"),
    ] {
        assert_eq!(screen(keys, &facts).title, title, "{keys}");
        let back = format!("{keys}{}", "*".repeat(4));
        assert!(keyed(&back, &facts).0.is_none(), "{back}");
    }
    for ignored in ["*", "0", "1", "9", "A"] {
        assert!(keyed(ignored, &facts).0.is_none(), "{ignored}");
    }
}

#[test]
fn selecting_stays_inside_the_list() {
    let facts = known();
    assert_eq!(selected("22222", &facts), "! Caller 0");
    assert_eq!(selected("888", &facts), "! Caller 2");
    assert_eq!(selected("86", &facts), "! Caller 5");
    assert_eq!(selected("866666", &facts), "! Caller 8");
    assert_eq!(selected("8666664", &facts), "! Caller 3");
    let none = Known {
        calls: 0,
        ..known()
    };
    assert!(matches!(screen("8888#", &none).body, Body::Page { .. }));
}

#[test]
fn contacts_are_sorted_and_found_by_their_letter() {
    let facts = known();
    assert_eq!(selected("585", &facts), "Amir");
    assert_eq!(selected("5858", &facts), "anna");
    assert_eq!(selected("5853", &facts), "Bob");
    assert_eq!(selected("58533", &facts), "Éva");
    assert_eq!(selected("5853333333", &facts), "Zoë");
    assert_eq!(selected("58531", &facts), "Amir");
    assert_eq!(selected("58588", &facts), "Bob");
    assert_eq!(selected("585888", &facts), "Борис");
}

#[test]
fn lifting_calls_only_who_was_chosen_for_it() {
    let facts = known();
    let number = |keys: &str| keyed(keys, &facts).0.and_then(Menu::number_to_call);
    assert_eq!(number("5"), None);
    assert_eq!(number("2"), None, "a call that is only looked at");
    assert_eq!(number("25"), None, "its page neither");
    assert_eq!(number("255").as_deref(), Some("200"));
    assert_eq!(number("255*"), None);
    assert_eq!(number("5855").as_deref(), Some("14"));
    // Who withheld the number cannot be called.
    assert_eq!(number("888555"), None);
}

#[test]
fn volumes_go_up_and_down_between_their_ends() {
    let facts = known();
    let mut now = Volumes::default();
    let (mut menu, _) = keyed("58855", &facts);
    let menu = menu.as_mut().unwrap();
    for (key, wanted) in [(2, 3), (6, 6), (2, 9), (2, 12), (2, 12), (8, 9), (4, 6)] {
        let action = menu.handle_key(Key::Digit(key), &facts, test_origin());
        assert_eq!(action, Some(MenuAction::Volume(VolumeOf::Earpiece, wanted)));
        now.earpiece_db = wanted;
        facts.volumes.set(now);
    }
    let Body::Level { value, percent, .. } = menu.screen(&facts, Vec::new()).body else {
        panic!("no level");
    };
    assert_eq!((value.as_str(), percent), ("+6 dB", 85));
}

#[test]
fn settings_are_switched_on_and_off() {
    let mut facts = known();
    let ordered = |keys: &str, facts: &Known| keyed(keys, facts).1;
    let dnd = "5888585";
    assert_eq!(
        ordered(dnd, &facts),
        Some(MenuAction::Setting(StarCode::DndOn))
    );
    facts.features.dnd = true;
    assert_eq!(
        ordered(dnd, &facts),
        Some(MenuAction::Setting(StarCode::DndOff))
    );
    // Forwarding needs a number, which the menu does not ask for.
    assert_eq!(ordered("58885885", &facts), None);
    facts.features.forward_always = Some("300".to_owned());
    assert_eq!(
        ordered("58885885", &facts),
        Some(MenuAction::Setting(StarCode::ForwardAlwaysOff))
    );
}

#[test]
fn a_menu_that_no_one_uses_closes() {
    let facts = known();
    let (menu, _) = keyed("5", &facts);
    let mut menu = menu.unwrap();
    let later = |s| test_origin() + Duration::from_secs(s);
    let at = later(20);
    let _ = menu.handle_key(Key::Digit(8), &facts, at);
    assert!(!menu.is_stale(at + Duration::from_secs(29)));
    assert!(menu.is_stale(at + OPEN));
}

#[test]
fn lengths_of_time_are_read_as_on_a_clock() {
    assert_eq!([5, 65, 3723].map(clock), ["0:05", "1:05", "1:02:03"]);
}
