//! Numbers as people read them.

/// A rate with three significant digits and a decimal prefix (`4.51G`, `830`);
/// `-` where there is none.
pub fn rate(value: Option<f64>) -> String {
    const PREFIXES: [&str; 5] = ["", "k", "M", "G", "T"];
    let Some(value) = value else {
        return "-".into();
    };
    let mut scaled = value;
    let mut prefix = 0;
    // 999.5 would be printed as 1000.
    while scaled >= 999.5 && prefix + 1 < PREFIXES.len() {
        scaled /= 1000.0;
        prefix += 1;
    }
    let digits = match scaled {
        _ if prefix == 0 => 0,
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    // A rate that would be rounded to nothing is still not nothing.
    if prefix == 0 && scaled > 0.0 && scaled < 0.5 {
        return "<1".into();
    }
    format!("{scaled:.digits$}{}", PREFIXES[prefix])
}

/// A share of 0 to 1 in percent; `-` where there is none.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.0}", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.3, "<1"),
            (830.4, "830"),
            (999.4, "999"),
            (999.6, "1.00k"),
            (9_994.0, "9.99k"),
            (9_996.0, "10.0k"),
            (99_960.0, "100k"),
            (4_512_000_000.0, "4.51G"),
            (2e15, "2000T"),
        ];
        for (value, text) in cases {
            assert_eq!(rate(Some(value)), text, "{value}");
        }
        assert_eq!(rate(None), "-");
    }

    #[test]
    fn shares_are_percent() {
        assert_eq!(percent(Some(0.987)), "99");
        assert_eq!(percent(None), "-");
    }
}
