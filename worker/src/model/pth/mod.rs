//! PyTorch's `.pth` files: a restricted reader of state dicts.
//!
//! libtorch's own loader refuses these files, and Python's runs code; this one builds tensors and nothing else. `archive`
//! is the container: a pickle, and the storages that its tensors refer to. `opcode` reads the pickle, `machine` runs it,
//! and `value` and `tensor` are what it builds. `reader` makes a state dict of that.

mod archive;
mod error;
mod machine;
mod opcode;
mod reader;
mod tensor;
mod value;

pub use self::error::PthError;
pub(super) use self::reader::{is_pth, read};
