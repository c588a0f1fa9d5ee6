//! Bandwidth limits as libvirt sets them, and what people build with ifb, keep
//! working while offwatch counts.

use std::time::Duration;

use anyhow::{Result, ensure};
use offwatch_tests::{
    Lab,
    command::run,
    frames::FrameSpec,
    observer::{Observer, Seen, grown, hooks},
    quiet::wait_until,
    skip_unless_lab,
};

const HOOKS: [&str; 3] = ["tp", "raw", "tc"];
const FRAMES: u64 = 3_000;

/// A limit on what the guest sends.
#[derive(Clone, Copy, Debug)]
enum Policer {
    /// `<outbound>` of a libvirt interface: an ingress qdisc with u32 and police.
    Libvirt,
    /// An ingress qdisc that sends frames through an ifb device with a shaper.
    Ifb,
}

impl Policer {
    fn commands(self, tap: &str) -> Vec<String> {
        let ingress = format!("tc qdisc add dev {tap} ingress");
        let filter = format!("tc filter add dev {tap} parent ffff: protocol all u32 match u32 0 0");
        match self {
            Self::Libvirt => vec![
                ingress,
                format!("{filter} police rate 10kbps burst 10kb mtu 64kb drop flowid :1"),
            ],
            Self::Ifb => vec![
                "ip link add ifb0 type ifb".into(),
                "ip link set ifb0 up".into(),
                "tc qdisc add dev ifb0 root tbf rate 80kbit burst 10kb limit 20kb".into(),
                ingress,
                format!("{filter} action mirred egress redirect dev ifb0"),
            ],
        }
    }

    /// Those that this kernel can do.
    fn available() -> Result<Vec<Self>> {
        let lab = Lab::new()?;
        let supported = |policer: &Self| {
            let set_up = |command: &String| execute(&lab, command).map(drop);
            let tap = format!("try{policer:?}").to_lowercase();
            let added = execute(&lab, &format!("ip tuntap add {tap} mode tap"));
            let result = added.and_then(|_| policer.commands(&tap).iter().try_for_each(set_up));
            if let Err(error) = &result {
                eprintln!("skipped: {policer:?} policer: {error:#}");
            }
            result.is_ok()
        };
        Ok([Self::Libvirt, Self::Ifb]
            .into_iter()
            .filter(supported)
            .collect())
    }
}

fn execute(lab: &Lab, command: &str) -> Result<String> {
    run(lab.host(), &command.split(' ').collect::<Vec<_>>())
}

#[test]
fn a_policer_still_polices_and_its_frames_are_counted_once() -> Result<()> {
    skip_unless_lab!();
    let policers = Policer::available()?;
    ensure!(
        !policers.is_empty(),
        "this kernel can limit ingress in no way"
    );
    for policer in policers {
        for hook in hooks(&HOOKS) {
            let mut lab = Lab::new()?;
            lab.add_guests(&["web", "db"])?;
            let observer = Observer::start(lab.host(), &["--hook", hook])?;
            // As when a VM with a limit starts while offwatch runs.
            for command in policer.commands(lab.guest(0).tap()) {
                execute(&lab, &command)?;
            }
            lab.wait_quiet()?;
            let before = Seen::of(&observer.now()?, lab.guest(0))?;
            let received_before = lab.guest(1).truth_to_vm().packets;
            send(&lab)?;
            let after = Seen::of(&observer.now()?, lab.guest(0))?;

            let what = format!("{policer:?}, {hook}");
            let counted = grown(&after.from_vm, &before.from_vm, "packets_total")?;
            assert_eq!(counted, FRAMES, "{what}: every frame is counted, and once");
            let passed = || lab.guest(1).truth_to_vm().packets - received_before;
            // A shaper behind ifb sends from a softirq, in its own time.
            let what_passes = format!("{what}: the burst passes");
            wait_until(&what_passes, Duration::from_secs(5), || Ok(passed() > 0))?;
            let passed = passed();
            assert!(
                passed < FRAMES / 2,
                "{what}: {passed} of {FRAMES} passed the policer"
            );
        }
    }
    Ok(())
}

/// `<inbound>` of a libvirt interface: htb at the root of the tap.
#[test]
fn a_shaper_still_shapes() -> Result<()> {
    skip_unless_lab!();
    for hook in hooks(&HOOKS) {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web", "db"])?;
        let observer = Observer::start(lab.host(), &["--hook", hook])?;
        let tap = lab.guest(1).tap().to_owned();
        execute(
            &lab,
            &format!("tc qdisc replace dev {tap} root handle 1: htb default 1"),
        )?;
        execute(
            &lab,
            &format!("tc class add dev {tap} parent 1: classid 1:1 htb rate 80kbit quantum 1514"),
        )?;
        execute(
            &lab,
            &format!("tc qdisc add dev {tap} parent 1:1 pfifo limit 50"),
        )?;
        lab.wait_quiet()?;
        let received_before = lab.guest(1).truth_to_vm().packets;
        let before = Seen::of(&observer.now()?, lab.guest(1))?;
        send(&lab)?;
        let passed = lab.guest(1).truth_to_vm().packets - received_before;
        assert!(
            passed < FRAMES / 2,
            "{hook}: {passed} of {FRAMES} passed the shaper"
        );
        if hook != "tc" {
            let after = Seen::of(&observer.now()?, lab.guest(1))?;
            let drops = grown(&after.to_vm, &before.to_vm, "drops_total")?;
            assert!(drops >= FRAMES / 2, "{hook}: {drops} drops are shown");
        }
        // The limit can be changed and removed while offwatch looks on.
        execute(
            &lab,
            &format!(
                "tc class change dev {tap} parent 1: classid 1:1 htb rate 90kbit quantum 1514"
            ),
        )?;
        execute(&lab, &format!("tc qdisc del dev {tap} root"))?;
    }
    Ok(())
}

fn send(lab: &Lab) -> Result<()> {
    let (from, to) = (lab.guest(0).config(), lab.guest(1).config());
    let (frame, header) = FrameSpec::udp4((from.mac, from.ip4), (to.mac, to.ip4), 1_000).build()?;
    (0..FRAMES).try_for_each(|_| lab.guest(0).inject(&frame, header))
}
