#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_control_channel::fuzzing::channel(data));
