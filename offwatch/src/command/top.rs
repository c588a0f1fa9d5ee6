//! `offwatch top`.

use std::io::{self, IsTerminal as _, Write as _};

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
    let create = |path| Recorder::create(path, args.replay.as_deref());
    let recorder = args.record.as_deref().map(create).transpose()?;
    let mut source = open(args).await?;
    if let Some(recorder) = recorder {
        source.record_to(recorder);
    }
    show(args, &filter, &mut source).await
}

/// `--json` without `--stream` is one object, as programs expect.
fn is_once(args: &TopArgs) -> bool {
    args.once || args.json && !args.stream && args.iterations == 0
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
    if is_once(args) {
        return once(args, filter, source).await;
    }
    let live = !args.stream
        && !args.json
        && !source.is_replay()
        && !source.records_to_stdout()
        && io::stdout().is_terminal();
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
            None if source.records_to_stdout() => {}
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

/// One interval: the next one, or the last one of a recording. Where a
/// recording breaks off, what is whole is shown before that is told.
async fn once(args: &TopArgs, filter: &Filter, source: &mut Source) -> Result<(), Error> {
    let mut last = None;
    let result = loop {
        match source.next().await {
            Ok(Some(model)) => last = Some(model),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        if !source.is_replay() {
            break Ok(());
        }
    };
    if let Some(mut model) = last {
        filter.check(&model)?;
        if !source.records_to_stdout() {
            print(args, filter, &mut model)?;
        }
    }
    result
}

fn print(args: &TopArgs, filter: &Filter, model: &mut Model) -> Result<(), Error> {
    filter.apply(model);
    let format: &dyn Render = match (args.json, is_once(args)) {
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
