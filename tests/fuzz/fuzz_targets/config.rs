//! `offhook.toml` as somebody with the card may write it: an error or a configuration, no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(errors) = config::load_bytes(data, "offhook.toml") {
        assert!(!errors.to_string().is_empty());
    }
});
