//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A program that the loader puts anywhere has 13,000 addresses to correct: a list of 24 bytes
    // each, or packed (DT_RELR). A linker that cannot pack them makes the list.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
