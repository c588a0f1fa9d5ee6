//! The column of states.

use crate::sample::VmState;

/// virt-top's letter for a state.
pub(super) fn letter(state: VmState) -> char {
    match state {
        VmState::Unknown => '?',
        VmState::Running => 'R',
        VmState::Blocked => 'S',
        VmState::Paused => 'P',
        VmState::Shutdown => 'D',
        VmState::Shutoff => 'O',
        VmState::Crashed => 'X',
        VmState::Suspended => 'M',
    }
}
