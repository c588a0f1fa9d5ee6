//! Which hosts there are.

use std::{collections::HashMap, slice};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    cli::fleet::PrometheusArgs,
    error::Error,
    filter::{Pattern, any, no_match, patterns},
    fleet::{
        Answer, Client, Fleet, FleetError, Series,
        hosts::{self, Heard, Host, Stale, Target},
        query,
    },
};

/// Queries that Prometheus is asked at a time.
const AT_ONCE: usize = 4;

/// Asks Prometheus about hosts.
pub(super) struct Survey<'a> {
    args: &'a PrometheusArgs,
    client: Client,
    wanted: Vec<Pattern>,
}

/// What Prometheus has at one moment.
pub(super) struct Moment<'a> {
    client: &'a Client,
    /// By its own clock: seconds since the epoch.
    now_s: f64,
}

impl<'a> Survey<'a> {
    /// Reads what is needed; nothing is asked yet.
    pub(super) fn new(args: &'a PrometheusArgs) -> Result<Self, Error> {
        Ok(Self {
            args,
            wanted: patterns("host", &args.host)?,
            client: Client::new(args)?,
        })
    }

    /// The hosts of now, and the moment at which all else is to be asked.
    pub(super) async fn hosts(&self) -> Result<(Moment<'_>, Fleet), Error> {
        let now = self.client.query("vector(time())", None).await?;
        let now_s = now.series.first().and_then(Series::value);
        let now_s = now_s.filter(|now_s| *now_s > 0.0);
        let clock = || FleetError::Clock(self.client.address().to_owned());
        let moment = Moment {
            client: &self.client,
            now_s: now_s.ok_or_else(clock)?,
        };
        let remember_s = self.args.remember.as_secs();
        let queries = [
            query::HOSTS.to_owned(),
            query::down(remember_s),
            query::remembered(remember_s),
            query::seen(remember_s),
        ];
        let answers = moment.ask(queries).await?;
        let warnings = answers.iter().flat_map(|answer| answer.warnings.clone());
        let mut warnings: Vec<String> = warnings.collect();
        let [hosts, down, remembered, seen] = &answers[..] else {
            unreachable!("an answer for each query")
        };
        let heard = Heard {
            now_s: moment.now_s,
            hosts: &hosts.series,
            down: &down.series,
            remembered: &remembered.series,
            seen: &seen.series,
            step_s: query::step_s(remember_s),
            stale_after_s: self.args.stale_after.as_secs_f64(),
            remember_s,
        };
        let (mut hosts, mut stale) = self.choose(heard.sorted())?;
        warnings.extend(self.learn(&moment, &mut hosts).await?);
        let stale_after_s = self.args.stale_after.as_secs_f64();
        hosts.retain(|host| match host.stuck(moment.now_s, stale_after_s) {
            Some(stuck) => {
                stale.push(stuck);
                false
            }
            None => true,
        });
        let at = (hosts::unix_ms(moment.now_s), self.client.address());
        let fleet = Fleet::new(at, (hosts, stale), &warnings);
        Ok((moment, fleet))
    }

    /// Those that `--host` means.
    fn choose(
        &self,
        (mut hosts, mut stale): (Vec<Host>, Vec<Stale>),
    ) -> Result<(Vec<Host>, Vec<Stale>), Error> {
        if hosts.is_empty() && stale.is_empty() {
            let error = FleetError::NoHosts {
                url: self.client.address().to_owned(),
                within: hosts::span(self.args.remember.as_secs_f64()),
            };
            return Err(error.into());
        }
        let is_meant = |patterns: &[Pattern], name: Option<&str>, target: &Target| {
            let name = name.unwrap_or_default();
            any(patterns, name) || any(patterns, target.instance())
        };
        let all: Vec<(Option<String>, Target)> = hosts
            .iter()
            .map(|host| (Some(host.host.clone()), host.target.clone()))
            .chain(
                stale
                    .iter()
                    .map(|stale| (stale.host.clone(), stale.target.clone())),
            )
            .collect();
        for pattern in &self.wanted {
            let one = slice::from_ref(pattern);
            if !all
                .iter()
                .any(|(name, target)| is_meant(one, name.as_deref(), target))
            {
                let names = all
                    .iter()
                    .map(|(name, target)| name.as_deref().unwrap_or(target.instance()));
                no_match("host", "host", pattern, names)?;
            }
        }
        if !self.wanted.is_empty() {
            hosts.retain(|host| is_meant(&self.wanted, Some(&host.host), &host.target));
            stale.retain(|stale| is_meant(&self.wanted, stale.host.as_deref(), &stale.target));
        }
        Ok((hosts, stale))
    }

    /// Asks what there is to know of them; the warnings.
    async fn learn(&self, moment: &Moment<'_>, hosts: &mut [Host]) -> Result<Vec<String>, Error> {
        let queries = query::portions(hosts).map(|portion| {
            let of_hosts = query::of_hosts(portion.iter().map(|host| &host.target));
            query::metrics(&hosts::METRICS, &of_hosts)
        });
        let answers = moment.ask(queries.collect::<Vec<_>>()).await?;
        let places = hosts.iter().enumerate();
        let places: HashMap<Target, usize> = places
            .map(|(place, host)| (host.target.clone(), place))
            .collect();
        let mut warnings = Vec::new();
        for answer in answers {
            for series in &answer.series {
                if let Some(&place) = places.get(&Target::of(series)) {
                    hosts[place].learn(series);
                }
            }
            warnings.extend(answer.warnings);
        }
        Ok(warnings)
    }
}

impl Moment<'_> {
    /// The answers to queries, in their order.
    pub(super) async fn ask(
        &self,
        queries: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Answer>, Error> {
        let asked = queries
            .into_iter()
            .map(async |query| self.client.query(&query, Some(self.now_s)).await);
        let answers = stream::iter(asked).buffered(AT_ONCE).try_collect();
        Ok(answers.await?)
    }
}
