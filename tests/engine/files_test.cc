// engine/files: what is read did not change meanwhile, and what is written is
// whole, has the mode that it had, and leaves nothing else.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "files/read_file.h"
#include "files/replace_files.h"
#include "files/write_all.h"
#include "format_test_util.h"

namespace bqengine::files {
namespace {

using Names = std::vector<std::string>;

Status AcceptAll(uint64_t) { return Status(); }

std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// As cp does it, or an editor: into the file that is there.
void Overwrite(const std::string& path, std::string_view text, int flags = 0) {
  const int file = open(path.c_str(), O_WRONLY | flags);
  ASSERT_GE(file, 0);
  ASSERT_EQ(write(file, text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  close(file);
}

// Exit status of what runs in another process; -signal if that ended it.
int InAnotherProcess(const std::function<int()>& run) {
  const pid_t child = fork();
  if (child == 0) _exit(run());
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// --------------------------------------------------------------------- reading

TEST(Contents, AreAPrivateCopy) {
  const ScratchFolder folder;
  const std::string path = folder.File("x");
  WriteBytes(path, "what was there");
  const auto contents = Contents::Read(path, AcceptAll);
  ASSERT_TRUE(contents.ok()) << contents.status().message();
  EXPECT_EQ(reinterpret_cast<uintptr_t>((*contents)->bytes().data()) % 64, 0u);
  Overwrite(path, "something else");
  EXPECT_EQ((*contents)->text(), "what was there");
  Overwrite(path, "", O_TRUNC);
  EXPECT_EQ((*contents)->text(), "what was there");
}

TEST(Contents, MappedAreTheFileItself) {
  const ScratchFolder folder;
  const std::string path = folder.File("x");
  WriteBytes(path, "what was there");
  const auto contents = Contents::Map(path, AcceptAll);
  ASSERT_TRUE(contents.ok()) << contents.status().message();
  EXPECT_EQ((*contents)->text(), "what was there");
  Overwrite(path, "something else");
  EXPECT_EQ((*contents)->text(), "something else");
}

TEST(Contents, OfAnEmptyFile) {
  const ScratchFolder folder;
  WriteBytes(folder.File("x"), "");
  EXPECT_EQ((*Contents::Read(folder.File("x"), AcceptAll))->text(), "");
  EXPECT_EQ((*Contents::Map(folder.File("x"), AcceptAll))->text(), "");
}

TEST(Contents, AreRefusedBeforeTheyAreRead) {
  const ScratchFolder folder;
  const std::string path = folder.File("x");
  WriteBytes(path, "");
  ASSERT_EQ(truncate(path.c_str(), off_t{1} << 40), 0);  // a hole
  for (const auto read : {Contents::Read, Contents::Map}) {
    const auto contents = read(path, [](uint64_t bytes) {
      EXPECT_EQ(bytes, uint64_t{1} << 40);
      return Status(StatusCode::kOutOfMemory, "too large");
    });
    EXPECT_EQ(contents.status().code(), StatusCode::kOutOfMemory);
  }
}

// Changes of all kinds, at the worst moment: right after the first look at the
// file, which was written a moment before.
TEST(Contents, ThatChangeWhileTheyAreReadAreNotTaken) {
  const ScratchFolder folder;
  const std::string path = folder.File("x");
  const std::function<void()> changes[] = {
      [&] { Overwrite(path, "ABC"); },           // as long as before
      [&] { Overwrite(path, "ABCDEFGH"); },      // longer
      [&] { Overwrite(path, "AB", O_TRUNC); },   // shorter
      [&] { Overwrite(path, "abc", O_TRUNC); },  // the same
      [&] { WriteBytes(path, "ABC"); },          // another file
  };
  for (const auto& change : changes) {
    WriteBytes(path, "abc");
    int looks = 0;
    const auto once = Contents::Read(path, [&](uint64_t) {
      if (looks++ == 0) change();
      return Status();
    });
    ASSERT_TRUE(once.ok()) << once.status().message();
    EXPECT_EQ(looks, 2);
    EXPECT_EQ((*once)->text(), ReadBytes(path));
    const auto always = Contents::Read(path, [&](uint64_t) {
      change();
      return Status();
    });
    ASSERT_FALSE(always.ok());
    EXPECT_EQ(always.status().code(), StatusCode::kIo);
    EXPECT_TRUE(always.status().message().starts_with(path + ": was changed"))
        << always.status().message();
  }
}

// Replacing a file touches the one that was there: a reader that has it open
// takes the new one.
TEST(Contents, OfAFileThatIsReplacedAreTheNewOnes) {
  const ScratchFolder folder;
  const std::string path = folder.File("x");
  WriteBytes(path, "old");
  int looks = 0;
  const auto contents = Contents::Read(path, [&](uint64_t) {
    if (looks++ > 0) return Status();
    auto file = TemporaryFile::Create(path);
    EXPECT_TRUE(file.ok() && file->Write(AsBytes("new")).ok() &&
                file->Finish().ok());
    TemporaryFile* const files[] = {&*file};
    return ReplaceFiles(files);
  });
  ASSERT_TRUE(contents.ok()) << contents.status().message();
  EXPECT_EQ((*contents)->text(), "new");
}

// --------------------------------------------------------------------- writing

// With names from the start, as where the system has no files without.
class Replace : public testing::TestWithParam<TemporaryFile::Name> {
 protected:
  // A file that waits to take its place.
  static TemporaryFile Prepared(const std::string& path,
                                std::string_view text) {
    auto file = TemporaryFile::Create(path, GetParam());
    EXPECT_TRUE(file.ok()) << file.status().message();
    EXPECT_TRUE(file->Write(AsBytes(text)).ok());
    EXPECT_TRUE(file->Finish().ok());
    return *std::move(file);
  }

  static Status ReplaceOne(const std::string& path, std::string_view text) {
    TemporaryFile file = Prepared(path, text);
    TemporaryFile* const files[] = {&file};
    return ReplaceFiles(files);
  }

  static mode_t Mode(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  static Status ReplaceBoth(const ScratchFolder& folder,
                            const char* in_the_way) {
    TemporaryFile a = Prepared(folder.File("a"), "new a");
    TemporaryFile b = Prepared(folder.File("b"), "new b");
    if (in_the_way != nullptr) {
      std::filesystem::remove(folder.File(in_the_way));
      std::filesystem::create_directory(folder.File(in_the_way));
    }
    TemporaryFile* const files[] = {&a, &b};
    return ReplaceFiles(files);
  }
};

TEST_P(Replace, ReplacesAll) {
  ScratchFolder folder;
  WriteBytes(folder.File("a"), "old a");
  ASSERT_TRUE(ReplaceBoth(folder, nullptr).ok());
  EXPECT_EQ(ReadBytes(folder.File("a")), "new a");
  EXPECT_EQ(ReadBytes(folder.File("b")), "new b");
  EXPECT_EQ(folder.Names(), (Names{"a", "b"}));
}

TEST_P(Replace, FailingAtTheLastPutsTheFirstBack) {
  ScratchFolder folder;
  WriteBytes(folder.File("a"), "old a");
  const Status status = ReplaceBoth(folder, "b");
  EXPECT_EQ(status.code(), StatusCode::kIo) << status.message();
  EXPECT_TRUE(status.message().starts_with(folder.File("b")));
  EXPECT_EQ(ReadBytes(folder.File("a")), "old a");
  EXPECT_EQ(folder.Names(), (Names{"a", "b"}));
}

TEST_P(Replace, FailingAtTheLastRemovesTheFirstIfItIsNew) {
  ScratchFolder folder;
  EXPECT_FALSE(ReplaceBoth(folder, "b").ok());
  EXPECT_EQ(folder.Names(), Names{"b"});
}

TEST_P(Replace, FailingAtTheFirstLeavesTheOther) {
  ScratchFolder folder;
  WriteBytes(folder.File("b"), "old b");
  EXPECT_FALSE(ReplaceBoth(folder, "a").ok());
  EXPECT_EQ(ReadBytes(folder.File("b")), "old b");
  EXPECT_EQ(folder.Names(), (Names{"a", "b"}));
}

// All start at once with what takes long already done, so that without the lock
// some pair is mixed in most of the runs.
TEST_P(Replace, FromManyThreadsLeavesThePairOfOne) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 40;
  ScratchFolder folder;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    std::barrier start(kThreads);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&folder, &start, i] {
        const std::string text = std::to_string(i);
        TemporaryFile a = Prepared(folder.File("a"), text);
        TemporaryFile b = Prepared(folder.File("b"), text);
        TemporaryFile* const files[] = {&a, &b};
        start.arrive_and_wait();
        const Status status = ReplaceFiles(files);
        EXPECT_TRUE(status.ok()) << status.message();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(ReadBytes(folder.File("a")), ReadBytes(folder.File("b")));
    EXPECT_EQ(folder.Names(), (Names{"a", "b"}));
  }
}

TEST_P(Replace, KeepsTheMode) {
  ScratchFolder folder;
  const std::string path = folder.File("x");
  for (const mode_t mode : {0600, 0640, 0664, 0444, 0777}) {
    WriteBytes(path, "old");
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    ASSERT_TRUE(ReplaceOne(path, "new").ok());
    EXPECT_EQ(Mode(path), mode);
    EXPECT_EQ(ReadBytes(path), "new");
  }
}

TEST_P(Replace, GivesNewFilesTheModeOfTheUmask) {
  ScratchFolder folder;
  for (const mode_t mask : {022, 077, 002}) {
    const mode_t old = umask(mask);
    const std::string path = folder.File(std::to_string(mask));
    EXPECT_TRUE(ReplaceOne(path, "new").ok());
    umask(old);
    EXPECT_EQ(Mode(path), 0666 & ~mask);
  }
}

TEST_P(Replace, KeepsOwnerAndGroup) {
  if (geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  ScratchFolder folder;
  const std::string path = folder.File("x");
  WriteBytes(path, "old");
  ASSERT_EQ(chown(path.c_str(), 1234, 2345), 0);
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  ASSERT_TRUE(ReplaceOne(path, "new").ok());
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 1234u);
  EXPECT_EQ(info.st_gid, 2345u);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0640});
}

// Who cannot keep the group must not let his own group read what only the old
// one could.
TEST_P(Replace, LeavesNoRightsToAnotherGroup) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  ScratchFolder folder;
  const std::string path = folder.File("x");
  WriteBytes(path, "old");
  ASSERT_EQ(chown(path.c_str(), 1234, 2345), 0);
  ASSERT_EQ(chmod(path.c_str(), 0664), 0);
  ASSERT_EQ(chmod(folder.File("").c_str(), 0777), 0);
  EXPECT_EQ(InAnotherProcess([&] {
              if (setgid(3456) != 0 || setuid(4567) != 0) return 1;
              return ReplaceOne(path, "new").ok() ? 0 : 2;
            }),
            0);
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 4567u);
  EXPECT_EQ(info.st_gid, 3456u);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0644});
}

