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
    let config = config::load(&providers::setup_file(&answers), "offhook.toml").unwrap();
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
fn without_a_terminal_a_missing_flag_is_named() {
    let error = |options: &Options| {
        answers(options, &Machine::default(), None)
            .unwrap_err()
            .to_string()
    };
    let mut options = Options::default();
    assert!(error(&options).starts_with("--server is missing"));
    options.server = Some("pbx.example.org".into());
    assert!(error(&options).starts_with("--user is missing"));
    options.user = Some("101".into());
    assert!(error(&options).starts_with("--password-file is missing"));
    options.ringer = Some("gong".into());
    options.password_file = Some("/dev/null".into());
    assert!(error(&options).contains("ringer `gong` is not known; there are: bell, buzzer"));
    options.provider = Some("no-such-one".into());
    assert!(error(&options).contains("`no-such-one` is not known; there are: "));
    options.provider = Some("vodafone".into());
    assert!(error(&options).ends_with("--provider vodafone-de, vodafone-it"));
    options.provider = Some("bt".into());
    assert!(error(&options).contains("there is no account to register with"));
    options.provider = None;
    options.country = Some("xx".into());
    assert!(error(&options).contains("country `xx`"));
}

#[test]
fn a_password_file_is_one_line_and_never_without_end() {
    let folder = std::env::temp_dir().join(format!("offhook-password-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
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
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn wrong_answers_end_the_dialogue() {
    let mut script = Script {
        answers: vec!["x", "99", "-1"],
        ..Script::default()
    };
    let error = answers(&Options::default(), &machine(), Some(&mut script)).unwrap_err();
    assert!(matches!(error, SetupFileError::Unknown { .. }), "{error}");
    let mut script = Script {
        answers: vec!["0"],
        ..Script::default()
    };
    let error = answers(&Options::default(), &machine(), Some(&mut script)).unwrap_err();
    assert!(matches!(error, SetupFileError::NoAnswer(_)), "{error}");
}

#[test]
fn cards_are_those_of_the_kernel() {
    let line = " 1 [Device         ]: USB-Audio - USB Audio Device";
    assert_eq!(card_of_line(line).as_deref(), Some("hw:CARD=Device"));
    assert_eq!(card_of_line("--- no soundcards ---"), None);
}
