//! Sets the name of the build profile.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Cargo tells build scripts only whether a profile is for releases. The profile's name is that of the directory that
    // all
    // output is under: PROFILE/build/forebay-HASH/out.
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let profile = out.ancestors().nth(3).and_then(|dir| dir.file_name());
    let profile = profile.map_or("unknown".into(), |name| name.to_string_lossy().into_owned());
    println!("cargo::rustc-env=FOREBAY_PROFILE={profile}");
}
