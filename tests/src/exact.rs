//! What tests of exact software work share.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    kernel,
    skip::{left_out, skipped},
    work::{Growth, Work},
};

/// Ways to see the calls of kernel functions.
pub const METHODS: [&str; 2] = ["fexit", "kprobe"];

/// Why a function's calls are not counted by `method` in a model, if they are not.
pub fn lacking(model: &Value, method: &str, function: &str) -> Result<Option<String>> {
    let host = &model["host"];
    if host["exact_hooks"][function] == format!("exact by {method}") {
        return Ok(None);
    }
    let reason = &host["unavailable"][format!("exact_hooks.{function}")];
    let reason = reason.as_str().context("null without a reason")?;
    Ok(Some(reason.to_owned()))
}

/// Tells what is not tested, and why. That is a fault on the kernels of the matrix,
/// which have both methods, unless they are locked down.
pub fn say(refused: &[String], some_work: bool) -> Result<()> {
    let must_work = std::env::var_os("OFFWATCH_VM").is_some() && !kernel::is_confidential();
    if must_work && !refused.is_empty() {
        bail!("this must work here: {}", refused.join("; "));
    }
    let say = if some_work { left_out } else { skipped };
    for reason in refused {
        let cause = match kernel::is_confidential() && reason.starts_with("kprobe") {
            true => ": lockdown=confidentiality refuses kprobes since Linux 5.4",
            false => "",
        };
        say(&format!("{reason}{cause}"));
    }
    Ok(())
}

/// Two guests that send to a third, observed by each method that this kernel has.
pub struct Scene {
    /// The scene itself.
    pub work: Work,
    /// Observer and method.
    methods: Vec<(usize, &'static str)>,
}

impl Scene {
    /// `None` if the kernel has no method.
    pub fn new(features: &[&str]) -> Result<Option<Self>> {
        let arguments = METHODS.map(|method| ["--exact", method]);
        let work = Work::new(features, &arguments.each_ref().map(|args| &args[..]))?;
        let (mut methods, mut refused) = (Vec::new(), Vec::new());
        for (observer, method) in METHODS.into_iter().enumerate() {
            match lacking(&work.model(observer)?, method, "segmentation")? {
                None => methods.push((observer, method)),
                Some(reason) => refused.push(reason),
            }
        }
        say(&refused, !methods.is_empty())?;
        Ok((!methods.is_empty()).then_some(Self { work, methods }))
    }

    /// What has grown, by method.
    pub fn growth(&self) -> Result<Vec<(&'static str, Vec<Growth>)>> {
        self.by_method(self.work.growth()?)
    }

    /// As [`Self::growth`], whatever is on its way.
    pub fn growth_now(&self) -> Result<Vec<(&'static str, Vec<Growth>)>> {
        self.by_method(self.work.growth_now()?)
    }

    fn by_method(&self, growth: Vec<Vec<Growth>>) -> Result<Vec<(&'static str, Vec<Growth>)>> {
        for (observer, method) in &self.methods {
            let missed = &self.work.model(*observer)?["host"]["exact_hooks"]["missed_calls_total"];
            assert_eq!(missed, 0, "{method}");
        }
        let method = |observer: usize| {
            let mut methods = self.methods.iter();
            methods
                .find(|(usable, _)| *usable == observer)
                .map(|(_, method)| *method)
        };
        let growth = growth.into_iter().enumerate();
        Ok(growth
            .filter_map(|(observer, guests)| Some((method(observer)?, guests)))
            .collect())
    }
}
