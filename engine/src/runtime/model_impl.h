#ifndef ENGINE_SRC_RUNTIME_MODEL_IMPL_H_
#define ENGINE_SRC_RUNTIME_MODEL_IMPL_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "bqengine/model.h"
#include "runtime/program.h"

namespace bqengine {

struct Model::Impl {
  // Of a graph that has been checked, with the tensors that this found.
  static std::shared_ptr<Impl> Make(
      Graph graph, const std::map<std::string, TensorInfo>& tensors);

  Graph graph;
  std::vector<TensorInfo> outputs;

  // The program for a choice of backends, compiled at first use and kept while
  // a session uses it.
  Result<std::shared_ptr<const Program>> ProgramFor(
      const std::vector<const bqe_backend*>& backends, bool optimize);

 private:
  using Key = std::pair<std::vector<const bqe_backend*>, bool>;
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<const Program>> programs_;
};

}  // namespace bqengine

#endif  // ENGINE_SRC_RUNTIME_MODEL_IMPL_H_
