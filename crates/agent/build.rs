//! Link options of the agent's own program.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The loader reads all relocations at start, and pages that were read stay resident. Packed relocations take a
    // twentieth
    // of the space (binutils 2.38, glibc 2.36; older linkers ignore the option).
    println!("cargo::rustc-link-arg-bin=forebay-agent=-Wl,-z,pack-relative-relocs");
}
