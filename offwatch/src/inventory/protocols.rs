//! Counters of the TCP and UDP of the host itself, in the observed namespace:
//! `/proc/net/snmp` and `/proc/net/netstat`.

use std::{collections::HashMap, fs, io};

use crate::sample::evidence::ProtocolCounters;

/// Of the thread's namespace; `/proc/net` is that of the process's first thread.
const FILES: [&str; 2] = [
    "/proc/thread-self/net/snmp",
    "/proc/thread-self/net/netstat",
];

/// Reads them.
pub fn read() -> io::Result<ProtocolCounters> {
    let texts = FILES.map(fs::read_to_string);
    let [snmp, netstat] = texts;
    Ok(parse(&(snmp? + &netstat?)))
}

/// Each protocol has a line of names and a line of values.
fn parse(text: &str) -> ProtocolCounters {
    let mut counters = HashMap::new();
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (mut names, values) = (names.split_whitespace(), values.split_whitespace());
        let Some(protocol) = names.next() else {
            continue;
        };
        for (name, value) in names.zip(values.skip(1)) {
            // Some are signed, as Tcp MaxConn -1; none of those is used.
            if let Ok(value) = value.parse::<u64>() {
                counters.insert((protocol, name), value);
            }
        }
    }
    let counter = |protocol, name| counters.get(&(protocol, name)).copied();
    ProtocolCounters {
        tcp_in_segs: counter("Tcp:", "InSegs"),
        tcp_out_segs: counter("Tcp:", "OutSegs"),
        tcp_retrans_segs: counter("Tcp:", "RetransSegs"),
        tcp_in_csum_errors: counter("Tcp:", "InCsumErrors"),
        udp4_in_csum_errors: counter("Udp:", "InCsumErrors"),
        tcp_timeouts: counter("TcpExt:", "TCPTimeouts"),
        tcp_lost_retransmits: counter("TcpExt:", "TCPLostRetransmit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let text = "\
            Tcp: RtoAlgorithm MaxConn InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n\
            Tcp: 1 -1 70 80 9 0 3 2\n\
            Udp: InDatagrams InCsumErrors\n\
            Udp: 5 4\n\
            TcpExt: SyncookiesSent TCPTimeouts\n\
            TcpExt: 0 6\n";
        let counters = parse(text);
        assert_eq!(
            counters,
            ProtocolCounters {
                tcp_in_segs: Some(70),
                tcp_out_segs: Some(80),
                tcp_retrans_segs: Some(9),
                tcp_in_csum_errors: Some(2),
                udp4_in_csum_errors: Some(4),
                tcp_timeouts: Some(6),
                tcp_lost_retransmits: None,
            }
        );
        assert_eq!(parse("Tcp: InSegs"), ProtocolCounters::default());
    }
}
