//! The languages the phone speaks.

use crate::Country;

/// A language of the spoken words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// German.
    German,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its name in `offhook.toml` (ISO 639-1).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// The language of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|language| language.as_str() == name)
    }

    /// The one most people of a country understand, of those there are.
    pub const fn of(country: Country) -> Self {
        match country {
            Country::De | Country::At | Country::Ch => Self::German,
            _ => Self::English,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_written() {
        for language in Language::ALL {
            assert_eq!(Language::from_name(language.as_str()), Some(language));
        }
        assert_eq!(Language::from_name("English"), None);
    }

    #[test]
    fn german_is_spoken_where_it_is_understood() {
        assert_eq!(Language::of(Country::Ch), Language::German);
        assert_eq!(Language::of(Country::Us), Language::English);
        assert_eq!(Language::of(Country::Fr), Language::English);
    }
}
