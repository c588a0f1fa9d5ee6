//! What an evaluation found, by what it is about: for a screen that shows rows.

use std::collections::{HashMap, HashSet};

use super::{
    Rule, Verdict, Window,
    advice::{Advice, Subject},
    evaluate,
};

/// What was found in a window.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Length of the window.
    pub seconds: f64,
    /// What is to be done, and what cannot be told.
    list: Vec<Advice>,
    by_vm: HashMap<String, Vec<usize>>,
    by_ifindex: HashMap<u32, Vec<usize>>,
    /// Interfaces with frames that were counted.
    counted: HashSet<u32>,
}

impl Findings {
    /// What rules find in a window.
    pub fn of(window: &Window<'_>, rules: &[&'static Rule]) -> Self {
        let mut list = evaluate(window, rules).advice;
        list.retain(|advice| advice.verdict != Verdict::Keep);
        let mut by_vm: HashMap<String, Vec<usize>> = HashMap::new();
        let mut by_ifindex: HashMap<u32, Vec<usize>> = HashMap::new();
        for (place, advice) in list.iter().enumerate() {
            let Subject { vm, ifindex, .. } = &advice.subject;
            if let Some(vm) = vm {
                by_vm.entry(vm.clone()).or_default().push(place);
            }
            if let Some(ifindex) = ifindex {
                by_ifindex.entry(*ifindex).or_default().push(place);
            }
        }
        let ports = window.ports.iter().filter(|port| port.has_traffic());
        Self {
            seconds: window.seconds,
            counted: ports.map(|port| port.found.ifindex).collect(),
            list,
            by_vm,
            by_ifindex,
        }
    }

    /// What is said of a VM and of its interfaces.
    pub fn of_vm(&self, name: &str) -> impl Iterator<Item = &Advice> {
        self.at(self.by_vm.get(name))
    }

    /// What is said of an interface.
    pub fn of_interface(&self, ifindex: u32) -> impl Iterator<Item = &Advice> {
        self.at(self.by_ifindex.get(&ifindex))
    }

    /// Whether frames of an interface were counted in the window.
    pub fn has_counted(&self, ifindex: u32) -> bool {
        self.counted.contains(&ifindex)
    }

    fn at<'a>(&'a self, places: Option<&'a Vec<usize>>) -> impl Iterator<Item = &'a Advice> {
        let places = places.into_iter().flatten();
        places.map(|place| &self.list[*place])
    }
}
