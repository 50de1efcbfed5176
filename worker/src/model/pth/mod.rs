//! PyTorch's `.pth` files: a restricted reader of state dicts, alone or in a checkpoint.
//!
//! libtorch cannot read these files, and Python's unpickler executes code; this one builds nothing but tensors. `archive`
//! is the container: a pickle and the storages that its tensors refer to. `opcode` parses the pickle, `machine` executes
//! it, and `value` and `tensor` are the result, in which `reader` looks for dicts of tensors.

mod archive;
mod error;
mod machine;
mod opcode;
mod reader;
mod tensor;
mod value;

pub(super) use self::reader::{is_pth, read};
