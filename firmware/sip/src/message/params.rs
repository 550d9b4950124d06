//! Parameters: the `;name=value` tails of URIs and header values, in order, as they were written.
//!
//! ```text
//! ";tag=a;q=\"0,5\";lr" ─▶ Params ─▶ get("TAG") = "a", text("q") = "0,5", has("lr")
//! ```

use std::borrow::Cow;
use std::fmt;

use super::scan::{self, is_token, trim};

/// Why text is no list of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Something before the first `;`.
    #[error("text where a parameter should begin")]
    Start,
    /// Nothing between two `;`, or after the last one.
    #[error("an empty parameter")]
    Empty,
    /// A character in a name that no token has.
    #[error("a parameter name that is no token")]
    Name,
    /// A quote that is not closed.
    #[error("a quoted parameter value that does not end")]
    Quote,
    /// A character in a value that has to be quoted.
    #[error("a parameter value that is neither token nor quoted")]
    Value,
    /// A `%` without two hexadecimal digits.
    #[error("a broken % escape in a URI parameter")]
    Escape,
}

/// Ordered parameters; names compare without case. Values are kept as written, quotes included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Reads what follows a header value: nothing, or `;name`, `;name=value` … An empty value is
    /// let pass.
    pub(crate) fn parse(text: &str) -> Result<Self, ParamError> {
        Self::read(text, is_token)
    }

    /// Reads the parameters of a URI, whose names may hold more than a token's.
    pub(crate) fn parse_uri(text: &str) -> Result<Self, ParamError> {
        let params = Self::read(text, |name| {
            !name.is_empty() && !name.contains([' ', '\t', '@'])
        })?;
        if params.0.iter().any(|(name, value)| {
            !scan::escapes_are_whole(name)
                || value
                    .as_deref()
                    .is_some_and(|v| !scan::escapes_are_whole(v))
        }) {
            return Err(ParamError::Escape);
        }
        Ok(params)
    }

    fn read(text: &str, name_is_good: impl Fn(&str) -> bool) -> Result<Self, ParamError> {
        scan::work(text.len());
        let text = trim(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(rest) = text.strip_prefix(';') else {
            return Err(ParamError::Start);
        };
        if trim(rest).is_empty() {
            return Err(ParamError::Empty);
        }
        let mut params = Vec::new();
        for part in scan::split(rest, b';') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (trim(name), Some(trim(value))),
                None => (part, None),
            };
            if part.is_empty() {
                return Err(ParamError::Empty);
            }
            if !name_is_good(name) {
                return Err(ParamError::Name);
            }
            if let Some(value) = value {
                if value.starts_with('"') {
                    if scan::quoted_end(value) != Some(value.len()) {
                        return Err(ParamError::Quote);
                    }
                } else if value
                    .contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>,".contains(c))
                {
                    return Err(ParamError::Value);
                }
            }
            params.push((name.to_owned(), value.map(str::to_owned)));
        }
        Ok(Self(params))
    }

    /// Of a parameter that is there more than once, which section 7.3.1 forbids, the last one
    /// stays: whoever adds one on the way means that.
    pub(crate) fn keep_last(mut self, name: &str) -> Self {
        let same = |(own, _): &(String, Option<String>)| own.eq_ignore_ascii_case(name);
        let mut before = self
            .0
            .iter()
            .filter(|param| same(param))
            .count()
            .saturating_sub(1);
        self.0.retain(|param| {
            let surplus = before > 0 && same(param);
            before -= usize::from(surplus);
            !surplus
        });
        self
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value as written; `None` when the parameter is absent or has no value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name)?.as_deref()
    }

    /// The value without its quotes and escapes.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(scan::unquote)
    }

    /// Names and values in order, as written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// No parameter at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a parameter, in its place if it is there, at the end otherwise. A value that is no
    /// token is quoted; control characters in it become spaces, and of the name only what a token
    /// may hold is kept (an empty name sets nothing).
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        // A host (an IPv6 address has colons and brackets) needs no quotes in a header parameter.
        let plain = |v: &str| {
            !v.is_empty()
                && v.bytes()
                    .all(|b| scan::is_token_byte(b) || b":[]".contains(&b))
        };
        let value = value.map(|v| {
            if plain(v) {
                v.to_owned()
            } else {
                scan::Quoted(v).to_string()
            }
        });
        self.put(name, value);
    }

    /// Sets a URI parameter: what may not stand in one is escaped.
    pub(crate) fn set_uri(&mut self, name: &str, value: Option<&str>) {
        self.put(
            name,
            value
                .filter(|v| !v.is_empty())
                .map(|v| scan::percent_encode(v, b"[]/:&+$")),
        );
    }

    fn put(&mut self, name: &str, value: Option<String>) {
        let name = scan::clean_token(name);
        if name.is_empty() {
            return;
        }
        match self
            .0
            .iter_mut()
            .find(|(n, _)| n.eq_ignore_ascii_case(&name))
        {
            Some(found) => found.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes a parameter away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    fn find(&self, name: &str) -> Option<&Option<String>> {
        let known = |(n, _): &&(String, Option<String>)| {
            scan::work(1);
            n.eq_ignore_ascii_case(name)
        };
        self.0.iter().find(known).map(|(_, value)| value)
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_with_blanks_quotes_and_flags() {
        let params =
            Params::parse(r#" ; tag = 98asjd8 ;lr; x="a;b\"c" ;received=2001:db8::9:255"#).unwrap();
        assert_eq!(params.get("TAG"), Some("98asjd8"));
        assert!(params.has("lr") && params.get("lr").is_none());
        assert_eq!(params.text("x").unwrap(), "a;b\"c");
        assert_eq!(
            params.to_string(),
            r#";tag=98asjd8;lr;x="a;b\"c";received=2001:db8::9:255"#
        );
    }

    #[test]
    fn refuses_what_is_none() {
        for bad in [
            ";",
            ";;",
            ";a;",
            "a",
            ";a=\"b",
            ";a=b c",
            ";a b=c",
            ";=c",
            ";a=\"b\"c",
        ] {
            assert!(Params::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn setting_replaces_quotes_and_cleans() {
        let mut params = Params::default();
        params.set("tag", Some("a"));
        params.set("TAG", Some("b"));
        params.set("x\r\ny", Some("1\r\n2"));
        params.set("", Some("lost"));
        params.remove("none");
        assert_eq!(params.to_string(), ";tag=b;xy=\"1  2\"");
    }
}
