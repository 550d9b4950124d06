//! The few values that several crates exchange. Each type has its names (as SDP, `offhook.toml` and
//! `status` write them) and the facts its RFC states about it; what to do with a value is the
//! business of the crate that uses it. This crate depends on nothing.

mod board_event;
mod codec;
mod country;
mod direction;
mod dtmf_method;
mod encryption;
mod function_key;
mod key;
mod lamp;
mod language;
mod microphone;
mod opus;
mod rtcp_xr;
mod srtp;
mod transport;

pub use board_event::BoardEvent;
pub use codec::Codec;
pub use country::Country;
pub use direction::Direction;
pub use dtmf_method::DtmfMethod;
pub use encryption::{EncryptionPolicy, Keying};
pub use function_key::FunctionKey;
pub use key::Key;
pub use lamp::{Lamp, LampState};
pub use language::Language;
pub use microphone::MicrophoneChannel;
pub use opus::{OpusBand, OpusFormat};
pub use rtcp_xr::RtcpXr;
pub use srtp::SrtpSuite;
pub use transport::Transport;
