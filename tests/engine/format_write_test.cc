// Where WriteGraph writes, and that it leaves all of the new model or all of
// the old one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "bqengine/model.h"
#include "format_test_util.h"

namespace bqengine {
namespace {

using Names = std::vector<std::string>;

// SampleGraph, with weights that tell one from another.
Graph NumberedGraph(int number) {
  Graph graph = SampleGraph();
  graph.constants["conv1.bound"] =
      Constant::Floats({20}, std::vector<float>(20, float(number)));
  return graph;
}

void ExpectModel(const std::string& path, const Graph& graph) {
  const auto read = ReadGraph(path);
  ASSERT_TRUE(read.ok()) << read.status().message();
  ExpectSameGraph(graph, *read);
}

// Refused, with a part of the message, and leaving the folder alone.
void ExpectRefused(const ScratchFolder& folder, const std::string& name,
                   StatusCode code, const std::string& part) {
  SCOPED_TRACE(name);
  const Names before = folder.Names();
  const Status status = WriteGraph(SampleGraph(), folder.File(name));
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_TRUE(status.message().starts_with(folder.File("")))
      << status.message();
  EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  EXPECT_EQ(folder.Names(), before);
}

// ----------------------------------------------------------------------- names

TEST(WriteTo, NamesThatShareAStemMakesTwoModels) {
  ScratchFolder folder;
  ASSERT_TRUE(WriteGraph(NumberedGraph(1), folder.File("net.v1.json")).ok());
  ASSERT_TRUE(WriteGraph(NumberedGraph(2), folder.File("net.v2.json")).ok());
  ASSERT_TRUE(WriteGraph(NumberedGraph(3), folder.File("net.json")).ok());
  ExpectModel(folder.File("net.v1.json"), NumberedGraph(1));
  ExpectModel(folder.File("net.v2.json"), NumberedGraph(2));
  ExpectModel(folder.File("net.json"), NumberedGraph(3));
}

TEST(WriteTo, NamesWithoutTheEndingAreRefused) {
  ScratchFolder folder;
  for (const char* name : {"net", "net.v1", "net.JSON", "net.safetensors",
                           ".json", "json", "net.json."}) {
    ExpectRefused(folder, name, StatusCode::kInvalidArgument, ".json");
  }
  ExpectRefused(folder, "", StatusCode::kInvalidArgument, "empty");
}

TEST(WriteTo, AMissingFolderIsNotFound) {
  ScratchFolder folder;
  ExpectRefused(folder, "no/m.json", StatusCode::kNotFound, "no/m.");
}

TEST(WriteTo, ANameAsLongAsTheFileSystemAllows) {
  ScratchFolder folder;
  const std::string path =
      folder.File(std::string(255 - 12, 'n') + ".json");  // .safetensors: 12
  ASSERT_TRUE(WriteGraph(SampleGraph(), path).ok());
  ExpectModel(path, SampleGraph());
}

// --------------------------------------------- places that are no regular file

TEST(WriteTo, LinksStayAndTheirTargetsAreWritten) {
  ScratchFolder folder;
  std::filesystem::create_directory(folder.File("store"));
  WriteBytes(folder.File("store/a"), "old");
  std::filesystem::create_symlink("store/a", folder.File("b.json"));
  std::filesystem::create_symlink("b.json", folder.File("m.json"));
  // Its target is yet to be made.
  std::filesystem::create_symlink(folder.File("store/w"),
                                  folder.File("m.safetensors"));
  ASSERT_TRUE(WriteGraph(SampleGraph(), folder.File("m.json")).ok());
  ExpectModel(folder.File("m.json"), SampleGraph());
  for (const char* link : {"b.json", "m.json", "m.safetensors"}) {
    EXPECT_TRUE(std::filesystem::is_symlink(folder.File(link))) << link;
  }
  EXPECT_TRUE(std::filesystem::is_regular_file(folder.File("store/w")));
  EXPECT_EQ(folder.Names(),
            (Names{"b.json", "m.json", "m.safetensors", "store"}));
}

TEST(WriteTo, ALinkToItselfIsRefused) {
  ScratchFolder folder;
  std::filesystem::create_symlink("m.json", folder.File("m.json"));
  ExpectRefused(folder, "m.json", StatusCode::kIo, "symbolic links");
}

TEST(WriteTo, ALinkToTheOwnWeightsIsRefused) {
  ScratchFolder folder;
  std::filesystem::create_symlink("./m.safetensors", folder.File("m.json"));
  ExpectRefused(folder, "m.json", StatusCode::kInvalidArgument, "link");
}

TEST(WriteTo, FoldersPipesAndDevicesAreRefused) {
  for (const char* name : {"m.json", "m.safetensors"}) {
    SCOPED_TRACE(name);
    ScratchFolder folder;
    std::filesystem::create_directory(folder.File(name));
    ExpectRefused(folder, "m.json", StatusCode::kIo, "folder");
    std::filesystem::remove(folder.File(name));
    ASSERT_EQ(mkfifo(folder.File(name).c_str(), 0600), 0);
    ExpectRefused(folder, "m.json", StatusCode::kIo, "not a regular file");
    std::filesystem::remove(folder.File(name));
    std::filesystem::create_symlink("/dev/null", folder.File(name));
    ExpectRefused(folder, "m.json", StatusCode::kIo, "not a regular file");
  }
}

// ---------------------------------------------------------- failures half-way

// A limit on the size of files fails as a full disk does: in the middle.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &old_); }

