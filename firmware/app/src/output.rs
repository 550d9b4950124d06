//! What a person at the terminal reads. The firmware itself logs; only commands print.

use std::io::Write;

/// One line or page on standard output. A reader that went away (`| head`) is no error of ours.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
}
