#![no_main]

#[path = "../readers.rs"]
mod readers;

// The library panics on some damaged files; the service catches that and refuses them. What it does not catch still ends
// the run.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |data: &[u8]| readers::parquet(data));
