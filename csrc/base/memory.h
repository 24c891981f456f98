// How much working memory a picture may take: what users write, and what is right where they write nothing.
#pragma once

#include <cstdint>
#include <string>

namespace fastnst {

// The number of bytes in `text`: a whole number, or one with K, M, G or T for powers of 1024, in capitals or not, and i, B or
// iB behind that if one likes: 536870912, 512M, 512m, 512MB and 512MiB are the same.
// Throws std::invalid_argument, one line: anything else, 0, or more than 2^63 - 1.
uint64_t parse_bytes(const std::string& text);

// Bytes of memory that this process can hope for: those of the machine, or fewer where a control group (version 1 or 2) that it
// is in, or one around that, has a limit. 0 where the system does not say. `root` stands before the names of the system's
// files.
uint64_t machine_memory(const std::string& root = "");

// Bytes of working memory for a picture of so many pixels on a machine with so much memory (0: unknown): 12 for each pixel, at
// least 64M, at most a quarter of the machine's.
uint64_t default_budget(uint64_t pixels, uint64_t machine);

}  // namespace fastnst
