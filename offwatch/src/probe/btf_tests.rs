//! The reader against BTF of two made-up kernels, written here type by type.

use super::*;

/// Writes BTF.
#[derive(Default)]
struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Writer {
    fn new() -> Self {
        Self {
            strings: vec![0],
            ..Self::default()
        }
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn words(&mut self, words: &[u32]) {
        self.types
            .extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    fn add(&mut self, name: &str, kind: u32, flag: bool, vlen: u32, size: u32) -> u32 {
        let name = self.string(name);
        self.words(&[name, u32::from(flag) << 31 | kind << 24 | vlen, size]);
        self.count += 1;
        self.count
    }

    fn int(&mut self, name: &str) -> u32 {
        let id = self.add(name, 1, false, 0, 4);
        self.words(&[32]);
        id
    }

    /// Members are (name, type, bit offset, bit size; 0 for no bit field).
    fn aggregate(&mut self, kind: u32, name: &str, members: &[(&str, u32, u32, u32)]) -> u32 {
        let flag = members.iter().any(|member| member.3 != 0);
        let id = self.add(name, kind, flag, members.len() as u32, 64);
        for (name, member_type, offset, bits) in members {
            let name = self.string(name);
            self.words(&[
                name,
                *member_type,
                if flag { bits << 24 | offset } else { *offset },
            ]);
        }
        id
    }

    fn structure(&mut self, name: &str, members: &[(&str, u32, u32, u32)]) -> u32 {
        self.aggregate(4, name, members)
    }

    fn union(&mut self, members: &[(&str, u32, u32, u32)]) -> u32 {
        self.aggregate(5, "", members)
    }

    fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) {
        self.add(name, 6, false, values.len() as u32, 4);
        for (name, value) in values {
            let name = self.string(name);
            self.words(&[name, *value]);
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut data = MAGIC.to_le_bytes().to_vec();
        data.extend([1, 0]);
        let types = self.types.len() as u32;
        for word in [24, 0, types, types, self.strings.len() as u32] {
            data.extend(word.to_le_bytes());
        }
        data.extend(self.types);
        data.extend(self.strings);
        data
    }
}

/// As 5.10: `vlan_present` is a flag among bit fields, no drop reasons.
fn old_kernel() -> Vec<u8> {
    let mut btf = Writer::new();
    let int = btf.int("unsigned int");
    let net = btf.structure("net", &[("ns", 0, 0, 0)]);
    let pointer = btf.add("", 2, false, 0, net);
    let possible = btf.structure("", &[("net", pointer, 0, 0)]);
    let typedef = btf.add("possible_net_t", 8, false, 0, possible);
    btf.structure(
        "net_device",
        &[
            ("ifindex", int, 256 * 8, 0),
            ("nd_net", typedef, 1264 * 8, 0),
        ],
    );
    btf.structure(
        "sk_buff",
        &[
            ("len", int, 112 * 8, 0),
            ("vlan_present", int, 131 * 8 + 4, 1),
            ("ip_summed", int, 128 * 8 + 5, 2),
        ],
    );
    btf.enumeration("", &[("SKB_GSO_TCPV4", 1), ("SKB_GSO_UDP_L4", 1 << 17)]);
    btf.finish()
}

/// As 6.18: the same fields elsewhere, inside unnamed structures and unions.
fn new_kernel() -> Vec<u8> {
    let mut btf = Writer::new();
    let int = btf.int("unsigned int");
    // Types that come before and must be stepped over rightly.
    let proto = btf.add("", 13, false, 2, int);
    btf.words(&[0, int, 0, int]);
    btf.add("function", 12, false, 1, proto);
    btf.add("counter", 14, false, 0, int);
    btf.words(&[0]);
    btf.add(".data", 15, false, 1, 4);
    btf.words(&[4, 0, 4]);
    btf.add("tag", 17, false, 0, int);
    btf.words(&[0]);
    btf.add("", 3, false, 0, 0);
    btf.words(&[int, int, 4]);
    btf.add("big", 19, false, 1, 8);
    let name = btf.string("SKB_DROP_REASON_FULL_RING");
    btf.words(&[name, 42, 0]);
    let headers = btf.structure("", &[("ip_summed", int, 5, 2), ("vlan_all", int, 32, 0)]);
    let union = btf.union(&[("", headers, 0, 0), ("whole", headers, 0, 0)]);
    btf.structure(
        "sk_buff",
        &[("", union, 128 * 8, 0), ("len", int, 112 * 8, 0)],
    );
    btf.finish()
}

#[test]
fn finds_members_on_an_old_kernel() {
    let btf = Btf::parse(old_kernel()).expect("valid BTF");
    assert_eq!(btf.member("sk_buff", "len").expect("len").byte(), 112);
    let ip_summed = btf.member("sk_buff", "ip_summed").expect("ip_summed");
    assert_eq!((ip_summed.byte(), ip_summed.shift()), (128, 5));
    let vlan = btf.member("sk_buff", "vlan_present").expect("vlan_present");
    assert_eq!((vlan.byte(), vlan.shift()), (131, 4));
    assert_eq!(
        btf.member("net_device", "nd_net.net")
            .expect("through a typedef")
            .byte(),
        1264
    );
    assert_eq!(btf.enumerator("SKB_GSO_UDP_L4"), Some(1 << 17));
    assert_eq!(btf.enumerator("SKB_DROP_REASON_FULL_RING"), None);
}

#[test]
fn finds_members_on_a_new_kernel() {
    let btf = Btf::parse(new_kernel()).expect("valid BTF");
    let ip_summed = btf
        .member("sk_buff", "ip_summed")
        .expect("inside unnamed members");
    assert_eq!((ip_summed.byte(), ip_summed.shift()), (128, 5));
    assert_eq!(
        btf.member("sk_buff", "vlan_all").expect("vlan_all").byte(),
        132
    );
    assert_eq!(
        btf.member("sk_buff", "len").expect("after a union").byte(),
        112
    );
    assert_eq!(btf.enumerator("SKB_DROP_REASON_FULL_RING"), Some(42));
}

#[test]
fn functions_have_parameters() {
    let btf = Btf::parse(new_kernel()).expect("valid BTF");
    assert_eq!(btf.parameters("function"), Some(2));
    assert_eq!(btf.parameters("no_such_function"), None);
    assert_eq!(btf.parameters("sk_buff"), None, "not a function");
}

#[test]
fn an_enumeration_is_listed() {
    let mut btf = Writer::new();
    btf.enumeration("other", &[("A", 7)]);
    btf.enumeration("reasons", &[("A", 1), ("B", 2)]);
    let btf = Btf::parse(btf.finish()).expect("valid BTF");
    assert_eq!(
        btf.enumerators("reasons"),
        [("A".into(), 1), ("B".into(), 2)]
    );
    assert!(btf.enumerators("none").is_empty());
}

#[test]
fn a_missing_member_is_named() {
    let btf = Btf::parse(new_kernel()).expect("valid BTF");
    let error = btf
        .member("sk_buff", "vlan_present")
        .expect_err("6.1 removed it");
    assert!(
        error.to_string().contains("sk_buff.vlan_present"),
        "{error}"
    );
    assert!(btf.member("no_such_struct", "len").is_err());
}

#[test]
fn a_name_is_not_matched_by_its_beginning() {
    let btf = Btf::parse(old_kernel()).expect("valid BTF");
    assert!(btf.member("sk_buff", "le").is_err());
    assert!(btf.member("sk", "len").is_err());
}

#[test]
fn damaged_data_is_an_error_and_no_panic() {
    assert!(Btf::parse(Vec::new()).is_err());
    assert!(Btf::parse(b"not BTF, but long enough to hold a header".to_vec()).is_err());
    let whole = new_kernel();
    for length in 0..whole.len() {
        assert!(
            Btf::parse(whole[..length].to_vec()).is_err(),
            "cut at {length}"
        );
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        if let Ok(btf) = Btf::parse(damaged) {
            let _ = btf.member("sk_buff", "ip_summed");
            let _ = btf.enumerator("SKB_DROP_REASON_FULL_RING");
            let _ = btf.parameters("function");
            let _ = btf.enumerators("big");
        }
    }
}

#[test]
fn a_structure_that_contains_itself_ends() {
    let mut btf = Writer::new();
    // Type 1 has an unnamed member of type 1.
    btf.structure("sk_buff", &[("", 1, 0, 0)]);
    let btf = Btf::parse(btf.finish()).expect("well formed");
    assert!(btf.member("sk_buff", "len").is_err());
}

/// The kernel that runs the test, where it has BTF.
#[test]
fn reads_the_running_kernel() {
    if !std::path::Path::new(VMLINUX).exists() {
        eprintln!("skipped: this kernel has no {VMLINUX}");
        return;
    }
    let btf = Btf::of_kernel().expect("the kernel's BTF");
    assert!(btf.member("sk_buff", "ip_summed").is_ok());
    assert_eq!(btf.enumerator("SKB_GSO_TCPV4"), Some(1));
}
