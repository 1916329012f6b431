/* Plug-ins that break the rules of bqengine/backend.h, one for each value of
 * BAD, chosen when it is compiled. */
#include <string.h>

#include "bqengine/backend.h"

#define BAD_NO_SYMBOLS 0
#define BAD_SCORE 1
#define BAD_INIT_FAILS 2
#define BAD_VERSION 3
#define BAD_NO_BACKENDS 4
#define BAD_COUNT 5
#define BAD_NAME 6
#define BAD_FUNCTION 7
#define BAD_STRUCT_SIZE 8
#define BAD_TAKEN_NAME 9
#define BAD_KERNEL 10
#define BAD_COMPILE 11
#define BAD_RUN 12

#if BAD != BAD_NO_SYMBOLS

static int32_t supports(const bqe_backend* backend, const bqe_node* node) {
  (void)backend;
  return strcmp(node->op, "Relu") == 0;
}

static void say(bqe_error* error, const char* message) {
  strncpy(error->message, message, error->message_bytes - 1);
  error->message[error->message_bytes - 1] = '\0';
}

#if BAD == BAD_RUN
static bqe_status run(const bqe_kernel* kernel, const bqe_run* arguments,
                      bqe_error* error) {
  (void)kernel;
  (void)arguments;
  say(error, "ran into a wall");
  return BQE_ERROR_INTERNAL;
}
static void destroy(bqe_kernel* kernel) { (void)kernel; }
static bqe_kernel failing_kernel = {
    .struct_size = sizeof(bqe_kernel), .run = run, .destroy = destroy};
#endif

static bqe_status compile(const bqe_backend* backend, const bqe_node* node,
                          bqe_kernel** kernel, bqe_error* error) {
  (void)backend;
  (void)node;
  (void)kernel;
  (void)error;
#if BAD == BAD_COMPILE
  say(error, "does not like this node");
  return BQE_ERROR_UNSUPPORTED;
#elif BAD == BAD_RUN
  *kernel = &failing_kernel;
  return BQE_OK;
#else
  return BQE_OK; /* and no kernel */
#endif
}

static bqe_backend backend = {.struct_size = sizeof(bqe_backend),
                              .score = 2000,
                              .name = "bad",
                              .supports = supports,
                              .compile = compile};

static const bqe_backend* backends[] = {&backend};

int32_t bqe_plugin_score(void) { return BAD == BAD_SCORE ? 0 : 1; }

bqe_status bqe_plugin_init(const bqe_host* host, bqe_plugin* plugin,
                           bqe_error* error) {
  (void)host;
  plugin->abi_version = BAD == BAD_VERSION ? 99 : BQE_ABI_VERSION;
  plugin->num_backends = BAD == BAD_NO_BACKENDS ? 0
                         : BAD == BAD_COUNT     ? UINT64_MAX
                                                : 1;
  plugin->backends = backends;
  if (BAD == BAD_INIT_FAILS) {
    say(error, "no device found");
    return BQE_ERROR_UNSUPPORTED;
  }
  if (BAD == BAD_NAME) backend.name = NULL;
  if (BAD == BAD_FUNCTION) backend.compile = NULL;
  if (BAD == BAD_STRUCT_SIZE) backend.struct_size = 8;
  if (BAD == BAD_TAKEN_NAME) backend.name = "reference";
  return BQE_OK;
}

#endif
