use super::*;

/// Presses keys; the last reply.
fn press(set_up: &mut SetUp, keys: &str) -> Reply {
    let mut last = Reply::Nothing;
    for key in keys.chars() {
        last = set_up.handle_key(Key::from_char(key).unwrap());
    }
    last
}

fn question(reply: &Reply) -> (&Question, bool) {
    match reply {
        Reply::Say(prompt) => (&prompt.question, prompt.refused),
        Reply::Nothing | Reply::Save(_) => panic!("{reply:?}"),
    }
}

#[test]
fn five_answers_make_an_account() {
    let mut set_up = SetUp::new(true);
    assert_eq!(set_up.prompt(false).question, Question::Language);
    assert_eq!(
        question(&press(&mut set_up, "2")),
        (&Question::Country, false)
    );
    assert_eq!(
        question(&press(&mut set_up, "49#")),
        (&Question::Address, false)
    );
    let reply = press(&mut set_up, "192*168*1*5#");
    assert_eq!(question(&reply), (&Question::User, false));
    assert_eq!(
        question(&press(&mut set_up, "101#")),
        (&Question::Password, false)
    );
    let reply = press(&mut set_up, "4711*0#");
    let save = Question::Save {
        address: "192.168.1.5".into(),
        user: "101".into(),
    };
    assert_eq!(question(&reply), (&save, false));
    let Reply::Save(answers) = press(&mut set_up, "1") else {
        panic!("it is saved");
    };
    assert_eq!(
        (answers.country, answers.language),
        (Country::De, Language::German)
    );
    assert_eq!(answers.server, "192.168.1.5");
    assert_eq!(
        (answers.user.as_str(), answers.password.as_str()),
        ("101", "4711*0")
    );
    assert!(!format!("{answers:?}").contains("4711"));
    assert_eq!(press(&mut set_up, "1"), Reply::Nothing, "once");
}

#[test]
fn an_answer_that_makes_no_sense_is_asked_for_again() {
    let mut set_up = SetUp::new(true);
    assert_eq!(
        question(&press(&mut set_up, "7")),
        (&Question::Language, true)
    );
    press(&mut set_up, "1");
    assert_eq!(
        question(&press(&mut set_up, "9999#")),
        (&Question::Country, true)
    );
    press(&mut set_up, "44#");
    for bad in ["#", "192*168*1#", "300*1*1*1#", "0*0*0*0#", "1234#"] {
        assert_eq!(
            question(&press(&mut set_up, bad)),
            (&Question::Address, true),
            "{bad}"
        );
    }
    press(&mut set_up, "10*0*0*1#");
    assert_eq!(question(&press(&mut set_up, "#")), (&Question::User, true));
    press(&mut set_up, "5#");
    assert_eq!(
        question(&press(&mut set_up, "#")),
        (&Question::Password, true)
    );
}

#[test]
fn two_starts_again_and_a_full_card_can_be_tried_again() {
    let mut set_up = SetUp::new(true);
    press(&mut set_up, "11#10*0*0*1#5#6#");
    assert!(question(&press(&mut set_up, "3")).1);
    assert_eq!(
        question(&press(&mut set_up, "2")),
        (&Question::Country, false)
    );
    press(&mut set_up, "1#10*0*0*2#5#6#");
    assert!(matches!(press(&mut set_up, "1"), Reply::Save(_)));
    assert_eq!(set_up.handle_failure().question, Question::CardFails);
    assert!(matches!(press(&mut set_up, "1"), Reply::Save(_)));
}

/// From the question about the network to the last but one.
fn without_network(keys: &str) -> SetUp {
    let mut set_up = SetUp::new(false);
    press(&mut set_up, "1");
    assert_eq!(
        question(&press(&mut set_up, "44#")),
        (&Question::Network, false)
    );
    press(&mut set_up, keys);
    set_up
}

fn saved(mut set_up: SetUp, keys: &str) -> SetUpAnswers {
    let Reply::Save(answers) = press(&mut set_up, keys) else {
        panic!("it is saved: {set_up:?}");
    };
    answers
}

#[test]
fn a_phone_without_a_network_asks_for_wifi() {
    let mut set_up = without_network("1");
    // "Ab 1", each letter spoken back.
    let reply = press(&mut set_up, "25");
    assert_eq!(question(&reply), (&Question::Spelled('A'), false));
    let reply = press(&mut set_up, "221710#");
    assert_eq!(question(&reply), (&Question::WifiPassword, false));
    // Too short, then right.
    let reply = press(&mut set_up, "2130#");
    assert_eq!(question(&reply), (&Question::WifiPassword, true));
    let reply = press(&mut set_up, &format!("{}#", "2150".repeat(4)));
    assert_eq!(question(&reply), (&Question::Address, false));
    let answers = saved(set_up, "10*0*0*1#5#6#1");
    let expected = NetworkAnswer::Wifi {
        name: "Ab 1".into(),
        password: "a5a5a5a5".into(),
    };
    assert_eq!(answers.network, expected);
    assert!(!format!("{answers:?}").contains("a5a5"), "a password shows");
    // A network without a password.
    let answers = saved(without_network("121##"), "10*0*0*1#5#6#1");
    let open = NetworkAnswer::Wifi {
        name: "a".into(),
        password: String::new(),
    };
    assert_eq!(answers.network, open);
}

#[test]
fn a_phone_without_a_network_takes_an_address() {
    let mut set_up = without_network("2");
    let reply = press(&mut set_up, "192*168*7*20#");
    assert_eq!(question(&reply), (&Question::Router, false));
    for bad in ["192*168*8*1#", "192*168*7*20#", "#", "300#"] {
        let reply = press(&mut set_up, bad);
        assert_eq!(question(&reply), (&Question::Router, true), "{bad}");
    }
    press(&mut set_up, "192*168*7*1#");
    let answers = saved(set_up, "10*0*0*1#5#6#1");
    assert_eq!(
        format!("{:?}", answers.network),
        "Fixed(192.168.7.20/24, 192.168.7.1)"
    );
    let answers = saved(without_network("3"), "10*0*0*1#5#6#1");
    assert_eq!(answers.network, NetworkAnswer::Automatic);
}

#[test]
fn letters_make_a_server_and_an_account() {
    let mut set_up = SetUp::new(true);
    press(&mut set_up, "144#");
    let reply = press(&mut set_up, "**");
    assert_eq!(question(&reply), (&Question::Letters, false));
    // "a..b" is no name; "pbx.org" is one.
    let reply = press(&mut set_up, "21111122#");
    assert_eq!(question(&reply), (&Question::Address, true));
    let reply = press(&mut set_up, "**71229211637341#");
    assert_eq!(question(&reply), (&Question::User, false));
    let answers = saved(set_up, "**1020325000#**2125#1");
    assert_eq!(answers.server, "pbx.org");
    assert_eq!(
        (answers.user.as_str(), answers.password.as_str()),
        ("12e50", "aA")
    );
}

#[test]
fn every_country_can_be_keyed() {
    for country in Country::ALL {
        let mut set_up = SetUp::new(true);
        let keys = format!("1{}#", country.calling_code());
        press(&mut set_up, &keys);
        assert_eq!(set_up.country, *country);
    }
}
