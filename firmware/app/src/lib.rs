//! The wiring between the rooms. `control` is sans-IO so that whole phones run under virtual time; everything beside it does I/O.

pub mod audio_thread;
pub mod control;
pub mod ctl;
pub mod negotiate;
mod net;
pub mod realtime;
mod standin;
pub mod tones;
