//! The binary: sockets, threads, clocks, files and the command line around the sans-IO crates.

mod account_check;
pub mod appliance;
pub mod audio_thread;
mod bundle;
mod card_source;
pub mod cli;
mod confine;
pub mod ctl;
#[cfg(feature = "tools")]
mod demo;
pub mod driver;
#[cfg(feature = "tools")]
mod echo;
#[cfg(feature = "tools")]
mod graph;
mod hardware;
mod header_capture;
pub mod identity;
mod lldp;
mod net;
mod output;
#[cfg(feature = "tools")]
mod panel;
mod pcap;
mod provision;
pub mod realtime;
mod reboot;
mod report;
pub mod resident;
mod run_dir;
mod secrets;
mod selftest;
mod setup;
mod setup_error;
mod storage;
mod update;
