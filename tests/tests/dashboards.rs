//! The dashboards for Grafana: their form, and that each of their queries finds data in a
//! Prometheus that scrapes a host with everything they show.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use offwatch_tests::{
    GuestConfig, Lab, Netns, Offloads,
    domains::{Domain, TestDriver},
    guest::Family,
    observer::{doctor, offwatch},
    prometheus::{self, Exporter, Prometheus, connect},
    quiet::wait_until,
    skip::{left_out, skipped},
    skip_unless_lab,
    tap::Tap,
    traffic::{TcpFlow, TcpOptions},
};
use serde_json::Value;
use tempfile::TempDir;

const DASHBOARDS: [&str; 3] = ["fleet", "vm", "host"];
/// A window of advice and some scrapes, on an idle machine.
const PATIENCE: Duration = Duration::from_secs(8);
/// The VM whose page is looked at.
const VM: &str = "legacy";

/// Queries that find nothing in this lab, by a metric in them, and why.
const EMPTY: [(&str, &str); 8] = [
    (NOT_TIMED, "segmentation is not timed on this kernel"),
    (
        "offwatch_vm_vhost_cpu_seconds_total",
        "no vhost carries frames of the lab's guests",
    ),
    (
        "offwatch_vm_cpu_seconds_total",
        "libvirt's test driver tells of no CPU time",
    ),
    (
        "offwatch_vm_memory_bytes",
        "libvirt's test driver tells of no memory",
    ),
    (
        "offwatch_vm_memory_maximum_bytes",
        "libvirt's test driver tells of no memory",
    ),
    (
        "offwatch_vm_vcpus",
        "libvirt's test driver tells of no virtual CPUs",
    ),
    (
        "offwatch_vm_disk_",
        "domains of libvirt's test driver have no disks",
    ),
    (
        "offwatch_host_checksum_byte_cost_seconds",
        "nothing is checksummed but while it is cut",
    ),
];
/// Of these: only where the kernel does not let it be timed.
const NOT_TIMED: &str = "offwatch_host_segment_cost_seconds";

#[derive(Debug)]
struct Query {
    of: String,
    expression: String,
}

fn dashboard(name: &str) -> Result<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib/grafana");
    let text = fs::read_to_string(directory.join(format!("offwatch-{name}.json")))?;
    serde_json::from_str(&text).with_context(|| name.to_owned())
}

fn list<'json>(value: &'json Value, key: &str) -> Result<&'json Vec<Value>> {
    value[key].as_array().with_context(|| format!("no {key}"))
}

fn text<'json>(value: &'json Value, key: &str) -> Result<&'json str> {
    value[key]
        .as_str()
        .with_context(|| format!("no {key} in {value}"))
}

/// As Grafana would send it for the lab.
fn expression(text: &str, host: &str) -> String {
    [
        ("$__rate_interval", "20s"),
        ("$__range", "1m"),
        ("$__interval", "1s"),
        ("$host", host),
        ("$vm", VM),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn queries(host: &str) -> Result<Vec<Query>> {
    let mut found = Vec::new();
    for name in DASHBOARDS {
        let board = dashboard(name)?;
        for panel in list(&board, "panels")? {
            for target in panel["targets"].as_array().into_iter().flatten() {
                found.push(Query {
                    of: format!(
                        "{name}: {} {}",
                        text(panel, "title")?,
                        text(target, "refId")?
                    ),
                    expression: expression(text(target, "expr")?, host),
                });
            }
        }
        for variable in list(&board["templating"], "list")? {
            let asked = text(variable, "name")?;
            let query = variable["query"]["query"].as_str().unwrap_or_default();
            let Some(of) = query.strip_prefix("label_values(") else {
                ensure!(variable["type"] == "datasource", "{asked}: {query}");
                continue;
            };
            let (series, label) = of.rsplit_once(", ").context("series and label")?;
            let label = label.trim_end_matches(')');
            let expression = format!("count by ({label}) ({})", expression(series, host));
            let of = format!("{name}: variable {asked}");
            found.push(Query { of, expression });
        }
    }
    Ok(found)
}

/// Where a data source is named.
fn sources<'json>(value: &'json Value, found: &mut Vec<&'json Value>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("datasource"));
            map.values().for_each(|value| sources(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| sources(value, found)),
        _ => {}
    }
}

/// Where the fields of a panel lead, by field.
fn links(panel: &Value) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let config = &panel["fieldConfig"];
    let mut take = |of: &str, links: &Value| -> Result<()> {
        for link in links.as_array().into_iter().flatten() {
            found.push((of.to_owned(), text(link, "url")?.to_owned()));
        }
        Ok(())
    };
    take("all", &config["defaults"]["links"])?;
    for field in list(config, "overrides")? {
        let of = text(&field["matcher"], "options")?;
        for property in list(field, "properties")? {
            if property["id"] == "links" {
                take(of, &property["value"])?;
            }
        }
    }
    Ok(found)
}

