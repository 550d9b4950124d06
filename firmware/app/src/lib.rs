//! The wiring between the rooms. `control` is sans-IO so that whole phones run under virtual time;
//! everything beside it does I/O.

pub mod appliance;
pub mod audio_thread;
mod bundle;
pub mod cli;
pub mod ctl;
pub mod driver;
pub mod echo;
mod graph;
pub mod identity;
mod net;
mod panel;
mod provision;
pub mod realtime;
mod reboot;
mod say;
mod secrets;
mod selftest;
mod setup;
mod storage;
mod tryout;
