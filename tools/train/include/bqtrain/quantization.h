// How a layer's weights and activations are quantized, without LibTorch. The
// methods and their papers: tools/train/README.md.
#ifndef BQTRAIN_QUANTIZATION_H_
#define BQTRAIN_QUANTIZATION_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bqengine/status.h"

namespace bqtrain {

enum class WeightMethod {
  kFloat,
  kBinaryConnect,  // sign(W); BNN's weights are the same
  kStochastic,     // +1 with probability clip((W + 1) / 2, 0, 1), when training
  kBwn,            // alpha * sign(W), one alpha per output channel
  kAbcNet,         // sum_m alpha_m * B_m
  kUnipolar,       // {0,1}: I[W >= threshold], and O = alpha * O_b + beta
};

enum class ActivationMethod {
  kFloat,
  kSign,      // sign(A)
  kAbcNet,    // sum_n beta_n * A_n
  kUnipolar,  // {0,1}: I[A >= threshold]
};

struct Quantization {
  WeightMethod weights = WeightMethod::kFloat;
  ActivationMethod activations = ActivationMethod::kFloat;
  int64_t weight_bases = 1;      // M, of kAbcNet
  int64_t activation_bases = 1;  // N, of kAbcNet
  // Whether alpha is a parameter of its own or computed from the weights:
  // mean(abs(W)) for kBwn, least squares for kAbcNet. kUnipolar's is trained.
  bool trained_alpha = false;
  // Whether kAbcNet's u_m and v_n are parameters or stay where they start.
  bool trained_shifts = true;
  float threshold = 0;  // of kUnipolar, for weights and activations

  bool operator==(const Quantization&) const = default;
  bool is_float() const {
    return weights == WeightMethod::kFloat &&
           activations == ActivationMethod::kFloat;
  }
  // BinaryConnect and BNN keep their real weights in [-1, 1] after each step.
  bool clips_weights() const {
    return weights == WeightMethod::kBinaryConnect ||
           weights == WeightMethod::kStochastic;
  }
};

// A method by the name that bq-train's --method has for it: "float",
// "binaryconnect", "binaryconnect-stochastic", "bwn", "bnn", "xnor", "abcnet",
// "unipolar". kInvalidArgument lists them.
bqengine::Result<Quantization> QuantizationOf(std::string_view method);
const std::vector<std::string>& MethodNames();

// The two halves by the names that architectures have for them ("training" of a
// node): weights "float", "binaryconnect", "binaryconnect-stochastic", "bwn",
// "abcnet", "unipolar"; activations "float", "sign", "abcnet", "unipolar".
bqengine::Result<WeightMethod> WeightMethodOf(std::string_view name);
bqengine::Result<ActivationMethod> ActivationMethodOf(std::string_view name);
const char* Name(WeightMethod method);
const char* Name(ActivationMethod method);

// kInvalidArgument for what makes no sense: bases outside [1, 64], more than
// one base for what is not kAbcNet, a threshold that is not finite; and for
// what the engine has no op: binary activations with float weights, kAbcNet
// activations with kUnipolar weights.
bqengine::Status Check(const Quantization& quantization);

}  // namespace bqtrain

#endif  // BQTRAIN_QUANTIZATION_H_
