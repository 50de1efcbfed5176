// oneDNN's fused convolutions, which libtorch registers as operators without a C++ function, called by their names.
//
// Each function returns a new tensor, as tch expects it, or null after an error, whose text `subwatch_error` returns.

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <exception>
#include <string>
#include <vector>

namespace {

thread_local std::string last_error;

using Sizes = std::vector<int64_t>;

c10::OperatorHandle find(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
}

// Calls an operator that returns one tensor.
at::Tensor* call(const c10::OperatorHandle& op, torch::jit::Stack stack) {
  op.callBoxed(&stack);
  return new at::Tensor(stack.front().toTensor());
}

template <typename Call>
at::Tensor* guarded(Call&& call) noexcept {
  try {
    return call();
  } catch (const std::exception& error) {
    last_error = error.what();
    return nullptr;
  }
}

Sizes both(int64_t value) { return {value, value}; }

}  // namespace

extern "C" {

const char* subwatch_error() noexcept { return last_error.c_str(); }

// Whether this libtorch has the operators.
bool subwatch_has_fused_convolutions() noexcept {
  auto& dispatcher = c10::Dispatcher::singleton();
  return dispatcher.findSchema({"mkldnn::_convolution_pointwise", ""}).has_value() &&
         dispatcher.findSchema({"mkldnn::_convolution_pointwise_", "binary"}).has_value() &&
         dispatcher.findSchema({"mkldnn::_reorder_convolution_weight", ""}).has_value();
}

// Lays out the weights of a convolution as oneDNN wants them for an input of shape `input`, which has four sizes.
at::Tensor* subwatch_pack(const at::Tensor* weight, int64_t stride, int64_t padding, const int64_t* input) {
  return guarded([&] {
    static const auto op = find("mkldnn::_reorder_convolution_weight", "");
    return call(op, {*weight, both(padding), both(stride), both(1), int64_t{1}, Sizes(input, input + 4)});
  });
}

// Convolves, adds the bias and, with `relu`, applies the activation.
at::Tensor* subwatch_convolve(const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias, int64_t stride,
                              int64_t padding, bool relu) {
  return guarded([&] {
    static const auto op = find("mkldnn::_convolution_pointwise", "");
    const c10::List<std::optional<at::Scalar>> scalars;
    return call(op, {*x, *weight, *bias, both(padding), both(stride), both(1), int64_t{1}, relu ? "relu" : "none",
                     scalars, ""});
  });
}

// Convolves, adds the bias and `residual`, and applies the activation. Overwrites `residual` with the result.
at::Tensor* subwatch_convolve_add_relu(const at::Tensor* residual, const at::Tensor* x, const at::Tensor* weight,
                                       const at::Tensor* bias, int64_t stride, int64_t padding) {
  return guarded([&] {
    static const auto op = find("mkldnn::_convolution_pointwise_", "binary");
    const c10::List<std::optional<at::Scalar>> scalars;
    return call(op, {*residual, *x, *weight, *bias, both(padding), both(stride), both(1), int64_t{1}, "add",
                     at::Scalar(1.0), "relu", scalars, ""});
  });
}

}  // extern "C"
