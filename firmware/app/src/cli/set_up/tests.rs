use testkit::process::TestDir;

use super::*;

/// Answers in order; keeps what was asked and shown.
#[derive(Default)]
struct Script {
    answers: Vec<&'static str>,
    asked: Vec<String>,
    shown: Vec<String>,
    hidden: usize,
}

impl Ask for Script {
    fn ask(&mut self, question: &str, hidden: bool) -> Option<String> {
        self.asked.push(question.to_owned());
        self.hidden += usize::from(hidden);
        (!self.answers.is_empty()).then(|| self.answers.remove(0).to_owned())
    }

    fn show(&mut self, text: &str) {
        self.shown.push(text.to_owned());
    }
}

fn machine() -> Machine {
    Machine {
        boards: vec!["rpi3".into(), "rpi4".into()],
        cards: vec!["hw:CARD=Device".into()],
    }
}

#[test]
fn the_dialogue_leads_to_a_valid_file() {
    let number = providers::all()
        .iter()
        .position(|r| r.id == "sipgate")
        .unwrap()
        + 1;
    let mut script = Script {
        answers: vec![
            Box::leak(number.to_string().into_boxed_str()),
            "",
            "1234567e0",
            " pass word ",
            "2",
            "1",
            "buzzer",
        ],
        ..Script::default()
    };
    let answers = answers(&Options::default(), &machine(), Some(&mut script)).unwrap();
    assert_eq!(answers.server, "sipgate.de");
    assert_eq!((answers.country.as_str(), script.hidden), ("de", 1));
    assert!(script.asked[2].contains("SIP-ID"), "{:?}", script.asked);
    let text = providers::setup_file(&answers, "offhook.toml");
    let config = config::load(&text, "offhook.toml").unwrap();
    assert_eq!(config.accounts[0].user, "1234567e0");
    assert_eq!(config.accounts[0].password.0, " pass word ");
    assert_eq!(config.board.profile, "rpi4");
    assert_eq!(config.board.ringer, Some(RingerChoice::Buzzer));
    assert_eq!(
        config.board.audio.capture.as_deref(),
        Some("hw:CARD=Device")
    );
}

#[test]
fn who_has_no_recipe_is_shown_why_and_asked_again() {
    let mut script = Script {
        answers: vec!["Zen", "BT", "Orange (France)", "0"],
        ..Script::default()
    };
    let chosen = recipe(&Options::default(), &mut Some(&mut script)).unwrap();
    assert_eq!((chosen, script.asked.len()), (None, 4));
    let shown = script.shown.join("\n");
    for sentence in [
        "bt, orange-fr, zen: there is no recipe; give that name to read why",
        "give the SIP domain that Zen names",
        "Use an account of another provider for this phone",
        "a telephone is plugged into the Livebox",
    ] {
        assert!(shown.contains(sentence), "{sentence}: {shown}");
    }
}

#[test]
fn without_a_terminal_a_missing_flag_is_named() {
    let error = |options: &Options| {
        answers(options, &Machine::default(), None)
            .unwrap_err()
            .to_string()
    };
    let mut options = Options::default();
    assert!(error(&options).starts_with("--country is missing"));
    options.country = Some("UK".into());
    assert!(error(&options).starts_with("--server is missing"));
    options.server = Some("pbx.example.org".into());
    assert!(error(&options).starts_with("--user is missing"));
    options.user = Some("101".into());
    assert!(error(&options).starts_with("--password-file is missing"));
    options.ringer = Some("gong".into());
    options.password_file = Some("/dev/null".into());
    assert!(error(&options).contains("ringer `gong` is not known; there are: bell, buzzer"));
    options.provider = Some("no-such-one".into());
    let said = error(&options);
    assert!(
        said.contains("`no-such-one` is not known; docs/guide/src/providers.md"),
        "{said}"
    );
    options.provider = Some("vodafone".into());
    assert!(error(&options).ends_with("say which one: vodafone-de, vodafone-it"));
    options.provider = Some("bt".into());
    assert!(error(&options).contains("there is no account to register with"));
    options.provider = None;
    options.country = Some("xx".into());
    assert!(error(&options).contains("country `xx`"));
}

#[test]
fn a_password_file_is_one_line_and_never_without_end() {
    let folder = TestDir::new("password");
    let file = folder.join("password");
    for (text, password) in [
        ("a b \n", Some("a b ")),
        ("x\r\n", Some("x")),
        ("a\nb\n", None),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(password_of(&file).ok().as_deref(), password, "{text:?}");
    }
    assert!(password_of(Path::new("/dev/zero")).is_err());
}

