use std::path::Path;

use super::*;

fn date_is_plausible(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<u32>().ok());
    text.len() == 10
        && number(0).is_some_and(|year| (2000..2100).contains(&year))
        && number(1).is_some_and(|month| (1..=12).contains(&month))
        && number(2).is_some_and(|day| (1..=31).contains(&day))
}

fn answers(recipe: &Recipe) -> Answers {
    let server = recipe.domain.clone().unwrap_or("pbx.example.org".into());
    Answers {
        country: recipe.country.clone().unwrap_or("de".into()),
        language: None,
        recipe: Some(recipe.clone()),
        server,
        user: "101".into(),
        auth_user: recipe.auth_user.as_ref().map(|_| "login".into()),
        password: "p\"w\\#".into(),
        outbound_proxy: recipe
            .outbound_proxy_help
            .as_ref()
            .map(|_| "proxy.example.org".into()),
        transport: None,
        network: NetworkSettings::Automatic,
        board: Some("rpi4".into()),
        sound: Some("hw:CARD=Device".into()),
        ringer: Some(RingerChoice::Buzzer),
    }
}

#[test]
fn every_file_is_a_recipe() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/providers");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    files.sort();
    let listed: Vec<&str> = FILES.iter().map(|(id, _)| *id).collect();
    assert_eq!(
        files, listed,
        "each file of providers/ stands in FILES, sorted"
    );
    for (id, text) in FILES {
        toml::from_str::<Recipe>(text).unwrap_or_else(|error| panic!("{id}: {error}"));
    }
    assert_eq!(all().len(), FILES.len());
}

#[test]
fn every_recipe_has_source_and_date() {
    for recipe in all() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let is_there = match recipe.evidence {
            Evidence::Tried => file.join(&recipe.source).exists(),
            Evidence::Provider | Evidence::Public => recipe.source.starts_with("https://"),
        };
        assert!(is_there, "{}: {}", recipe.id, recipe.source);
        let dates = recipe.source_date.iter().chain([&recipe.read]);
        for date in dates {
            assert!(date_is_plausible(date), "{}: {date}", recipe.id);
        }
        assert!(!recipe.user.is_empty(), "{}", recipe.id);
        for codec in &recipe.codecs {
            assert!(is_known(codec), "{}: {codec}", recipe.id);
        }
    }
}

#[test]
fn only_what_a_test_registers_at_is_tried() {
    let tried: Vec<String> = all()
        .into_iter()
        .filter(|recipe| recipe.evidence == Evidence::Tried)
        .map(|recipe| recipe.id)
        .collect();
    assert_eq!(
        tried,
        ["asterisk", "kamailio"],
        "see tests/tests/peers/asterisk.rs and first_hour.rs"
    );
}

#[test]
fn every_recipe_makes_a_valid_file() {
    for recipe in all() {
        let answers = answers(&recipe);
        let text = setup_file(&answers, "offhook.toml");
        let config = crate::load(&text, "offhook.toml")
            .unwrap_or_else(|errors| panic!("{}: {errors}\n{text}", recipe.id));
        let account = &config.accounts[0];
        assert_eq!(account.user, "101");
        assert_eq!(account.password.0, "p\"w\\#", "{}", recipe.id);
        assert_eq!(
            Some(&account.domain),
            recipe.domain.as_ref().or(Some(&answers.server))
        );
        assert_eq!(account.registrar, recipe.registrar);
        if let Some(transport) = &recipe.transport {
            assert_eq!(account.transport.as_str(), transport);
        }
        if let Some(expires) = recipe.expires_s {
            assert_eq!(account.expires_s, expires);
        }
        assert_eq!(config.dial.voicemail, recipe.voicemail, "{}", recipe.id);
        assert_eq!(config.board.profile, "rpi4");
        assert_eq!(config.board.ringer, Some(RingerChoice::Buzzer));
        let fits = |line: &str| line.chars().count() <= 100 || line.contains("https://");
        assert!(text.lines().all(fits), "{text}");
    }
}

