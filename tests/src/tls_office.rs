//! Phones of an office that talk over TLS and encrypted: kamailio with a certificate of the
//! office's own authority, which the phones know.

use std::time::Duration;

use testkit::process::TestDir;

use crate::certificates::{Authority, Wish};
use crate::desk_phone::{DeskPhone, Setup};
use crate::kamailio::Kamailio;

/// Its server and its authority.
pub struct TlsOffice {
    /// The registrar, and proxy of all calls.
    pub kamailio: Kamailio,
    authority: Authority,
}

impl TlsOffice {
    /// Starts the server; `algorithm` is the digest's.
    pub fn open(dir: &TestDir, algorithm: &str) -> Self {
        let authority = Authority::new(&dir.join("certificates"), "office");
        let wish = Wish {
            dns: vec!["pbx.example.org".into()],
            addresses: vec!["127.0.0.1".into()],
            ..Wish::default()
        };
        let kamailio = Kamailio::start_tls(dir, algorithm, &authority.issue("server", &wish));
        Self {
            kamailio,
            authority,
        }
    }

    /// What makes a phone one of the office: account, authority, and calls that are encrypted by
    /// SDES or not made.
    fn lines(&self, user: &str, encryption: &str) -> String {
        format!(
            "{}[tls]\nca = \"{}\"\n[encryption]\nmode = \"required\"\nkeying = [\"sdes\"]\n\
             {encryption}",
            self.kamailio.account_tls(user, "127.0.0.1"),
            self.authority.file().display()
        )
    }

    /// A phone of the office, registered. `encryption`: more lines of `[encryption]`.
    pub fn desk(&self, dir: &TestDir, user: &str, encryption: &str, setup: Setup) -> DeskPhone {
        let more = self.lines(user, encryption) + &setup.more;
        let setup = Setup {
            direct: Some(false),
            more,
            ..setup
        };
        let phone = DeskPhone::start(dir, user, setup);
        phone.wait("registration", Duration::from_secs(10), |status| {
            status["lines"][0]["registered"] == true
        });
        phone
    }
}
