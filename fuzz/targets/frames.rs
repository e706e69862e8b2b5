#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| relevo_fuzz::fuzz_frames(data));
