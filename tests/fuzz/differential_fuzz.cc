// Runs the differential fuzzer: random networks, the reference backend on the
// graph as it is written against every backend on the optimized one.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/fuzz/differential.h"
#include "tests/fuzz/random_case.h"
#include "tests/fuzz/shrink.h"

namespace bqengine::fuzz {
namespace {

constexpr char kUsage[] =
    "usage: differential_fuzz [--seeds N] [--first N] [--keep-going]\n"
    "                         [--print] [--save FOLDER]\n"
    "\n"
    "Makes a network from each seed and compares the backend 'reference',\n"
    "without passes, with every backend, with passes, on 1 and 2 threads.\n"
    "The exit status is 1 if any differs from what is promised.\n"
    "\n"
    "  --seeds N      how many (1000)\n"
    "  --first N      the first of them (0)\n"
    "  --keep-going   do not end at the first difference\n"
    "  --print        print each network, not only what differs\n"
    "  --save FOLDER  write what differs, shrunk, as SEED.json with its "
    "inputs\n"
    "                 as .npy\n";

struct Options {
  uint64_t seeds = 1000;
  uint64_t first = 0;
  bool keep_going = false;
  bool print = false;
  std::string folder;
};

bool ParseNumber(const char* text, uint64_t* number) {
  const char* end = text + std::strlen(text);
  const auto result = std::from_chars(text, end, *number);
  return result.ec == std::errc() && result.ptr == end;
}

bool Parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--keep-going") {
      options->keep_going = true;
    } else if (argument == "--print") {
      options->print = true;
    } else if (argument == "--save" && has_value) {
      options->folder = argv[++i];
    } else if (argument == "--seeds" && has_value) {
      if (!ParseNumber(argv[++i], &options->seeds)) return false;
    } else if (argument == "--first" && has_value) {
      if (!ParseNumber(argv[++i], &options->first)) return false;
    } else {
      return false;
    }
  }
  return true;
}

void Report(uint64_t seed, const TestCase& test, const Difference& difference,
            const Options& options) {
  std::printf("seed %llu: %s: output '%s': %s\n",
              static_cast<unsigned long long>(seed), difference.backend.c_str(),
              difference.output.c_str(), difference.what.c_str());
  const TestCase small = Shrink(test);
  const auto still = FindDifference(small);
  std::printf("shrunk (%s: output '%s': %s):\n%s\n", still->backend.c_str(),
              still->output.c_str(), still->what.c_str(),
              GraphText(small.graph).c_str());
  if (options.folder.empty()) return;
  const std::string path =
      options.folder + "/" + std::to_string(seed) + ".json";
  const Status status = Save(small, path);
  if (status.ok()) {
    std::printf("written to %s\n", path.c_str());
  } else {
    std::printf("%s\n", status.message().c_str());
  }
}

int Run(const Options& options) {
  uint64_t different = 0;
  for (uint64_t i = 0; i < options.seeds; ++i) {
    const uint64_t seed = options.first + i;
    const TestCase test = RandomCase(seed);
    if (options.print) {
      std::printf(
          "seed %llu, batch %lld\n%s\n", static_cast<unsigned long long>(seed),
          static_cast<long long>(test.batch), GraphText(test.graph).c_str());
    }
    if (const auto difference = FindDifference(test)) {
      ++different;
      Report(seed, test, *difference, options);
      if (!options.keep_going) return 1;
    }
    if ((i + 1) % 1000 == 0 || i + 1 == options.seeds) {
      std::printf("%llu of %llu seeds (to %llu), %llu different\n",
                  static_cast<unsigned long long>(i + 1),
                  static_cast<unsigned long long>(options.seeds),
                  static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(different));
      std::fflush(stdout);
    }
  }
  return different == 0 ? 0 : 1;
}

}  // namespace
}  // namespace bqengine::fuzz

int main(int argc, char** argv) {
  bqengine::fuzz::Options options;
  if (!bqengine::fuzz::Parse(argc, argv, &options)) {
    std::fputs(bqengine::fuzz::kUsage, stderr);
    return 2;
  }
  return bqengine::fuzz::Run(options);
}
