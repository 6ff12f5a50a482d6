#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_awswire::fuzzing::api_call(data));
