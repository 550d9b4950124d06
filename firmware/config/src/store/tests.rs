//! Each row of the table of precedence, and what a bad layer does to the others.

use super::*;

const GOOD: &[u8] = b"[phone]\ncountry = \"de\"\n";
const NEWER: &[u8] = b"\xEF\xBB\xBF[phone]\r\ncountry = \"fr\"\r\n";
const BAD: &[u8] = b"[phone]\ncuontry = \"de\"\n";

fn card<'a>(bytes: &'a [u8], last_good: Option<&'a [u8]>) -> Decision {
    decide(Texts {
        card: Some(layer("offhook.toml", bytes)),
        last_good,
        ..Texts::default()
    })
}

fn layer<'a>(name: &'a str, bytes: &'a [u8]) -> Layer<'a> {
    Layer {
        name,
        bytes,
        remote: false,
    }
}

fn stack(board: &str, network: &str, card: &str) -> Decision {
    decide(Texts {
        board: Some(layer("board", board.as_bytes())),
        network: Some(Layer {
            remote: true,
            ..layer("network", network.as_bytes())
        }),
        card: Some(layer("card", card.as_bytes())),
        last_good: None,
    })
}

#[test]
fn country_data_gives_way_to_the_board() {
    assert_eq!(
        PRECEDENCE.map(|(name, ..)| name),
        ["country data", "board", "network", "card"]
    );
    let zone = |board: &str| {
        stack(board, "", "[phone]\ncountry = \"de\"")
            .config
            .system
            .time_zone
    };
    assert_eq!(zone(""), "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_eq!(zone("[system]\ntime_zone = \"Asia/Tokyo\""), "JST-9");
}

#[test]
fn the_board_gives_way_to_the_network() {
    let board = "[system]\ntime_zone = \"Asia/Tokyo\"\n[network]\nsip_port = 5070";
    let decided = stack(board, "[system]\ntime_zone = \"Europe/London\"", "");
    assert_eq!(decided.config.system.time_zone, "GMT0BST,M3.5.0/1,M10.5.0");
    assert_eq!(
        decided.config.network.sip_port, 5070,
        "what the network does not say stays"
    );
    assert!(decided.network && decided.errors.is_none());
}

#[test]
fn the_network_gives_way_to_the_card() {
    let network = "[phone]\nname = \"Hall\"\nuser = \"hall\"\n[[account]]\nuser = \"1\"\n\
                   domain = \"a\"\n[[account]]\nuser = \"2\"\ndomain = \"a\"";
    let decided = stack(
        "",
        network,
        "[phone]\nname = \"Kitchen\"\n[[account]]\nuser = \"7\"\ndomain = \"b\"",
    );
    let config = &decided.config;
    assert_eq!(
        (config.phone.name.as_str(), config.phone.user.as_str()),
        ("Kitchen", "hall")
    );
    let accounts: Vec<_> = config
        .accounts
        .iter()
        .map(|account| account.name.as_str())
        .collect();
    assert_eq!(accounts, ["7@b"], "the list as a whole");
    assert_eq!(stack("", network, "").config.accounts.len(), 2);
}

#[test]
fn a_higher_layer_may_restore_the_default() {
    let decided = stack("[call]\nwaiting = false", "", "[call]\nwaiting = true");
    assert!(decided.config.call.waiting);
}

#[test]
fn a_bad_layer_is_left_out_and_reported() {
    let decided = stack(
        "",
        "[phone]\ncuontry = \"de\"",
        "[phone]\nname = \"Kitchen\"",
    );
    assert_eq!((decided.source, decided.network), (Source::File, false));
    assert_eq!(decided.config.phone.name, "Kitchen");
    assert!(
        decided
            .errors
            .unwrap()
            .to_string()
            .starts_with("network:2:1: ")
    );

    // Each for itself is fine, together they are not.
    let decided = stack(
        "[phone]\nuser = \"b\"",
        "[network]\nrtp_ports = [5000, 5099]",
        "[network]\nsip_port = 5060",
    );
    assert!(
        !decided.network
            && decided.config.phone.user == "b"
            && decided.config.network.rtp_ports == (20000, 20099)
    );
    assert!(decided.errors.unwrap().to_string().contains("is inside"));

    let decided = stack("nonsense", "[phone]\nuser = \"n\"", "");
    assert!(decided.network && decided.config.phone.user == "n");
    assert!(decided.errors.unwrap().to_string().starts_with("board:1:"));
}

