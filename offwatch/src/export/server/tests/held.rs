use std::sync::Arc;

use super::super::held::Held;
use crate::export::Snapshot;

#[test]
fn slow_readers_hold_a_few_snapshots_and_none_goes_back_in_time() {
    let snapshots: Vec<_> = (0..9).map(|_| Arc::new(Snapshot::default())).collect();
    let place = |given: &Arc<Snapshot>| {
        let mut places = snapshots.iter();
        places.position(|snapshot| Arc::ptr_eq(snapshot, given))
    };
    let held = Held::default();
    let newest = |number: usize| Arc::clone(&snapshots[number]);
    let given: Vec<_> = [0, 0, 1, 2, 3, 4, 5]
        .map(|number| held.one(newest(number)))
        .into();
    let places: Vec<_> = given.iter().map(place).collect();
    assert_eq!(places, [0, 0, 1, 2, 3, 3, 3].map(Some));
}

#[test]
fn what_nobody_reads_any_more_makes_room() {
    let held = Held::default();
    let mut reading: Vec<_> = (0..4).map(|_| held.one(Arc::default())).collect();
    let newest = Arc::<Snapshot>::default();
    assert!(!Arc::ptr_eq(&held.one(Arc::clone(&newest)), &newest));
    reading.remove(2);
    assert!(Arc::ptr_eq(&held.one(Arc::clone(&newest)), &newest));
}
