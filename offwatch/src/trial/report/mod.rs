//! A trial for people.

mod grid;
mod headline;
mod plot;
mod progress;
mod recipe;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use self::{
    headline::headline,
    progress::progress,
    recipe::{brief, recipe_markdown, recipe_text},
    text::text,
};
