//! Where a fetched file is from, and its version (`ETag`), kept beside it: the next request asks
//! for something newer only.

use std::path::Path;

/// Longest such file: a URL and an `ETag`.
const MAX_BYTES: u64 = 8 * 1024;

/// The origin of a fetched file: two lines, URL and `ETag`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    url: String,
    etag: String,
}

impl Origin {
    /// What was fetched from `url`, with the version the server gave, if any.
    pub(crate) fn new(url: &str, etag: Option<String>) -> Self {
        Self {
            url: url.to_owned(),
            etag: etag.unwrap_or_default(),
        }
    }

    /// Reads the file; `None`: there is none.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = board::files::read_in_time(path, MAX_BYTES).ok()?;
        let text = String::from_utf8(text).ok()?;
        let (url, etag) = text.split_once('\n')?;
        Some(Self::new(url, Some(etag.trim().to_owned())))
    }

    /// Where it is from.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What the file says.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}\n", self.url, self.etag)
    }

    /// The version, if it is that of a file from this URL.
    pub(crate) fn etag_for(&self, url: &str) -> Option<String> {
        (self.url == url && !self.etag.is_empty()).then(|| self.etag.clone())
    }
}

#[cfg(test)]
mod tests {
    use testkit::process::TestDir;

    use super::*;

    #[test]
    fn an_etag_belongs_to_one_url() {
        let folder = TestDir::new("origin");
        let path = folder.join("network.etag");
        std::fs::write(&path, "https://a.example/x\n\"v1\"\n").unwrap();
        let origin = Origin::read(&path).unwrap();
        assert_eq!(origin.text(), std::fs::read_to_string(&path).unwrap());
        assert_eq!(
            origin.etag_for("https://a.example/x").as_deref(),
            Some("\"v1\"")
        );
        assert_eq!(origin.etag_for("https://b.example/x"), None);
        std::fs::write(&path, "https://a.example/x\n\n").unwrap();
        let origin = Origin::read(&path).unwrap();
        assert_eq!(origin.etag_for("https://a.example/x"), None);
    }
}
