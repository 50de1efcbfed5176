//! The values that a pickle builds.
//!
//! Invariants: a global that is not in [`Global`] is rejected by name; a value is small even if a pickle nests, repeats or
//! makes cycles, as its elements are in the [`Heap`].

use std::rc::Rc;

use super::{
    error::PthError,
    tensor::{ElementType, Storage, TensorReference},
};

/// The Python objects that a pickle may refer to.
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

/// A value. The elements of containers are in the [`Heap`].
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool,
    Int(i64),
    Text(Rc<str>),
    Tuple(HeapIndex),
    List(HeapIndex),
    Dict(HeapIndex),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<TensorReference>),
    Mark,
}

/// Index of the elements of a tuple, list or dict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct HeapIndex(usize);

/// The elements of all tuples, lists and dicts of a pickle; those of a dict alternate between keys and values.
#[derive(Default)]
pub(super) struct Heap(Vec<Vec<Value>>);

impl Heap {
    pub(super) fn allocate(&mut self, elements: Vec<Value>) -> HeapIndex {
        self.0.push(elements);
        HeapIndex(self.0.len() - 1)
    }

    pub(super) fn elements(&self, index: HeapIndex) -> &[Value] {
        &self.0[index.0]
    }

    pub(super) fn extend(&mut self, index: HeapIndex, elements: Vec<Value>) {
        self.0[index.0].extend(elements);
    }

    pub(super) fn entries(&self, dict: HeapIndex) -> impl Iterator<Item = (&Value, &Value)> {
        self.elements(dict).as_chunks().0.iter().map(|[key, value]| (key, value))
    }
}
