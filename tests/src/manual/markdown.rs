//! What of Markdown matters here: fenced blocks, headings and links.

use std::collections::BTreeSet;

/// A document.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its path in the checkout.
    pub name: String,
    /// Its fenced blocks, in order.
    pub blocks: Vec<Block>,
    /// What its headings are called in links.
    pub anchors: BTreeSet<String>,
    /// Its links, in order.
    pub links: Vec<Link>,
}

/// A fenced block.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Number of the line of its fence.
    pub line: usize,
    /// What the fence says: `console`, `text`, `toml`...
    pub info: String,
    /// The lines between the fences.
    pub lines: Vec<String>,
}

/// A link.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// Number of its line.
    pub line: usize,
    /// Where it leads.
    pub target: String,
}

impl Document {
    /// Reads a document.
    pub fn parse(name: &str, text: &str) -> Self {
        let mut document = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        let mut open: Option<Block> = None;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            match (open.as_mut(), line.strip_prefix("```")) {
                (Some(_), Some("")) => document.blocks.extend(open.take()),
                (Some(block), _) => block.lines.push(line.to_owned()),
                (None, Some(info)) => {
                    open = Some(Block {
                        line: number,
                        info: info.to_owned(),
                        lines: Vec::new(),
                    });
                }
                (None, None) => document.prose(number, line),
            }
        }
        // One that is not closed is a block all the same, as renderers have it.
        document.blocks.extend(open);
        document
    }

    fn prose(&mut self, number: usize, line: &str) {
        if let Some((marks, title)) = line.split_once(' ')
            && !marks.is_empty()
            && marks.chars().all(|mark| mark == '#')
        {
            self.add_anchor(title);
        }
        // Between backquotes there is code, not links.
        let outside = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        for part in outside.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                self.links.push(Link {
                    line: number,
                    target: target.to_owned(),
                });
            }
        }
    }

    /// As GitHub calls headings; the second one of a name is `name-1`.
    fn add_anchor(&mut self, title: &str) {
        let kept = title.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || "-_".contains(c) => Some(c.to_ascii_lowercase()),
            _ => None,
        });
        let slug: String = kept.collect();
        let mut anchor = slug.clone();
        let mut count = 0;
        while !self.anchors.insert(anchor) {
            count += 1;
            anchor = format!("{slug}-{count}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# `top` in place of virt-top

See [one](docs/a.md#what-differs), `not](this)`, and [two](#top).

## What differs

```console
$ offwatch top
[no](link)
```

## What differs
";

    #[test]
    fn blocks_headings_and_links_are_found() {
        let document = Document::parse("README.md", TEXT);
        assert_eq!(
            document.blocks,
            [Block {
                line: 7,
                info: "console".into(),
                lines: vec!["$ offwatch top".into(), "[no](link)".into()],
            }]
        );
        let anchors: Vec<_> = document.anchors.iter().map(String::as_str).collect();
        assert_eq!(
            anchors,
            ["top-in-place-of-virt-top", "what-differs", "what-differs-1"]
        );
        let links = document.links.iter().map(|link| link.target.as_str());
        let links: Vec<_> = links.collect();
        assert_eq!(links, ["docs/a.md#what-differs", "#top"]);
    }
}
