//! `offwatch fleet advise`.

use super::{code, print, print_json, survey::Survey};
use crate::{
    cli::fleet::FleetAdviseArgs,
    error::Error,
    filter::Filter,
    fleet::{
        FleetAdvice,
        advice::{ADVICE, CPUS},
        query,
    },
};

/// Asks, and prints; the exit code.
pub(super) async fn run(args: &FleetAdviseArgs) -> Result<u8, Error> {
    let filter = Filter::new(&args.prometheus.vm, &[])?;
    let survey = Survey::new(&args.prometheus)?;
    let (moment, mut fleet) = survey.hosts().await?;
    let mut of_all = [const { Vec::new() }; 2];
    let mut warnings = Vec::new();
    for batch in query::batches(&fleet.hosts) {
        let of_hosts = query::of_hosts(batch.iter().map(|host| &host.target));
        let queries = [ADVICE, CPUS].map(|name| query::metrics(&[name], &of_hosts));
        let answers = moment.ask(queries).await?;
        for (all, answer) in of_all.iter_mut().zip(answers) {
            all.extend(answer.series);
            warnings.extend(answer.warnings);
        }
    }
    fleet.warn(&warnings);
    let [advice, cpus] = of_all;
    let advice = FleetAdvice::new(fleet, &advice, &cpus, &filter);
    match args.prometheus.json {
        true => print_json(&advice.json(), false)?,
        false => print(&advice.text(args.keep))?,
    }
    let is_stale = !advice.fleet.stale_hosts.is_empty();
    Ok(code(&args.prometheus, advice.is_to_do() || is_stale))
}
