//! `[hardware]`: what is wired otherwise than the board's profile says.

use std::collections::BTreeMap;

/// The tables and keys of `hardware.toml` that the owner overrides, each value as TOML. What they
/// mean together is the board's business.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hardware {
    tables: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

impl Hardware {
    /// Nothing is overridden.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Every key: table, key, value as TOML.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        self.tables.iter().flat_map(|(table, keys)| {
            keys.iter()
                .map(|(key, value)| (*table, *key, value.as_str()))
        })
    }

    pub(crate) fn set(&mut self, table: &'static str, key: &'static str, value: String) {
        self.tables.entry(table).or_default().insert(key, value);
    }
}
