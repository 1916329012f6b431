/* bqengine backend interface, version 1.
 *
 * A backend turns one graph node into something that runs. This header is the
 * whole contract between the host (libbqengine) and a backend, built in or
 * loaded from a shared library: plain C11, no dependency, nothing to link.
 *
 * A plug-in is a shared library that exports two symbols:
 *
 *   bqe_plugin_score   nonzero if this machine can run the library; it is
 *                      called first, so build it without special ISA flags.
 *   bqe_plugin_init    fills a bqe_plugin with the backends it offers.
 *
 * The host then calls, in this order:
 *
 *   supports(node)     no side effects; may be called any number of times
 *   compile(node)      packs the weights and returns a kernel
 *   workspace_bytes    how much scratch memory a run wants
 *   run                any number of times
 *   destroy            once
 *
 * Growing without breaking. Every struct starts with struct_size: sizeof the
 * struct as the side that owns its memory was compiled with. Fields are only
 * ever appended. A reader must not touch a field that lies beyond struct_size;
 * BQE_HAS_FIELD tests that. Arrays that cross the border are arrays of
 * pointers, so that an element may grow too. Fields called reserved are 0 when
 * written and ignored when read.
 *
 * New meaning comes with new names: an op never changes what it computes for
 * the attributes, constants and number of inputs it has today, but later
 * versions may add some. So a backend must refuse (supports: 0) a node with an
 * op, attribute, constant role, enumerator or number of inputs or outputs that
 * it does not know; to ignore one would be to compute something else.
 *
 * Threads. supports and compile may be called from several threads at once, on
 * one backend; workspace_bytes and run too, on one kernel, run with different
 * workspaces: a kernel is immutable after compile. destroy is called once, from
 * any thread, when no other call on the kernel is under way.
 *
 * Errors. Functions that can fail return a bqe_status. When it is not BQE_OK
 * they should say why in the bqe_error they were given, which is never NULL.
 * No C++ exception should leave a function of this interface: the host makes an
 * error of kind BQE_ERROR_INTERNAL of one that does, or BQE_ERROR_OUT_OF_MEMORY
 * of std::bad_alloc, also where it passed through parallel_for. None may call
 * exit or abort because of a bad node.
 *
 * Floating-point mode. The host calls every function, and every task of
 * parallel_for, in the default mode (round to nearest, subnormals kept, no
 * traps), whatever the program has set; a function that changes it restores it.
 *
 * Strings are NUL-terminated UTF-8.
 */
#ifndef BQENGINE_BACKEND_H_
#define BQENGINE_BACKEND_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of the meaning of this header. It changes only when an existing
 * field or function changes its meaning; appended fields do not change it. */
#define BQE_ABI_VERSION 1u

/* True if the struct `p` points to was filled by a side that knows `field`. */
#define BQE_HAS_FIELD(p, type, field) \
  ((p)->struct_size >= offsetof(type, field) + sizeof((p)->field))

#if defined(_WIN32)
#define BQE_EXPORT __declspec(dllexport)
#else
#define BQE_EXPORT __attribute__((visibility("default")))
#endif

/* ------------------------------------------------------------------ status */

typedef int32_t bqe_status;
enum {
  BQE_OK = 0,
  BQE_ERROR_INVALID_ARGUMENT = 1, /* the node or the call is wrong */
  BQE_ERROR_UNSUPPORTED = 2,      /* correct, but not for this backend */
  BQE_ERROR_OUT_OF_MEMORY = 3,
  BQE_ERROR_INTERNAL = 4 /* a defect of the backend */
};

/* Owned by the caller, who has put a general message there. The callee may
 * replace it: at most message_bytes (>= 1) bytes, the terminating NUL
 * included. */
typedef struct bqe_error {
  uint32_t struct_size;
  uint32_t message_bytes;
  char* message;
} bqe_error;

/* ----------------------------------------------------------------- tensors */

/* Element types.
 *
 * BQE_FLOAT32: IEEE single, native byte order, dense, row-major.
 *
 * BQE_BIPOLAR and BQE_UNIPOLAR hold one bit per element: bit 1 is +1 in both,
 * bit 0 is -1 (bipolar) or 0 (unipolar). The innermost dimension is packed, 64
 * elements to a little-endian uint64_t word, lowest bit first, and padded with
 * zero bits to whole words; the outer dimensions are dense. A tensor of dims
 * [N, H, W, C] has N*H*W*ceil(C/64) words. Padding bits are zero on input and
 * must be zero on output.
 *
 * BQE_INT8 and BQE_UINT8: one byte per element, two's complement or unsigned,
 * dense, row-major. Of activations only. A later version than the others: a
 * backend that does not know them refuses the node, as any enumerator. */
