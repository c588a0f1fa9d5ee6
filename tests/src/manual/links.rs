//! Whether links of the manual lead somewhere.

use std::path::{Component, Path, PathBuf};

use super::{Document, root};

/// Every link between documents or to a file of the checkout that leads nowhere.
pub fn broken(documents: &[Document]) -> anyhow::Result<Vec<String>> {
    let root = root()?;
    let mut broken = Vec::new();
    for document in documents {
        for link in &document.links {
            if let Some(why) = wrong(&root, documents, document, &link.target) {
                broken.push(format!(
                    "{}:{}: {}: {why}",
                    document.name, link.line, link.target
                ));
            }
        }
    }
    Ok(broken)
}

fn wrong(root: &Path, all: &[Document], from: &Document, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let to = match path {
        "" => PathBuf::from(&from.name),
        path => normal(&Path::new(&from.name).with_file_name(path)),
    };
    if !root.join(&to).exists() {
        return Some("there is no such file".into());
    }
    let anchor = anchor?;
    let document = all.iter().find(|other| Path::new(&other.name) == to);
    match document {
        Some(document) if document.anchors.contains(anchor) => None,
        Some(_) => Some("there is no such heading".into()),
        None => Some("only documents have headings".into()),
    }
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_headings_must_be_there() {
        let documents = [
            Document::parse("README.md", "# Top\n"),
            Document::parse("docs/rules.md", "# Rules\n## keep-on\n"),
        ];
        let root = root().unwrap();
        let wrong = |from: usize, target| wrong(&root, &documents, &documents[from], target);
        for good in [
            "#top",
            "docs/rules.md#keep-on",
            "contrib",
            "https://x.org/#y",
        ] {
            assert_eq!(wrong(0, good), None, "{good}");
        }
        for good in ["rules.md", "../README.md#top", "../contrib/policy.toml"] {
            assert_eq!(wrong(1, good), None, "{good}");
        }
        for bad in [
            "#bottom",
            "docs/none.md",
            "docs/rules.md#top",
            "LICENSE-MIT#a",
        ] {
            assert!(wrong(0, bad).is_some(), "{bad}");
        }
    }
}
