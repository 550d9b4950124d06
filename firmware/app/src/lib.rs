//! The wiring between the rooms. `control` is sans-IO so that whole phones run under virtual time; everything beside it does I/O.

pub mod control;
pub mod negotiate;
mod standin;
pub mod tones;
