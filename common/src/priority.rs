//! How urgent a piece of work is.

/// Work for a user who waits overtakes other work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Priority {
    /// A user waits for a few images.
    Interactive,
    Bulk,
}

impl Priority {
    /// The more urgent one first; its index is `priority as usize`.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];
}
