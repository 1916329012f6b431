// A data set as people keep their own pictures: one folder per class.
#ifndef BQENGINE_TOOLS_COMMON_PICTURE_FOLDER_H_
#define BQENGINE_TOOLS_COMMON_PICTURE_FOLDER_H_

#include <cstdint>
#include <string>

#include "bqengine/status.h"
#include "common/dataset.h"

namespace bqengine::tools {

// PNG and JPEG files (.png, .jpg, .jpeg) of FOLDER/train/CLASS/ for kTrain and
// of FOLDER/test/CLASS/ for kTest; of FOLDER/CLASS/ for kTest if FOLDER has
// neither train nor test. Other files, and names that start with a dot, are
// passed over.
//
// Classes are numbered in the byte order of their folders' names, and have them
// as theirs (Printable: what is no text becomes '?'); for a network that
// may be another number, see class_numbers.h. Those of FOLDER/train serve both
// splits, so that a class that is absent from FOLDER/test does not shift the
// numbers of the others. All pictures have the size of the first one, and are
// made gray (`channels` 1) or RGB (3); with 0 they stay as they are, and have
// the channels of the first one.
//
// The order is the first picture of each class, then the second of each, and so
// on: the first `limit` (0: all) still have all classes.
//
// Errors name the file or folder: kNotFound for one that is missing, a class
// without pictures or unknown to FOLDER/train; kInvalidArgument for a broken or
// odd picture; kOutOfMemory.
Result<Dataset> ReadPictureFolder(const std::string& folder, Split split,
                                  int64_t limit, int64_t channels);

}  // namespace bqengine::tools

#endif  // BQENGINE_TOOLS_COMMON_PICTURE_FOLDER_H_
