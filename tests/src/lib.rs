//! The phone seen from outside.