/// Another dashboard with all of its variables, or a rule's section in the manual.
fn is_known(url: &str) -> bool {
    const RULES: &str = "https://github.com/offwatch/offwatch/blob/main/docs/rules.md#";
    let has = |part: &str| url.contains(&format!("var-{part}=${{"));
    match url.strip_prefix("/d/offwatch-") {
        Some(page) if page.starts_with("vm?") => has("datasource") && has("host") && has("vm"),
        Some(page) if page.starts_with("host?") => has("datasource") && has("host"),
        _ => url.starts_with(RULES),
    }
}

#[test]
fn dashboards_are_whole() -> Result<()> {
    let mut uids = BTreeSet::new();
    for name in DASHBOARDS {
        let board = dashboard(name)?;
        ensure!(
            board["schemaVersion"].as_u64() >= Some(36),
            "{name}: Grafana 9"
        );
        ensure!(board["id"].is_null(), "{name}: an id of one Grafana");
        ensure!(
            uids.insert(text(&board, "uid")?.to_owned()),
            "{name}: its uid"
        );
        let mut named = Vec::new();
        sources(&board, &mut named);
        for source in named {
            let uid = text(source, "uid")?;
            let known = ["${datasource}", "-- Grafana --"];
            ensure!(known.contains(&uid), "{name}: data source {uid}");
        }
        let variables = list(&board["templating"], "list")?;
        ensure!(variables[0]["type"] == "datasource", "{name}: variables");
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&board, "panels")? {
            let title = text(panel, "title")?;
            ensure!(ids.insert(panel["id"].as_u64()), "{name}: {title}: its id");
            let place = |key| panel["gridPos"][key].as_u64().context("a place");
            let (left, top) = (place("x")?, place("y")?);
            ensure!(left + place("w")? <= 24, "{name}: {title} is too wide");
            for column in left..left + place("w")? {
                for line in top..top + place("h")? {
                    let is_free = cells.insert((column, line));
                    ensure!(is_free, "{name}: {title} is upon another panel");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            ensure!(text(panel, "description")?.len() > 10, "{name}: {title}");
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            ensure!(
                unit.as_str().is_some_and(|it| !it.is_empty()),
                "{name}: {title}"
            );
            let targets = list(panel, "targets")?;
            for target in targets {
                // Else each step of a graph has a ten of its own.
                let is_ranked = text(target, "expr")?.contains("topk(");
                ensure!(
                    !is_ranked
                        || target["instant"] == true
                        || target["expr"].to_string().contains("@ end()"),
                    "{name}: {title}: more than ten"
                );
            }
            let links = links(panel)?;
            for (of, url) in &links {
                ensure!(is_known(url), "{name}: {title}: {of} leads to {url}");
            }
            let renamed = &panel["transformations"][1]["options"]["renameByName"];
            for of in ["VM", "Rule"] {
                let is_shown = renamed
                    .as_object()
                    .is_some_and(|map| map.values().any(|it| it == of));
                let is_own = name == "vm" && of == "VM";
                ensure!(
                    !is_shown || is_own || links.iter().any(|(field, _)| field == of),
                    "{name}: {title}: {of} leads nowhere"
                );
            }
            let refs: BTreeSet<_> = targets.iter().map(|it| it["refId"].as_str()).collect();
            ensure!(refs.len() == targets.len() && !refs.is_empty(), "{title}");
        }
    }
    Ok(())
}

/// A host on which there is everything that a dashboard shows.
struct Host {
    lab: Lab,
    driver: TestDriver,
    directory: TempDir,
    _tap: Tap,
}

impl Host {
    fn new() -> Result<Self> {
        let mut lab = Lab::new()?;
        lab.add_guests(&["web"])?;
        let mut legacy = GuestConfig::new(VM, 2);
        // GSO by IPv6 alone: frames by IPv4 are cut for it.
        legacy.offloads = Offloads {
            tso6: true,
            ..Offloads::CSUM_ONLY
        };
        lab.add_guest(legacy)?;
        let mut plain = GuestConfig::new("plain", 3);
        plain.offloads = Offloads::NONE;
        lab.add_guest(plain)?;
        let mut domains: Vec<_> = lab.guests().iter().map(Domain::of).collect();
        // A card that there is no interface of.
        domains[1]
            .interfaces
            .push(("owgone".into(), [0x52, 0x54, 0, 0x12, 9, 9]));
        let host = Self {
            _tap: Tap::create(lab.host(), "unowned", 1)?,
            driver: TestDriver::new(&domains)?,
            lab,
            directory: tempfile::tempdir()?,
        };
        host.apply("gro", &[])?;
        host.apply("sg", &["--confirm", "600s", "--detach"])?;
        Ok(host)
    }

    fn state_dir(&self) -> Result<String> {
        let path = self.directory.path().join("state");
        Ok(path.to_str().context("a path of plain text")?.to_owned())
    }

    /// Switches a feature off by a policy.
    fn apply(&self, feature: &str, args: &[&str]) -> Result<()> {
        let policy = self.directory.path().join(format!("{feature}.toml"));
        let rule = format!("match = {{ device = 'owtap1' }}\nfeatures = {{ {feature} = false }}");
        fs::write(&policy, format!("version = 1\n[[rule]]\n{rule}\n"))?;
        let mut apply = offwatch(self.lab.host(), &["enforce", "--apply", "--policy"])?;
        apply
            .arg(policy)
            .args(["--state-dir", &self.state_dir()?])
            .args(args);
        let output = apply.output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    }

    fn traffic(&self) -> Result<Vec<TcpFlow>> {
        // Enough for advice to notice what is cut.
        let flows = [
            (0, 1, Family::V4, 120_000_000),
            (0, 1, Family::V6, 10_000_000),
            (1, 0, Family::V4, 10_000_000),
            (0, 2, Family::V4, 10_000_000),
        ];
        let flows = flows
            .into_iter()
            .map(|(from, to, family, bits_per_second)| {
                let mut options = TcpOptions::new(family, 0);
                options.bits_per_second = Some(bits_per_second);
                let [from, to] = [from, to].map(|number| self.lab.guest(number).endpoint());
                TcpFlow::start(&from, &to, options)
            });
        flows.collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The watchdog of what is not confirmed: nothing it could take back is left.
        let Ok(state_dir) = self.state_dir() else {
            return;
        };
        let args = ["enforce", "rollback", "--state-dir", &state_dir];
        let _ = offwatch(self.lab.host(), &args).map(|mut command| command.output());
    }
}

#[test]
fn each_query_finds_data() -> Result<()> {
    skip_unless_lab!();
    if let Some(reason) = prometheus::lacking() {
        skipped(&reason);
        return Ok(());
    }
    let host = Host::new()?;
    let prometheus_ns = Netns::new()?;
    let address: Ipv4Addr = connect(&prometheus_ns, host.lab.host(), 1)?;
    let address = SocketAddr::from((address, 9953));
    let (uri, state_dir) = (host.driver.uri(), host.state_dir()?);
    let args = ["-c", &uri, "--state-dir", &state_dir, "--bpf-stats"];
    let _exporter = Exporter::start(host.lab.host(), address, &args)?;
    let config = prometheus::config("1s", &[address], &[]);
    let prometheus = Prometheus::start(&prometheus_ns, &config, &[])?;
    let _traffic = host.traffic()?;
    let is_timed = doctor(host.lab.host())?["exact"]["segmentation"]["method"].is_string();
    let mut wanted = queries(&address.to_string())?;
    let mut nothing = Vec::new();
    wanted.retain(|query| {
        let asks = |metric| query.expression.contains(metric);
        let why = EMPTY.iter().find(|(metric, _)| asks(metric));
        let why = why.filter(|(metric, _)| !is_timed || *metric != NOT_TIMED);
        nothing.extend(why.map(|(_, why)| (query.of.clone(), query.expression.clone(), *why)));
        why.is_none()
    });
    let all = wait_until("data for each query", PATIENCE, || {
        let mut failed = None;
        wanted.retain(|query| match prometheus.query(&query.expression) {
            Ok(found) => found.is_empty(),
            Err(error) => {
                failed = Some(error);
                true
            }
        });
        failed.map_or(Ok(wanted.is_empty()), Err)
    });
    all.with_context(|| format!("{wanted:#?}"))?;
    for (of, expression, why) in nothing {
        let found = prometheus.query(&expression)?;
        ensure!(found.is_empty(), "{of} finds data");
        left_out(&format!("{of}: {why}"));
    }
    Ok(())
}
