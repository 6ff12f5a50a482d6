//! How the agent alone is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The loader reads all relocations at start, and what was read is resident: packed they take a twentieth (binutils 2.38,
    // glibc 2.36; older ones pass over the word).
    println!("cargo::rustc-link-arg-bin=forebay-agent=-Wl,-z,pack-relative-relocs");
}
