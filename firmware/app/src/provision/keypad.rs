//! The settings keyed on a phone that has none: when they are asked for, and what may be written.
//!
//! ```text
//! no offhook.toml, or nothing set in it ─▶ is_wanted ─▶ a voice asks ─▶ text ─▶ may_write ─▶ the card
//! ```
//!
//! A file with a mistake in it is somebody's work: it is never replaced, its fault is spoken.

use std::path::Path;

use board::files;
use toml::Table;

use crate::storage::CONFIG_FILE;

/// Whether the card holds no setting at all.
pub(crate) fn is_wanted(card: &Path) -> bool {
    let most = config::MAX_BYTES as u64;
    match files::read_in_time(&card.join(CONFIG_FILE), most) {
        Ok(bytes) => sets_nothing(&bytes),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn sets_nothing(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    text.parse::<Table>().is_ok_and(|table| is_empty(&table))
}

/// No key; sections may be there.
fn is_empty(table: &Table) -> bool {
    let section = |value: &toml::Value| value.as_table().is_some_and(is_empty);
    table.values().all(section)
}

/// Whether a text is one that keys can make: a country, a language, a network and one account.
/// Whoever asks for more is not the phone that was started.
pub(crate) fn may_write(text: &str) -> bool {
    let only = |table: &Table, known: &[&str]| table.keys().all(|key| known.contains(&&**key));
    let Ok(table) = text.parse::<Table>() else {
        return false;
    };
    let phone = table.get("phone").and_then(|value| value.as_table());
    let accounts = table.get("account").and_then(|value| value.as_array());
    let account = accounts.and_then(|list| match list.as_slice() {
        [one] => one.as_table(),
        _ => None,
    });
    // Either is missing where nothing is said of it.
    let section = |name: &str, known: &[&str]| {
        let section = table.get(name);
        section.is_none_or(|section| section.as_table().is_some_and(|table| only(table, known)))
    };
    only(&table, &["phone", "account", "wifi", "network"])
        && section("wifi", &["ssid", "password", "security"])
        && section("network", &["address", "gateway", "dns"])
        && phone.is_some_and(|phone| only(phone, &["country", "language"]))
        && account.is_some_and(|account| only(account, &["user", "password", "domain"]))
        && config::load(text, CONFIG_FILE).is_ok()
}

#[cfg(test)]
mod tests {
    use config::providers::NetworkSettings;

    use super::*;

    #[test]
    fn an_empty_file_and_the_example_set_nothing() {
        assert!(sets_nothing(b""));
        assert!(sets_nothing(config::example().as_bytes()));
        assert!(!sets_nothing(b"[phone]\ncountry = \"de\"\n"));
        assert!(
            !sets_nothing(b"[phone\n"),
            "a file with a mistake is somebody's work"
        );
        assert!(is_wanted(Path::new("/nowhere")));
    }

    #[test]
    fn only_what_keys_can_make_is_written() {
        let answers = config::providers::Answers {
            country: "de".into(),
            language: Some(types::Language::German),
            server: "10.0.0.2".into(),
            user: "101".into(),
            password: "4711".into(),
            ..config::providers::Answers::default()
        };
        let text = config::providers::setup_file(&answers, "offhook.toml");
        assert!(may_write(&text), "{text}");
        for network in [
            NetworkSettings::Wifi {
                ssid: "My \"net\"".into(),
                password: "12345678".into(),
            },
            NetworkSettings::Wifi {
                ssid: "open".into(),
                password: String::new(),
            },
            NetworkSettings::Fixed {
                address: "192.168.7.20/24".into(),
                router: "192.168.7.1".into(),
            },
        ] {
            let answers = config::providers::Answers {
                network,
                ..answers.clone()
            };
            let text = config::providers::setup_file(&answers, "offhook.toml");
            assert!(may_write(&text), "{text}");
        }
        for more in [
            "[wifi]\nssid = \"x\"\nhidden = true\n",
            "[network]\nhost_name = \"evil\"\n",
            "[system]\nssh_keys = [\"ssh-ed25519 AAAA\"]\n",
            "[update]\nurl = \"https://evil.example\"\n",
            "[[account]]\nuser = \"1\"\ndomain = \"x.example\"\n",
        ] {
            assert!(!may_write(&format!("{text}{more}")), "{more}");
        }
        assert!(!may_write(""), "there is an account in it");
        assert!(!may_write(&text.replace("\"de\"", "\"xx\"")), "it is valid");
    }
}
