//! What a registrar's refusal means for the owner of an account. Pure: a response in, a finding
//! out.

use config::schema::Account;
use sip::message::{Response, reason_phrase};

use super::finding::Finding;

/// What was sent before the answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// A REGISTER without credentials.
    Plain,
    /// A REGISTER with the account's user name and password.
    Credentials,
}

/// A refusal in words. `realm`: what the server authenticates for, where it said so.
pub(super) fn refusal(
    account: &Account,
    response: &Response,
    sent: Sent,
    realm: Option<&str>,
) -> Finding {
    let about = account.name.as_str();
    let code = response.code();
    let said = match response.reason() {
        "" => format!("{code} {}", reason_phrase(code)),
        reason => format!("{code} {reason}"),
    };
    let user = account.auth_user.as_deref().unwrap_or(&account.user);
    let domain = &account.domain;
    let reason = response.reason().to_lowercase();
    if reason.contains("contact") && (reason.contains("many") || reason.contains("max")) {
        return Finding::fault(
            about,
            &format!("too many phones are registered with this account ({said})"),
            "remove one at the server, wait until its registration ends, or have the limit raised",
        );
    }
    if reason.contains("tls") || reason.contains("sips required") || code == 426 {
        return Finding::fault(
            about,
            &format!("the server wants encryption ({said})"),
            "write transport = \"tls\" in this account",
        );
    }
    if code == 403 && sent == Sent::Credentials && says_more(&reason) {
        return Finding::fault(
            about,
            &format!("the server refuses this account and says why: {said}"),
            "ask the provider about that; the password was not what it named, but see that `user` \
             and `password` are right",
        );
    }
    match (code, sent) {
        (401 | 407, _) | (403, Sent::Credentials) => {
            let foreign = realm.filter(|realm| !realm.eq_ignore_ascii_case(domain));
            let of = foreign.map_or_else(String::new, |realm| format!(" for realm {realm}"));
            Finding::fault(
                about,
                &format!("the server refuses user {user} with this password{of} ({said})"),
                "correct `password` or `user`, or `auth_user` where the provider gives a name to \
                 log in with that is not the number; after many tries a server may block the \
                 account for a while",
            )
        }
        (403 | 406, Sent::Plain) => Finding::fault(
            about,
            &format!("the server does not serve {domain} from here ({said})"),
            "correct `domain`; or the server accepts this account only from its own network, by \
             another transport, or not at all",
        ),
        (404 | 410 | 604, _) => Finding::fault(
            about,
            &format!("the server knows no {}@{domain} ({said})", account.user),
            "correct `user` and `domain`",
        ),
        (400 | 416 | 420 | 421 | 493, _) => Finding::fault(
            about,
            &format!("the server does not accept this registration ({said})"),
            "correct `domain`; if it is right, the server wants something this phone does not have",
        ),
        (405 | 501, _) => Finding::fault(
            about,
            &format!("what answers is no registrar ({said})"),
            "correct `registrar` or `outbound_proxy`, or write register = false",
        ),
        (301 | 302 | 305, _) => Finding::fault(
            about,
            &format!(
                "the server sends this account elsewhere ({said}{})",
                moved_to(response)
            ),
            "write that host in `registrar`",
        ),
        (480 | 500..=599, _) => {
            let again = match response.headers.number("Retry-After") {
                Some(seconds) => format!(", again in {seconds} s"),
                None => String::new(),
            };
            Finding::fault(
                about,
                &format!("the server cannot register anyone now ({said}{again})"),
                "nothing is wrong here; the phone tries again by itself",
            )
        }
        _ => Finding::fault(
            about,
            &format!("the server refuses the registration ({said})"),
            "ask its operator; the support bundle holds the messages",
        ),
    }
}

/// Whether a reason phrase, in lower case, gives a reason of its own: neither the standard's words
/// nor the password.
fn says_more(reason: &str) -> bool {
    let usual = [
        "",
        "forbidden",
        "unauthorized",
        "not authorized",
        "access denied",
    ];
    let of_the_password = [
        "auth",
        "passw",
        "credential",
        "digest",
        "log in",
        "login",
        "secret",
    ];
    !usual.contains(&reason.trim()) && !of_the_password.iter().any(|word| reason.contains(word))
}

/// Where a redirection leads.
fn moved_to(response: &Response) -> String {
    match response.headers.sip_contact() {
        Ok(contact) => format!(", to {}", contact.uri),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account_check::Mark;

    fn account() -> Account {
        let text = "[[account]]\nuser = \"101\"\ndomain = \"pbx.example.org\"\npassword = \"x\"\n";
        config::load(text, "offhook.toml")
            .unwrap()
            .accounts
            .remove(0)
    }

    fn line(code: u16, reason: &str, sent: Sent, realm: Option<&str>) -> String {
        let finding = refusal(&account(), &Response::new(code, reason), sent, realm);
        assert_eq!(finding.mark, Mark::Fault);
        assert!(finding.help.is_some(), "{finding}");
        finding.to_string()
    }

    #[test]
    fn a_refused_password_names_user_and_realm() {
        for (code, sent) in [(401, Sent::Credentials), (403, Sent::Credentials)] {
            let line = line(code, "", sent, Some("asterisk"));
            assert!(
                line.contains("user 101 with this password for realm asterisk"),
                "{line}"
            );
            assert!(line.contains("correct `password`"), "{line}");
        }
    }

    #[test]
    fn a_foreign_domain_is_not_a_wrong_password() {
        let refused = line(403, "Domain not served", Sent::Plain, None);
        assert!(
            refused.contains("does not serve pbx.example.org"),
            "{refused}"
        );
        assert!(refused.contains("correct `domain`"), "{refused}");
        let unknown = line(404, "", Sent::Credentials, None);
        assert!(
            unknown.contains("knows no 101@pbx.example.org"),
            "{unknown}"
        );
    }

    #[test]
    fn the_reason_phrase_counts() {
        let line_of = |code, reason| line(code, reason, Sent::Credentials, None);
        assert!(line_of(503, "Too many registered contacts").contains("too many phones"));
        assert!(line_of(403, "TLS required").contains("transport = \"tls\""));
        assert!(line_of(503, "").contains("tries again by itself"));
        for reason in [
            "Account suspended",
            "Forbidden: no IMS user",
            "Rufnummer gesperrt",
        ] {
            let said = line_of(403, reason);
            assert!(said.contains(&format!("says why: 403 {reason}")), "{said}");
            assert!(said.contains("ask the provider"), "{said}");
        }
        for reason in [
            "Forbidden",
            "Bad auth ID",
            "Wrong password",
            "Not authorized",
        ] {
            assert!(
                line_of(403, reason).contains("with this password"),
                "{reason}"
            );
        }
    }

    #[test]
    fn every_refusal_has_a_help() {
        for code in 300..700 {
            for sent in [Sent::Plain, Sent::Credentials] {
                line(code, "", sent, None);
            }
        }
    }
}
