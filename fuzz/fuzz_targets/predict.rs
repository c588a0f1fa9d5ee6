//! What holds of any prediction.

#![no_main]

use libfuzzer_sys::fuzz_target;
use offwatch::{
    enforce::{
        kernel::Request,
        names::resolve,
        predict::{Device, computed_anew, predict, unmet},
    },
    model::OFFLOADS,
    sample::offloads::{FeatureNames, FeatureSet, Features},
};

fuzz_target!(|bytes: &[u8]| {
    let names = OFFLOADS.map(|(name, _)| name.to_owned()).to_vec();
    let mut names = FeatureNames(names);
    let (words, text) = bytes.as_chunks::<4>();
    let mut words = words.iter().map(|word| u32::from_ne_bytes(*word));
    let mut set = || FeatureSet::from_words(&[words.next().unwrap_or_default()]).expect("32 bits");
    let changeable = set();
    let before = Features {
        changeable,
        wanted: set() & changeable,
        active: set(),
        never_changed: FeatureSet::default(),
    };
    let mut request = Request {
        mask: set(),
        on: set(),
    };
    request.on = request.on & request.mask;
    let device = match bytes.len() % 4 {
        0 => Device::Tap,
        1 => Device::Bridge(vec![set(), set()]),
        2 => Device::Other,
        _ => {
            names.0.push("tx-lockless".into());
            Device::Other
        }
    };
    let predicted = predict(&names, &device, &before, &request);
    // What cannot be switched stays, unless what it needs is taken from it.
    let fixed = FeatureSet::from_words(&[u32::MAX]).expect("32 bits") - changeable;
    assert!((predicted.active & fixed - before.active).is_empty());
    // Nothing comes that is not wanted.
    let wanted = request.applied_to(before.wanted) | before.active;
    if !matches!(device, Device::Bridge(_)) {
        assert!((predicted.active - wanted).is_empty());
    }
    let told: FeatureSet = predicted.unmet.iter().map(|unmet| unmet.bit).collect();
    let missed = ((predicted.active ^ request.on) & request.mask) - predicted.uncertain;
    assert_eq!(told, missed);
    // Computed again it is the same, unless something that cannot be switched is lost.
    let is_lost = !(before.active - changeable - predicted.active).is_empty();
    if device == Device::Other && predicted.active != before.active && !is_lost {
        let after = Features {
            wanted: request.applied_to(before.wanted) & changeable,
            active: predicted.active,
            ..before
        };
        let again = computed_anew(&names, &device, &after);
        assert_eq!(again.active, predicted.active);
        let reasons = unmet(&names, &device, &after);
        assert!(reasons.iter().all(|unmet| changeable.contains(unmet.bit)));
    }
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(set) = resolve(&names, text)
    {
        assert!(!set.is_empty());
    }
});
