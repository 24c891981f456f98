// What sanitizers and other compilers run, without Python:
//   models PACK, pictures PACK      every file of a pack is refused in one line, or works
//   golden THREADS < JOBS           the SHA-256 of a picture for each line "MODEL CONTENT STYLE ALPHA"
//   stress ROUNDS MODEL...          many threads on one engine and on their own, with any number of helpers: the same pixels
//   allocations MODEL...            every allocation fails once: std::bad_alloc, nothing lost, the next call is right
// A pack is a sequence of files, each behind its length as a u32.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <thread>

#include "base/sha256.h"
#include "engines.h"

namespace {

std::atomic<int64_t> allocations_left{-1};  // until one fails; negative: none does

bool fails_now() { return allocations_left.load() >= 0 && allocations_left.fetch_sub(1) == 0; }

}  // namespace

extern "C" void* __real_aligned_alloc(size_t alignment, size_t size);
extern "C" void* __wrap_aligned_alloc(size_t alignment, size_t size) {
  return fails_now() ? nullptr : __real_aligned_alloc(alignment, size);
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return fails_now() ? nullptr : std::malloc(size); }
void* operator new(size_t size) {
  void* const data = operator new(size, std::nothrow);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, size_t) noexcept { std::free(data); }

namespace {

using namespace fastnst;
using Bytes = std::vector<uint8_t>;

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

std::vector<Bytes> read_pack(const std::string& path) {
  const Bytes all = read_file(path);
  std::vector<Bytes> files;
  for (size_t at = 0; at < all.size();) {
    uint32_t size = 0;
    if (all.size() - at < sizeof size) throw std::runtime_error(path + ": a broken pack");
    std::memcpy(&size, &all[at], sizeof size);
    at += sizeof size;
    if (size > all.size() - at) throw std::runtime_error(path + ": a broken pack");
    files.emplace_back(all.begin() + int64_t(at), all.begin() + int64_t(at + size));
    at += size;
  }
  return files;
}

int survive(const std::string& pack, bool (*survives)(const uint8_t*, size_t)) {
  size_t accepted = 0;
  const std::vector<Bytes> files = read_pack(pack);
  for (size_t i = 0; i < files.size(); i++) try {
      accepted += survives(files[i].data(), files[i].size());
    } catch (const std::exception& error) {
      std::cerr << "file " << i << " of " << pack << ": " << error.what() << "\n";
      return 1;
    }
  std::cout << files.size() << " files, " << accepted << " accepted\n";
  return 0;
}

std::unique_ptr<Engine> load(const std::string& path) {
  const Bytes data = read_file(path);
  return load_engine(data.data(), data.size());
}

Picture open_picture(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  return read_picture(file.get());
}

std::string hex_digest(const Bytes& data) {
  std::string text;
  for (const uint8_t byte : sha256(data.data(), data.size())) {
    text += "0123456789abcdef"[byte / 16];
    text += "0123456789abcdef"[byte % 16];
  }
  return text;
}

int golden(int threads) {
  std::map<std::string, std::unique_ptr<Engine>> engines;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string model, content, style;
    double alpha = 1;
    words >> model >> content >> style >> alpha;
    auto& engine = engines[model];
    if (!engine) engine = load(model);
    std::cout << hex_digest(stylize(*engine, open_picture(content), open_picture(style), alpha, threads)) << "\n";
  }
  return 0;
}

// 16 threads that share one engine, then 16 with an engine each.
int stress(int rounds, const std::vector<std::string>& models) {
  const Picture content = noise(61, 45), style = noise(40, 52);
  std::atomic<int> wrong{0};
  for (const std::string& path : models) {
    const auto shared = load(path);
    const Bytes wanted = stylize(*shared, content, style, 1, 1);
    for (const bool own : {false, true}) {
      std::vector<std::thread> team;
      for (int t = 0; t < 16; t++)
        team.emplace_back([&, t] {
          const auto mine = own ? load(path) : nullptr;
          for (int i = 0; i < rounds; i++) {
            const Engine& engine = own ? *mine : *shared;
            const int threads = 1 + (t + i) % 9;
            wrong += ((t + i) % 4 ? stylize(engine, content, style, 1, threads) : in_tiles(engine, content, style, 1, threads)) !=
                     wanted;
          }
        });
      for (std::thread& each : team) each.join();
    }
  }
  std::cout << models.size() * 32 * size_t(rounds) << " calls, " << wrong << " differ\n";
  return wrong == 0 ? 0 : 1;
}

int allocations(const std::vector<std::string>& models) {
  // Small, but several tiles: with their number grows that of allocations, and with its square the time.
  const Picture content = noise(13, 9), style = noise(12, 19);
  int64_t failed = 0;
  for (const std::string& path : models) {
    const Bytes data = read_file(path);
    const auto engine = load(path);
    const Bytes wanted = stylize(*engine, content, style, 0.5, 2);
    const auto attempt = [&](int64_t k, auto&& call) {
      allocations_left = k;
      try {
        call();
        const bool all_done = allocations_left >= 0;
        allocations_left = -1;
        return !all_done;
      } catch (const std::bad_alloc&) {
        allocations_left = -1;
        failed++;
        return true;
      }
    };
    for (int64_t k = 0; attempt(k, [&] { load_engine(data.data(), data.size()); }); k++) {
    }
    // A fresh engine each time, whose workspaces are still to be made; then the used one must go on as before.
    for (int64_t k = 0;; k++) {
      const auto fresh = load_engine(data.data(), data.size());
      if (!attempt(k, [&] { stylize(*fresh, content, style, 0.5, 2); })) break;
      if (stylize(*fresh, content, style, 0.5, 2) != wanted) throw std::runtime_error("wrong pixels after a failed allocation");
    }
    for (int64_t k = 0; attempt(k, [&] { stylize(*engine, content, style, 0.5, 2); }); k++) {
    }
    for (int64_t k = 0; attempt(k, [&] { in_tiles(*engine, content, style, 0.5, 2); }); k++) {
    }
    if (stylize(*engine, content, style, 0.5, 2) != wanted) throw std::runtime_error("wrong pixels after failed allocations");
  }
  std::cout << failed << " allocations failed\n";
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  try {
    if (words.size() == 2 && words[0] == "models") return survive(words[1], survives_model);
    if (words.size() == 2 && words[0] == "pictures") return survive(words[1], survives_picture);
    if (words.size() == 2 && words[0] == "golden") return golden(std::stoi(words[1]));
    if (words.size() > 2 && words[0] == "stress") return stress(std::stoi(words[1]), {words.begin() + 2, words.end()});
    if (words.size() > 1 && words[0] == "allocations") return allocations({words.begin() + 1, words.end()});
    std::cerr << "usage: driver models PACK | pictures PACK | golden THREADS | stress ROUNDS MODEL... | allocations MODEL...\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
