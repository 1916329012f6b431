// Which output of a network stands for which class of a data set.
#ifndef BQENGINE_TOOLS_COMMON_CLASS_NUMBERS_H_
#define BQENGINE_TOOLS_COMMON_CLASS_NUMBERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/status.h"
#include "common/dataset.h"

namespace bqengine::tools {

// Numbers the classes of `data`, which was read from `spec`, as a network with
// `outputs` outputs does, so that each label is below `outputs` and
// class_names, if the set names its classes (folder:DIR), has one name for each
// output:
// - named classes of a network with labels (`network_labels`, as many as
//   outputs) by these: each name must be one of them, and none twice;
// - else names that are numbers by their value: folder 7 is class 7;
// - else, if there are as many as outputs, as they stand: in order of names;
// - a set without names keeps its labels, and must have as many classes as the
//   network has outputs. (MNIST and CIFAR-10 have ten, also in part.)
// What fits none of these is kInvalidArgument that starts with `spec`: scores
// would be compared with the wrong classes.
Status NumberClasses(const std::string& spec,
                     const std::vector<std::string>& network_labels,
                     int64_t outputs, Dataset* data);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_CLASS_NUMBERS_H_
