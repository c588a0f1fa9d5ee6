use offwatch::{probe::*, sample::Hook};
use std::os::unix::fs::MetadataExt;
fn main() {
    let netns = std::fs::metadata("/proc/self/ns/net").unwrap().ino();
    for hook in [Hook::Tp, Hook::Raw, Hook::Tc] {
        let t = std::time::Instant::now();
        match Probe::start(hook, netns) {
            Ok(mut p) => {
                println!("{hook:?} {:?}", t.elapsed());
                p.observe(1, "lo");
                let u = std::net::UdpSocket::bind("127.0.0.1:0").unwrap(); for _ in 0..5 { u.send_to(&[0;100], u.local_addr().unwrap()).unwrap(); }
                if let (_, Reading::Counted(s)) = p.read(1) { println!("{s:?}"); }
            }
            Err(e) => println!("{hook:?} {e} {e:?}"),
        }
    }
}
