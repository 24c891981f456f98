// How a call of a page fails. Whatever is thrown goes to JavaScript at once, whose own exception ends the call: nothing in the
// module is caught (csrc/web/build.py), and no destructors run. After that the module must not be called any more, and
// web/engine.js says so. Exceptions that leave everything in order make the modules an eighth larger.
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>
#include <typeinfo>

extern "C" {

[[noreturn, clang::import_module("page"), clang::import_name("fail")]] void page_fail(const char* why);

void* __cxa_allocate_exception(size_t size) noexcept { return operator new(size); }

[[noreturn]] void __cxa_throw(void* thrown, std::type_info* type, void (*)(void*)) {
  if (*type == typeid(std::bad_alloc)) page_fail("not enough memory");
  // Everything that is thrown is a std::exception, and first bases are where their objects begin.
  page_fail(static_cast<const std::exception*>(thrown)->what());
}

}  // extern "C"

void* operator new(size_t size) {
  void* memory = std::malloc(std::max<size_t>(size, 1));
  if (memory == nullptr) page_fail("not enough memory");
  return memory;
}

void operator delete(void* memory) noexcept { std::free(memory); }