fn script(answers: &[&'static str]) -> Script {
    Script {
        answers: answers.to_vec(),
        ..Script::default()
    }
}

#[test]
fn a_wrong_answer_is_explained_and_asked_again() {
    let mut script = script(&[
        "99",
        "no-such-one",
        "vodafone",
        "bt",
        "kamail", // number or name
        "",
        "xx",
        "GB", // country
        "pbx example",
        "pbx.example.org", // server
        "1 0 1",
        "101", // user
        "",
        "secret", // password
        "rpi9",
        "rpi4", // board
        "7",
        "", // sound card
        "gong",
        "bell", // ringer
    ]);
    let answers = answers(&Options::default(), &machine(), Some(&mut script)).unwrap();
    assert_eq!(answers.recipe.unwrap().id, "kamailio");
    assert_eq!(answers.country, "gb");
    assert_eq!(
        (answers.server.as_str(), answers.user.as_str()),
        ("pbx.example.org", "101")
    );
    assert_eq!((answers.password.as_str(), answers.sound), ("secret", None));
    assert_eq!(answers.board.as_deref(), Some("rpi4"));
    assert_eq!(answers.ringer, Some(RingerChoice::Bell));
    for said in [
        "there are the numbers 0 to ",
        "provider `no-such-one` is not known; ",
        "say which one: vodafone-de, vodafone-it",
        "there is no account to register with",
        "give a country; there are: ",
        "country `xx` is not known; there are: ",
        "pbx example",
        "1 0 1",
        "the password is empty",
        "board `rpi9` is not known; there are: rpi3, rpi4",
        "sound card `7` is not known; there are: hw:CARD=Device",
        "ringer `gong` is not known; there are: bell",
    ] {
        let is_said = script.shown.iter().any(|line| line.contains(said));
        assert!(is_said, "{said:?} is not in {:#?}", script.shown);
    }
    assert!(script.answers.is_empty(), "{:?}", script.answers);
}

#[test]
fn a_password_may_be_empty_where_the_recipe_says_so() {
    let login = "anonymous@t-online.de";
    let mut script = script(&["telekom", "", "+4930123456", login, "", "", "", ""]);
    let answers = answers(&Options::default(), &machine(), Some(&mut script)).unwrap();
    assert_eq!(answers.auth_user.as_deref(), Some(login));
    assert_eq!(answers.password, "");
    let said = "password (empty with anonymous@t-online.de)";
    assert!(
        script.asked.iter().any(|asked| asked == said),
        "{:?}",
        script.asked
    );
    let text = providers::setup_file(&answers, "offhook.toml");
    assert!(config::load(&text, "offhook.toml").is_ok(), "{text}");
}

#[test]
fn the_country_of_a_recipe_is_its_default() {
    let options = Options {
        provider: Some("sipgate".into()),
        user: Some("1234567e0".into()),
        password_file: Some("/dev/null".into()),
        ..Options::default()
    };
    let answers = answers(&options, &Machine::default(), None).unwrap();
    assert_eq!(answers.country, "de");
}

#[test]
fn the_address_of_a_router_is_asked_for_as_such() {
    let options = Options {
        provider: Some("swisscom".into()),
        ..Options::default()
    };
    let error = answers(&options, &Machine::default(), None).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("--server is missing: the address of the Centro"),
        "{error}"
    );
}

#[test]
fn a_closed_terminal_ends_the_dialogue() {
    for given in [
        &[][..],
        &["x", "99", "-1"],
        &["0"],
        &["0", "de", "pbx.example.org"],
    ] {
        let mut script = script(given);
        let error = answers(&Options::default(), &machine(), Some(&mut script)).unwrap_err();
        assert!(matches!(error, SetupFileError::NoAnswer(_)), "{error}");
    }
}

#[test]
fn every_board_is_offered_on_a_computer() {
    let boards = Machine::here().boards;
    for board in ["rpi-zero2w", "rpi3", "rpi4"] {
        assert!(boards.iter().any(|known| known == board), "{boards:?}");
    }
}

#[test]
fn cards_are_those_of_the_kernel() {
    let line = " 1 [Device         ]: USB-Audio - USB Audio Device";
    assert_eq!(card_of_line(line).as_deref(), Some("hw:CARD=Device"));
    assert_eq!(card_of_line("--- no soundcards ---"), None);
}
