//! The exporter's server against clients that are many, slow or malicious.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use offwatch_tests::{
    Lab, Netns,
    command::ip_batch,
    garbage,
    guest::Family,
    http::{Exporter, SCRAPE, Series, count, series, value, whole},
    quiet::wait_until,
    random::{Random, seed},
    skip_unless_lab, sockopt,
    udp::{UdpOptions, udp_stream},
};

const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
/// Until a scrape shows what was counted: one of an idle machine is a second old at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// Packets of a tap of a lab, from the host's side: its guests have no names.
fn packets(series: &Series, tap: &str) -> Result<(u64, u64)> {
    let of = |direction: &str| {
        let name = format!("offwatch_interface_{direction}_packets_total{{dev=\"{tap}\"}}");
        value(series, &name).map(|value| value as u64)
    };
    Ok((of("receive")?, of("transmit")?))
}

/// Does something from several threads at once.
fn at_once(threads: u64, f: impl Fn(u64) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|number| {
                let f = &f;
                scope.spawn(move || f(number))
            })
            .collect();
        all.into_iter().try_for_each(|one| match one.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

#[test]
fn fifty_scrapers_at_once_get_whole_answers() -> Result<()> {
    const SCRAPERS: u64 = 50;
    const TIMES: u64 = 20;
    skip_unless_lab!();
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    let exporter = Exporter::start(lab.host(), &[])?;
    let names = |series: &Series| {
        let is_of_the_lab = |name: &&String| name.starts_with("offwatch_interface_receive");
        series
            .keys()
            .filter(is_of_the_lab)
            .cloned()
            .collect::<Vec<_>>()
    };
    let expected = names(&exporter.scrape()?);
    ensure!(!expected.is_empty());
    at_once(SCRAPERS, |_| {
        for _ in 0..TIMES {
            ensure!(names(&exporter.scrape()?) == expected);
        }
        Ok(())
    })?;
    let after = exporter.scrape()?;
    let answered = value(&after, "offwatch_http_requests_total{code=\"200\"}")?;
    assert_eq!(answered as u64, SCRAPERS * TIMES + 2);
    assert!(exporter.end(Signal::SIGTERM)?.success());
    Ok(())
}

#[test]
fn garbage_neither_ends_it_nor_grows_it_nor_stops_a_frame() -> Result<()> {
    const THREADS: u64 = 8;
    const EACH: u64 = 10_000 / THREADS;
    const FRAMES: u64 = 20_000;
    /// Of 10,000 requests, each of which may leave no more than a few bytes.
    const GROWTH_BYTES: u64 = 4 << 20;
    skip_unless_lab!();
    let seed = seed()?;
    let mut lab = Lab::new()?;
    lab.add_guests(&["web", "db"])?;
    let mut exporter = Exporter::start(lab.host(), &[])?;
    lab.wait_quiet()?;
    let tap = lab.guest(0).tap().to_owned();
    let before = (packets(&exporter.scrape()?, &tap)?, lab.guest(0).counts()?);

    let attack = |salt: u64, each: u64| {
        at_once(THREADS, |thread| {
            let mut random = Random::new(seed ^ salt ^ (thread << 32));
            for number in 0..each {
                let request = garbage::request(&mut random);
                let sent = garbage::send(exporter.connect()?, &request, &mut random);
                sent.with_context(|| format!("request {number} of thread {thread}"))?;
            }
            Ok(())
        })
    };
    attack(1 << 20, EACH / 5)?;
    let settle = || {
        wait_until("connections end", PATIENCE, || {
            let open = value(&exporter.scrape()?, "offwatch_http_connections")?;
            Ok(open as u64 == 1)
        })
    };
    settle()?;
    let (memory, descriptors) = (exporter.memory_bytes("VmRSS")?, exporter.descriptors()?);

    let (web, db) = (lab.guest(0).endpoint(), lab.guest(1).endpoint());
    let is_over = AtomicBool::new(false);
    let streams = thread::scope(|scope| {
        let traffic = scope.spawn(|| -> Result<u64> {
            let mut streams = 0;
            // Each arrives whole, or this is an error.
            while streams == 0 || !is_over.load(Ordering::Acquire) {
                udp_stream(&web, &db, &UdpOptions::new(Family::V4, FRAMES, 300))?;
                streams += 1;
            }
            Ok(streams)
        });
        let attacked = attack(0, EACH);
        is_over.store(true, Ordering::Release);
        let streams = traffic.join().expect("traffic")?;
        attacked.map(|()| streams)
    })?;
    settle()?;
    let grown = exporter.memory_bytes("VmRSS")?.saturating_sub(memory);
    eprintln!(
        "{} frames, memory {memory} bytes + {grown}",
        streams * FRAMES
    );
    assert!(exporter.is_alive()?);
    assert!(grown <= GROWTH_BYTES, "{memory} bytes and {grown} more");
    wait_until("descriptors are closed", PATIENCE, || {
        Ok(exporter.descriptors()? <= descriptors)
    })?;

    lab.wait_quiet()?;
    let after = lab.guest(0).counts()?;
    let sent = after.kernel.rx_packets - before.1.kernel.rx_packets;
    assert!(sent >= streams * FRAMES, "{sent} frames");
    wait_until("all frames are counted", PATIENCE, || {
        let (received, transmitted) = packets(&exporter.scrape()?, &tap)?;
        ensure!(received - before.0.0 <= sent, "more frames than were sent");
        let expected = after.kernel.tx_packets - before.1.kernel.tx_packets;
        Ok((received - before.0.0, transmitted - before.0.1) == (sent, expected))
    })
}

/// A host of so many taps.
fn host_of(taps: usize) -> Result<Netns> {
    let ns = Netns::new()?;
    let taps = (0..taps).map(|number| format!("tuntap add dev ow{number} mode tap"));
    ip_batch(&ns, &taps.collect::<Vec<_>>())?;
    Ok(ns)
}

#[test]
fn ten_thousand_interfaces_are_scraped_whole_within_little_memory() -> Result<()> {
    const INTERFACES: usize = 10_000;
    /// What scrapes may add to what samples need.
    const SCRAPE_BYTES: u64 = 16 << 20;
    /// Slow readers hold a few snapshots besides.
    const SLOW_BYTES: u64 = 64 << 20;
    const SLOW: usize = 50;
    skip_unless_lab!();
    let ns = host_of(INTERFACES)?;
    let exporter = Exporter::start(&ns, &["--top", "0"])?;
    let is_complete = |series: &Series| {
        assert_eq!(
            value(series, "offwatch_interfaces").ok(),
            Some(INTERFACES as f64)
        );
        for family in [
            "offwatch_interface_info",
            "offwatch_interface_receive_packets_total",
        ] {
            assert_eq!(count(series, family), INTERFACES, "{family}");
        }
    };
    is_complete(&exporter.scrape()?);
    let base = exporter.memory_bytes("VmRSS")?;
    exporter.reset_peak()?;
    for _ in 0..5 {
        let began = Instant::now();
        let answer = exporter.ask(SCRAPE)?;
        let took = began.elapsed();
        is_complete(&series(&whole(&answer)?)?);
        eprintln!("{} bytes in {took:?}", answer.len());
    }
    let peak = exporter.memory_bytes("VmHWM")?;
    eprintln!("memory {base} bytes, {peak} at most while scraped");
    assert!(
        peak <= base + SCRAPE_BYTES,
        "{base} bytes, and {peak} while scraped"
    );

    let slow: Vec<_> = (0..SLOW)
        .map(|_| slow_reader(&exporter))
        .collect::<Result<_>>()?;
    is_complete(&exporter.scrape()?);
    let peak = exporter.memory_bytes("VmHWM")?;
    eprintln!("{peak} bytes at most with {SLOW} slow readers");
    assert!(
        peak <= base + SLOW_BYTES,
        "{base} bytes, and {peak} with slow readers"
    );
    drop(slow);
    Ok(())
}

/// Has asked for metrics, and has read nothing but the first bytes.
fn slow_reader(exporter: &Exporter) -> Result<TcpStream> {
    let mut stream = exporter.connect()?;
    sockopt::small_receive_buffer(&stream)?;
    stream.write_all(SCRAPE)?;
    stream.read_exact(&mut [0; 100])?;
    Ok(stream)
}

#[test]
fn slow_readers_keep_others_out_for_a_limited_time_alone() -> Result<()> {
    skip_unless_lab!();
    let ns = host_of(10_000)?;
    let exporter = Exporter::start(&ns, &["--top", "0", "--max-connections", "10"])?;
    let mut slow: Vec<_> = (0..10)
        .map(|_| slow_reader(&exporter))
        .collect::<Result<_>>()?;
    // All places are taken; it waits until the slow ones have had their time.
    let answer = exporter.ask(LAST)?;
    assert!(answer.ends_with("ok\n"), "{answer}");
    let mut rest = Vec::new();
    let ended = slow[0].read_to_end(&mut rest);
    assert!(ended.is_err(), "what was cut off looks whole");
    Ok(())
}
