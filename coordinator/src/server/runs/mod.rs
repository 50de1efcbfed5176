//! Training runs as they are recorded: what was asked for, what is known of them, and finding one by name.
//!
//! Owns the stored records of a run that are read elsewhere than in its training, and the views made of them.
//! Does not own how a run is carried out (see `training`), nor the files that it leaves. Predict submissions read
//! these records too, so nothing here knows submissions or training.

mod find;
mod record;
mod view;

pub(crate) use self::{
    find::{read_spec, resolve, target},
    record::{
        EpochRecord, RawErrors, RunReport, RunSpec, SkippedRecord, SplitRecord, TestRecord, TrainingSettings,
    },
    view::{get, list},
};
