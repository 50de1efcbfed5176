//! PyTorch's `.pth` files: a restricted reader of state dicts.
//!
//! libtorch cannot read these files, and Python's unpickler executes code; this one builds nothing but tensors. `archive`
//! is the container: a pickle and the storages that its tensors refer to. `opcode` parses the pickle, `machine` executes
//! it, and `value` and `tensor` are the result, from which `reader` makes a state dict.

mod archive;
mod error;
mod machine;
mod opcode;
mod reader;
mod tensor;
mod value;

pub use self::error::PthError;
pub(super) use self::reader::{is_pth, read};
