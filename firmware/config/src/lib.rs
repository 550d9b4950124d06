//! `offhook.toml`: schema, validation, error messages and country data.
//!
//! ```text
//! text of offhook.toml ─▶ load ─▶ Config          (or every error with file:line:column and the mend)
//!                           │
//!                  country "de" ─▶ CountryPlan     (tones, ringing cadence, flash window, emergency numbers)
//!
//! keys (the one table) ─▶ load, Config::default, example (offhook.example.toml), reference (docs/provisioning.md)
//! board, network, card, last good text ─▶ store::decide ─▶ what runs, what is reported, what is kept
//! ```

mod address;
pub mod country;
pub mod digit_map;
mod error;
mod keys;
mod kind;
mod load;
mod page;
pub mod schema;
pub mod secrets;
pub mod store;
mod time_zone;

pub use error::{Error, Errors, MAX_ERRORS};
pub use load::{Layer, MAX_BYTES, load, load_bytes, load_layers};
pub use page::{example, reference};
pub use schema::Config;