typedef int32_t bqe_type;
enum {
  BQE_FLOAT32 = 1,
  BQE_BIPOLAR = 2,
  BQE_UNIPOLAR = 3,
  BQE_INT8 = 4,
  BQE_UINT8 = 5
};

/* dims[0] of an activation: the batch, known only when a kernel runs. */
#define BQE_BATCH ((int64_t)-1)

/* Largest rank that the host will ever pass. */
#define BQE_MAX_RANK 8u

/* Shape and type of a tensor. Activations are channels-last: [N, H, W, C] for
 * images, [N, C] for vectors; dims[0] is BQE_BATCH and all others are >= 1. */
typedef struct bqe_tensor {
  uint32_t struct_size;
  bqe_type type;
  uint32_t rank;
  uint32_t reserved; /* 0 */
  const int64_t* dims; /* rank entries */
  const char* name;
} bqe_tensor;

/* ------------------------------------------------------------------- nodes */

typedef int32_t bqe_attribute_kind;
enum {
  BQE_ATTRIBUTE_INT = 1,    /* ints[0] */
  BQE_ATTRIBUTE_FLOAT = 2,  /* floats[0] */
  BQE_ATTRIBUTE_STRING = 3, /* string */
  BQE_ATTRIBUTE_INTS = 4,   /* ints, count entries */
  BQE_ATTRIBUTE_FLOATS = 5  /* floats, count entries */
};

typedef struct bqe_attribute {
  uint32_t struct_size;
  bqe_attribute_kind kind;
  const char* name;
  uint64_t count; /* 1 for INT, FLOAT and STRING */
  const int64_t* ints;
  const float* floats;
  const char* string;
} bqe_attribute;

/* A tensor whose value is part of the model. `role` says what it is to the
 * node ("weight", "mul", "threshold", ...). All dims are >= 1.
 *
 * `data` is aligned to 8 bytes at least, `bytes` long with nothing readable
 * beyond, and stays valid and unchanged until every kernel compiled from the
 * node has been destroyed: a kernel may keep the pointer. */
typedef struct bqe_constant {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  const char* role;
  const bqe_tensor* tensor;
  const void* data;
  uint64_t bytes;
} bqe_constant;

/* One operation. The host has checked it against the op's definition: the
 * attributes are complete (defaults filled in), types and shapes agree, and the
 * constants an op requires are there. Attributes that ops got after the first
 * release of this interface, which engine/README.md marks as "later", are there
 * only where they are not the default, so that older backends still know the
 * nodes that have no need of them. Ops, attributes and roles are defined in
 * engine/README.md of bqengine, "Ops", which installs as share/bqengine/OPS.md.
 *
 * Everything a node points to, constants' data excepted, is valid only during
 * the call it is passed to. */
typedef struct bqe_node {
  uint32_t struct_size;
  uint32_t num_inputs;
  uint32_t num_outputs;
  uint32_t num_attributes;
  uint32_t num_constants;
  uint32_t reserved; /* 0 */
  const char* name; /* unique in its graph */
  const char* op;   /* "BinaryConv", "MaxPool", ... */
  const bqe_tensor* const* inputs;
  const bqe_tensor* const* outputs;
  const bqe_attribute* const* attributes;
  const bqe_constant* const* constants;
} bqe_node;

/* -------------------------------------------------------------------- host */

typedef int32_t bqe_log_level;
enum { BQE_LOG_INFO = 1, BQE_LOG_WARNING = 2, BQE_LOG_ERROR = 3 };

/* Services of the host. Valid, with everything in it, from bqe_plugin_init to
 * the end of the process. All functions may be called from any thread. A
 * plug-in that cannot work with the host's abi_version fails in init. */
typedef struct bqe_host {
  uint32_t struct_size;
  uint32_t abi_version; /* BQE_ABI_VERSION of the host */
  void* context;        /* first argument of the functions below */

  /* `alignment` is a power of two up to 4096. NULL when out of memory.
   * Memory is not cleared. Freed by `deallocate` (NULL is allowed). */
  void* (*allocate)(void* context, uint64_t bytes, uint64_t alignment);
  void (*deallocate)(void* context, void* memory);

  /* The message is copied. The host decides what is shown. */
  void (*log)(void* context, bqe_log_level level, const char* message);
} bqe_host;

/* ----------------------------------------------------------------- kernels */

/* A task of a parallel loop: `index` is the iteration; `thread` is less than
 * bqe_run.threads and differs between tasks that run at the same time, so it
 * can select per-thread scratch. A task may call parallel_for of its own run:
 * that loop runs on the task's thread alone, with its number. */
typedef void (*bqe_task)(void* argument, int64_t index, uint32_t thread);

