//! The sections a configuration may have several of: `[[account]]` and `[[tls.pin]]`.
//!
//! ```text
//! [[account]] ─▶ each entry: unknown names, kinds, what is required ─▶ Config::accounts   (a later layer's list replaces it)
//! [[tls.pin]] ─▶ the same                                           ─▶ Config::tls.pins   (never from the network)
//! ```

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Given, Reader, default_value, table};
use crate::error::Problem;
use crate::schema::{self, Account, Pin};
use crate::settings::{MAX_ACCOUNTS, MAX_PINS, Section, Set, WhenUnset, settings_of};

/// Accounts that register with an empty password: some operators want that, more often it is
/// forgotten.
pub(super) fn empty_passwords(document: &DeTable<'_>) -> Vec<Problem> {
    let Some(DeValue::Array(list)) = document.get("account").map(Spanned::get_ref) else {
        return Vec::new();
    };
    let text_of = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _other => None,
    };
    let warning = |item: &Spanned<DeValue<'_>>| {
        let DeValue::Table(account) = item.get_ref() else {
            return None;
        };
        let registers = !matches!(
            account.get("register").map(Spanned::get_ref),
            Some(DeValue::Boolean(false))
        );
        let password = account.get("password");
        let empty = password.is_none_or(|value| text_of(value).is_some_and(|text| text.is_empty()));
        let at = password.map_or(item.span().start, |value| value.span().start);
        (registers && empty).then(|| {
            Problem::new(
                at,
                "the password of this account is empty; the phone answers with an empty one",
                "write `password = \"…\"` if the provider gave you one",
            )
        })
    };
    list.iter().filter_map(warning).collect()
}

impl Reader {
    pub(super) fn accounts(&mut self, document: &DeTable<'_>) {
        let Some((name, value)) = document.get_key_value("account") else {
            return;
        };
        // The accounts of a layer replace those below it.
        self.config.accounts.clear();
        let list = match value.get_ref() {
            DeValue::Array(list) => list,
            DeValue::Table(_) => {
                self.problem(
                    name.span().start,
                    "an account is one of a list",
                    "write `[[account]]` with two brackets",
                );
                return;
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {
                self.problem(
                    name.span().start,
                    "an account is a section, not a value",
                    "write `[[account]]` on a line of its own",
                );
                return;
            }
        };
        for (index, item) in list.iter().enumerate() {
            let at = item.span().start;
            if index == MAX_ACCOUNTS {
                self.problem(
                    at,
                    format!("there are {} accounts", list.len()),
                    format!("keep at most {MAX_ACCOUNTS}"),
                );
                return;
            }
            match item.get_ref() {
                DeValue::Table(found) => {
                    let account = self.account(found, at);
                    self.config.accounts.push(account);
                }
                _other => self.problem(
                    at,
                    "an account is a section, not a value",
                    "write `[[account]]` on a line of its own",
                ),
            }
        }
    }

    pub(super) fn pins(&mut self, document: &DeTable<'_>) {
        let Some((name, value)) = table(document, "tls").and_then(|tls| tls.get_key_value("pin"))
        else {
            return;
        };
        let DeValue::Array(list) = value.get_ref() else {
            let at = name.span().start;
            return self.problem(
                at,
                "a pin is one of a list",
                "write `[[tls.pin]]` with two brackets",
            );
        };
        // The pins of a layer replace those below it, as its accounts do.
        self.config.tls.pins.clear();
        for (index, item) in list.iter().enumerate() {
            let at = item.span().start;
            if index == MAX_PINS {
                return self.problem(
                    at,
                    format!("there are {} pins", list.len()),
                    format!("keep at most {MAX_PINS}"),
                );
            }
            if let DeValue::Table(found) = item.get_ref() {
                let pin = self.pin(found, at);
                self.config.tls.pins.push(pin);
            } else {
                self.problem(
                    at,
                    "a pin is a section, not a value",
                    "write `[[tls.pin]]` on a line of its own",
                );
            }
        }
    }

    fn pin(&mut self, found: &DeTable<'_>, at: usize) -> Pin {
        let mut pin = schema::blank_pin();
        self.unknown_keys(Section::TlsPin, "tls.pin", found);
        for setting in settings_of(Section::TlsPin) {
            let Set::Pin(set) = setting.set else { continue };
            match self.given("tls.pin", setting, found) {
                Given::Value(value) => set(&mut pin, value),
                Given::Unset if self.complete => self.problem(
                    at,
                    format!("this pin has no `{}`", setting.name),
                    format!("add a line like `{} = {}`", setting.name, setting.example),
                ),
                Given::Unset | Given::Wrong => {}
            }
        }
        pin
    }

    fn account(&mut self, found: &DeTable<'_>, at: usize) -> Account {
        let mut account = schema::blank_account();
        self.unknown_keys(Section::Account, "account", found);
        for setting in settings_of(Section::Account) {
            let Set::Account(set) = setting.set else {
                continue;
            };
            match (self.given("account", setting, found), setting.when_unset) {
                (Given::Value(value), _) => set(&mut account, value),
                (Given::Unset, WhenUnset::Default(default)) => {
                    if let Some(value) = default_value(setting.kind, default) {
                        set(&mut account, value);
                    }
                }
                (Given::Unset, WhenUnset::Required) if self.complete => {
                    self.problem(
                        at,
                        format!("this account has no `{}`", setting.name),
                        format!("add a line like `{} = {}`", setting.name, setting.example),
                    );
                }
                (Given::Wrong, _) | (Given::Unset, WhenUnset::Required | WhenUnset::Means(_)) => {}
            }
        }
        if account.name.is_empty() {
            account.name = format!("{}@{}", account.user, account.domain);
        }
        account
    }
}
