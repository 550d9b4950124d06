//! Providers and products that people ask for and that have no recipe: why not.

use serde::Deserialize;

const FILE: &str = include_str!("../unsupported.toml");

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsupported {
    /// What `--provider` takes.
    pub id: String,
    /// For people.
    pub name: String,
    /// Why there is no recipe.
    pub why: String,
    /// The page that says so; none: that no page was found is the reason.
    pub source: Option<String>,
    /// Another page that says so.
    pub more: Option<String>,
    /// The date of the page, where it has one (YYYY-MM-DD).
    pub source_date: Option<String>,
    /// When it was read, or looked for (YYYY-MM-DD).
    pub read: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: Vec<Unsupported>,
}

impl Unsupported {
    /// The reason with its source.
    pub fn sentence(&self) -> String {
        let Self {
            why, source, read, ..
        } = self;
        let dated = self.source_date.as_ref();
        let dated = dated.map_or_else(String::new, |date| format!(", of {date}"));
        let more = self.more.as_ref();
        let more = more.map_or_else(String::new, |more| format!(" and <{more}>"));
        match source {
            Some(source) => format!("{why} (<{source}>{dated}{more}, read {read})"),
            None => format!("{why} (looked for {read})"),
        }
    }
}

/// All of them, by name.
pub(super) fn all() -> Vec<Unsupported> {
    // A test reads the file: nothing is left out here.
    let file = toml::from_str::<File>(FILE);
    file.map(|file| file.provider).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_why_and_where_that_stands() {
        let file = toml::from_str::<File>(FILE).unwrap();
        assert!(!file.provider.is_empty());
        for one in file.provider {
            let pages = one.source.iter().chain(&one.more);
            for page in pages {
                assert!(page.starts_with("https://"), "{}: {page}", one.id);
            }
            let is_sourced = one.source.is_some() || one.why.starts_with("No public page");
            assert!(is_sourced, "{}: {}", one.id, one.why);
            assert!(one.read.len() == 10 && one.why.ends_with('.'), "{}", one.id);
        }
    }
}
