//! Any bytes are an advice, or one line about what is wrong with them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use offwatch::enforce::from_advice::FromAdvice;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = FromAdvice::parse("advice.json", bytes) {
        let told = error.to_string();
        assert!(!told.is_empty() && !told.contains('\n'), "{told:?}");
    }
});
