//! `offwatch enforce --watch`.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    cli::enforce::{EnforceArgs, POLICY_FILE},
    enforce::{
        apply::{Enforcer, Settings},
        error::EnforceError,
        from_advice::FromAdvice,
        gather::Gatherer,
        kernel::{Refusal, netlink::Netlink},
        plan::{Plan, Sources, make},
        policy::{
            Policy,
            file::{self, Contents, FileError, LARGEST_ADVICE},
        },
        predict::negotiable,
        target::Targets,
        watch::{
            self, Limit, Live, Service, Wanted,
            log::{Level, Log},
        },
    },
    error::Error,
    filter::Filter,
    inventory::features::Family,
    probe::can_change_interfaces,
};

/// Keeps the policy applied until it is asked to end; the exit code.
pub async fn run(args: &EnforceArgs) -> Result<u8, Error> {
    let log = Log::from_env();
    if !can_change_interfaces() {
        return Err(EnforceError::Refused(Refusal::NotPermitted).into());
    }
    let files = Files::of(args)?;
    let read = files.read()?;
    let family = Family::resolve().map_err(EnforceError::Features)?;
    let kernel = Netlink::of_family(family).map_err(EnforceError::Features)?;
    let settings = Settings {
        policy_sha256: Some(read.sha256.clone()),
        ..Settings::new(&args.state_dir)
    };
    let (enforcer, recovered) = Enforcer::open(Box::new(kernel), settings)?;
    for taken_back in &recovered.taken_back {
        let line = format!(
            "commit {} was taken back: {}",
            taken_back.commit, taken_back.because
        );
        log.line(Level::Warning, &line);
    }
    read.check(&files, &enforcer)?;
    let limit = read.limit();
    let negotiable = negotiable(enforcer.names());
    let gatherer = Gatherer::new(args.connect.clone());
    let kept = Kept { files, read };
    let mut live = Live::new(kept, enforcer, gatherer, log);
    let service = Service::from_env();
    watch::run(&mut live, Some(family), negotiable, limit, service).await?;
    Ok(0)
}

/// Where it is written what is wanted, and of what.
struct Files {
    policy: Option<PathBuf>,
    advice: Option<PathBuf>,
    /// An advice that came by stdin cannot be read again.
    stdin: Option<Contents>,
    filter: Filter,
}

impl Files {
    fn of(args: &EnforceArgs) -> Result<Self, Error> {
        let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
        let policy = match (&args.policy, &args.from) {
            (None, None) => Some(POLICY_FILE.into()),
            (policy, _) => policy.clone(),
        };
        let stdin = args.from.as_ref().filter(|path| is_stdin(path));
        let read = |_| file::bounded(io::stdin().lock(), Path::new("stdin"), LARGEST_ADVICE);
        Ok(Self {
            policy,
            stdin: stdin.map(read).transpose()?,
            advice: args.from.clone().filter(|path| !is_stdin(path)),
            filter: Filter::new(&args.vm, &args.dev)?,
        })
    }

    fn read(&self) -> Result<Read, Error> {
        let policy = self.policy.as_deref().map(|path| {
            let (policy, sha256) = file::policy(path)?;
            Ok::<_, FileError>((path.display().to_string(), policy, sha256))
        });
        let policy = policy.transpose()?;
        let advice = match (&self.advice, &self.stdin) {
            (Some(path), _) => Some((path.as_path(), file::trusted(path, LARGEST_ADVICE)?)),
            (None, Some(read)) => Some((Path::new("stdin"), read.clone())),
            (None, None) => None,
        };
        let sha256 = match (&policy, &advice) {
            (Some((_, _, sha256)), _) => sha256.clone(),
            (None, Some((_, read))) => read.sha256.clone(),
            (None, None) => String::new(),
        };
        let advice = advice.map(|(path, read)| {
            let name = path.display().to_string();
            FromAdvice::parse(&name, &read.bytes)
                .map_err(|error| Error::Advice { file: name, error })
        });
        Ok(Read {
            policy: policy.map(|(file, policy, _)| (file, policy)),
            advice: advice.transpose()?,
            sha256,
        })
    }
}

/// What is wanted.
struct Read {
    policy: Option<(String, Policy)>,
    advice: Option<FromAdvice>,
    sha256: String,
}

impl Read {
    fn sources(&self) -> Sources<'_> {
        let policy = self.policy.as_ref();
        Sources {
            policy: policy.map(|(file, policy)| (file.as_str(), policy)),
            advice: self.advice.as_ref(),
        }
    }

    fn limit(&self) -> Limit {
        let policy = self.policy.as_ref();
        policy.map_or_else(Limit::default, |(_, policy)| Limit {
            burst: policy.watch.burst,
            per_minute: policy.watch.per_minute,
        })
    }

    /// What wants to be confirmed must have been.
    fn check(&self, files: &Files, enforcer: &Enforcer) -> Result<(), Error> {
        let wants = self
            .policy
            .as_ref()
            .filter(|(_, policy)| policy.confirm.is_some());
        match (wants, &files.policy) {
            (Some(_), Some(path)) if !enforcer.confirmed_before(&self.sha256)? => {
                Err(Error::Unconfirmed(path.display().to_string()))
            }
            _ => Ok(()),
        }
    }

    fn targets(&self, gatherer: &mut Gatherer, enforcer: &mut Enforcer) -> Result<Targets, Error> {
        let needs = |targets: &Targets| self.sources().needs(targets);
        Ok(gatherer.targets(enforcer.kernel(), needs)?)
    }

    fn plan(&self, targets: &Targets, filter: &Filter) -> Result<Plan, Error> {
        let mut plan = make(targets, self.sources())?;
        plan.changes.retain(|change| {
            let vm = change.owner.as_ref().map(|owner| owner.vm.as_str());
            filter.shows(vm, Some(&change.id.dev))
        });
        Ok(plan)
    }
}

struct Kept {
    files: Files,
    read: Read,
}

impl Wanted for Kept {
    fn reload(&mut self, gatherer: &mut Gatherer, enforcer: &mut Enforcer) -> Result<(), Error> {
        let read = self.files.read()?;
        read.check(&self.files, enforcer)?;
        // Or it contradicts itself, or names what the kernel does not have.
        let targets = read.targets(gatherer, enforcer)?;
        read.plan(&targets, &self.files.filter)?;
        self.read = read;
        Ok(())
    }

    fn limit(&self) -> Limit {
        self.read.limit()
    }

    fn sha256(&self) -> &str {
        &self.read.sha256
    }

    fn targets(&self, gatherer: &mut Gatherer, enforcer: &mut Enforcer) -> Result<Targets, Error> {
        self.read.targets(gatherer, enforcer)
    }

    fn plan(&self, targets: &Targets) -> Result<Plan, Error> {
        self.read.plan(targets, &self.files.filter)
    }
}
