// A plug-in written against the C interface that breaks its rules in C++: it
// throws where the test says, or leaves another floating-point mode behind. Its
// only op is Relu.
#include <cfenv>
#include <cstring>
#include <new>
#include <stdexcept>

#include "bqengine/backend.h"

// RUDE_IN: the place of those that no test could choose after loading it.
#ifndef RUDE_IN
#define RUDE_IN ""
#endif

namespace {

const char* place = RUDE_IN;

void At(const char* here) {
  if (std::strcmp(place, here) != 0) return;
  throw std::runtime_error(here);
}

struct Relu {
  const bqe_run* run;
  int64_t count;
};

void Item(void* argument, int64_t item, uint32_t /*thread*/) {
  const Relu& relu = *static_cast<Relu*>(argument);
  At("a task");
  if (std::strcmp(place, "mode") == 0) std::fesetround(FE_UPWARD);
  const float* x = static_cast<const float*>(relu.run->inputs[0]);
  float* y = static_cast<float*>(relu.run->outputs[0]);
  for (int64_t i = item * relu.count; i < (item + 1) * relu.count; ++i) {
    y[i] = x[i] < 0 ? 0 : x[i];
  }
}

uint64_t WorkspaceBytes(const bqe_kernel* /*kernel*/, int64_t /*batch*/,
                        uint32_t /*threads*/) {
  At("workspace_bytes");
  return 0;
}

bqe_status Run(const bqe_kernel* kernel, const bqe_run* run,
               bqe_error* /*error*/) {
  At("run");
  if (std::strcmp(place, "own type") == 0) throw 5;
  if (std::strcmp(place, "no memory") == 0) throw std::bad_alloc();
  Relu relu = {run, *static_cast<const int64_t*>(kernel->state)};
  run->parallel_for(run->parallel_context, run->batch, Item, &relu);
  return BQE_OK;
}

void Destroy(bqe_kernel* kernel) {
  delete static_cast<int64_t*>(kernel->state);
  delete kernel;
  At("destroy");
}

int32_t Supports(const bqe_backend* /*backend*/, const bqe_node* node) {
  At("supports");
  return std::strcmp(node->op, "Relu") == 0;
}

bqe_status Compile(const bqe_backend* /*backend*/, const bqe_node* node,
                   bqe_kernel** kernel, bqe_error* /*error*/) {
  At("compile");
  int64_t count = 1;
  for (uint32_t i = 1; i < node->inputs[0]->rank; ++i) {
    count *= node->inputs[0]->dims[i];
  }
  *kernel = new bqe_kernel{.struct_size = sizeof(bqe_kernel),
                           .reserved = 0,
                           .state = new int64_t(count),
                           .workspace_bytes = WorkspaceBytes,
                           .run = Run,
                           .destroy = Destroy};
  return BQE_OK;
}

constexpr bqe_backend kBackend = {.struct_size = sizeof(bqe_backend),
                                  .score = 1,
                                  .name = "rude",
                                  .description = "Breaks the rules, for tests",
                                  .context = nullptr,
                                  .supports = Supports,
                                  .compile = Compile};
constexpr const bqe_backend* kBackends[] = {&kBackend};

}  // namespace

extern "C" {

// For the test, which looks it up by name; the string stays the test's.
BQE_EXPORT void rude_plugin_at(const char* here) { place = here; }

int32_t bqe_plugin_score(void) {
  At("score");
  return 1;
}

bqe_status bqe_plugin_init(const bqe_host* /*host*/, bqe_plugin* plugin,
                           bqe_error* /*error*/) {
  At("init");
  plugin->abi_version = BQE_ABI_VERSION;
  plugin->name = "rude";
  plugin->version = "1";
  plugin->num_backends = 1;
  plugin->backends = kBackends;
  return BQE_OK;
}

}  // extern "C"
