//! libvirt's URIs: `driver[+transport]://[user@][host][:port]/[path]`.

/// Fails if the URI names another host, whose VMs cannot be observed from here.
pub fn local(uri: &str) -> Result<(), String> {
    let rest = uri.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host {
        "" | "localhost" => Ok(()),
        _ => Err(format!(
            "{host} is another host; offwatch shows the VMs of this one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_this_host_is_asked() {
        for uri in [
            "qemu:///system",
            "test:///tmp/node.xml",
            "qemu+unix:///session",
            "x",
        ] {
            assert!(local(uri).is_ok(), "{uri}");
        }
        for uri in [
            "qemu+ssh://root@other/system",
            "qemu://other:16514/system",
            "xen://h",
        ] {
            assert!(local(uri).is_err(), "{uri}");
        }
    }
}
