//! `offwatch fleet top`.

use super::{code, print, print_json, survey::Survey};
use crate::{
    cli::fleet::FleetTopArgs,
    error::Error,
    filter::Filter,
    fleet::{
        Series, Top, query,
        rows::{CARD_RATES, NOW, Rows, VM_RATES, Vm},
        span::{SAMPLED, Spans, TOLD},
    },
    rank::Order,
};

/// VMs that one query names.
const MOST_NAMES: usize = 500;

/// Asks, and prints; the exit code.
pub(super) async fn run(args: &FleetTopArgs) -> Result<u8, Error> {
    let filter = Filter::new(&args.prometheus.vm, &args.dev)?;
    let survey = Survey::new(&args.prometheus)?;
    let mut every = args.interval.map(tokio::time::interval);
    let mut left = args.iterations;
    loop {
        if let Some(every) = &mut every {
            every.tick().await;
        }
        let top = once(args, &survey, &filter).await?;
        match args.prometheus.json {
            true => print_json(&top.json(), every.is_some())?,
            false => print(&top.text())?,
        }
        left = left.map(|left| left.saturating_sub(1));
        if every.is_none() || left == Some(0) {
            return Ok(code(&args.prometheus, !top.fleet.stale_hosts.is_empty()));
        }
        if !args.prometheus.json {
            print("\n")?;
        }
    }
}

async fn once(args: &FleetTopArgs, survey: &Survey<'_>, filter: &Filter) -> Result<Top, Error> {
    let (moment, mut fleet) = survey.hosts().await?;
    let window_s = args.window.as_secs();
    let mut rows = Rows::of(&fleet.hosts);
    let mut warnings = Vec::new();
    for batch in query::batches(&fleet.hosts) {
        let of_hosts = query::of_hosts(batch.iter().map(|host| &host.target));
        let mut ask = async |queries: Vec<String>| -> Result<Vec<Vec<Series>>, Error> {
            let answers = moment.ask(queries).await?.into_iter().map(|answer| {
                warnings.extend(answer.warnings);
                answer.series
            });
            Ok(answers.collect())
        };
        // One counter of each kind tells when what has them was there.
        let counters = [CARD_RATES[0].0, VM_RATES[0].0];
        let mut queries = vec![
            query::metrics(&NOW, &of_hosts),
            query::samples(&[SAMPLED, TOLD], window_s, &of_hosts),
        ];
        queries.extend(counters.map(|counter| query::counts(counter, window_s, &of_hosts)));
        let answers = ask(queries).await?;
        let [now, stamps, counts @ ..] = &answers[..] else {
            unreachable!("an answer for each query")
        };
        rows.learn(now);
        let mut spans = [
            Spans::new(&[SAMPLED], stamps),
            Spans::new(&[TOLD, SAMPLED], stamps),
        ];
        for ((spans, counter), counts) in spans.iter_mut().zip(counters).zip(counts) {
            let names: Vec<String> = spans.lacking(counts).into_iter().collect();
            let portions = names.chunks(MOST_NAMES).map(|names| {
                let of_vms = query::any_of("vm", names.iter().map(String::as_str));
                query::samples(&[counter], window_s, &format!("{of_hosts},{of_vms}"))
            });
            let late = ask(portions.collect()).await?;
            late.iter().for_each(|series| spans.learn(series));
        }
        let [of_cards, of_vms] = spans;
        rows.cover(batch, &of_cards);
        let (cards, vms) = (of_cards.terms(), of_vms.terms());
        let of_cards_asked = CARD_RATES.map(|(counter, _)| query::rates(counter, "vm,dev", &cards));
        let of_vms_asked = VM_RATES.map(|(counter, _)| query::rates(counter, "vm", &vms));
        let queries = of_cards_asked.iter().chain(&of_vms_asked).flatten();
        let mut answers = ask(queries.cloned().collect()).await?.into_iter();
        for (rate, asked) in CARD_RATES.into_iter().zip(&of_cards_asked) {
            for series in answers.by_ref().take(asked.len()) {
                rows.card_rates(rate, &series, &of_cards);
            }
        }
        for (rate, asked) in VM_RATES.into_iter().zip(&of_vms_asked) {
            for series in answers.by_ref().take(asked.len()) {
                rows.vm_rates(rate, &series, &of_vms);
            }
        }
    }
    let mut vms = rows.vms();
    fleet.warn(&warnings);
    if fleet.stale_hosts.is_empty() {
        filter.check_names(
            || vms.iter().map(|vm| &*vm.name),
            || {
                vms.iter()
                    .flat_map(|vm| vm.cards.keys())
                    .map(String::as_str)
            },
        )?;
    }
    vms.retain_mut(|vm| narrow(vm, filter));
    let order = Order {
        key: args.sort,
        is_reversed: args.reverse,
    };
    Ok(Top::new(fleet, vms, order, args.limit, window_s))
}

/// Leaves the cards that are wanted; whether the VM is.
fn narrow(vm: &mut Vm, filter: &Filter) -> bool {
    let name = Some(&*vm.name);
    vm.cards.retain(|dev, _| filter.shows(name, Some(dev)));
    filter.shows(name, None) && !(vm.cards.is_empty() && filter.chooses_devices())
}
