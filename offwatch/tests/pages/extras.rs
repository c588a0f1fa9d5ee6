//! What manual pages have beside what the command line knows of itself.

pub(crate) struct Extra {
    /// The page that it is of.
    pub(crate) page: &'static str,
    /// Variables, and what they are for.
    pub(crate) environment: &'static [(&'static str, &'static str)],
    /// Paths, and what is there.
    pub(crate) files: &'static [(&'static str, &'static str)],
    pub(crate) examples: &'static [Example],
    /// Pages of other programs, with their section.
    pub(crate) see_also: &'static [&'static str],
}

pub(crate) struct Example {
    pub(crate) command: &'static str,
    pub(crate) does: &'static str,
}

const fn example(command: &'static str, does: &'static str) -> Example {
    Example { command, does }
}

const POLICY: (&str, &str) = (
    "/etc/offwatch/policy.toml",
    "The policy of enforce, written by the administrator. Root's, and writable by nobody else.",
);
const STATE: (&str, &str) = (
    "/var/lib/offwatch",
    "The journal of all changes, by which they are taken back, and the audit log. Of enforce \
     and trial, and made by them.",
);

pub(crate) const EXTRAS: &[Extra] = &[
    Extra {
        page: "offwatch",
        environment: &[],
        files: &[POLICY, STATE],
        examples: &[
            example(
                "offwatch doctor",
                "Tell what can be observed here, and what keeps the rest.",
            ),
            example(
                "offwatch top -4",
                "Show, live, what offloads do for each VM.",
            ),
            example(
                "offwatch advise",
                "Observe for 30 seconds and say what to change.",
            ),
        ],
        see_also: &["ethtool(8)", "virt-top(1)", "virsh(1)"],
    },
    Extra {
        page: "offwatch-top",
        environment: &[("NO_COLOR", "If it is set, --color auto means never.")],
        files: &[(
            "~/.virt-toprc",
            "Settings, as virt-top has them; --init-file names another one. The command line wins.",
        )],
        examples: &[
            example(
                "offwatch top --once --vm 'db-*'",
                "Print one interval of some VMs.",
            ),
            example(
                "offwatch top --stream --json -n 10 -d 1",
                "Print ten JSON objects, one a second and a line.",
            ),
            example(
                "offwatch top --record night.zst",
                "Keep all samples while they are shown.",
            ),
            example(
                "offwatch top --replay night.zst",
                "Show them again; this needs no privilege.",
            ),
        ],
        see_also: &["virt-top(1)", "ethtool(8)"],
    },
    Extra {
        page: "offwatch-advise",
        environment: &[],
        files: &[],
        examples: &[
            example(
                "offwatch advise --window 2m --vm web",
                "Observe for two minutes, tell of one VM.",
            ),
            example(
                "offwatch advise --json | offwatch enforce --from -",
                "Tell what following the advice would change.",
            ),
            example(
                "offwatch advise --exit-code --json",
                "For scripts: ends with 3 if there is something to do.",
            ),
        ],
        see_also: &["offwatch-trial(1)", "offwatch-enforce(1)", "ethtool(8)"],
    },
    Extra {
        page: "offwatch-advise-explain",
        environment: &[],
        files: &[],
        examples: &[example(
            "offwatch advise explain tap-no-tso",
            "Print what is behind a rule.",
        )],
        see_also: &[],
    },
    Extra {
        page: "offwatch-enforce",
        environment: &[],
        files: &[POLICY, STATE],
        examples: &[
            example("offwatch enforce", "Tell what the policy would change."),
            example(
                "offwatch enforce --apply --confirm 120s",
                "Change it, and take it back unless it is confirmed in time.",
            ),
            example("offwatch enforce confirm", "Keep it."),
            example(
                "offwatch enforce --watch",
                "Keep it so; systemd's offwatch-enforce.service does this.",
            ),
        ],
        see_also: &["offwatch-advise(1)", "ethtool(8)", "systemctl(1)"],
    },
    Extra {
        page: "offwatch-enforce-status",
        environment: &[],
        files: &[STATE],
        examples: &[example(
            "offwatch enforce status --all",
            "List all commits.",
        )],
        see_also: &[],
    },
    Extra {
        page: "offwatch-enforce-undo",
        environment: &[],
        files: &[STATE],
        examples: &[
            example("offwatch enforce undo", "Take the last commit back."),
            example("offwatch enforce undo 3 4", "Take two commits back."),
        ],
        see_also: &[],
    },
    Extra {
        page: "offwatch-enforce-confirm",
        environment: &[],
        files: &[STATE],
        examples: &[],
        see_also: &[],
    },
    Extra {
        page: "offwatch-enforce-rollback",
        environment: &[],
        files: &[STATE],
        examples: &[],
        see_also: &[],
    },
    Extra {
        page: "offwatch-trial",
        environment: &[],
        files: &[STATE],
        examples: &[
            example(
                "offwatch trial --vm db --set tso=off",
                "Try one change on all cards of a VM.",
            ),
            example(
                "offwatch trial --vm db --recipe turn-it-off",
                "Try what articles say, one change after the other.",
            ),
        ],
        see_also: &[
            "offwatch-advise(1)",
            "offwatch-enforce-rollback(1)",
            "ethtool(8)",
        ],
    },
    Extra {
        page: "offwatch-export",
        environment: &[],
        files: &[STATE],
        examples: &[
            example(
                "offwatch export",
                "Listen on 127.0.0.1, as systemd's offwatch-export.service does.",
            ),
            example("offwatch export --once", "Print the metrics, and exit."),
            example(
                "offwatch export --textfile /var/lib/prometheus/node-exporter/offwatch.prom",
                "Leave them where node_exporter finds them.",
            ),
        ],
        see_also: &["offwatch-fleet(1)", "prometheus(1)", "systemd.socket(5)"],
    },
    Extra {
        page: "offwatch-fleet-top",
        environment: &[],
        files: &[],
        examples: &[example(
            "offwatch fleet top --prometheus http://prometheus:9090 --host 'kvm-*'",
            "Rank the VMs of some hosts by what software work costs.",
        )],
        see_also: &["offwatch-export(1)", "offwatch-top(1)"],
    },
    Extra {
        page: "offwatch-fleet-advise",
        environment: &[],
        files: &[],
        examples: &[example(
            "offwatch fleet advise --prometheus http://prometheus:9090 --exit-code",
            "For scripts: ends with 3 if there is something to do on a host.",
        )],
        see_also: &["offwatch-export(1)", "offwatch-advise(1)"],
    },
    Extra {
        page: "offwatch-features",
        environment: &[],
        files: &[],
        examples: &[example(
            "offwatch features tap0 web",
            "Tell of an interface, and of those of a VM.",
        )],
        see_also: &["ethtool(8)"],
    },
    Extra {
        page: "offwatch-doctor",
        environment: &[],
        files: &[
            (
                "/sys/kernel/btf/vmlinux",
                "Types of the running kernel, which the BPF programs need.",
            ),
            (
                "/sys/kernel/security/lockdown",
                "How far the kernel is locked down.",
            ),
        ],
        examples: &[example("offwatch doctor --json", "The same for programs.")],
        see_also: &["capabilities(7)"],
    },
];
