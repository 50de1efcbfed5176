//! The values that a pickle builds.
//!
//! Invariants: a global that is not in [`Global`] is rejected by name; a value is small even if a pickle nests, repeats or
//! makes cycles, as its elements are in the [`Heap`].

use std::rc::Rc;

use super::{
    error::PthError,
    tensor::{ElementType, Storage, TensorReference},
};

/// The Python objects that a pickle may refer to: those that `torch.load` accepts with `weights_only=True`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildParameter,
    /// Rebuilds a tensor with attributes, by another function and its arguments.
    RebuildFromType,
    /// Makes a tensor without plain elements: sparse, quantised, nested, of a newer element type.
    RebuildOther,
    Storage(ElementType),
    /// Anything else that makes or is a value without tensors: a set, a device, an element type.
    Inert,
}

impl Global {
    pub(super) fn find(module: &str, name: &str) -> Result<Self, PthError> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            (
                "torch._utils",
                "_rebuild_tensor_v3"
                | "_rebuild_qtensor"
                | "_rebuild_sparse_tensor"
                | "_rebuild_nested_tensor"
                | "_rebuild_meta_tensor_no_storage"
                | "_rebuild_device_tensor_from_numpy"
                | "_rebuild_device_tensor_from_cpu_tensor"
                | "_rebuild_wrapper_subclass",
            ) => Self::RebuildOther,
            ("torch" | "torch.cuda", "FloatStorage") => Self::Storage(ElementType::F32),
            ("torch" | "torch.cuda", "DoubleStorage") => Self::Storage(ElementType::F64),
            ("torch" | "torch.cuda", "HalfStorage") => Self::Storage(ElementType::F16),
            ("torch" | "torch.cuda", "BFloat16Storage") => Self::Storage(ElementType::Bf16),
            ("torch" | "torch.cuda" | "torch.storage", storage) if storage.ends_with("Storage") => {
                Self::Storage(ElementType::Other)
            }
            _ if is_inert(module, name) => Self::Inert,
            _ => return Err(PthError::Forbidden(format!("{module}.{name}"))),
        })
    }
}

fn is_inert(module: &str, name: &str) -> bool {
    /// Element types and quantisation schemes, such as `torch.float32`.
    const TYPES: [&str; 10] =
        ["float", "bfloat", "int", "uint", "complex", "bits", "qint", "quint", "bool", "per_"];
    match module {
        // `__builtin__` is Python 2's name, which pickles of protocol 2 have.
        "__builtin__" | "builtins" => matches!(name, "set" | "bytearray" | "complex"),
        "_codecs" => name == "encode",
        "collections" => name == "Counter",
        "torch.serialization" => name == "_get_layout",
        "torch.nn.parameter" => name == "Parameter",
        "torch" if name == "device" || TYPES.iter().any(|prefix| name.starts_with(prefix)) => true,
        "torch" | "torch.cuda" | "torch.sparse" => name.ends_with("Tensor"),
        _ => false,
    }
}

/// A value. The elements of tuples and dicts are in the [`Heap`]; those of lists and sets are dropped, as no tensor is
/// read from one.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(i64),
    Text(Rc<str>),
    Tuple(HeapIndex),
    Dict(HeapIndex),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<TensorReference>),
    /// A tensor whose elements are not numbers in a storage.
    OtherTensor,
    /// A value without tensors.
    Other,
    Mark,
}

/// Index of the elements of a tuple or dict.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct HeapIndex(usize);

/// The elements of all tuples and dicts of a pickle; those of a dict alternate between keys and values.
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