// ------------------------------------------------------------ writers that die

TEST_P(Replace, NothingIsLeftOfAWriterThatWasKilled) {
  ScratchFolder folder;
  const std::string path = folder.File("x");
  WriteBytes(path, "old");
  EXPECT_EQ(InAnotherProcess([&] {
              const TemporaryFile file = Prepared(path, "half");
              return raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_EQ(ReadBytes(path), "old");
  // Files without a name are gone at once, where the system has them; others
  // wait for the next who writes there.
  const int nameless =
      open(folder.File("").c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (nameless >= 0) close(nameless);
  const bool had_name =
      GetParam() == TemporaryFile::Name::kAtOnce || nameless < 0;
  EXPECT_EQ(folder.Names().size(), had_name ? 2u : 1u);
  ASSERT_TRUE(ReplaceOne(folder.File("y"), "new").ok());
  EXPECT_EQ(folder.Names(), (Names{"x", "y"}));
}

TEST_P(Replace, WhatAWriterWhoLivesHasPreparedStays) {
  ScratchFolder folder;
  TemporaryFile file = Prepared(folder.File("x"), "slow");
  ASSERT_TRUE(ReplaceOne(folder.File("y"), "fast").ok());
  EXPECT_EQ(InAnotherProcess([&] {
              return ReplaceOne(folder.File("z"), "other").ok() ? 0 : 1;
            }),
            0);
  TemporaryFile* const files[] = {&file};
  const Status status = ReplaceFiles(files);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(ReadBytes(folder.File("x")), "slow");
  EXPECT_EQ(folder.Names(), (Names{"x", "y", "z"}));
}

TEST_P(Replace, OnlyItsOwnLeftoversAreRemoved) {
  ScratchFolder folder;
  const Names others = {".bqengine-",          ".bqengine-.tmp",
                        ".bqengine-1-2.tmp.x", ".bqengine-1-2",
                        ".bqengine-1-.tmp",    ".bqengine-1.tmp",
                        ".bqengine-a-2.tmp",   "bqengine-1-2.tmp"};
  for (const std::string& name : others) WriteBytes(folder.File(name), "kept");
  std::filesystem::create_directory(folder.File(".bqengine-1-3.tmp"));
  std::filesystem::create_symlink("x", folder.File(".bqengine-1-4.tmp"));
  WriteBytes(folder.File(".bqengine-1-2.tmp"), "left");
  // The names that a killed run with this process's id has left.
  constexpr int kLeftovers = 100;
  for (int i = 0; i < kLeftovers; ++i) {
    WriteBytes(folder.File(".bqengine-" + std::to_string(getpid()) + "-" +
                           std::to_string(i) + ".tmp"),
               "left");
  }
  ASSERT_TRUE(ReplaceOne(folder.File("x"), "new").ok());
  Names expected = others;
  expected.insert(expected.end(),
                  {".bqengine-1-3.tmp", ".bqengine-1-4.tmp", "x"});
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(folder.Names(), expected);
}

INSTANTIATE_TEST_SUITE_P(, Replace,
                         testing::Values(TemporaryFile::Name::kLate,
                                         TemporaryFile::Name::kAtOnce),
                         [](const auto& info) {
                           return info.param == TemporaryFile::Name::kLate
                                      ? "NamedLate"
                                      : "NamedAtOnce";
                         });

// -------------------------------------------------- a limit on the size of
// files

bool IsPending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGXFSZ) == 1;
}

// In another process, whose files may have 100 bytes.
int WriteBeyondTheLimit(const std::string& path,
                        const std::function<bool(int file)>& write) {
  return InAnotherProcess([&] {
    const rlimit limit = {100, 100};
    const int file = open(path.c_str(), O_WRONLY | O_CREAT, 0600);
    if (file < 0 || setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    return write(file) ? 0 : 1;
  });
}

TEST(WriteAll, ReportsALimitAndSendsNoSignal) {
  const ScratchFolder folder;
  EXPECT_EQ(WriteBeyondTheLimit(folder.File("x"),
                                [](int file) {
                                  const std::string text(1000, 'x');
                                  return !WriteAll(file, AsBytes(text)) &&
                                         errno == EFBIG && !IsPending();
                                }),
            0);
  EXPECT_EQ(ReadBytes(folder.File("x")), std::string(100, 'x'));
}

// Without it, the system ends the process: the limit above is a real one.
TEST(WriteAll, OtherWritesEndTheProcess) {
  const ScratchFolder folder;
  EXPECT_EQ(WriteBeyondTheLimit(folder.File("x"),
                                [](int file) {
                                  const std::string text(1000, 'x');
                                  while (write(file, text.data(), 1000) > 0) {
                                  }
                                  return true;
                                }),
            -SIGXFSZ);
}

TEST(WriteAll, LeavesTheHostsSignalsAlone) {
  const ScratchFolder folder;
  EXPECT_EQ(WriteBeyondTheLimit(
                folder.File("x"),
                [](int file) {
                  sigset_t set, mask;
                  sigemptyset(&set);
                  sigaddset(&set, SIGXFSZ);
                  pthread_sigmask(SIG_BLOCK, &set, nullptr);
                  raise(SIGXFSZ);  // one that the host waits for
                  const std::string text(1000, 'x');
                  if (WriteAll(file, AsBytes(text)) || errno != EFBIG)
                    return false;
                  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
                  return IsPending() && sigismember(&mask, SIGXFSZ) == 1;
                }),
            0);
}

TEST(WriteAll, ReportsAFullDevice) {
  const int file = open("/dev/full", O_WRONLY);
  if (file < 0) GTEST_SKIP() << "no /dev/full";
  EXPECT_FALSE(WriteAll(file, AsBytes("x")));
  EXPECT_EQ(errno, ENOSPC);
  close(file);
}

}  // namespace
}  // namespace bqengine::files
