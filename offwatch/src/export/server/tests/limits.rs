use std::time::Duration;

use tokio::task::yield_now;

use super::{super::access::Access, Client, Limits, ask, serve, settled, unlimited};

const SHORT: Duration = Duration::from_secs(1);
const HEALTH: &str = "GET /healthz HTTP/1.1\r\n\r\n";
const LAST: &str = "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n";
const METRICS: &str = "GET /metrics HTTP/1.1\r\n\r\n";
/// More than the kernel keeps for who does not read.
const MANY: usize = 10_000;

#[test]
fn an_idle_connection_gives_way_the_longest_idle_first() {
    serve(1, unlimited(2), Access::default(), async |address, _| {
        let (mut first, mut second) = (Client::to(address).await, Client::to(address).await);
        for client in [&mut first, &mut second] {
            client.send(HEALTH).await;
            client.answer().await;
        }
        assert!(ask(address, LAST).await.ends_with("ok\n"));
        assert_eq!(first.rest().await, (String::new(), true));
        second.send(HEALTH).await;
        assert_eq!(second.answer().await.1, "ok\n");
    });
}

#[test]
fn idle_connections_give_way_one_by_one_where_descriptors_run_out() {
    serve(1, unlimited(9), Access::default(), async |address, site| {
        let (mut first, mut second) = (Client::to(address).await, Client::to(address).await);
        for client in [&mut first, &mut second] {
            client.send(HEALTH).await;
            client.answer().await;
        }
        site.gate.starved(true);
        assert_eq!(first.rest().await, (String::new(), true));
        site.gate.starved(false);
        second.send(HEALTH).await;
        assert_eq!(second.answer().await.1, "ok\n");
        assert!(!site.gate.is_wanted());
    });
}

#[test]
fn one_that_becomes_idle_gives_way_to_those_who_wait() {
    serve(
        MANY,
        unlimited(1),
        Access::default(),
        async |address, site| {
            let mut first = Client::to(address).await;
            first.send(METRICS).await;
            first.head().await;
            let mut second = Client::to(address).await;
            second.send(LAST).await;
            while !site.gate.is_wanted() {
                yield_now().await;
            }
            // It reads its answer to the end, and asks nothing.
            let (rest, is_whole) = first.rest().await;
            assert!(is_whole && rest.ends_with("\r\n0\r\n\r\n"));
            assert!(second.rest().await.0.ends_with("ok\n"));
        },
    );
}

#[test]
fn who_does_not_finish_a_request_is_put_out() {
    let limits = Limits {
        head: SHORT,
        ..unlimited(1)
    };
    serve(1, limits, Access::default(), async |address, _| {
        let mut silent = Client::to(address).await;
        assert!(ask(address, LAST).await.ends_with("ok\n"));
        assert_eq!(silent.rest().await.0, "");
        let mut half = Client::to(address).await;
        half.send(HEALTH).await;
        half.answer().await;
        half.send("GET /healthz HTTP/1.1\r\nX: ").await;
        assert!(ask(address, LAST).await.ends_with("ok\n"));
        assert_eq!(half.rest().await.0, "");
    });
}

#[test]
fn who_asks_nothing_more_is_put_out() {
    let limits = Limits {
        idle: SHORT,
        ..unlimited(1)
    };
    serve(1, limits, Access::default(), async |address, _| {
        let mut idle = Client::to(address).await;
        idle.send(HEALTH).await;
        idle.answer().await;
        assert_eq!(idle.rest().await, (String::new(), true));
    });
}

#[test]
fn who_does_not_read_its_answer_is_cut_off_and_notices() {
    let limits = Limits {
        answer: SHORT,
        ..unlimited(1)
    };
    for version in ["1.1", "1.0"] {
        serve(MANY, limits, Access::default(), async |address, _| {
            let mut slow = Client::to(address).await;
            slow.send(&format!("GET /metrics HTTP/{version}\r\n\r\n"))
                .await;
            assert!(ask(address, LAST).await.ends_with("ok\n"));
            let (got, is_whole) = slow.rest().await;
            assert!(
                !is_whole && !got.ends_with("\r\n0\r\n\r\n"),
                "a part is taken for all"
            );
        });
    }
}

#[test]
fn an_answer_that_is_under_way_is_finished_at_the_end() {
    serve(
        MANY,
        unlimited(9),
        Access::default(),
        async |address, site| {
            let (mut idle, mut silent) = (Client::to(address).await, Client::to(address).await);
            idle.send(HEALTH).await;
            idle.answer().await;
            let mut reader = Client::to(address).await;
            reader.send(METRICS).await;
            reader.head().await;
            let read = async {
                assert_eq!(idle.rest().await.0, "");
                assert_eq!(silent.rest().await.0, "");
                reader.rest().await
            };
            let ((), (rest, is_whole)) = tokio::join!(site.end(), read);
            assert!(is_whole && rest.ends_with("\r\n0\r\n\r\n"));
            settled(&site).await;
        },
    );
}

#[test]
fn one_who_does_not_read_does_not_keep_the_server_from_its_end() {
    let limits = Limits {
        end: SHORT,
        ..unlimited(9)
    };
    serve(MANY, limits, Access::default(), async |address, site| {
        let mut slow = Client::to(address).await;
        slow.send(METRICS).await;
        slow.head().await;
        site.end().await;
        assert_eq!(site.latest.own().connections(), 1);
    });
}
