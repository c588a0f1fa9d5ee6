//! The kernel's own list of its symbols: whether a function can be trusted to
//! be called by its name, and where its code lies.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

/// Where the kernel lists its symbols.
pub(super) const KALLSYMS: &str = "/proc/kallsyms";

/// What the compiler may append to the name of a function: parts that it split
/// off, copies for some callers. `.cold` is different: code of the function
/// itself that was moved away.
const COLD: &str = ".cold";

/// The symbols of some functions, the compiler's variants included.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    found: Vec<Symbol>,
}

#[derive(Debug)]
struct Symbol {
    name: String,
    start: u64,
    /// Start of the symbol behind it.
    end: u64,
}

impl Symbols {
    /// Reads the symbols of `functions` from the running kernel.
    pub(super) fn of_kernel(functions: &[&str]) -> io::Result<Self> {
        Self::read(BufReader::new(File::open(KALLSYMS)?), functions)
    }

    /// Lines are `address type name`, sorted by address. Those of modules, with
    /// the module's name in brackets behind, come last and are not looked at.
    fn read(mut kallsyms: impl BufRead, functions: &[&str]) -> io::Result<Self> {
        let mut symbols = Self::default();
        let mut open = false;
        let mut line = Vec::new();
        while kallsyms.read_until(b'\n', &mut line)? != 0 && !line.ends_with(b"]\n") {
            if let Some((start, name)) = symbol(line.trim_ascii_end()) {
                if open && let Some(last) = symbols.found.last_mut() {
                    // Aliases of a function have its address.
                    if start > last.start {
                        last.end = start;
                        open = false;
                    }
                }
                let is_wanted = |function: &&str| variant(name, function.as_bytes()).is_some();
                if functions.iter().any(is_wanted) {
                    symbols.found.push(Symbol {
                        name: String::from_utf8_lossy(name).into_owned(),
                        start,
                        end: start,
                    });
                    open = true;
                }
            }
            line.clear();
        }
        Ok(symbols)
    }

    /// Whether all calls of a function pass its entry, as far as names tell.
    pub(super) fn is_whole(&self, function: &str) -> Result<(), String> {
        let mut entries = 0;
        for symbol in &self.found {
            match variant(symbol.name.as_bytes(), function.as_bytes()) {
                Some(b"") => entries += 1,
                Some(suffix) if !suffix.ends_with(COLD.as_bytes()) => {
                    return Err(format!(
                        "the compiler made {} of {function}, which its callers may call instead",
                        symbol.name
                    ));
                }
                _ => {}
            }
        }
        match entries {
            1 => Ok(()),
            0 => Err(format!(
                "this kernel has no symbol {function}: the function is missing or inlined"
            )),
            _ => Err(format!(
                "this kernel has {entries} functions named {function}"
            )),
        }
    }

    /// Where the code of a function lies, all variants included: up to `N`
    /// pieces, each from its start to its end.
    pub(super) fn text<const N: usize>(&self, function: &str) -> Result<[(u64, u64); N], String> {
        let mut pieces = [(0, 0); N];
        let found = self
            .found
            .iter()
            .filter(|symbol| variant(symbol.name.as_bytes(), function.as_bytes()).is_some());
        let mut count = 0;
        for symbol in found {
            if symbol.start == 0 {
                return Err(format!(
                    "{KALLSYMS} shows no addresses to this process (CAP_SYSLOG, kernel.kptr_restrict)"
                ));
            }
            *pieces.get_mut(count).ok_or_else(|| {
                format!("the compiler made more than {N} functions of {function}")
            })? = (symbol.start, symbol.end);
            count += 1;
        }
        if count == 0 {
            return Err(format!(
                "this kernel has no symbol {function}: the function is inlined"
            ));
        }
        Ok(pieces)
    }
}

/// Address and name, if it is a function.
fn symbol(line: &[u8]) -> Option<(u64, &[u8])> {
    let mut words = line.split(|byte| *byte == b' ');
    let address = std::str::from_utf8(words.next()?).ok()?;
    let kind = words.next()?;
    let name = words.next()?;
    if !matches!(kind, b"t" | b"T" | b"w" | b"W") {
        return None;
    }
    Some((u64::from_str_radix(address, 16).ok()?, name))
}

