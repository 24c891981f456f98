// How much working memory a picture may take: parsing of the limit that users give, and the default.
#pragma once

#include <cstdint>
#include <string>

namespace fastnst {

// Parses a number of bytes: a whole number, with or without a unit K, M, G or T for powers of 1024 in either case, which i, B
// or iB may follow: 536870912, 512M, 512m, 512MB and 512MiB are the same.
// Throws std::invalid_argument, one line, for anything else, for 0 and above 2^63 - 1.
uint64_t parse_bytes(const std::string& text);

// Bytes of memory that this process can have: those of the machine, or the limit of its control group (version 1 or 2) or of
// one around that, if it is lower. 0 where the system does not tell. `root` is prepended to the names of the system's files.
uint64_t machine_memory(const std::string& root = "");

// A third of the memory of whole pictures. It costs 7 % of the engine's time, which reading and writing in rows win back.
constexpr uint64_t kUsualBytes = 12;

// The default limit of working memory in bytes for a picture of `pixels` pixels on a machine with `machine` bytes (0:
// unknown): so many for each pixel, at least 64 MiB, at most a quarter of the machine's.
uint64_t default_budget(uint64_t pixels, uint64_t machine, uint64_t each = kUsualBytes);

}  // namespace fastnst
