//! Convolutions of oneDNN with bias, residual and activation in one kernel, on a CPU.
//!
//! libtorch has them as operators without a function that `tch` could bind, so `onednn.cpp` calls them by name.
//! Invariant: the result of an image does not depend on the others in its batch.

#![expect(unsafe_code, reason = "the functions are foreign, and tch passes tensors to them as pointers")]

use std::ffi::{CStr, c_char, c_void};

use tch::{TchError, Tensor};

/// A tensor of libtorch.
type Pointer = *const c_void;

unsafe extern "C" {
    safe fn subwatch_has_fused_convolutions() -> bool;
    safe fn subwatch_error() -> *const c_char;
    fn subwatch_pack(weight: Pointer, stride: i64, padding: i64, input: *const i64) -> *mut c_void;
    fn subwatch_convolve(
        x: Pointer,
        weight: Pointer,
        bias: Pointer,
        stride: i64,
        padding: i64,
        relu: bool,
    ) -> *mut c_void;
    fn subwatch_convolve_add_relu(
        residual: Pointer,
        x: Pointer,
        weight: Pointer,
        bias: Pointer,
        stride: i64,
        padding: i64,
    ) -> *mut c_void;
}

/// A convolution whose weights are laid out for oneDNN.
#[derive(Debug)]
pub(super) struct Packed {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

/// Whether this libtorch has the operators.
pub(super) fn is_available() -> bool {
    subwatch_has_fused_convolutions()
}

impl Packed {
    /// Lays out `weight` for inputs of the shape `input`. Other numbers of images work too.
    ///
    /// # Errors
    /// If libtorch fails.
    pub(super) fn new(
        weight: &Tensor,
        bias: &Tensor,
        stride: i64,
        padding: i64,
        input: [i64; 4],
    ) -> Result<Self, TchError> {
        // SAFETY: the tensor is alive during the call, and `input` has the four sizes that are read.
        let weight = unsafe { owned(subwatch_pack(pointer(weight), stride, padding, input.as_ptr()))? };
        Ok(Self { weight, bias: bias.shallow_clone(), stride, padding })
    }

    /// Convolves, adds the bias and, with `relu`, applies the activation.
    pub(super) fn apply(&self, x: &Tensor, relu: bool) -> Result<Tensor, TchError> {
        let Self { weight, bias, stride, padding } = self;
        // SAFETY: the tensors are alive during the call.
        unsafe {
            owned(subwatch_convolve(pointer(x), pointer(weight), pointer(bias), *stride, *padding, relu))
        }
    }

    /// Convolves, adds the bias and `residual`, which is overwritten, and applies the activation.
    pub(super) fn added_to(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor, TchError> {
        let Self { weight, bias, stride, padding } = self;
        // SAFETY: the tensors are alive during the call.
        unsafe {
            owned(subwatch_convolve_add_relu(
                pointer(residual),
                pointer(x),
                pointer(weight),
                pointer(bias),
                *stride,
                *padding,
            ))
        }
    }
}

fn pointer(tensor: &Tensor) -> Pointer {
    tensor.as_ptr().cast()
}

/// Takes the tensor that a function returned, or its error.
///
/// # Safety
/// `returned` is null or a new tensor that nothing else frees.
unsafe fn owned(returned: *mut c_void) -> Result<Tensor, TchError> {
    if returned.is_null() {
        // SAFETY: the text is of this thread, and lives until its next failed call.
        let error = unsafe { CStr::from_ptr(subwatch_error()) };
        return Err(TchError::Torch(error.to_string_lossy().into_owned()));
    }
    // SAFETY: the caller's.
    Ok(unsafe { Tensor::from_ptr(returned.cast()) })
}
