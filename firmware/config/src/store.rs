//! The last good configuration: which text a phone runs by, decided without touching a file.
//!
//! ```text
//! offhook.toml as found ─┐                 ┌─▶ config to run by, and where it is from
//! last good text ────────┴─▶ decide ───────┼─▶ what to tell the owner
//!                                          └─▶ text to keep as the last good one (only when it is new)
//! ```
//!
//! The owner reads and writes the files; the kept text holds passwords and belongs in a file only the phone can read.

use crate::load::load_bytes;
use crate::{Config, Errors};

/// Where the configuration in use comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The file as it is now.
    File,
    /// The last text that had no errors.
    LastGood,
    /// Neither could be used: the defaults.
    Defaults,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The configuration to run by.
    pub config: Config,
    /// Where it comes from.
    pub source: Source,
    /// What is wrong in the file, for log, `status` and `status.txt`; `None` when it is fine or absent.
    pub errors: Option<Errors>,
    /// One line that says which configuration is in use and why.
    pub report: String,
    /// Write these bytes as the new last good configuration. Never shown: they hold passwords.
    pub keep: Option<crate::schema::Secret>,
}

/// Decides by the file as it was found (`None`: there is none) and the last good text (`None`: none was kept yet).
/// The name is that of the file, for the places of errors.
pub fn decide(found: Option<&[u8]>, file_name: &str, last_good: Option<&[u8]>) -> Decision {
    let errors = match found.map(|bytes| (bytes, load_bytes(bytes, file_name))) {
        Some((bytes, Ok(config))) => {
            let new = last_good != Some(bytes);
            let keep = new.then(|| crate::schema::Secret(String::from_utf8_lossy(bytes).into_owned()));
            return Decision {
                config,
                source: Source::File,
                errors: None,
                report: format!("{file_name} is in use"),
                keep,
            };
        }
        Some((_, Err(errors))) => Some(errors),
        None => None,
    };
    let why = match &errors {
        Some(errors) if errors.0.len() == 1 => format!("{file_name} has an error"),
        Some(errors) => format!("{file_name} has {} errors", errors.0.len()),
        None => format!("there is no {file_name}"),
    };
    let (config, source, then) = match last_good.map(|bytes| load_bytes(bytes, "last good configuration")) {
        Some(Ok(config)) => (
            config,
            Source::LastGood,
            ": the last good configuration stays in use; mend the file",
        ),
        Some(Err(_)) | None => (
            Config::default(),
            Source::Defaults,
            " and no good one was kept: the defaults are in use; write the file anew",
        ),
    };
    Decision {
        config,
        source,
        errors,
        report: format!("{why}{then}"),
        keep: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] = b"[phone]\ncountry = \"de\"\n";
    const NEWER: &[u8] = b"\xEF\xBB\xBF[phone]\r\ncountry = \"fr\"\r\n";
    const BAD: &[u8] = b"[phone]\ncuontry = \"de\"\n";

    #[test]
    fn a_good_file_is_used_and_kept_once() {
        let first = decide(Some(GOOD), "offhook.toml", None);
        assert_eq!((first.source, first.config.phone.country.as_str()), (Source::File, "de"));
        let kept = first.keep.unwrap().0;
        assert_eq!(kept.as_bytes(), GOOD);
        assert_eq!(decide(Some(GOOD), "offhook.toml", Some(kept.as_bytes())).keep, None);
        let newer = decide(Some(NEWER), "offhook.toml", Some(GOOD));
        assert_eq!(newer.config.phone.country, "fr");
        assert_eq!(newer.keep.unwrap().0.as_bytes(), NEWER);
    }

    #[test]
    fn a_bad_file_leaves_the_last_good_in_use() {
        let decision = decide(Some(BAD), "offhook.toml", Some(GOOD));
        assert_eq!((decision.source, decision.config.phone.country.as_str()), (Source::LastGood, "de"));
        assert_eq!(decision.keep, None);
        assert_eq!(
            decision.errors.unwrap().to_string(),
            "offhook.toml:2:1: there is no key `cuontry` in `phone`; did you mean `country`?"
        );
        assert!(decision.report.contains("last good"), "{}", decision.report);
    }

    #[test]
    fn a_missing_file_is_no_error() {
        let decision = decide(None, "offhook.toml", Some(GOOD));
        assert_eq!((decision.source, decision.errors), (Source::LastGood, None));
        assert_eq!(decide(None, "offhook.toml", None).config, Config::default());
    }

    #[test]
    fn two_bad_texts_end_in_the_defaults() {
        let decision = decide(Some(b"\0\x01"), "offhook.toml", Some(BAD));
        assert_eq!((decision.source, decision.config), (Source::Defaults, Config::default()));
        assert_eq!(decision.errors.unwrap().0.len(), 1);
    }

    #[test]
    fn passwords_are_never_shown() {
        let text = b"[[account]]\nuser = \"1\"\ndomain = \"pbx\"\npassword = \"hunter2\"\n";
        let decision = decide(Some(text), "offhook.toml", None);
        assert_eq!(decision.config.accounts[0].password.0, "hunter2");
        assert!(!format!("{decision:?}").contains("hunter2"));
    }
}
