// Files written, statistics, and text for people.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

#include "common/command_line.h"
#include "common/file.h"
#include "common/idx.h"
#include "common/progress.h"
#include "common/statistics.h"
#include "common/terminal.h"
#include "common_test_util.h"

namespace bqengine::tools {
namespace {

namespace fs = std::filesystem;

class FileTest : public FolderTest {};

TEST_F(FileTest, WritesAndReplaces) {
  const std::string path = Path("x");
  ASSERT_TRUE(WriteFile(path, std::string_view("old")).ok());
  ASSERT_TRUE(WriteFile(path, std::string_view("new text")).ok());
  EXPECT_EQ(Read(path), "new text");
  EXPECT_EQ(FilesInFolder(), 1u);  // nothing temporary is left
}

TEST_F(FileTest, FailureLeavesWhatWasThere) {
  const std::string path = Write("x", "old");
  const Status status = WriteFile(
      path, [](const ByteSink& sink) { return sink("new", 3) && false; });
  ExpectFileError(status, StatusCode::kIo, path, "cannot be written");
  EXPECT_EQ(Read(path), "old");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FileTest, NothingIsLeftOfAKilledProcess) {
  const std::string path = Write("x", "old");
  const pid_t child = fork();
  if (child == 0) {
    _exit(WriteFile(path, [](const ByteSink& sink) {
            return sink("half", 4) && kill(getpid(), SIGKILL) == 0;
          }).ok());
  }
  int child_status = -1;
  ASSERT_EQ(waitpid(child, &child_status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(child_status));
  EXPECT_EQ(Read(path), "old");
  ASSERT_TRUE(WriteFile(path, std::string_view("new")).ok());
  EXPECT_EQ(Read(path), "new");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FileTest, KeepsTheMode) {
  const std::string path = Write("x", "old");
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  ASSERT_TRUE(WriteFile(path, std::string_view("new")).ok());
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0600});
}

TEST_F(FileTest, ALimitOnTheSizeOfFilesIsAnError) {
  const std::string path = Write("x", "old");
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {100, 100};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
    const Status status = WriteFile(path, std::string(1000, 'x'));
    _exit(status.code() == StatusCode::kIo &&
                  status.message() == path +
                                          ": cannot be written: File too "
                                          "large"
              ? 0
              : 1);
  }
  int child_status = -1;
  ASSERT_EQ(waitpid(child, &child_status, 0), child);
  EXPECT_EQ(child_status, 0);
  EXPECT_EQ(Read(path), "old");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FileTest, WritesThroughLinksAndIntoDevices) {
  const std::string target = Write("target", "old");
  fs::create_symlink(target, Path("link"));
  ASSERT_TRUE(WriteFile(Path("link"), std::string_view("new")).ok());
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_EQ(Read(target), "new");
  ASSERT_TRUE(WriteFile("/dev/null", std::string_view("new")).ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  if (fs::exists("/dev/full")) {
    ExpectFileError(WriteFile("/dev/full", std::string_view("new")),
                    StatusCode::kIo, "/dev/full", "No space left");
  }
}

TEST_F(FileTest, SaysWhyItCannotWrite) {
  const std::string nowhere = Path("absent/x");
  ExpectFileError(WriteFile(nowhere, std::string_view("new")), StatusCode::kIo,
                  nowhere, "No such file");
  ExpectFileError(WriteFile(folder_.string(), std::string_view("new")),
                  StatusCode::kIo, folder_.string(), "is a folder");
}

TEST_F(FileTest, ReadsPipesAndLimits) {
  const std::string pipe = Path("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const pid_t child = fork();
  if (child == 0) {
    _exit(WriteFile(pipe, std::string_view("through")).ok() ? 0 : 1);
  }
  const auto bytes = ReadFile(pipe);
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  EXPECT_EQ(std::string(bytes->begin(), bytes->end()), "through");
  int child_status = -1;
  ASSERT_EQ(waitpid(child, &child_status, 0), child);
  EXPECT_EQ(child_status, 0);

  const std::string path = Write("x", "12345");
  EXPECT_EQ(ReadFile(path, 5)->size(), 5u);
  ExpectFileError(ReadFile(path, 4).status(), StatusCode::kInvalidArgument,
                  path, "is larger than 4 bytes");
  ExpectFileError(ReadFile("/dev/zero", 1 << 20).status(),
                  StatusCode::kInvalidArgument, "/dev/zero", "is larger than");
  EXPECT_EQ(ReadStart(path, 2)->size(), 2u);
  EXPECT_EQ(ReadStart(path, 9)->size(), 5u);
}

// Somebody touches it all the time. Reading takes far longer than one touch.
TEST_F(FileTest, AFileThatChangesWhileItIsReadIsAnError) {
  constexpr uint32_t kImages = 30000;
  const std::string path = Write("x", std::string("\0\0\x08\x03", 4));
  ASSERT_EQ(truncate(path.c_str(), 64 << 20), 0);
  std::string header("\0\0\x08\x03\0\0\x75\x30\0\0\0\x1c\0\0\0\x1c", 16);
  const std::string images = Write("images", header);
  ASSERT_EQ(truncate(images.c_str(), 16 + kImages * 28 * 28), 0);
  EXPECT_EQ(ReadFile(path)->size(), size_t{64} << 20);
  EXPECT_EQ(ReadIdxImages(images)->count, kImages);

  std::atomic<bool> done = false;
  std::thread somebody([&] {
    while (!done) {
      for (const std::string& file : {path, images}) {
        utimensat(AT_FDCWD, file.c_str(), nullptr, 0);
      }
    }
  });
  ExpectFileError(ReadFile(path).status(), StatusCode::kIo, path,
                  "was changed while it was read");
  ExpectFileError(ReadIdxImages(images).status(), StatusCode::kIo, images,
                  "was changed while it was read");
  done = true;
  somebody.join();
}

TEST(Statistics, KnownSamples) {
  std::vector<double> samples(100);
  std::iota(samples.rbegin(), samples.rend(), 1.0);  // 100 down to 1
  const Summary hundred = Summarize(samples);
  EXPECT_EQ(hundred.count, 100u);
  EXPECT_EQ(hundred.median, 50.5);
  EXPECT_EQ(hundred.p90, 90);
  EXPECT_EQ(hundred.p99, 99);
  EXPECT_EQ(hundred.mean, 50.5);
  const Summary three = Summarize({5, 1, 3});
  EXPECT_EQ(three.median, 3);
  EXPECT_EQ(three.p90, 5);
  EXPECT_EQ(three.p99, 5);
  const Summary one = Summarize({4});
  EXPECT_EQ(one.median, 4);
  EXPECT_EQ(one.p90, 4);
  EXPECT_EQ(Summarize({}).count, 0u);
  EXPECT_EQ(Summarize({}).p99, 0);
}

TEST(Text, Formats) {
  EXPECT_EQ(FormatMicroseconds(0.994), "0.99 us");
  EXPECT_EQ(FormatMicroseconds(9.996), "10.0 us");
  EXPECT_EQ(FormatMicroseconds(99.96), "100 us");
  EXPECT_EQ(FormatMicroseconds(999.4), "999 us");
  EXPECT_EQ(FormatMicroseconds(999.6), "1.00 ms");
  EXPECT_EQ(FormatMicroseconds(1234), "1.23 ms");
  EXPECT_EQ(FormatMicroseconds(2.5e6), "2.50 s");
  EXPECT_EQ(FormatMicroseconds(2.5e9), "2500 s");
  EXPECT_EQ(FormatCount(12), "12.0");
  EXPECT_EQ(FormatCount(19012), "19.0 k");
  EXPECT_EQ(FormatCount(1.5e6), "1.50 M");
  EXPECT_EQ(FormatCount(474e9), "474 G");
  EXPECT_EQ(FormatCount(2.31e12), "2.31 T");
  EXPECT_EQ(FormatRate(19012, "images"), "19.0 k images/s");
  EXPECT_EQ(Printable("a\nb\x1b[1m\x7f\xc3\xa9"), "a?b?[1m?\xc3\xa9");
  EXPECT_EQ(Printable("\xff \xc3"), "? ?");
}

TEST(Text, Wraps) {
  EXPECT_EQ(WrapLines("", 10), "");
  EXPECT_EQ(WrapLines("short\n\nlines\n", 10), "short\n\nlines\n");
  EXPECT_EQ(WrapLines("one two three four\n", 9), "one two\nthree\nfour\n");
  EXPECT_EQ(WrapLines("one two three", 9, 2), "one two\n  three");
  EXPECT_EQ(WrapLines("  one two three", 9, 2), "  one two\n    three");
  EXPECT_EQ(WrapLines("averylongword and", 5), "averylongword\nand");
  EXPECT_EQ(WrapLines("exactly 10", 10), "exactly 10");
}

// Standard error becomes a terminal of 40 columns for the test.
TEST(ProgressBar, WaitsDrawsAndClears) {
  int terminal = -1, other_end = -1;
  const winsize size = {24, 40, 0, 0};
  if (openpty(&terminal, &other_end, nullptr, nullptr, &size) != 0) {
    GTEST_SKIP() << "no pseudo-terminals here (a chroot without /dev/pts?)";
  }
  ASSERT_EQ(fcntl(terminal, F_SETFL, O_NONBLOCK), 0);
  const int saved = dup(STDERR_FILENO);
  dup2(other_end, STDERR_FILENO);
  const auto drawn = [terminal] {
    char buffer[1000];
    const ssize_t bytes = read(terminal, buffer, sizeof(buffer));
    return std::string(buffer, bytes > 0 ? static_cast<size_t>(bytes) : 0);
  };
  std::string early, late, after;
  {
    Progress progress("images", 200);
    progress.Update(1);
    early = drawn();
    std::this_thread::sleep_for(std::chrono::milliseconds(2100));
    progress.Update(100);
    late = drawn();
  }
  after = drawn();
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(other_end);
  close(terminal);
  EXPECT_EQ(early, "");
  const std::string clear = "\x1b[K";
  // 40 columns: the text, brackets, and one that stays free.
  EXPECT_EQ(late, "\rimages 100/200 [" + std::string(11, '#') +
                      std::string(11, '-') + "]" + clear);
  EXPECT_EQ(after, "\r" + clear);
}

TEST(ProgressBar, IsSilentWithoutTerminal) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("images", 2);
    std::this_thread::sleep_for(std::chrono::milliseconds(2100));
    progress.Update(1);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(CommandLine, ExitStatuses) {
  const auto status = [](StatusCode code) {
    return ExitStatus(Status(code, "x"));
  };
  EXPECT_EQ(ExitStatus(Status()), 0);
  EXPECT_EQ(status(StatusCode::kInvalidArgument), 2);
  EXPECT_EQ(status(StatusCode::kInvalidModel), 2);
  EXPECT_EQ(status(StatusCode::kNotFound), 2);
  EXPECT_EQ(status(StatusCode::kIo), 1);
  EXPECT_EQ(status(StatusCode::kUnsupported), 1);
  EXPECT_EQ(status(StatusCode::kOutOfMemory), 1);
  EXPECT_EQ(status(StatusCode::kInternal), 1);
  EXPECT_EQ(ExitStatus(InputError(Status(StatusCode::kIo, "x"))), 2);
  EXPECT_EQ(ExitStatus(InputError(Status(StatusCode::kOutOfMemory, "x"))), 1);
}

}  // namespace
}  // namespace bqengine::tools
