//! What a connection does, and how long it may.

use std::cell::Cell;

use tokio::time::Instant;

use super::limits::Limits;

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The client makes its request, after a TLS handshake of a new connection.
    Head,
    /// The client gets its answer.
    Answer,
    /// It had one, and asks nothing.
    Idle,
    /// All was sent; the client is to end it.
    Closing,
}

/// Kept by all that have to do with a connection.
#[derive(Debug)]
pub(super) struct Progress {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// The answer is made; parts of it may have to be sent yet.
    is_made: Cell<bool>,
    /// The client sent something after its request: it is in its next one.
    is_ahead: Cell<bool>,
    is_cut_off: Cell<bool>,
}

impl Progress {
    /// Of a new connection.
    pub(super) fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Head),
            since: Cell::new(Instant::now()),
            is_made: Cell::new(false),
            is_ahead: Cell::new(false),
            is_cut_off: Cell::new(false),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// When that has lasted too long.
    pub(super) fn deadline(&self, limits: &Limits) -> Instant {
        let time = match self.phase() {
            Phase::Head => limits.head,
            Phase::Answer => limits.answer,
            Phase::Idle => limits.idle,
            Phase::Closing => limits.closing,
        };
        self.since.get() + time
    }

    /// It does something else from now on.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// There is a whole request.
    pub(super) fn asked(&self) {
        self.is_made.set(false);
        self.is_ahead.set(false);
        self.enter(Phase::Answer);
    }

    /// There is nothing to be added to the answer.
    pub(super) fn made(&self) {
        self.is_made.set(true);
    }

    /// The client sent something.
    pub(super) fn received(&self) {
        match self.phase() {
            Phase::Idle => self.enter(Phase::Head),
            Phase::Answer => self.is_ahead.set(true),
            Phase::Head | Phase::Closing => {}
        }
    }

    /// The kernel has all that there was to send.
    pub(super) fn flushed(&self) {
        if self.phase() == Phase::Answer && self.is_made.get() {
            self.enter(match self.is_ahead.get() {
                true => Phase::Head,
                false => Phase::Idle,
            });
        }
    }

    /// The client is not to take a part of an answer for all of it.
    pub(super) fn cut_off(&self) {
        self.is_cut_off.set(true);
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off.get()
    }
}