#[test]
fn a_bad_card_leaves_the_network_in_use() {
    let decided = decide(Texts {
        network: Some(layer("network", b"[phone]\nuser = \"n\"")),
        card: Some(layer("card", BAD)),
        ..Texts::default()
    });
    assert_eq!(
        (
            decided.source,
            decided.network,
            decided.config.phone.user.as_str()
        ),
        (Source::Defaults, true, "n")
    );
    assert!(
        decided
            .errors
            .unwrap()
            .0
            .iter()
            .all(|error| error.file == "card")
    );
}

#[test]
fn a_good_file_is_used_and_kept_once() {
    let first = card(GOOD, None);
    assert_eq!(
        (first.source, first.config.phone.country.as_str()),
        (Source::File, "de")
    );
    let kept = first.keep.unwrap().0;
    assert_eq!(kept.as_bytes(), GOOD);
    assert_eq!(card(GOOD, Some(kept.as_bytes())).keep, None);
    let newer = card(NEWER, Some(GOOD));
    assert_eq!(newer.config.phone.country.as_str(), "fr");
    assert_eq!(newer.keep.unwrap().0.as_bytes(), NEWER);
}

#[test]
fn a_bad_file_leaves_the_last_good_in_use() {
    let decision = card(BAD, Some(GOOD));
    assert_eq!(
        (decision.source, decision.config.phone.country.as_str()),
        (Source::LastGood, "de")
    );
    assert_eq!(decision.keep, None);
    assert_eq!(
        decision.errors.unwrap().to_string(),
        "offhook.toml:2:1: there is no key `cuontry` in `phone`; did you mean `country`?"
    );
    assert!(decision.report.contains("last good"), "{}", decision.report);
}

#[test]
fn a_missing_file_is_no_error() {
    let missing = |last_good| {
        decide(Texts {
            last_good,
            ..Texts::default()
        })
    };
    let decision = missing(Some(GOOD));
    assert_eq!((decision.source, decision.errors), (Source::LastGood, None));
    assert_eq!(missing(None).config, Config::default());
}

#[test]
fn two_bad_texts_end_in_the_defaults() {
    let decision = card(b"\0\x01", Some(BAD));
    assert_eq!(
        (decision.source, decision.config),
        (Source::Defaults, Config::default())
    );
    assert_eq!(decision.errors.unwrap().0.len(), 1);
}

#[test]
fn passwords_are_never_shown() {
    let text = b"[[account]]\nuser = \"1\"\ndomain = \"pbx\"\npassword = \"hunter2\"\n[wifi]\n\
                 ssid = \"x\"\npassword = \"hunter2hunter2\"\n";
    let decision = card(text, None);
    assert_eq!(decision.config.accounts[0].password.0, "hunter2");
    assert!(!format!("{decision:?}").contains("hunter2"));
}

#[test]
fn the_state_directory_is_read_as_toml_reads_it() {
    let default = Config::default().control.state_dir;
    for (text, path) in [
        ("[control]\nstate_dir = \"/x\"   # where it is kept\n", "/x"),
        ("[control]\nstate_dir = '/x y'#c\n", "/x y"),
        ("control.state_dir = \"/x\"\n", "/x"),
        ("control = { socket = \"/s\", state_dir = \"/x\" }\n", "/x"),
        ("[control]\n\"state_dir\" = \"\\u002fx\"\n", "/x"),
        ("\u{feff}[control]\r\nstate_dir=\"/x\"\r\n", "/x"),
        // Errors elsewhere do not move it.
        ("[phone]\nusr = \n[control]\nstate_dir = \"/x\"\n", "/x"),
    ] {
        assert_eq!(
            state_dir(text.as_bytes()),
            std::path::Path::new(path),
            "{text}"
        );
    }
    for text in [
        "[phone]\nstate_dir = \"/x\"\n",
        "# state_dir = \"/x\"\n",
        "[phone]\nname = \"\"\"\nstate_dir = \"/x\"\n\"\"\"\n",
        "[control]\nstate_dir = 7\n",
        "[control]\nstate_dir = \"\"\n",
        "control = 1\n",
        "",
    ] {
        assert_eq!(state_dir(text.as_bytes()), default, "{text}");
    }
    assert_eq!(state_dir(b"\xff[control]\nstate_dir = \"/x\"\n"), default);
}
