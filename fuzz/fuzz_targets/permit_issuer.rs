#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| forebay_admission::fuzzing::permit_issuer(data));
