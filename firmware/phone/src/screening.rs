//! Who rings, and how: the block list, quiet hours, and the ring of an account or a caller.
//!
//! ```text
//! Caller ─┬─▶ BlockList (patterns with * and ?) ─▶ refused, busy, mailbox, or without a sound
//!         ├─▶ Quiet (hours, exceptions) ─────────▶ without a sound
//!         └─▶ RingRules (caller, account) ───────▶ a distinctive ring
//! ```

use config::schema::BlockAction;

use crate::input::{Alert, Caller};

/// Callers who do not get through.
#[derive(Debug)]
pub(crate) struct BlockList {
    patterns: Vec<String>,
    /// What becomes of those.
    action: BlockAction,
    /// Patterns with what becomes of each, before `patterns`.
    each: Vec<(String, BlockAction)>,
    /// Those who do, whatever `patterns` says.
    allowed: Vec<String>,
}

impl BlockList {
    pub(crate) fn new(config: &config::Config) -> Self {
        Self {
            patterns: config.call.block.clone(),
            action: config.call.block_action,
            each: config.call.screen.clone(),
            allowed: config.call.allow.clone(),
        }
    }

    /// What becomes of this caller; `None`: it gets through.
    pub(crate) fn action(&self, caller: &Caller) -> Option<BlockAction> {
        if is_listed(&self.allowed, caller) {
            return None;
        }
        let mut each = self.each.iter();
        let own = each.find(|(pattern, _)| is_like(pattern, caller));
        let listed = || is_listed(&self.patterns, caller).then_some(self.action);
        own.map(|(_, action)| *action).or_else(listed)
    }
}

/// Quiet hours: whom the bell is silent for.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    /// It is that time of day.
    pub(crate) now: bool,
    except: Vec<String>,
}

impl Quiet {
    pub(crate) fn new(config: &config::Config) -> Self {
        Self {
            now: false,
            except: config.call.quiet_except.clone(),
        }
    }

    /// Whether this caller does not ring now.
    pub(crate) fn silences(&self, caller: &Caller) -> bool {
        self.now && !is_listed(&self.except, caller)
    }
}

/// Callers who are answered at once.
#[derive(Debug, Default)]
pub(crate) struct Intercom {
    patterns: Vec<String>,
    /// Direct callers are known by their address.
    direct: bool,
}

impl Intercom {
    pub(crate) fn new(config: &config::Config) -> Self {
        Self {
            patterns: config.call.intercom.clone(),
            direct: !config.call.direct_from.is_empty(),
        }
    }

    /// Whether this caller is. Anyone can claim a name in a direct call: it counts only where
    /// direct callers are listed by address.
    pub(crate) fn admits(&self, caller: &Caller) -> bool {
        (caller.account.is_some() || self.direct) && is_listed(&self.patterns, caller)
    }
}

/// How accounts and callers ring.
#[derive(Debug, Default)]
pub(crate) struct RingRules {
    accounts: Vec<Option<u8>>,
    /// Patterns of callers, and their rings; the first that fits counts.
    callers: Vec<(String, u8)>,
}

impl RingRules {
    pub(crate) fn new(config: &config::Config) -> Self {
        let accounts = config.accounts.iter().map(|account| account.ring);
        let callers = config
            .call
            .ring
            .iter()
            .filter_map(|(pattern, ring)| Some((pattern.clone(), ring.parse().ok()?)));
        Self {
            accounts: accounts.collect(),
            callers: callers.collect(),
        }
    }

    /// The ring of a caller, else of the account; `None`: as any other.
    pub(crate) fn of(&self, caller: &Caller) -> Option<Alert> {
        let mut callers = self.callers.iter();
        let by_caller = callers.find(|(pattern, _)| is_like(pattern, caller));
        let by_account = || caller.account.and_then(|a| *self.accounts.get(a.0)?);
        by_caller
            .map(|(_, ring)| *ring)
            .or_else(by_account)
            .map(Alert::Distinctive)
    }
}

fn is_listed(patterns: &[String], caller: &Caller) -> bool {
    patterns.iter().any(|pattern| is_like(pattern, caller))
}

/// Whether a pattern fits the number, the address or the name; `anonymous` fits who withholds it.
fn is_like(pattern: &str, caller: &Caller) -> bool {
    if pattern.eq_ignore_ascii_case("anonymous") {
        return caller.anonymous || caller.number.is_empty();
    }
    let number = caller.number.as_str();
    let user = number.split_once(':').map_or(number, |(_, rest)| rest);
    let user = user.split('@').next().unwrap_or(user);
    [number, user, &caller.name]
        .iter()
        .any(|text| fits(pattern, text))
}

