//! `offwatch top`.

use std::io::{self, IsTerminal as _, Write as _};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::TopArgs,
    collector::Options,
    error::Error,
    filter::Filter,
    model::Model,
    output::{Json, Render, Table},
    record::Recorder,
    source::Source,
    tui,
};

/// Runs until the user, the recording or `-n` ends it.
pub async fn run(args: &TopArgs) -> Result<(), Error> {
    let filter = Filter::new(&args.vm, &args.dev)?;
    // Before anything is observed, so that a bad path costs nothing.
    let recorder = args.record.as_deref().map(Recorder::create).transpose()?;
    let mut source = open(args).await?;
    if let Some(recorder) = recorder {
        source.record_to(recorder);
    }
    let ended = ended_by_signal()?;
    tokio::select! {
        result = show(args, &filter, &mut source) => result,
        () = ended => Ok(()),
    }
}

async fn open(args: &TopArgs) -> Result<Source, Error> {
    if let Some(path) = &args.replay {
        return Source::replay(path);
    }
    let options = Options {
        hooks: args.hook.hooks(),
        connect: args.connect.clone(),
        bpf_log: args.bpf_log,
    };
    Source::live(&options, args.interval).await
}

async fn show(args: &TopArgs, filter: &Filter, source: &mut Source) -> Result<(), Error> {
    if args.once {
        let model = if source.is_replay() {
            last(source).await?
        } else {
            source.next().await?
        };
        return match model {
            Some(mut model) => {
                filter.check(&model)?;
                print(args, filter, &mut model)
            }
            None => Ok(()),
        };
    }
    let live = !args.stream && !args.json && !source.is_replay() && io::stdout().is_terminal();
    let mut screen = if live {
        Some(tui::Screen::open()?)
    } else {
        None
    };
    let mut shown = 0;
    while let Some(mut model) = next(source, screen.as_mut()).await? {
        if shown == 0 {
            filter.check(&model)?;
        }
        match &mut screen {
            Some(screen) => {
                filter.apply(&mut model);
                screen.draw(&model)?;
            }
            None => {
                if shown > 0 && !args.json {
                    writeln!(io::stdout()).map_err(Error::stdout)?;
                }
                print(args, filter, &mut model)?;
            }
        }
        shown += 1;
        if shown == args.iterations {
            break;
        }
    }
    Ok(())
}

/// The next model, or `None` if the user ends the screen first.
async fn next(
    source: &mut Source,
    screen: Option<&mut tui::Screen>,
) -> Result<Option<Model>, Error> {
    match screen {
        None => source.next().await,
        Some(screen) => tokio::select! {
            model = source.next() => model,
            () = screen.quit() => Ok(None),
        },
    }
}

/// The last interval of a recording.
async fn last(source: &mut Source) -> Result<Option<Model>, Error> {
    let mut last = None;
    while let Some(model) = source.next().await? {
        last = Some(model);
    }
    Ok(last)
}

fn print(args: &TopArgs, filter: &Filter, model: &mut Model) -> Result<(), Error> {
    filter.apply(model);
    let format: &dyn Render = match (args.json, args.once) {
        (true, once) => &Json { lines: !once },
        (false, _) => &Table,
    };
    let mut text = Vec::new();
    format.render(model, &mut text).map_err(Error::stdout)?;
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&text)
        .and_then(|()| stdout.flush())
        .map_err(Error::stdout)
}

/// Completes on SIGINT or SIGTERM: the screen is restored and programs are
/// detached in good order.
fn ended_by_signal() -> Result<impl Future<Output = ()>, Error> {
    let handler = |kind| {
        signal(kind).map_err(|source| Error::Io {
            what: "cannot handle signals".into(),
            source,
        })
    };
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut terminate = handler(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
