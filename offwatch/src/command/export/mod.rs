//! `offwatch export`.

mod advisor;
mod once;
mod sampler;
mod textfile;

use std::{future::pending, sync::Arc};

use self::{sampler::Sampler, textfile::Textfile};
use crate::{
    cli::export::ExportArgs,
    error::Error,
    export::{
        Own, Wanted,
        enforcement::Enforcement,
        server::{Server, Setup},
    },
    filter::Filter,
};

/// Runs until it is ended; the exit code.
pub async fn run(args: &ExportArgs) -> Result<u8, Error> {
    let wanted = wanted(args)?;
    match &args.replay {
        Some(path) => once::replayed(path, wanted, !args.no_advice)?,
        None if args.once => once::observed(args, wanted).await?,
        None => serve(args, wanted).await?,
    }
    Ok(0)
}

fn wanted(args: &ExportArgs) -> Result<Wanted, Error> {
    Ok(Wanted {
        filter: Filter::new(&args.vm, &args.dev)?,
        top: args.top,
        key: args.sort,
    })
}

fn own(args: &ExportArgs) -> Result<Arc<Own>, Error> {
    let own = match args.bpf_stats {
        true => Own::with_bpf_statistics().map_err(Error::NoBpfStatistics)?,
        false => Own::default(),
    };
    Ok(Arc::new(own))
}

fn enforcement(args: &ExportArgs) -> Enforcement {
    Enforcement::new(args.state_dir.clone())
}

/// Samples, and answers scrapes or writes a file, or both.
async fn serve(args: &ExportArgs, wanted: Wanted) -> Result<(), Error> {
    // What is wrong with either is told before anything is loaded.
    let file = args.textfile.as_deref().map(Textfile::new).transpose()?;
    let server = match file.is_some() && args.listen.is_empty() {
        true => None,
        false => Some(Server::open(Setup::from(args))?),
    };
    let sampler = Sampler::start(args, wanted).await?;
    let latest = sampler.latest();
    let write = async {
        match &file {
            Some(file) => file.keep(&latest, sampler::interval(args)).await,
            None => pending().await,
        }
    };
    let answer = async {
        match server {
            Some(server) => server.run(latest.clone()).await,
            None => textfile::until_ended().await,
        }
    };
    let result = tokio::select! {
        result = write => result.map(drop),
        result = answer => result,
        result = sampler.end() => result,
    };
    let removed = file.as_ref().map_or(Ok(()), Textfile::remove);
    result.and(removed)
}
