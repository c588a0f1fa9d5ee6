//! The body of an answer.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::{packed::Packed, progress::Progress};
use crate::export::Exposition;

/// What is sent.
pub(super) enum Content {
    /// As it is.
    Text(Bytes),
    /// Made when there is room to send it, chunk by chunk.
    Metrics(Box<Exposition>),
    /// The same, compressed.
    Packed(Box<Packed>),
    /// Metrics, to be had by GET.
    None,
}

/// A body that tells when it is made.
pub(super) struct Reply {
    content: Content,
    progress: Rc<Progress>,
}

impl Reply {
    pub(super) fn new(content: Content, progress: Rc<Progress>) -> Self {
        Self { content, progress }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match &mut self.content {
            Content::Text(text) => Some(std::mem::take(text)).filter(|text| !text.is_empty()),
            Content::Metrics(exposition) => exposition.next(),
            Content::Packed(packed) => packed.next(),
            Content::None => None,
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Text(text) if text.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Text(text) => SizeHint::with_exact(text.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.progress.made();
    }
}
