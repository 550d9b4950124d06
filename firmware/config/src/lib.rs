//! `offhook.toml`: schema, validation, error messages and country data.
//!
//! ```text
//! text of offhook.toml ─▶ load ─▶ Config          (or every error with file:line:column and the mend)
//!                           │
//!                  country "de" ─▶ CountryPlan     (tones, ringing cadence, flash window, emergency numbers)
//! ```

pub mod country;
pub mod schema;

pub use schema::Config;