#[test]
fn a_server_with_a_port_is_the_registrar() {
    let answers = Answers {
        country: "de".into(),
        server: "127.0.0.1:5070".into(),
        user: "101".into(),
        password: "x".into(),
        transport: Some(Transport::Tcp),
        ..Answers::default()
    };
    let config = crate::load(&setup_file(&answers, "offhook.toml"), "offhook.toml").unwrap();
    let account = &config.accounts[0];
    assert_eq!(account.domain, "127.0.0.1");
    assert_eq!(account.registrar.as_deref(), Some("127.0.0.1:5070"));
    assert_eq!(account.outbound_proxy.as_deref(), Some("127.0.0.1:5070"));
    assert_eq!(account.transport, Transport::Tcp);
}

#[test]
fn the_first_line_names_the_file_as_a_shell_takes_it() {
    for (name, word) in [
        ("offhook.toml", "offhook.toml"),
        ("phones/a.toml", "phones/a.toml"),
        ("my phone's.toml", r"'my phone'\''s.toml'"),
        ("a\n[evil]", "'a[evil]'"),
    ] {
        let text = setup_file(&Answers::default(), name);
        let first = text.lines().next().unwrap();
        assert!(
            first.ends_with(&format!(" offhook check {word} --try")),
            "{first}"
        );
    }
}

/// A test's name is no help to who owns a phone.
#[test]
fn what_was_tried_is_said_in_words() {
    for recipe in all() {
        let text = setup_file(&answers(&recipe), "offhook.toml");
        assert!(!text.contains("tests/"), "{text}");
        if recipe.evidence == Evidence::Tried {
            assert!(text.contains("\n# Tried with "), "{text}");
        }
    }
}

/// What an owner may have is found by its usual name, or is said to be missing.
#[test]
fn every_usual_name_is_found() {
    for (given, id) in [
        ("FRITZ!Box", "fritzbox"),
        ("Asterisk", "asterisk"),
        ("FreePBX", "freepbx"),
        ("FreeSWITCH", "freeswitch"),
        ("FusionPBX", "freeswitch"),
        ("3CX", "3cx"),
        ("Kamailio", "kamailio"),
        ("OpenSIPS", "opensips"),
        ("Yeastar", "yeastar"),
        ("Grandstream UCM", "ucm"),
        ("CUCM", "cucm"),
        ("Telekom", "telekom"),
        ("sipgate", "sipgate"),
        ("easybell", "easybell"),
        ("1&1", "1und1"),
        ("OVH", "ovh"),
        ("Swisscom", "swisscom-cb"),
        ("A1", "a1"),
        ("AAISP", "aaisp"),
        ("voip.ms", "voip-ms"),
        ("Callcentric", "callcentric"),
        ("Twilio", "twilio"),
        ("Telnyx", "telnyx"),
        ("Flowroute", "flowroute"),
        ("Localphone", "localphone"),
        ("MyNetFone", "mynetfone"),
    ] {
        match look_up(given) {
            LookUp::Recipe(recipe) => assert_eq!(recipe.id, id, "{given}"),
            other => panic!("{given}: {other:?}"),
        }
    }
    let several = |ids: [&str; 2]| LookUp::Several(ids.map(str::to_owned).to_vec());
    assert_eq!(look_up("Vodafone"), several(["vodafone-de", "vodafone-it"]));
    assert_eq!(look_up("Orange"), several(["orange-es", "orange-fr"]));
    for given in ["BT", "Zen", "Orange (France)"] {
        assert!(
            matches!(look_up(given), LookUp::Unsupported(_)),
            "{given}: {:?}",
            look_up(given)
        );
    }
    for given in ["", "!", "no such one"] {
        assert_eq!(look_up(given), LookUp::Unknown, "{given}");
    }
}
