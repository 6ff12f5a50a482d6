//! By which profile this is built.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Cargo tells its scripts no more of a profile than whether it is one for releases; but its name is that of the directory that
    // all output is under: PROFILE/build/forebay-HASH/out.
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let profile = out.ancestors().nth(3).and_then(|dir| dir.file_name());
    let profile = profile.map_or("unknown".into(), |name| name.to_string_lossy().into_owned());
    println!("cargo::rustc-env=FOREBAY_PROFILE={profile}");
}
