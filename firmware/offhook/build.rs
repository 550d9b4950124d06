//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A program that the loader puts anywhere has 13,000 addresses to correct: a list of 24 bytes
    // each, or packed (DT_RELR). A linker that cannot pack them makes the list.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    // A release ends at a panic (`panic = "abort"`) and unwinds nothing: the tables of how to, 6 %
    // of the file, are left out.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=without-unwinding.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{folder}/without-unwinding.ld");
    }
}
