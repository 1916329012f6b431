/* A backend plug-in in plain C: the smallest that does something. It takes over
 * the op Relu, counts its runs (so that a test can see that it ran), and knows
 * nothing of bqengine but bqengine/backend.h. */
#include <stdatomic.h>
#include <string.h>

#include "bqengine/backend.h"

static const bqe_host* host;
static atomic_llong runs;

/* For the test, which looks it up by name. */
BQE_EXPORT long long relu_plugin_runs(void);
long long relu_plugin_runs(void) { return atomic_load(&runs); }

typedef struct relu_kernel {
  bqe_kernel table; /* first, so that both have one address */
  int64_t values_per_item;
} relu_kernel;

/* One task of the parallel loop: one item of the batch. */
typedef struct relu_task {
  const relu_kernel* kernel;
  const bqe_run* run;
} relu_task;

static void relu_item(void* argument, int64_t index, uint32_t thread) {
  const relu_task* task = argument;
  const int64_t count = task->kernel->values_per_item;
  const float* x = (const float*)task->run->inputs[0] + index * count;
  float* y = (float*)task->run->outputs[0] + index * count;
  (void)thread;
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] < 0 ? 0 : x[i];
}

static bqe_status relu_run(const bqe_kernel* kernel, const bqe_run* run,
                           bqe_error* error) {
  relu_task task = {(const relu_kernel*)kernel, run};
  (void)error;
  atomic_fetch_add(&runs, 1);
  run->parallel_for(run->parallel_context, run->batch, relu_item, &task);
  return BQE_OK;
}

static void relu_destroy(bqe_kernel* kernel) {
  host->deallocate(host->context, kernel);
}

static int32_t relu_supports(const bqe_backend* backend, const bqe_node* node) {
  (void)backend;
  return strcmp(node->op, "Relu") == 0 && node->num_inputs == 1 &&
         node->num_attributes == 0 && node->num_constants == 0 &&
         node->inputs[0]->type == BQE_FLOAT32;
}

static bqe_status relu_compile(const bqe_backend* backend, const bqe_node* node,
                               bqe_kernel** kernel, bqe_error* error) {
  static const char kNoMemory[] = "no memory for a kernel";
  relu_kernel* relu = host->allocate(host->context, sizeof(relu_kernel), 64);
  (void)backend;
  if ((uintptr_t)relu % 64 != 0) { /* the host broke its promise */
    host->deallocate(host->context, relu);
    return BQE_ERROR_INTERNAL;
  }
  if (relu == NULL) {
    if (error->message_bytes >= sizeof(kNoMemory)) {
      memcpy(error->message, kNoMemory, sizeof(kNoMemory));
    }
    return BQE_ERROR_OUT_OF_MEMORY;
  }
  memset(relu, 0, sizeof(*relu));
  relu->table.struct_size = sizeof(bqe_kernel);
  relu->table.run = relu_run;
  relu->table.destroy = relu_destroy;
  relu->values_per_item = 1;
  for (uint32_t i = 1; i < node->inputs[0]->rank; ++i) {
    relu->values_per_item *= node->inputs[0]->dims[i];
  }
  *kernel = &relu->table;
  return BQE_OK;
}

static const bqe_backend relu_backend = {
    .struct_size = sizeof(bqe_backend),
    .score = 1000, /* before every built-in backend */
    .name = "relu-in-c",
    .description = "Relu in plain C, for tests",
    .supports = relu_supports,
    .compile = relu_compile};

static const bqe_backend* const backends[] = {&relu_backend};

int32_t bqe_plugin_score(void) { return 1; }

bqe_status bqe_plugin_init(const bqe_host* given, bqe_plugin* plugin,
                           bqe_error* error) {
  (void)error;
  host = given;
  host->log(host->context, BQE_LOG_INFO, "relu-in-c is here");
  plugin->abi_version = BQE_ABI_VERSION;
  plugin->name = "relu-in-c";
  plugin->version = "1.0";
  plugin->num_backends = 1;
  plugin->backends = backends;
  return BQE_OK;
}