/// What the compiler appended to the name of a function: nothing for the
/// function itself, `None` for another one.
fn variant<'name>(name: &'name [u8], function: &[u8]) -> Option<&'name [u8]> {
    let rest = name.strip_prefix(function)?;
    (rest.is_empty() || rest.starts_with(b".")).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTIONS: [&str; 3] = [
        "skb_checksum_help",
        "skb_crc32c_csum_help",
        "validate_xmit_skb",
    ];

    /// As on 5.10 and 6.18.
    const KERNEL: &str = "\
ffffffff81000000 T _text
ffffffff81e59000 t skb_crc32c_csum_help.part.0
ffffffff81e590d0 T skb_crc32c_csum_help
ffffffff81e62080 T __pfx_skb_checksum_help
ffffffff81e62090 T skb_checksum_help
ffffffff81e62200 t skb_checksum_help_not
ffffffff81e62c10 t validate_xmit_skb.isra.0
ffffffff81e62c10 t an_alias
ffffffff81e62f70 T __pfx_validate_xmit_skb_list
ffffffff81e62f80 T validate_xmit_skb_list
ffffffff82000000 t validate_xmit_skb.isra.0.cold
ffffffff82000040 t other.cold
ffffffff82000080 D skb_checksum_help
ffffffffc0000000 t skb_checksum_help\t[module]
";

    fn symbols(kernel: &str) -> Symbols {
        Symbols::read(kernel.as_bytes(), &FUNCTIONS).expect("memory can be read")
    }

    #[test]
    fn a_function_with_one_entry_is_whole() {
        // Neither data, nor a module's function, nor a longer name is it.
        assert_eq!(symbols(KERNEL).is_whole("skb_checksum_help"), Ok(()));
        let cold = KERNEL.replace("other.cold", "skb_checksum_help.cold");
        assert_eq!(symbols(&cold).is_whole("skb_checksum_help"), Ok(()));
    }

    #[test]
    fn what_the_compiler_made_of_a_function_is_found() {
        let reason = symbols(KERNEL)
            .is_whole("skb_crc32c_csum_help")
            .expect_err("5.10 has a part");
        assert!(reason.contains("skb_crc32c_csum_help.part.0"), "{reason}");
        for suffix in [".constprop.0", ".isra.0", ".llvm.123", ".part.0.isra.1"] {
            let kernel = KERNEL.replace(
                "skb_checksum_help_not",
                &format!("skb_checksum_help{suffix}"),
            );
            assert!(
                symbols(&kernel).is_whole("skb_checksum_help").is_err(),
                "{suffix}"
            );
        }
        let renamed = symbols(KERNEL).is_whole("validate_xmit_skb");
        assert!(renamed.is_err_and(|reason| reason.contains(".isra.0")));
    }

    #[test]
    fn missing_and_doubled_names_are_refused() {
        let missing = symbols("").is_whole("skb_checksum_help");
        assert!(missing.is_err_and(|reason| reason.contains("no symbol")));
        let twice = KERNEL.replace("skb_checksum_help_not", "skb_checksum_help");
        let twice = symbols(&twice).is_whole("skb_checksum_help");
        assert!(twice.is_err_and(|reason| reason.contains("2 functions")));
    }

    #[test]
    fn code_ends_where_the_next_symbol_begins() {
        assert_eq!(
            symbols(KERNEL).text("validate_xmit_skb"),
            Ok([
                (0xffff_ffff_81e6_2c10, 0xffff_ffff_81e6_2f70),
                (0xffff_ffff_8200_0000, 0xffff_ffff_8200_0040),
            ])
        );
        assert_eq!(
            symbols(KERNEL).text("skb_checksum_help"),
            Ok([(0xffff_ffff_81e6_2090, 0xffff_ffff_81e6_2200), (0, 0)])
        );
        let one = symbols(KERNEL).text::<1>("validate_xmit_skb");
        assert!(one.is_err_and(|reason| reason.contains("more than 1")));
        assert!(symbols("").text::<2>("validate_xmit_skb").is_err());
    }

    #[test]
    fn hidden_addresses_are_told() {
        let hidden = KERNEL
            .replace("ffffffff", "00000000")
            .replace("81e62c10", "00000000");
        let text = symbols(&hidden).text::<2>("validate_xmit_skb");
        assert!(text.is_err_and(|reason| reason.contains("kptr_restrict")));
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let symbols = symbols("zz t x\n\nffff\nffffffff81e62090 T skb_checksum_help");
        assert_eq!(symbols.is_whole("skb_checksum_help"), Ok(()));
    }
}
