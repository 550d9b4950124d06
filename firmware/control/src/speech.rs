//! Spoken words: what the phone announces becomes words, words become sound.
//!
//! ```text
//! phone::Announcement + facts ─▶ sentence ─▶ Word … ─▶ Speaker ─▶ media::Command::Speak, one word at a time
//!                                                         ▲──────── media::Event::Spoken ◀──┘
//! control/speech/{en,de}.words ─▶ vocabulary ─▶ Opus packets of a word
//! ```
//!
//! The words are made by `OFFHOOK_WRITE_PAGES=1 cargo test --test docs -- speech` from
//! [`words::Word::text`] with espeak-ng; see `firmware/control/speech/README.md`.

mod sentence;
mod speaker;
pub mod vocabulary;
pub mod words;

pub(crate) use sentence::{Facts, sentence};
pub(crate) use speaker::{Next, Speaker};
