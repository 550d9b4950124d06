//! What other phones and softphones call the settings of an account: whoever copies from their
//! pages writes these names.

/// Such a name, and what to write in its place.
const ACCOUNT: [(&[&str], &str); 8] = [
    (
        &["port", "sip_port", "server_port"],
        "write the port behind the host: registrar = \"pbx.example.org:5070\"",
    ),
    (
        &["server", "host", "sip_server", "registrar_server", "pbx"],
        "write `domain`; where DNS does not lead from it to the server, `registrar` besides",
    ),
    (
        &["realm", "sip_domain"],
        "write `domain`; the realm is what the server says",
    ),
    (
        &["username", "user_name", "extension", "number", "user_id"],
        "did you mean `user`?",
    ),
    (
        &[
            "login",
            "auth_id",
            "authuser",
            "authname",
            "authid",
            "auth_name",
        ],
        "did you mean `auth_user`?",
    ),
    (
        &["secret", "pass", "pwd", "auth_password"],
        "did you mean `password`?",
    ),
    (
        &["proxy", "sip_proxy", "outboundproxy", "proxy_server"],
        "did you mean `outbound_proxy`?",
    ),
    (
        &["codecs", "codec", "allow"],
        "write `order` under `[codecs]`",
    ),
];

/// What to write where an account has this unknown key.
pub(super) fn of_account(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let found = ACCOUNT
        .iter()
        .find(|(names, _)| names.contains(&name.as_str()));
    found.map(|(_, help)| *help)
}
