//! What a small screen shows: values in, pixels out. Knows neither the phone that has something to
//! show nor the hardware that shows it.
//!
//! ```text
//! Screen (status bar, body) ─▶ text (Latin-1 letters) ─▶ layout at the screen's size ─▶ Frame ─▶ owner
//! ```
//!
//! There is one layout. It is drawn on a canvas of at least 120 × 60 pixels and enlarged by a whole
//! number: a 128 × 64 OLED is that canvas, a framebuffer of 320 × 240 pixels is one of 160 × 120,
//! twice as large, with more rows.
//!
//! ```
//! use display::{Body, Frame, Screen};
//!
//! let body = Body::Clock {
//!     time: "14:05".to_owned(),
//!     date: "Tue 1 Dec 2026".to_owned(),
//!     notices: vec!["2 missed calls".to_owned()],
//! };
//! let screen = Screen { title: "101".to_owned(), icons: Vec::new(), body };
//! let frame: Frame = display::render(&screen, 128, 64);
//! assert!(frame.lit() > 200, "something is seen");
//! ```

mod frame;
mod icon;
mod layout;
mod screen;
mod text;

pub use frame::Frame;
pub use icon::Icon;
pub use layout::render;
pub use screen::{Body, Item, Screen};
pub use text::{legible, sort_key};
