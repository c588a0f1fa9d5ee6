//! What offwatch saw in a window.

use super::Scene;
use anyhow::{Context, Result, ensure};
use offwatch::{
    advise::{Report, Rule, Window, catalogue, evaluate, window::Port},
    sample::Sample,
};

/// A window, and what `offwatch advise` said of the same time.
pub(crate) struct Seen {
    pub(super) samples: (Sample, Sample),
    pub(super) report: Report,
    /// The report as it was printed.
    pub(super) printed: Vec<u8>,
}

impl Seen {
    /// What all rules say of the window.
    pub(super) fn evaluated(&self) -> Report {
        evaluate(&self.window(), &catalogue::rules())
    }

    /// What is said without a rule.
    pub(super) fn without(&self, id: &str) -> Result<Report> {
        let mut rules: Vec<&Rule> = catalogue::rules();
        let all = rules.len();
        rules.retain(|rule| rule.id != id);
        ensure!(rules.len() + 1 == all, "there is no rule {id}");
        Ok(evaluate(&self.window(), &rules))
    }

    fn window(&self) -> Window<'_> {
        Window::new(&self.samples.0, &self.samples.1)
    }

    /// Looks at an interface.
    pub(crate) fn port<T>(&self, dev: &str, look: impl FnOnce(&Port<'_>) -> T) -> Result<T> {
        let window = self.window();
        let mut ports = window.ports.iter();
        let found = ports.find(|port| port.dev() == dev);
        found
            .map(look)
            .with_context(|| format!("{dev} was not seen"))
    }
}

/// Super-frames were carried, and the host had no work with any frame.
pub(crate) fn all_whole(scene: &Scene, seen: &Seen) -> Result<()> {
    let mut whole = 0;
    for guest in scene.lab.guests() {
        let (gso, cut) = seen.port(guest.tap(), |port| (port.to.gso_packets, port.cut()))?;
        ensure!(cut == 0, "{cut} segments were cut for {}", guest.name());
        whole += gso;
    }
    ensure!(whole > 0, "no super-frame");
    Ok(())
}