 private:
  rlimit old_;
};

TEST(WriteTo, AFullDiskKeepsTheOldFiles) {
  ScratchFolder folder;
  const std::string path = folder.File("m.json");
  ASSERT_TRUE(WriteGraph(SampleGraph(), path).ok());
  const std::string json = ReadBytes(path);
  const std::string weights = ReadBytes(folder.File("m.safetensors"));
  ASSERT_GT(weights.size(), json.size() / 2);

  Graph changed = SampleGraph();
  changed.constants["conv1.bound"] =
      Constant::Floats({20}, std::vector<float>(20, 1.0f));
  // The first limit hits the weights, the second the JSON.
  changed.labels.assign(200, "long enough to exceed the weights file");
  for (const size_t limit : {size_t{100}, weights.size() + 100}) {
    SCOPED_TRACE(limit);
    Status status;
    {
      FileSizeLimit file_size_limit(limit);
      status = WriteGraph(changed, path);
    }
    EXPECT_EQ(status.code(), StatusCode::kIo);
    EXPECT_NE(status.message().find(folder.File("m.")), std::string::npos);
    EXPECT_EQ(ReadBytes(path), json);
    EXPECT_EQ(ReadBytes(folder.File("m.safetensors")), weights);
    EXPECT_EQ(folder.Names().size(), 2u);
  }
}

// ------------------------------------------------------------ others who write

TEST(WriteTo, WaitsWhileAnotherHasTheFolder) {
  ScratchFolder folder;
  const int lock = open(folder.File("").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_GE(lock, 0);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  Status status;
  std::thread writer(
      [&] { status = WriteGraph(SampleGraph(), folder.File("m.json")); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_FALSE(std::filesystem::exists(folder.File("m.json")));
  EXPECT_FALSE(std::filesystem::exists(folder.File("m.safetensors")));
  close(lock);
  writer.join();
  EXPECT_TRUE(status.ok()) << status.message();
  ExpectModel(folder.File("m.json"), SampleGraph());
}

// With the hash as judge.
TEST(WriteTo, OnePlaceByManyProcessesLeavesTheModelOfOne) {
  constexpr int kProcesses = 4;
  constexpr int kRounds = 8;
  ScratchFolder folder;
  const std::string path = folder.File("m.json");
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    std::vector<pid_t> children;
    for (int i = 0; i < kProcesses; ++i) {
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) _exit(WriteGraph(NumberedGraph(i), path).ok() ? 0 : 1);
      children.push_back(child);
    }
    for (const pid_t child : children) {
      int status = -1;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
    const auto read = ReadGraph(path);  // also compares the hash
    EXPECT_TRUE(read.ok()) << read.status().message();
    EXPECT_EQ(folder.Names(), (Names{"m.json", "m.safetensors"}));
  }
}

}  // namespace
}  // namespace bqengine
