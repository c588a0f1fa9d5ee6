//! `offwatch trial`.

mod host;
mod one;
mod told;

use self::{
    host::{Bench, Hands},
    one::one,
};
use crate::{
    cli::trial::{Features, RecipeName, TrialArgs, features},
    error::Error,
    trial::{
        Conclusion, Trials,
        error::TrialError,
        recipe::{Step, TURN_IT_OFF},
        report,
    },
};

/// It was ended before, and taken back.
const ENDED_BEFORE: u8 = 4;

/// Runs a trial and prints it; the exit code.
pub async fn run(args: &TrialArgs) -> Result<u8, Error> {
    match args.recipe {
        Some(RecipeName::TurnItOff) => recipe(args, &TURN_IT_OFF).await,
        None => single(args).await,
    }
}

async fn single(args: &TrialArgs) -> Result<u8, Error> {
    let mut hands = Hands::open(args)?;
    let plan = hands.plan(args.set.as_ref())?;
    let mut bench = Bench::start(args, &hands).await?;
    let (trial, _) = one(args, &mut hands, &mut bench, plan).await?;
    drop((bench, hands));
    let text = match args.json {
        true => format!("{:#}\n", serde_json::json!(trial)),
        false => told::plain_lines(&report::text(&trial)),
    };
    told::end(&text, [&trial])
}

/// One change after the other, up to one that is ended before; what is lost to one says
/// nothing of the others.
async fn recipe(args: &TrialArgs, steps: &[Step]) -> Result<u8, Error> {
    let mut hands = Hands::open(args)?;
    let mut sets: Vec<Features> = Vec::new();
    let mut left = Vec::new();
    for step in steps {
        let set = features(step.set).map_err(TrialError::Start)?;
        match hands.plan(Some(&set)) {
            Ok(_) => sets.push(set),
            Err(Error::Trial(error @ TrialError::Nothing { .. })) => left.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    if sets.is_empty() {
        return Err(TrialError::NothingAtAll(left.join("; ")).into());
    }
    for because in left {
        told::aside(&because);
    }
    let mut bench = Bench::start(args, &hands).await?;
    let mut trials = Vec::new();
    let mut sets = sets.into_iter();
    for set in sets.by_ref() {
        let plan = hands.plan(Some(&set))?;
        told::aside(&format!("trying {}", set.text));
        let (trial, lost) = one(args, &mut hands, &mut bench, plan).await?;
        let is_over = trial.conclusion != Conclusion::Complete && !lost;
        trials.push((set.text, trial));
        if is_over {
            break;
        }
    }
    drop((bench, hands));
    for set in sets {
        told::aside(&format!("{} is not tried", set.text));
    }
    let text = match args.json {
        true => {
            let trials = trials.iter().map(|(_, trial)| trial.clone());
            format!("{:#}\n", serde_json::json!(Trials::new(trials.collect())))
        }
        false => told::plain_lines(&report::recipe_text(&trials)),
    };
    told::end(&text, trials.iter().map(|(_, trial)| trial))
}
