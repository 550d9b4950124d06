//! What a registrar's refusal is called, with what to check.

use crate::message::Response;

/// The reason a registrar gives, and what a person can check.
pub(super) fn refusal_text(response: &Response) -> String {
    let help = match response.code() {
        401 | 407 => "; check user, auth_user and password of the account",
        403 => "; the server does not accept this account: check user and password",
        404 => "; the server does not know this user",
        _ => "",
    };
    format!("{}{help}", response.reason())
}
