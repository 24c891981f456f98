// How the system backs large blocks of memory.
#pragma once

#include <cstddef>

namespace fastnst {

// Asks for large pages, where the system has them, for memory that is about to be written for the first time: getting 128 MB in
// pages of 4 KB takes several times as long as filling them. Small blocks are left as they are.
void prefer_large_pages(void* data, size_t size);

// `size` bytes of zeros directly from the system, aligned to 64 bytes or more; nullptr if it has none.
void* map_zeros(size_t size);
void unmap(void* data, size_t size);

}  // namespace fastnst
