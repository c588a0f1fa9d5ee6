//! Any bytes are a policy, or one line about what is wrong in them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use offwatch::enforce::policy::Policy;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Policy::parse(bytes) {
        let told = error.to_string();
        assert!(!told.is_empty() && !told.contains('\n'), "{told:?}");
    }
});
