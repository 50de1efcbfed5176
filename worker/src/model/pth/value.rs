//! The values a pickle builds.
//!
//! Invariants: only the globals in [`Global`] are known, any other is refused by name; a value is small whatever a pickle
//! nests, repeats or ties into a loop, as the [`Heap`] has its parts.

use std::rc::Rc;

use super::{
    error::PthError,
    tensor::{ElementType, Storage, TensorReference},
};

/// Everything a pickle of tensors may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(ElementType),
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Result<Self, PthError> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(ElementType::F32),
            ("torch", "DoubleStorage") => Self::Storage(ElementType::F64),
            ("torch", "HalfStorage") => Self::Storage(ElementType::F16),
            ("torch", "BFloat16Storage") => Self::Storage(ElementType::Bf16),
            ("torch", "LongStorage") => Self::Storage(ElementType::I64),
            _ => return Err(PthError::Forbidden(format!("{module}.{name}"))),
        })
    }
}

/// A value. Its parts are in the [`Heap`].
#[derive(Clone, Debug)]
pub(super) enum Value {
    Nothing,
    Bool,
    Int(i64),
    Text(Rc<str>),
    Tuple(Place),
    List(Place),
    Dict(Place),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<TensorReference>),
    Mark,
}

/// Where the parts of a tuple, a list or a dict lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(usize);

/// The parts of all tuples, lists and dicts of a pickle; a dict's are keys and values in turn.
#[derive(Default)]
pub(super) struct Heap(Vec<Vec<Value>>);

impl Heap {
    pub(super) fn put(&mut self, parts: Vec<Value>) -> Place {
        self.0.push(parts);
        Place(self.0.len() - 1)
    }

    pub(super) fn parts(&self, place: Place) -> &[Value] {
        &self.0[place.0]
    }

    pub(super) fn extend(&mut self, place: Place, parts: Vec<Value>) {
        self.0[place.0].extend(parts);
    }

    /// Returns the keys and values of a dict.
    pub(super) fn entries(&self, dict: Place) -> impl Iterator<Item = (&Value, &Value)> {
        self.parts(dict).as_chunks().0.iter().map(|[key, value]| (key, value))
    }
}