/* What one run gets. */
typedef struct bqe_run {
  uint32_t struct_size;
  uint32_t threads; /* >= 1 */
  int64_t batch;    /* >= 1; stands for BQE_BATCH in every shape of the node */

  /* In the order of the node. Aligned to 4 bytes for floats, to 8 for bits, to
   * 1 for integers; usually to 64, but not where the memory belongs to the caller of the
   * session. Inputs may be the same memory as each other (Add of a tensor to
   * itself); outputs overlap nothing else. Nothing outside the tensors may be
   * read or written. */
  const void* const* inputs;
  void* const* outputs;

  /* At least workspace_bytes(batch, threads) bytes, aligned to 64; contents
   * undefined at the start of each run. May be NULL if that is 0. */
  void* workspace;

  /* Calls task(argument, i, thread) for every i in [0, count), on up to
   * `threads` threads, the calling one among them, and returns when all are
   * done and their writes are visible to the caller. Order is unspecified:
   * results must not depend on it. Call it from the thread that called run, as
   * often as needed, or from within a task (see bqe_task); a count below 1 does
   * nothing. If a task throws, tasks that have not begun are left out, and the
   * exception leaves parallel_for when the others are done. */
  void (*parallel_for)(void* parallel_context, int64_t count, bqe_task task,
                       void* argument);
  void* parallel_context;
} bqe_run;

/* A compiled node. The backend allocates it, with its own data behind or in
 * `state`, and frees both in `destroy`. It must neither allocate memory nor
 * block in `run`, other than through parallel_for. */
typedef struct bqe_kernel {
  uint32_t struct_size;
  uint32_t reserved; /* 0 */
  void* state;       /* the backend's own */

  /* Bytes of workspace for a run; a NULL function means none. Must not shrink
   * when batch or threads grow. UINT64_MAX when it cannot be expressed. */
  uint64_t (*workspace_bytes)(const struct bqe_kernel* kernel, int64_t batch,
                              uint32_t threads);
  bqe_status (*run)(const struct bqe_kernel* kernel, const bqe_run* run,
                    bqe_error* error);
  void (*destroy)(struct bqe_kernel* kernel);
} bqe_kernel;

/* ---------------------------------------------------------------- backends */

#define BQE_SUPPORTS_OUT_OF_MEMORY INT32_MIN

/* Owned by the plug-in; valid and unchanged to the end of the process. */
typedef struct bqe_backend {
  uint32_t struct_size;

  /* Rank among backends on this machine: the host gives a node to the highest
   * score that supports it, unless the user forces one; among equals to the
   * one registered first. 0 or less: known, but this machine cannot run it.
   * Built in: reference 1, cpu 10 to 99. */
  int32_t score;
  const char* name;        /* unique; "family" or "family:variant" */
  const char* description; /* one line for people */
  void* context;           /* the backend's own */

  /* Nonzero if compile would accept the node. Looks at types, shapes and
   * attributes; must not depend on the values of constants' data, which may
   * be NULL here. BQE_SUPPORTS_OUT_OF_MEMORY if it cannot tell for want of
   * memory, which ends the compilation. */
  int32_t (*supports)(const struct bqe_backend* backend, const bqe_node* node);

  /* On BQE_OK, *kernel is set and belongs to the host until destroy.
   * BQE_ERROR_UNSUPPORTED (for values that supports could not see) passes the
   * node on to the next backend; any other error ends the compilation. */
  bqe_status (*compile)(const struct bqe_backend* backend,
                        const bqe_node* node, bqe_kernel** kernel,
                        bqe_error* error);
} bqe_backend;

/* Memory of the host; filled by bqe_plugin_init, except for struct_size. */
typedef struct bqe_plugin {
  uint32_t struct_size;  /* what the host knows; do not write */
  uint32_t abi_version;  /* set by the plug-in: BQE_ABI_VERSION */
  const char* name;      /* for messages */
  const char* version;   /* the plug-in's own, for messages */
  uint64_t num_backends; /* 1 to 256 */
  const bqe_backend* const* backends;
} bqe_plugin;

/* The two symbols of a plug-in. The library is never unloaded. */
BQE_EXPORT int32_t bqe_plugin_score(void);
BQE_EXPORT bqe_status bqe_plugin_init(const bqe_host* host, bqe_plugin* plugin,
                                      bqe_error* error);

typedef int32_t (*bqe_plugin_score_fn)(void);
typedef bqe_status (*bqe_plugin_init_fn)(const bqe_host* host,
                                         bqe_plugin* plugin, bqe_error* error);

#define BQE_PLUGIN_SCORE_SYMBOL "bqe_plugin_score"
#define BQE_PLUGIN_INIT_SYMBOL "bqe_plugin_init"

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* BQENGINE_BACKEND_H_ */
