// How the system backs large blocks of memory.
#pragma once

#include <cstddef>

namespace fastnst {

// Asks for large pages, where the system has them, for memory that is about to be written for the first time: to be given
// 128 MB in pages of 4 KB costs several times what filling them does. Small blocks are left alone.
void prefer_large_pages(void* data, size_t size);

// `size` bytes of zeros, at a 64-byte boundary at least straight from the system; nullptr if there are none.
void* map_zeros(size_t size);
void unmap(void* data, size_t size);

}  // namespace fastnst
