//! `offhook.toml`: schema, validation, error messages and country data.
//!
//! ```text
//! text of offhook.toml ─▶ load ─▶ Config          (or every error with file:line:column and how to correct it)
//!                           │
//!                  country "de" ─▶ CountryPlan     (tones, ringing cadence, flash window, emergency numbers)
//!
//! settings (the one table) ─▶ load, Config::default, example (offhook.example.toml), reference (docs/provisioning.md)
//! providers/*.toml ─▶ providers (recipes: `offhook setup`, docs/guide/src/providers.md)
//! board, network, card, last good text ─▶ store::decide ─▶ what runs, what is reported, what is kept
//! ```

mod address;
pub mod codes;
pub mod country;
pub mod digit_map;
mod error;
mod load;
mod page;
pub mod providers;
pub mod schema;
pub mod secrets;
mod settings;
pub mod setup_code;
pub mod store;
mod time_zone;
mod value;

pub use error::{Error, Errors, MAX_ERRORS};
pub use load::{Layer, MAX_BYTES, load, load_bytes, load_layers, warnings};
pub use page::{countries, example, features, reference};
pub use schema::{Config, EchoCancelling};
pub use time_zone::{LocalTime, date, local_time};
