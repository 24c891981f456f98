#include "base/memory.h"

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <limits>
#include <memory>
#include <stdexcept>

namespace fastnst {
namespace {

constexpr uint64_t kLeast = uint64_t(64) << 20;
constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kMost = kUnlimited >> 1;  // the largest signed size

char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

#if defined(__wasm__)
// A page's memory is what its module may grow to.
uint64_t group_limit(const std::string&) { return kUnlimited; }
#else
// C's files, because C++'s streams would add 200 kB to the program.
using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File opened(const std::string& path) { return {std::fopen(path.c_str(), "r"), std::fclose}; }

// The next line without its end; false after the last one.
bool next_line(std::FILE* file, std::string& line) {
  line.clear();
  int c;
  while ((c = std::fgetc(file)) != EOF && c != '\n') line += char(c);
  return c != EOF || !line.empty();
}

// The number in a file of one line; unlimited where there is none, such as "max".
uint64_t limit_in(const std::string& path) {
  const File file = opened(path);
  uint64_t limit;
  return file && std::fscanf(file.get(), "%" SCNu64, &limit) == 1 ? limit : kUnlimited;
}

// The lowest limit of a control group and of all groups around it. `group` is its path below `mount`.
uint64_t least_limit(const std::string& mount, std::string group, const char* file) {
  for (uint64_t least = kUnlimited;; group.resize(group.rfind('/'))) {
    if (!group.empty() && group.back() == '/') group.pop_back();
    least = std::min(least, limit_in(mount + group + "/" + file));
    if (group.find('/') == std::string::npos) return least;
  }
}

uint64_t group_limit(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  // The outermost ones, which inside a container are its own, whatever the names that the process's groups have outside.
  uint64_t least = std::min(least_limit(mount, "", "memory.max"), least_limit(mount + "/memory", "", "memory.limit_in_bytes"));
  const File groups = opened(root + "/proc/self/cgroup");
  for (std::string line; groups && next_line(groups.get(), line);) {  // number:controllers:path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",", group = line.substr(second + 1);
    if (controllers == ",,") least = std::min(least, least_limit(mount, group, "memory.max"));
    if (controllers.find(",memory,") != std::string::npos)
      least = std::min(least, least_limit(mount + "/memory", group, "memory.limit_in_bytes"));
  }
  return least;
}
#endif

}  // namespace

uint64_t parse_bytes(const std::string& text) {
  static const std::string units = "kmgt";
  const auto refuse = [&](const char* what) -> uint64_t { throw std::invalid_argument("'" + text + "' is " + what); };
  const size_t begin = std::min(text.find_first_not_of(" \t\n"), text.size()), end = text.find_last_not_of(" \t\n") + 1;
  size_t at = begin;
  uint64_t bytes = 0;
  bool fits = true;
  for (; at < end && text[at] >= '0' && text[at] <= '9'; at++)
    fits =
        fits && !__builtin_mul_overflow(bytes, 10, &bytes) && !__builtin_add_overflow(bytes, uint64_t(text[at] - '0'), &bytes);
  const bool digits = at > begin;
  const size_t unit = at < end ? units.find(lower(text[at])) + 1 : 0;  // 0 if it is none of them
  if (unit > 0) {
    at++;
    if (at < end && lower(text[at]) == 'i') at++;
  }
  if (at < end && lower(text[at]) == 'b') at++;
  if (!digits || at != end || (fits && bytes == 0)) return refuse("not a number of bytes such as 536870912, 512M or 2G");
  if (!fits || bytes > kMost >> 10 * unit) return refuse("more bytes than there can be");
  return bytes << 10 * unit;
}

uint64_t machine_memory(const std::string& root) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const uint64_t limit = std::min(pages > 0 && page > 0 ? uint64_t(pages) * uint64_t(page) : kUnlimited, group_limit(root));
  return limit == kUnlimited ? 0 : limit;
}

uint64_t default_budget(uint64_t pixels, uint64_t machine, uint64_t each) {
  const uint64_t wanted = pixels > kMost / each ? kMost : each * pixels;
  return std::max(kLeast, machine > 0 ? std::min(wanted, machine / 4) : wanted);
}

}  // namespace fastnst