/// `*` stands for any characters, `?` for one; letters in any case. Each step moves one set of
/// positions, so that the work is the product of both lengths.
fn fits(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().flat_map(char::to_lowercase).collect();
    let mut at = vec![false; pattern.len() + 1];
    at[0] = true;
    let skip_stars = |at: &mut [bool]| {
        for (index, symbol) in pattern.iter().enumerate() {
            at[index + 1] |= at[index] && *symbol == '*';
        }
    };
    skip_stars(&mut at);
    for c in text.chars().take(256).flat_map(char::to_lowercase) {
        let mut next = vec![false; pattern.len() + 1];
        for (index, symbol) in pattern.iter().enumerate().filter(|(index, _)| at[*index]) {
            if *symbol == '*' {
                next[index] = true;
            } else if *symbol == '?' || *symbol == c {
                next[index + 1] = true;
            }
        }
        skip_stars(&mut next);
        at = next;
    }
    at[pattern.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(number: &str) -> Caller {
        Caller {
            number: number.to_owned(),
            ..Caller::from("Anna Berg")
        }
    }

    #[test]
    fn stars_and_question_marks_fit() {
        for (pattern, text, wanted) in [
            ("+4930*", "+49301234", true),
            ("+4930*", "+4940", false),
            ("*", "", true),
            ("03?1", "0301", true),
            ("03?1", "031", false),
            ("*berg*", "Anna Berg", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
        ] {
            assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn blocked_callers_are_found_and_exceptions_get_through() {
        let toml =
            "[call]\nblock = [\"0900*\", \"*@spam.example\", \"anonymous\"]\nallow = [\"0900123\"]";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let list = BlockList::new(&config);
        let blocks = |number: &str| list.action(&caller(number)) == Some(BlockAction::Reject);
        assert!(blocks("0900555") && blocks("sip:x@spam.example"));
        assert!(blocks(""), "withheld");
        assert!(!blocks("0900123") && !blocks("0301234"));
    }

    #[test]
    fn the_first_pattern_of_screen_decides_what_a_caller_meets() {
        let toml = "[dial]\nvoicemail = \"*97\"\n[call]\nblock = [\"09*\"]\nallow = [\"0900123\"]\n\
                    [call.screen]\n\"0900*\" = \"busy\"\n\"0*\" = \"voicemail\"\n\
                    \"*berg*\" = \"silent\"\n";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let list = BlockList::new(&config);
        for (number, expected) in [
            ("0900555", Some(BlockAction::Busy)),
            ("0900123", None),
            ("0911", Some(BlockAction::Voicemail)),
            ("301", Some(BlockAction::Silent)),
        ] {
            assert_eq!(list.action(&caller(number)), expected, "{number}");
        }
    }

    #[test]
    fn quiet_hours_have_exceptions() {
        let toml = "[call]\nquiet_except = [\"030*\"]\n";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let mut quiet = Quiet::new(&config);
        assert!(!quiet.silences(&caller("040")));
        quiet.now = true;
        assert!(quiet.silences(&caller("040")) && !quiet.silences(&caller("0301")));
    }

    #[test]
    fn only_known_callers_use_the_intercom() {
        let toml = "[call]\nintercom = [\"door*\"]\n";
        let load = |toml: &str| config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let by_account = Caller {
            account: Some(crate::AccountId(0)),
            ..caller("door1")
        };
        let intercom = Intercom::new(&load(toml));
        assert!(intercom.admits(&by_account));
        assert!(
            !intercom.admits(&caller("door1")),
            "a claim of a direct caller"
        );
        let other = Caller {
            number: "301".to_owned(),
            ..by_account
        };
        assert!(!intercom.admits(&other));
        let listed = Intercom::new(&load(&format!("{toml}direct_from = [\"10.0.0.9\"]\n")));
        assert!(listed.admits(&caller("sip:door1@10.0.0.9")));
    }

    #[test]
    fn a_callers_ring_goes_before_the_accounts() {
        let toml =
            "[[account]]\nuser = \"1\"\ndomain = \"p\"\nring = 2\n[call.ring]\n\"030*\" = 4\n";
        let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
        let rules = RingRules::new(&config);
        let by = |number: &str, account: Option<usize>| {
            rules.of(&Caller {
                account: account.map(crate::AccountId),
                ..caller(number)
            })
        };
        assert_eq!(by("0301234", Some(0)), Some(Alert::Distinctive(4)));
        assert_eq!(by("0401234", Some(0)), Some(Alert::Distinctive(2)));
        assert_eq!(by("0401234", None), None);
    }
}
