//! Kernel releases, as far as rules compare them.

/// The first three numbers of `uname -r`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32, pub u32);

impl Release {
    /// Reads `6.12.117-amd64`; a missing third number is 0.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
        let numbers = &text[..end.unwrap_or(text.len())];
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Self(major, minor, numbers.next().flatten().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(Release::parse("6.12.117-amd64"), Some(Release(6, 12, 117)));
        assert_eq!(Release::parse("7.1-rc5"), Some(Release(7, 1, 0)));
        assert_eq!(Release::parse("unknown"), None);
        assert!(Release::parse("5.9.300") < Release::parse("5.10.0-33-cloud"));
    }
}
