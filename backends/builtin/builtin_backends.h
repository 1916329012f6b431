/* Entry points of the backends that are compiled into libbqengine; each is a
 * bqe_plugin_init_fn. For the registry only: not installed. */
#ifndef BQENGINE_BUILTIN_BACKENDS_H_
#define BQENGINE_BUILTIN_BACKENDS_H_

#include "bqengine/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

bqe_status bqe_reference_init(const bqe_host* host, bqe_plugin* plugin,
                              bqe_error* error);
bqe_status bqe_cpu_init(const bqe_host* host, bqe_plugin* plugin,
                        bqe_error* error);

#ifdef __cplusplus
}
#endif

#endif /* BQENGINE_BUILTIN_BACKENDS_H_ */
