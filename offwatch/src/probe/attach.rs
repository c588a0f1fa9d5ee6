//! Attaching the programs of each hook.

use std::collections::HashMap;

use aya::{
    Btf as LoaderBtf, Ebpf,
    programs::{
        BtfTracePoint, LinkOrder, Program, RawTracePoint, SchedClassifier, TcAttachType,
        tc::{SchedClassifierLink, TcAttachOptions},
    },
    util::KernelVersion,
};

use nix::net::if_::{if_indextoname, if_nametoindex};

use super::error::{ProbeError, one_line};
use crate::sample::Hook;

/// Tracepoints, with the program for each as BTF and as raw tracepoint.
const TRACEPOINTS: [(&str, &str, &str); 4] = [
    ("netif_receive_skb", "ow_tp_receive", "ow_raw_receive"),
    ("net_dev_queue", "ow_tp_queue", "ow_raw_queue"),
    ("net_dev_start_xmit", "ow_tp_xmit", "ow_raw_xmit"),
    ("kfree_skb", "ow_tp_drop", "ow_raw_drop"),
];

const CLASSIFIERS: [(&str, TcAttachType); 2] = [
    ("ow_tc_ingress", TcAttachType::Ingress),
    ("ow_tc_egress", TcAttachType::Egress),
];

/// Loads the programs of `hook`, and attaches those that are global.
pub(super) fn attach(ebpf: &mut Ebpf, hook: Hook, btf: &LoaderBtf) -> Result<TcLinks, ProbeError> {
    match hook {
        Hook::Tp => {
            for (tracepoint, name, _) in TRACEPOINTS {
                let program: &mut BtfTracePoint = program(ebpf, name)?;
                program
                    .load(tracepoint, btf)
                    .and_then(|()| program.attach().map(drop))
                    .map_err(|error| ProbeError::program(hook, error))?;
            }
        }
        Hook::Raw => {
            for (tracepoint, _, name) in TRACEPOINTS {
                let program: &mut RawTracePoint = program(ebpf, name)?;
                program
                    .load()
                    .and_then(|()| program.attach(tracepoint).map(drop))
                    .map_err(|error| ProbeError::program(hook, error))?;
            }
        }
        Hook::Tc => {
            // Before tcx only a clsact qdisc would do. It would survive a kill of
            // offwatch, and makes libvirt fail to start a VM with a bandwidth limit.
            let version = KernelVersion::current().map_err(|error| ProbeError::Unsupported {
                hook,
                reason: one_line(&error),
            })?;
            if version < KernelVersion::new(6, 6, 0) {
                return Err(ProbeError::Unsupported {
                    hook,
                    reason: "needs tcx, which Linux has since 6.6".into(),
                });
            }
            for (name, _) in CLASSIFIERS {
                let program: &mut SchedClassifier = program(ebpf, name)?;
                program
                    .load()
                    .map_err(|error| ProbeError::program(hook, error))?;
            }
        }
    }
    Ok(TcLinks::default())
}

/// A program of the object.
pub(super) fn program<'ebpf, P>(
    ebpf: &'ebpf mut Ebpf,
    name: &'static str,
) -> Result<&'ebpf mut P, ProbeError>
where
    &'ebpf mut P: TryFrom<&'ebpf mut Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(ProbeError::Incomplete(name))
}

/// tcx links, by ifindex. Dropping one detaches the program.
#[derive(Default)]
pub(super) struct TcLinks {
    links: HashMap<u32, Vec<SchedClassifierLink>>,
}

impl TcLinks {
    pub(super) fn attach(&mut self, ebpf: &mut Ebpf, ifindex: u32) -> Result<(), String> {
        // aya takes a name, which may have passed to another interface.
        let name = if_indextoname(ifindex).map_err(|error| format!("it is gone: {error}"))?;
        let dev = name.to_str().map_err(|_| "its name is not UTF-8")?;
        let mut links = Vec::with_capacity(CLASSIFIERS.len());
        for (name, direction) in CLASSIFIERS {
            let program: &mut SchedClassifier =
                program(ebpf, name).map_err(|error| error.to_string())?;
            let options = TcAttachOptions::TcxOrder(LinkOrder::default());
            let link = program
                .attach_with_options(dev, direction, options)
                .and_then(|id| program.take_link(id))
                .map_err(|error| format!("tcx cannot be attached: {}", one_line(&error)))?;
            links.push(link);
        }
        if if_nametoindex(dev) != Ok(ifindex) {
            return Err("it was renamed while tcx was being attached".into());
        }
        self.links.insert(ifindex, links);
        Ok(())
    }

    pub(super) fn detach(&mut self, ifindex: u32) {
        self.links.remove(&ifindex);
    }
}
