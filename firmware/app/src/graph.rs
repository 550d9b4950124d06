//! wip
pub(crate) fn draw(_c: &mut crate::ctl::client::Client, _s: bool) -> Result<String, crate::ctl::client::ClientError> {
    Ok(String::new())
}
