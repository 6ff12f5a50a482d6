//! Generates the messages of the control channel from their definition, without `protoc`, so that a build needs no such
//! tool.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = "proto/targetcontrol.proto";
    println!("cargo::rerun-if-changed={file}");
    let descriptors = protox::compile([file], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
